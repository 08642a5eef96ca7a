"""What the lake knows of the two model inputs, frame by frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from exray.schema.identity import sketch_family
from exray.schema.records import Quantization

if TYPE_CHECKING:
    from exray.queries.interrupt import Cursors

Numbers = NDArray[np.float64]

MAX_FRAMES = 16
"""Frames read: many enough to be sure of a candidate, few enough to make each of them."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A model input as one side recorded it.

    Args:
        count: Elements.
        shape: Dimensions with the batch, as the runtime has them.
        dtype: Element type.
        layout: Meaning of the dimensions, None where it is not known.
        quantization: How integers map to real values, None for real ones.
        sketch: Shape (k,), of real values.
        channels: Per-channel statistics as text, None below level distribution.
    """

    count: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    layout: str | None
    quantization: Quantization | None
    sketch: Numbers
    channels: str | None = None

    @property
    def step(self) -> float:
        """Width of a quantization step, 0 for real values."""
        return self.quantization.scales[0] if self.quantization else 0.0


@dataclass(frozen=True, slots=True)
class ObservedFrame:
    """Both sides' model input of one recorded input; *nsr* is their distance, where known."""

    input_id: str
    input_key: int
    nsr: float | None
    edge: Seen
    reference: Seen

    @property
    def family(self) -> int:
        """The sketch family of this input."""
        return sketch_family(self.input_key)


def read_observed(
    cursors: "Cursors", edge: str, reference: str, max_frames: int = MAX_FRAMES
) -> list[ObservedFrame]:
    """Read the model inputs of paired frames, the most different ones first.

    Args:
        cursors: Makes connections to the lake.
        edge: Selector of the edge's runs.
        reference: Selector of the reference's runs.
        max_frames: Frames at most.
    """
    named = {"edge": edge, "reference": reference, "max_frames": max_frames}
    with cursors.cursor() as cursor:
        cursor.execute("FROM input_sketches($edge, $reference, max_frames := $max_frames)", named)
        names = [str(column[0]) for column in cursor.description or []]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return [
        ObservedFrame(
            input_id=row["input_id"],
            input_key=row["input_key"],
            nsr=row["nsr"],
            edge=_seen(row, "edge"),
            reference=_seen(row, "reference"),
        )
        for row in rows
    ]


def comparable(frames: Sequence[ObservedFrame]) -> list[ObservedFrame]:
    """Keep the frames whose two inputs are of one size and were seen to differ."""
    return [frame for frame in frames if frame.nsr is not None and frame.nsr > 0]


def _seen(row: dict[str, Any], side: str) -> Seen:
    scale, zero_point = row[f"{side}_scale"], row[f"{side}_zero_point"]
    shape = str(row[f"{side}_shape"])
    return Seen(
        count=row[f"{side}_count"],
        shape=tuple(int(size) for size in shape.split(",") if size),
        dtype=np.dtype(row[f"{side}_dtype"]),
        layout=row[f"{side}_layout"],
        quantization=None if scale is None else Quantization((scale,), (zero_point or 0,)),
        sketch=np.array(row[f"{side}_sketch"], np.float64),
        channels=row[f"{side}_channels"],
    )
