"""The assertions of ML-EXray (MLSys 2022) as checks of exray.

    exray diagnose --edge 1.4.2 --reference float --assertions examples/assertions/ml_exray.py

Channel order, orientation, normalisation and resize look at whole tensors: record both
builds with ``exray run --level full``. Quantization and latency need summaries and times.
"""

from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from exray.diagnosis.assertions import Frame, Pair, assertion

Array = NDArray[np.float64]

BETTER = 0.25
"""Share of the error that must be left by an alternative, for it to explain the difference."""

SAME = 0.02
"""Error relative to the reference below which two inputs are the same: rounding to 8 bits."""


def error(edge: Array, reference: Array) -> float:
    """Return the root mean square error relative to the reference's deviation."""
    if edge.shape != reference.shape:
        return float("inf")
    spread = float(reference.std()) or 1.0
    return float(np.sqrt(np.square(edge - reference).mean())) / spread


def batched(values: Array) -> Array:
    """Return an image as (N, H, W, C), whether or not it came in a batch."""
    return values[None] if values.ndim == 3 else values


@assertion(fix="Feed the channels in the reference's order.")
def channel_order(pair: Pair) -> str | None:
    """The edge feeds the channels in the reference's order: all orders of up to 4 are tried."""
    edge, reference = batched(pair.edge.values()), batched(pair.reference.values())
    channels = reference.shape[-1]
    if edge.shape != reference.shape or channels not in (2, 3, 4):
        return None
    kept = error(edge, reference)
    orders = {order: error(edge, reference[..., order]) for order in permutations(range(channels))}
    best = min(orders, key=lambda order: orders[order])
    if kept > SAME and orders[best] < BETTER * kept:
        return f"channels are in the order {best} of the reference's"
    return None


@assertion(fix="Turn or mirror the image as the reference does.")
def orientation(pair: Pair) -> str | None:
    """The edge's image stands as the reference's: four turns, each mirrored or not."""
    edge, reference = batched(pair.edge.values()), batched(pair.reference.values())
    kept = error(edge, reference)
    turned = {
        (quarters, mirrored): error(
            edge, np.rot90(reference[:, :, ::-1] if mirrored else reference, quarters, (1, 2))
        )
        for quarters, mirrored in product(range(4), (False, True))
    }
    best = min(turned, key=lambda way: turned[way])
    if kept > SAME and turned[best] < BETTER * kept:
        quarters, mirrored = best
        told = "mirrored and " if mirrored else ""
        return f"the image is {told}turned by {90 * quarters} degrees"
    return None


@assertion(fix="Scale the values as the reference does.")
def normalisation(pair: Pair) -> str | None:
    """The edge's values are the reference's, not a multiple plus a constant of them."""
    edge, reference = pair.edge.values().ravel(), pair.reference.values().ravel()
    if edge.size != reference.size or not reference.std() or not edge.std():
        return None
    gain, offset = np.polyfit(reference, edge, 1)
    kept, left = error(edge, reference), error(edge, gain * reference + offset)
    if kept > SAME and left < BETTER * kept:
        return f"values are {gain:.3g} times the reference's plus {offset:.3g}"
    return None


@assertion(fix="Resize as the reference does.")
def resize(pair: Pair) -> str | None:
    """The edge resizes with the reference's method, told by its own raw image."""
    if pair.raw is None:
        return None
    from exray.playback.resize import resize as resized

    raw = pair.raw.values().astype(np.float32)
    edge, reference = batched(pair.edge.values())[0], batched(pair.reference.values())[0]
    if raw.ndim != 3 or edge.shape != reference.shape or edge.shape[-1] != raw.shape[-1]:
        return None
    nearest: dict[str, str] = {}
    for side, values in (("edge", edge), ("reference", reference)):
        left = {method: alike(values, resized(raw, values.shape[:2], method)) for method in METHODS}
        nearest[side] = min(left, key=lambda method: left[method])
    if error(edge, reference) > SAME and nearest["edge"] != nearest["reference"]:
        return f"resized with {nearest['edge']}, the reference with {nearest['reference']}"
    return None


METHODS = ("nearest", "bilinear", "area", "bicubic")


def alike(values: Array, candidate: Array) -> float:
    """Return what an affine map of the candidate leaves of the values."""
    gain, offset = np.polyfit(candidate.ravel(), values.ravel(), 1)
    return error(gain * candidate + offset, values)


@assertion(role="layer", fix="Calibrate again, with inputs like those in use.")
def quantization(pair: Pair) -> str | None:
    """A quantized layer is not cut off where the reference goes on."""
    edge, reference = pair.edge, pair.reference
    if edge.scale is None or not edge.max or not reference.max:
        return None
    if edge.saturated_high > 0.02 * edge.count and reference.max > 1.25 * edge.max > 0:
        return f"cut off at {edge.max:.3g}, where the reference goes up to {reference.max:.3g}"
    return None


@assertion(over="frames", fix="See exray diagnose --baseline for what became slower.")
def latency(frame: Frame) -> str | None:
    """The edge takes no more than twice the reference's time for a frame."""
    if frame.edge_ms is None or frame.reference_ms is None:
        return None
    if frame.edge_ms > 2 * frame.reference_ms:
        return f"{frame.edge_ms:.2f} ms in the model, the reference {frame.reference_ms:.2f} ms"
    return None
