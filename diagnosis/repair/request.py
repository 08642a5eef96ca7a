"""What a repair is asked for, and how it tells what it does."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from exray.playback.progress import Progress

if TYPE_CHECKING:
    from exray.lake import Lake


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be repaired, and with what.

    Args:
        lake: Holds the runs of both sides.
        edge: Build, or a run id by its beginning.
        reference: The same of the reference.
        baseline: The edge's previous build, None for none.
        edge_model: The edge's model file.
        inputs: Recorded inputs: folder, npz or CSV.
        labels: ``CSV`` or ``CSV:COLUMN``; None for those that an npz brings.
        label_offset: Added to each label.
        preprocess: The edge's spec, None for the default.
        reference_model: The reference's model file, None where it is not at hand.
        reference_preprocess: The reference's spec, None for what the lake knows.
        chosen: Options model, device and kernels, as `exray.queries.resolve_pair` takes them.
    """

    lake: "Lake"
    edge: str
    reference: str
    edge_model: Path
    inputs: Path
    baseline: str | None = None
    labels: str | None = None
    label_offset: int = 0
    preprocess: Path | None = None
    reference_model: Path | None = None
    reference_preprocess: Path | None = None
    chosen: dict[str, str | None] = field(
        default_factory=lambda: {"model": None, "device": None, "kernels": None}
    )


ShowProgress = Callable[[str], AbstractContextManager[Progress]]
"""Shows how far a piece of work is, as `exray.playback.progress.show_progress` does."""
