"""What is wrong with a layer's weights, held against those that they were made from.

Rounding to the edge's own quantization step explains half a step. What is beyond it is
named where it is one of the known faults, and only called other weights where it is not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from exray.diagnosis.causes.cause import Evidence

from .kernel_moves import moved
from .parameters import Parameters, Reals, correlation, error_db

CONVERSION, QUANTIZATION = "conversion.layer", "quantization.layer"
PER_TENSOR, BIAS_SATURATION = "quantization.per_tensor", "quantization.bias_saturation"
RANGE = "quantization.range"

SAME_DB = 48.0
"""Weights this near are the same: half precision is at 70 dB, bfloat16 at 53."""

ROUNDING_STEPS = 0.45
"""Root mean square error in steps that rounding explains: 0.289 is ideal."""

ALIKE = 0.9
"""Cosine of kernels that are of one training."""

RELATED = 0.995
"""Cosine, channel by channel, of kernels that differ in scale alone."""

SAME_SCALE = 0.02
"""Share by which a channel's scale may be off: rounding of its largest weight."""

LOW_BITS = 5
"""Most bits of weights that are called low."""

_ENOUGH = 2
"""Elements per level that it takes to count levels."""

_ENDS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class ParameterFault:
    """A fault of a layer's weights.

    Args:
        kind: Which, such as ``bias zeroed``.
        code: Which code names it.
        what: A clause that says it, to follow the layer's name.
        fix: What to do.
        evidence: The numbers that it rests on.
        is_of_input: Whether it is that of the layer which writes the input.
    """

    kind: str
    code: str
    what: str
    fix: str
    evidence: Mapping[str, Evidence] = field(default_factory=dict[str, Evidence])
    is_of_input: bool = False


def find_fault(edge: Parameters, reference: Parameters) -> ParameterFault | None:
    """Name what is wrong with a layer's weights; None where they are the reference's.

    Args:
        edge: The edge's.
        reference: Those that they should be, of the same shape: see `comparable`.
    """
    return (
        _not_finite(edge, reference)
        or _bias_end(edge)
        or _kernel(edge, reference)
        or _bias(edge, reference)
        or _activation(edge, reference)
    )


def comparable(edge: Parameters, reference: Parameters) -> bool:
    """Whether two layers' weights have one shape and can be held against each other."""
    return edge.kernel.shape == reference.kernel.shape


def kernel_db(edge: Parameters, reference: Parameters) -> float:
    """Return how near the edge's kernel is to the reference's, dB."""
    return error_db(edge.kernel, reference.kernel)


def _not_finite(edge: Parameters, reference: Parameters) -> ParameterFault | None:
    broken = int((~np.isfinite(edge.kernel)).sum() + (~np.isfinite(edge.bias)).sum())
    if not broken or not np.isfinite(reference.kernel).all():
        return None
    return ParameterFault(
        "weight not finite",
        CONVERSION,
        f"holds {broken} weights that are NaN or infinite, the reference none",
        "Convert the model again from weights that are finite.",
        {"nonfinite_weights": broken},
    )


def _bias_end(edge: Parameters) -> ParameterFault | None:
    if edge.stored_bias is None:
        return None
    stored = np.abs(edge.stored_bias.astype(np.int64))
    ended = int((stored >= _ENDS).sum())
    if not ended:
        return None
    return ParameterFault(
        "bias at the end of int32",
        BIAS_SATURATION,
        f"has {ended} biases at the end of int32: the step of input times weights is too fine",
        "Widen the scale of these channels' weights, or keep the layer in float.",
        {"saturated_biases": ended},
    )


def _kernel(edge: Parameters, reference: Parameters) -> ParameterFault | None:
    near_db = kernel_db(edge, reference)
    if near_db >= SAME_DB or _is_rounding(edge, reference):
        return _per_tensor(edge, reference, near_db)
    evidence: dict[str, Evidence] = {
        "kernel_sqnr_db": round(near_db, 2),
        "kernel_cosine": round(correlation(edge.kernel, reference.kernel), 4),
    }
    if edge.steps is not None:
        evidence["kernel_rmse_steps"] = round(_rmse_steps(edge, reference), 3)
    if not edge.kernel.any():
        return _fault("kernel zeroed", "has a kernel of zeros", evidence)
    move = moved(edge.kernel, reference.kernel, near_db)
    if move is not None:
        return _fault(move, f"has the reference's kernel with its {move}", evidence)
    return (
        _scales(edge, reference, evidence)
        or _few_levels(edge, evidence)
        or _fault("kernel differs", "has another kernel than the reference", evidence)
    )


def _fault(kind: str, what: str, evidence: Mapping[str, Evidence]) -> ParameterFault:
    fix = "Convert the model again; if it stays, report the operator to the converter's makers."
    return ParameterFault(kind, CONVERSION, what, fix, evidence)


def _rmse_steps(edge: Parameters, reference: Parameters) -> float:
    """Return the error of quantized weights in steps; rounding alone gives 0.289."""
    assert edge.steps is not None
    error = (edge.kernel - reference.kernel) / edge.steps[:, None, None, None]
    return float(np.sqrt(np.square(error).mean()))


def _is_rounding(edge: Parameters, reference: Parameters) -> bool:
    if edge.steps is None:
        return False
    steps = edge.steps
    if reference.steps is not None:  # both are rounded
        steps = np.hypot(steps, reference.steps)
    error = np.abs(edge.kernel - reference.kernel) / steps[:, None, None, None]
    # Channel by channel: one that is wrong must not hide among hundreds that are right.
    rmse = np.sqrt(np.square(error).mean((1, 2, 3)))
    few = np.sqrt(4 / np.prod(error.shape[1:]))  # a few weights may all lie badly
    return bool((rmse <= ROUNDING_STEPS * (1 + few)).all())


PER_TENSOR_DB = 15.0
"""Median channel's weights are worse than this where one scale for all of them is broken."""


def _per_tensor(edge: Parameters, reference: Parameters, near_db: float) -> ParameterFault | None:
    if not edge.per_tensor or len(edge.kernel) == 1:
        return None
    weak = [error_db(a, b) for a, b in zip(edge.kernel, reference.kernel, strict=True) if b.any()]
    share = float(np.mean([db < PER_TENSOR_DB for db in weak])) if weak else 0.0
    if share < 0.25:
        return None
    which = "depthwise layer" if edge.is_depthwise else "layer"
    return ParameterFault(
        "one scale for all channels",
        PER_TENSOR,
        f"is a {which} whose weights have one scale for all {len(edge.kernel)} channels, too "
        f"coarse for {share:.0%} of them",
        "Quantize weights per channel.",
        {
            "kernel_sqnr_db": round(near_db, 2),
            "weak_channels_ratio": round(share, 3),
            "median_channel_sqnr_db": round(float(np.median(weak)), 2),
        },
    )


def _gains(edge: Parameters, reference: Parameters) -> tuple[Reals, NDArray[np.bool_]]:
    """Return each channel's factor, and whether it explains the channel."""
    a = edge.kernel.reshape(len(edge.kernel), -1)
    b = reference.kernel.reshape(len(reference.kernel), -1)
    energy = np.square(b).sum(1)
    dots = (a * b).sum(1)
    norms = np.sqrt(np.square(a).sum(1) * energy)
    with np.errstate(invalid="ignore", divide="ignore"):
        gains = np.where(energy > 0, dots / energy, 1.0)
        cosines = np.where(norms > 0, np.abs(dots) / norms, 1.0)
    return gains, cosines


def _scales(
    edge: Parameters, reference: Parameters, evidence: Mapping[str, Evidence]
) -> ParameterFault | None:
    gains, cosines = _gains(edge, reference)
    related = cosines >= RELATED
    if related.mean() < ALIKE:
        return None
    gains = gains[related]
    off = np.abs(gains - 1) > SAME_SCALE
    found = dict(evidence) | {
        "channels_off_ratio": round(float(off.mean()), 3),
        "median_gain": round(float(np.median(gains)), 4),
    }
    fix = "Convert the model again; if it stays, report the operator to the converter's makers."
    code = CONVERSION if edge.steps is None else QUANTIZATION
    if (gains < 0).any():
        what = f"has {int((gains < 0).sum())} channels with the sign changed"
        return ParameterFault("signs changed", CONVERSION, what, fix, found)
    if not off.any():
        return None
    shift = _rotation(edge, reference)
    if shift:
        what = f"has the scales of its weights rotated by {shift} of {len(edge.kernel)} channels"
        found["rotated_channels"] = shift
        return ParameterFault("scales rotated", code, what, fix, found)
    spread = float(np.ptp(gains))
    if spread <= 2 * SAME_SCALE:
        what = f"has weights that are {np.median(gains):.3g} times the reference's"
    else:
        what = f"has {int(off.sum())} channels whose weights have another scale"
    return ParameterFault("scale changed", code, what, fix, found)


def _rotation(edge: Parameters, reference: Parameters) -> int:
    """Return by how many channels the scales are rotated, 0 where they are not."""
    if edge.steps is None or edge.stored is None or len(edge.steps) < 3:
        return 0
    largest = np.abs(edge.stored.astype(np.float64)).max((1, 2, 3))
    wanted = np.abs(reference.kernel).max((1, 2, 3)) / np.maximum(largest, 1)
    apart = [
        np.median(
            np.abs(
                np.log(np.maximum(edge.steps, 1e-30) / np.maximum(np.roll(wanted, shift), 1e-30))
            )
        )
        for shift in range(len(edge.steps))
    ]
    best = int(np.argmin(apart))
    return best if apart[best] < SAME_SCALE < apart[0] else 0


def _few_levels(edge: Parameters, evidence: Mapping[str, Evidence]) -> ParameterFault | None:
    """Name weights that take few values although there is room for more."""
    values = edge.kernel if edge.stored is None else edge.stored
    per_channel = values.reshape(len(values), -1)
    levels = max(len(np.unique(channel)) for channel in per_channel)
    all_levels = len(np.unique(values))
    for count, size in ((levels, per_channel.shape[1]), (all_levels, values.size)):
        bits = int(np.ceil(np.log2(max(count, 2))))
        if bits <= LOW_BITS and size >= _ENOUGH * count:
            return ParameterFault(
                "low-bit weights",
                QUANTIZATION,
                f"has weights of {count} values, as {bits} bits hold, that differ from the "
                "reference's by more than 8 bits need",
                "Quantize this layer's weights to 8 bits.",
                dict(evidence) | {"levels": count},
            )
    return None


BIAS_DB = 40.0
"""A bias this near is the same: rounding of an int32 step leaves more."""


def _bias(edge: Parameters, reference: Parameters) -> ParameterFault | None:
    error = edge.bias - reference.bias
    steps = 0.0 if edge.bias_steps is None else edge.bias_steps
    if error_db(edge.bias, reference.bias) >= BIAS_DB or (np.abs(error) <= 2 * steps).all():
        return None
    evidence: dict[str, Evidence] = {
        "bias_sqnr_db": round(error_db(edge.bias, reference.bias), 2),
        "channels_off": int((np.abs(error) > 2 * steps).sum()),
    }
    if not edge.bias.any():
        return _fault("bias zeroed", "has no bias, where the reference has one", evidence)
    ratio = _input_scale_ratio(edge)
    if abs(np.log(ratio)) > SAME_SCALE:
        return ParameterFault(
            "output scale changed",
            RANGE,
            f"has an output scale that is {ratio:.3g} times the one that biases were made for",
            "Convert the model again, with one calibration for tensors and biases.",
            evidence | {"scale_ratio": round(ratio, 4)},
            is_of_input=True,
        )
    sums = reference.kernel.sum((1, 2, 3))
    if edge.input_step is not None and sums.any():
        moved_by = float(error @ sums / (sums @ sums)) / edge.input_step
        if correlation(error, sums) ** 2 > ALIKE and abs(moved_by) > 0.5:
            evidence["zero_point_moved_by"] = round(moved_by, 2)
            return ParameterFault(
                "zero point moved",
                QUANTIZATION,
                f"has a bias made for an input whose zero point is {abs(moved_by):.0f} steps away",
                "Quantize the bias again with the input's own zero point.",
                evidence,
            )
    related = abs(correlation(edge.bias, reference.bias))
    kind = "bias scaled" if related >= RELATED else "bias differs"
    return _fault(kind, "has another bias than the reference", evidence)


_BOUNDS: Mapping[str, tuple[float, float]] = {
    "NONE": (-np.inf, np.inf),
    "RELU": (0.0, np.inf),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}


def _input_scale_ratio(edge: Parameters) -> float:
    """Return the input's scale over that for which the file notes the biases to be."""
    if edge.bias_steps is None or edge.noted_bias_steps is None:
        return 1.0
    return float(np.median(edge.bias_steps / edge.noted_bias_steps))


def _activation(edge: Parameters, reference: Parameters) -> ParameterFault | None:
    known = edge.activation in _BOUNDS and reference.activation in _BOUNDS
    if edge.activation == reference.activation or not known:
        return None
    if edge.output_ends is not None:
        # Where the output's integers end anyway, the function has nothing left to do.
        low, high = edge.output_ends
        step = (high - low) / 255
        ours = np.clip((low, high), *_BOUNDS[edge.activation])
        theirs = np.clip((low, high), *_BOUNDS[reference.activation])
        if (np.abs(ours - theirs) <= step).all():
            return None
    return _fault(
        "activation removed" if edge.activation == "NONE" else "activation changed",
        f"ends in {edge.activation}, the reference's in {reference.activation}",
        {"edge_activation": edge.activation, "reference_activation": reference.activation},
    )
