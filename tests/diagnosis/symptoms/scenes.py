"""Scenes over lakes that a test makes."""

from collections.abc import Callable, Iterable
from pathlib import Path

from exray.diagnosis.causes import Cause, Scene
from exray.diagnosis.diagnose import diagnose

from ..lakes import Recording, make_lake

Look = Callable[[Scene], Iterable[Cause]]


def causes(path: Path, finder: Look, *recordings: Recording, baseline: str = "") -> list[Cause]:
    """Return what a finder says of the builds "e" and "r"."""
    found: list[Cause] = []

    def look(scene: Scene) -> Iterable[Cause]:
        found.extend(finder(scene))
        return ()

    lake = make_lake(path / "lake", *recordings)
    diagnosis = diagnose(lake, "e", "r", baseline=baseline or None, finders=[look])
    assert diagnosis.failures == ()
    return found
