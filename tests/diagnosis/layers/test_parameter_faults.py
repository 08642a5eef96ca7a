"""Faults of weights are named; what rounding or half precision does is none."""

from dataclasses import replace

import numpy as np
import pytest

from exray.diagnosis.layers.parameter_faults import find_fault
from exray.diagnosis.layers.parameters import Parameters, Reals, error_db

INPUT_STEP = 0.05


def layer(outputs: int = 12, inputs: int = 8, seed: int = 1) -> Parameters:
    """A float layer whose channels have different sizes."""
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.normal(size=outputs))
    kernel = rng.normal(size=(outputs, 3, 3, inputs)) * sizes[:, None, None, None]
    return Parameters(kernel=kernel, bias=rng.normal(size=outputs) * sizes, activation="RELU6")


def quantized(
    parameters: Parameters, scales: Reals | None = None, bits: int = 8, *, per_tensor: bool = False
) -> Parameters:
    """The layer in integers; *scales* are those that the file notes, if they are wrong."""
    axes = None if per_tensor else (1, 2, 3)
    largest = np.broadcast_to(np.abs(parameters.kernel).max(axes), len(parameters.kernel))
    steps = largest / (2 ** (bits - 1) - 1)
    stored = np.rint(parameters.kernel / steps[:, None, None, None])
    bias_steps = steps * INPUT_STEP
    stored_bias = np.rint(parameters.bias / bias_steps).astype(np.int64)
    noted = steps if scales is None else scales
    return replace(
        parameters,
        kernel=stored * noted[:, None, None, None],
        bias=stored_bias * bias_steps,
        stored=stored,
        stored_bias=stored_bias,
        steps=noted,
        bias_steps=bias_steps,
        input_step=INPUT_STEP,
        per_tensor=per_tensor,
        output_ends=(-3.0, 9.0),
    )


def kind(edge: Parameters, reference: Parameters) -> str | None:
    fault = find_fault(edge, reference)
    return None if fault is None else fault.kind


def test_rounding_to_eight_bits_is_no_fault() -> None:
    assert kind(quantized(layer()), layer()) is None


def test_half_precision_is_no_fault() -> None:
    half = layer().kernel.astype(np.float16).astype(np.float64)
    assert kind(replace(layer(), kernel=half), layer()) is None


def test_two_roundings_of_one_layer_are_no_fault() -> None:
    assert kind(quantized(layer()), quantized(layer(), bits=7)) is None


def test_zeroed_bias() -> None:
    edge = quantized(layer())
    assert kind(replace(edge, bias=np.zeros_like(edge.bias)), layer()) == "bias zeroed"


def test_a_bias_that_was_none_is_not_zeroed() -> None:
    reference = replace(layer(), bias=np.zeros(12))
    assert kind(quantized(reference), reference) is None


def test_bias_for_another_zero_point() -> None:
    edge = quantized(layer())
    error = 20 * INPUT_STEP * layer().kernel.sum((1, 2, 3))
    fault = find_fault(replace(edge, bias=edge.bias + error), layer())
    assert fault is not None
    assert fault.kind == "zero point moved"
    assert fault.evidence["zero_point_moved_by"] == pytest.approx(20, abs=0.1)


def test_rotated_scales() -> None:
    steps = quantized(layer()).steps
    assert steps is not None
    fault = find_fault(quantized(layer(), np.roll(steps, 1)), layer())
    assert fault is not None
    assert (fault.kind, fault.evidence["rotated_channels"]) == ("scales rotated", 1)


def test_changed_scale() -> None:
    steps = quantized(layer()).steps
    assert steps is not None
    assert kind(quantized(layer(), steps * 1.5), layer()) == "scale changed"


def test_one_wrong_channel_does_not_hide_among_many() -> None:
    edge = quantized(layer(outputs=256))
    kernel = edge.kernel.copy()
    kernel[200] *= 1.5
    assert kind(replace(edge, kernel=kernel), layer(outputs=256)) == "scale changed"


def test_weights_of_three_bits() -> None:
    coarse = quantized(layer(), bits=3)
    fine = quantized(layer())
    assert fine.steps is not None
    stored = np.rint(coarse.kernel / fine.steps[:, None, None, None])
    edge = replace(fine, stored=stored, kernel=stored * fine.steps[:, None, None, None])
    assert kind(edge, layer()) == "low-bit weights"


def test_flipped_kernel() -> None:
    edge = quantized(layer())
    turned = replace(edge, kernel=edge.kernel[:, ::-1, ::-1])
    assert kind(turned, layer()) == "height and width flipped (turned by 180 degrees)"


def test_swapped_channels() -> None:
    edge = quantized(layer())
    order = [1, 0, *range(2, 12)]
    assert kind(replace(edge, kernel=edge.kernel[order]), layer()) == "output channels swapped"


def test_weight_that_is_not_a_number() -> None:
    kernel = layer().kernel.copy()
    kernel[0, 0, 0, 0] = np.nan
    assert kind(replace(layer(), kernel=kernel), layer()) == "weight not finite"


def test_removed_activation() -> None:
    assert kind(replace(quantized(layer()), activation="NONE"), layer()) == "activation removed"


def test_an_activation_that_the_range_clamps_is_not_missed() -> None:
    edge = replace(quantized(layer()), activation="NONE", output_ends=(0.0, 6.0))
    assert kind(edge, layer()) is None


def test_one_scale_for_channels_of_very_different_size() -> None:
    fault = find_fault(quantized(layer(outputs=64), per_tensor=True), layer(outputs=64))
    assert fault is None  # coarse, but not for a quarter of the channels
    sizes = np.where(np.arange(64) % 2, 1.0, 0.01)[:, None, None, None]
    spread = replace(layer(outputs=64), kernel=layer(outputs=64).kernel * sizes)
    fault = find_fault(quantized(spread, per_tensor=True), spread)
    assert fault is not None
    assert fault.code == "quantization.per_tensor"


def test_bias_at_the_end_of_int32() -> None:
    edge = quantized(layer())
    assert edge.stored_bias is not None
    ended = edge.stored_bias.copy()
    ended[3] = 2**31 - 1
    fault = find_fault(replace(edge, stored_bias=ended), layer())
    assert fault is not None
    assert (fault.code, fault.evidence["saturated_biases"]) == ("quantization.bias_saturation", 1)


def test_other_weights() -> None:
    assert kind(quantized(layer(seed=2)), layer(seed=1)) == "kernel differs"


def test_error_is_in_db_of_what_was_wanted() -> None:
    assert error_db(np.array([1.1]), np.array([1.0])) == pytest.approx(20.0)
    assert error_db(np.array([1.0]), np.array([1.0])) == 140.0
