"""What finders say of lakes that a test makes."""

from collections.abc import Callable, Iterable
from pathlib import Path

from exray.diagnosis.causes import Cause, Scene

from ..lakes import Recording, make_lake
from ..scenes import open_scene

Look = Callable[[Scene], Iterable[Cause]]


def causes(path: Path, finder: Look, *recordings: Recording, baseline: str = "") -> list[Cause]:
    """Return what a finder says of the builds "e" and "r"."""
    lake = make_lake(path / "lake", *recordings)
    return list(finder(open_scene(lake, baseline=baseline or None)))
