"""What leaves a device of its inputs: less, where privacy is closed.

A sketch is linear: one of as many sums as the tensor has elements gives the tensor back.
So a *closed* recorder keeps at most one sum for every 16 elements of a tensor that is the
input or carries it on, no histogram and no channels of it, and keys its name and hashes.
``docs/privacy.md`` shows what can be rebuilt from what.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from exray.schema.errors import UsageError
from exray.schema.keying import is_telling, keyed_hash, keyed_hashes, keyed_id
from exray.schema.records import (
    SKETCH_SIZE,
    WIDE_SKETCH_SIZE,
    FrameRecord,
    Graph,
    TensorBlock,
    TensorSite,
)

from .guard import log_once
from .installation_secret import installation_secret

PrivacyMode = Literal["closed", "open"]

ELEMENTS_PER_SUM = 16
"""Elements of an input for each number that is kept of it."""

LEAST_SKETCH = 8
"""Below so many sums a sketch says nothing of a distance: none is kept."""

STATISTICS = ("sum", "sum2", "sum3", "sum4", "min", "max")
"""Numbers beside the sketch that are withheld of a tensor which has fewer elements than that
many times `ELEMENTS_PER_SUM`: power sums give a handful of elements back."""

INPUT_ROLES = frozenset({"raw", "stage", "input"})
"""Roles of tensors that are the input, or what was made of it before the model."""

HASHED_ROLES = INPUT_ROLES | {"output"}
"""Roles of tensors whose hash is keyed."""

MOVING_OPS = frozenset(
    {
        *("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "REVERSE_V2", "IDENTITY"),
        *("QUANTIZE", "DEQUANTIZE", "CAST", "FAKE_QUANT"),
        *("PAD", "PADV2", "MIRROR_PAD", "PACK", "UNPACK", "CONCATENATION", "TILE"),
        *("SLICE", "STRIDED_SLICE", "SPLIT", "SPLIT_V", "GATHER", "GATHER_ND"),
        *("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"),
        *("InputLayer", "Identity", "Reshape", "Flatten", "Permute", "Dropout", "Concatenate"),
        *("ZeroPadding1D", "ZeroPadding2D", "Cropping1D", "Cropping2D", "Resizing", "Embedding"),
        *("Squeeze", "Unsqueeze", "Transpose", "Cast", "QuantizeLinear", "DequantizeLinear"),
        *("DynamicQuantizeLinear", "Pad", "Concat", "Tile", "Expand", "Slice", "Split", "Gather"),
        *("GatherElements", "GatherND", "ReverseSequence", "Resize", "Upsample", "SpaceToDepth"),
        *("DepthToSpace", "QLinearConcat"),
    }
)
"""Operators that hand their input on in another place, shape or type."""

MAPPING_OPS = frozenset(
    {
        *("ADD", "SUB", "MUL", "DIV", "NEG", "ABS", "MINIMUM", "MAXIMUM", "RELU", "RELU6"),
        *("SQRT", "RSQRT", "SQUARE", "LOG", "EXP", "TANH", "LOGISTIC"),
        *("Rescaling", "Normalization", "BatchNormalization", "Activation", "ReLU"),
        *("Add", "Sub", "Mul", "Div", "Sum", "Neg", "Abs", "Min", "Max", "Relu", "Clip", "Pow"),
        *("Sqrt", "Reciprocal", "Log", "Exp", "Tanh", "Sigmoid", "QLinearAdd", "QLinearMul"),
    }
)
"""Operators that change each element by itself: right behind the model input, a
normalisation."""


def parse_privacy(text: object) -> PrivacyMode:
    """Return the privacy that a setting names.

    Raises:
        UsageError: It names none.
    """
    if text == "closed" or text == "open":
        return "closed" if text == "closed" else "open"
    msg = f"privacy {text!r} is unknown; expected one of closed, open"
    raise UsageError(msg)


def sums_allowed(count: int) -> int:
    """Return how many sums may be kept of an input: a power of two, 0 below 8.

    >>> [sums_allowed(count) for count in (1, 127, 128, 490, 1024, 27648)]
    [0, 0, 8, 16, 64, 256]
    """
    most = min(count // ELEMENTS_PER_SUM, WIDE_SKETCH_SIZE)
    return 0 if most < LEAST_SKETCH else 1 << (most.bit_length() - 1)


class Privacy:
    """What one configuration lets out of its frames.

    Args:
        mode: ``closed`` or ``open``.
        fleet_secret: What ids and hashes are keyed with; None is the installation's own
            where *mode* is closed, and none where it is open.
    """

    def __init__(self, mode: PrivacyMode, fleet_secret: bytes | None = None) -> None:
        self.is_closed = mode == "closed"
        self._is_own_secret = fleet_secret is None
        self._secret = fleet_secret
        if fleet_secret is None and self.is_closed:
            self._secret = installation_secret()
        self._carriers: dict[str, frozenset[int]] = {}

    def learn(self, graph: Graph) -> None:
        """Take a model's operators: which of its layers carry the input on."""
        self._carriers[graph.model_sha256] = carriers(graph)

    def input_id(self, input_id: str) -> str:
        """Return what an input is called in records: keyed, if its own name is telling."""
        if self._secret is None or not is_telling(input_id):
            return input_id
        if self._is_own_secret:
            log_once(
                "own secret",
                "input ids that look like file names or hashes are keyed with this "
                "installation's own secret, so they pair with no other device's: set "
                "EXRAY_FLEET_SECRET to the same text on edge and reference, or "
                "EXRAY_PRIVACY=open.",
            )
        return keyed_id(input_id, self._secret)

    def apply(self, frame: FrameRecord) -> None:
        """Take from a complete frame what is not to leave; once, before it is handed on."""
        if self._secret is None:
            return
        if frame.output_hash is not None:
            frame.output_hash = keyed_hash(frame.output_hash, self._secret)
        for block in frame.tensors:
            self._apply_to_block(block, None, self._secret)
        for inference in frame.inferences:
            if inference.tensors is not None:
                known = self._carriers.get(inference.run.model_sha256)
                self._apply_to_block(inference.tensors, known, self._secret)

    def _apply_to_block(
        self, block: TensorBlock, known: frozenset[int] | None, secret: bytes
    ) -> None:
        carrying = [carries_input(site, known) for site in block.sites]
        hashed = [
            carries or site.role in HASHED_ROLES
            for site, carries in zip(block.sites, carrying, strict=True)
        ]
        site_of_row = block.rows["site"]
        to_hash = np.flatnonzero(np.array(hashed, bool)[site_of_row])
        if to_hash.size:
            block.rows["hash"][to_hash] = keyed_hashes(block.rows["hash"][to_hash], secret)
        if self.is_closed:
            close_rows(block, np.flatnonzero(np.array(carrying, bool)[site_of_row]).tolist())


def carries_input(site: TensorSite, known: frozenset[int] | None = None) -> bool:
    """Tell whether a tensor is the input, or what an operator merely handed on of it.

    Args:
        site: Where it was seen.
        known: Layers of its model that hand the input on; None where its graph is not
            known: then every operator that moves its input counts.
    """
    if site.layer is None:
        return site.role in INPUT_ROLES
    if known is None or site.layer.subgraph_index:
        return site.layer.op in MOVING_OPS
    return site.layer.layer_index in known


def carriers(graph: Graph) -> frozenset[int]:
    """Return the layers between the model input and the first that computes something."""
    handing_on = MOVING_OPS | MAPPING_OPS
    found = {-1}
    for op in graph.ops:
        if op.subgraph_index == 0 and op.op in handing_on and found.issuperset(op.parents):
            found.add(op.layer_index)
    return frozenset(found - {-1})


def close_rows(block: TensorBlock, rows: Sequence[int]) -> None:
    """Leave of these rows of a block what does not give their tensors back."""
    wide, histograms = dict(block.wide_sketches), dict(block.histograms)
    by_channel, contents = dict(block.channels), dict(block.contents)
    for row in rows:
        count = int(block.rows["count"][row])
        allowed = sums_allowed(count)
        sketch = block.rows["sketch"][row]
        if allowed < SKETCH_SIZE:
            folded = sketch.astype(np.float64).reshape(max(allowed, 1), -1).sum(axis=1)
            sketch[:] = np.nan
            sketch[:allowed] = folded[:allowed]
        if count < len(STATISTICS) * ELEMENTS_PER_SUM:
            for name in STATISTICS:
                block.rows[name][row] = np.nan
        if allowed < WIDE_SKETCH_SIZE:
            wide.pop(row, None)
        histograms.pop(row, None)
        by_channel.pop(row, None)
        contents.pop(row, None)
    block.wide_sketches, block.histograms, block.channels = wide, histograms, by_channel
    block.contents = contents
