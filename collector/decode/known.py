"""Attributes of exray's own spans: their types, and which of them make what kind of span.

Each known attribute is a column, and a bit in the mask of what a span says. A span whose mask
is none of those below, or whose values are out of range, is kept like any foreign span, with
its attributes as JSON.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from exray.exporters.span_content import COUNTS, FRAME, REALS, TENSOR
from exray.schema import attributes as keys

Kind = Literal["text", "integer", "small", "real"]
"""Type of an attribute; a small integer has 32 bits."""

FOREIGN, OWN_FRAME, OWN_LAYER, OWN_TENSOR, OWN_OTHER = range(5)
"""Kinds of span: not ours, a frame, a layer, a tensor by itself, a stage or an inference."""


@dataclass(frozen=True, slots=True)
class Known:
    """An attribute that exray's spans have.

    Args:
        key: As on the wire.
        column: Its column in a table of spans.
        kind: Its type.
        bit: Its place in a span's mask.
    """

    key: str
    column: str
    kind: Kind
    bit: int


_COLUMNS: dict[str, tuple[str, Kind]] = {
    keys.EXRAY_FRAME_ID: ("frame_id", "text"),
    keys.EXRAY_INPUT_KEY: ("input_key", "integer"),
    keys.EXRAY_INPUT_ID: ("input_id", "text"),
    keys.EXRAY_FRAME_INDEX: ("frame_index", "integer"),
    keys.EXRAY_FRAME_LABEL: ("label", "text"),
    keys.EXRAY_PREDICTION_IDS: ("prediction_ids", "text"),
    keys.EXRAY_PREDICTION_SCORES: ("prediction_scores", "text"),
    keys.EXRAY_OUTPUT_HASH: ("output_hash", "integer"),
    keys.EXRAY_LEVEL: ("level", "text"),
    keys.EXRAY_SAMPLE_RATE: ("sample_rate", "real"),
    keys.EXRAY_OVERHEAD_NS: ("overhead_ns", "integer"),
    keys.EXRAY_MEMORY_PEAK_BYTES: ("memory_peak_bytes", "integer"),
    keys.EXRAY_CPU_NS: ("cpu_ns", "integer"),
    keys.EXRAY_CANARY_ID: ("canary_id", "text"),
    keys.EXRAY_LAYER_INDEX: ("layer_index", "small"),
    keys.EXRAY_LAYER_SUBGRAPH_INDEX: ("subgraph_index", "small"),
    keys.EXRAY_LAYER_NAME: ("layer_name", "text"),
    keys.EXRAY_LAYER_OP: ("op", "text"),
    keys.EXRAY_LAYER_TIMING: ("timing", "text"),
    keys.EXRAY_TENSOR_ROLE: ("tensor_role", "text"),
    keys.EXRAY_TENSOR_NAME: ("tensor_name", "text"),
    keys.EXRAY_TENSOR_INDEX: ("tensor_index", "small"),
    keys.EXRAY_TENSOR_DTYPE: ("dtype", "text"),
    keys.EXRAY_TENSOR_SHAPE: ("shape", "text"),
    keys.EXRAY_TENSOR_LAYOUT: ("layout", "text"),
    keys.EXRAY_TENSOR_SCALE: ("scale", "real"),
    keys.EXRAY_TENSOR_ZERO_POINT: ("zero_point", "small"),
    **{key: (column, "integer") for column, key in COUNTS.items()},
    **{key: (column, "real") for column, key in REALS.items()},
    keys.EXRAY_TENSOR_SKETCH: ("sketch", "text"),
    keys.EXRAY_TENSOR_HISTOGRAM: ("histogram", "text"),
    keys.EXRAY_TENSOR_CHANNELS: ("channels", "text"),
}

KNOWN = {
    key: Known(key, column, kind, bit) for bit, (key, (column, kind)) in enumerate(_COLUMNS.items())
}
"""The attributes by key."""


def _mask(*columns: str) -> int:
    return sum(1 << known.bit for known in KNOWN.values() if known.column in columns)


_FRAME_ID = _mask("frame_id")
_BELOW = _FRAME_ID | _mask("input_key")
_FRAME_NEEDS = _mask("input_id", "input_key", "frame_index", "level", "sample_rate")
_FRAME_MAY = _mask(
    "label",
    "prediction_ids",
    "prediction_scores",
    "output_hash",
    "overhead_ns",
    "memory_peak_bytes",
    "cpu_ns",
    "canary_id",
)
_PLACE = _mask("layer_index", "layer_name", "op")
_PLACE_MAY = _mask("subgraph_index")
_TIMING = _mask("timing")
_TENSOR_NEEDS = _mask("tensor_role", "tensor_name", "tensor_index", "dtype", "shape", *COUNTS)
_TENSOR_MAY = _mask("layout", "scale", "zero_point", *REALS, "sketch", "histogram", "channels")
_TENSOR = _TENSOR_NEEDS | _TENSOR_MAY

TENSOR_BIT = _mask("tensor_role")
"""Of a mask: the span carries a tensor."""


def fits(mask: Any, kind: int) -> Any:
    """Tell whether a span that says *mask* is one of *kind*, for one mask or many."""
    needs, may = _SHAPES[kind]
    whole_tensor = ((mask & _TENSOR) == 0) | ((mask & _TENSOR_NEEDS) == _TENSOR_NEEDS)
    whole_place = ((mask & (_PLACE | _PLACE_MAY)) == 0) | ((mask & _PLACE) == _PLACE)
    return ((mask & needs) == needs) & ((mask & ~(needs | may)) == 0) & whole_tensor & whole_place


_SHAPES = {
    OWN_FRAME: (_FRAME_NEEDS, _FRAME_MAY | _TENSOR),
    OWN_LAYER: (_BELOW | _PLACE | _TIMING, _PLACE_MAY | _TENSOR),
    OWN_TENSOR: (_BELOW | _TENSOR_NEEDS, _PLACE | _PLACE_MAY | _TENSOR_MAY),
    OWN_OTHER: (_BELOW, _TENSOR),
}
"""What a span of each kind must say, and what it may."""


def kind_of(name: str, mask: int) -> int:
    """Return the kind of a span in exray's scope."""
    kind = OWN_LAYER if mask & _TIMING else OWN_OTHER
    if name == TENSOR and not mask & _TIMING:
        kind = OWN_TENSOR
    if name == FRAME and not mask & _FRAME_ID:
        kind = OWN_FRAME
    return kind if fits(mask, kind) else FOREIGN


def kinds_of(
    is_frame: NDArray[np.bool_], is_tensor: NDArray[np.bool_], masks: NDArray[np.int64]
) -> NDArray[np.int8]:
    """Return the kinds of many spans in exray's scope.

    Args:
        is_frame: Whether each is named so, shape (spans,).
        is_tensor: Whether each is named so, the same shape.
        masks: What each says.
    """
    timed = (masks & _TIMING) != 0
    kinds = np.where(timed, OWN_LAYER, OWN_OTHER).astype(np.int8)
    kinds[is_tensor & ~timed] = OWN_TENSOR
    kinds[is_frame & ((masks & _FRAME_ID) == 0)] = OWN_FRAME
    for kind in _SHAPES:
        chosen = kinds == kind
        chosen &= ~fits(masks, kind)
        kinds[chosen] = FOREIGN
    return kinds
