"""Faults and benign changes of single operators, planted into .tflite files.

Each maker edits one operator of a model's tables in place, as a defect of a converter, a
quantizer or a hand would; it returns False where the operator has nothing to edit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.diagnosis.layers.tflite_model import TfliteModel

Array = NDArray[Any]
Rng = np.random.Generator
Edit = Callable[["Op", Rng], bool]

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
PASSED = ("AVERAGE_POOL_2D", "MAX_POOL_2D", "RESHAPE", "PAD", "SQUEEZE")
"""Operators whose output keeps the input's scale."""


class Op:
    """One operator of tables under edit."""

    def __init__(self, model: TfliteModel, objects: Any, index: int) -> None:
        self.model, self.objects, self.index = model, objects, index
        self.op = model.ops[index]
        self.is_depthwise = self.op.op == "DEPTHWISE_CONV_2D"
        self.tensors = objects.subgraphs[0].tensors

    @property
    def is_quantized(self) -> bool:
        """Whether the output holds integers with a scale."""
        return self.model.tensors[self.op.outputs[0]].quantization is not None

    @property
    def has_own_range(self) -> bool:
        """Whether the output's scale may change alone: parts of a concatenation share theirs."""
        output = self.op.outputs[0]
        is_part = any(op.op == "CONCATENATION" and output in op.inputs for op in self.model.ops)
        return self.is_quantized and self.op.op in (*WEIGHTED, "ADD") and not is_part

    @property
    def ends_at_six(self) -> bool:
        """Whether the output's range ends where its ReLU6 does."""
        found = self.model.tensors[self.op.outputs[0]]
        if found.quantization is None or self.op.attributes.get("fused_activation") != "RELU6":
            return False
        (scale,), (zero_point,) = found.quantization.scales, found.quantization.zero_points
        return abs(scale * (np.iinfo(found.dtype).max - zero_point) - 6) < scale

    def weights(self) -> Array | None:
        """Return a copy of the weights as they are stored."""
        found = self.model.constant(self.op.inputs[1]) if self.op.op in WEIGHTED else None
        return None if found is None else found.copy()

    def bias(self) -> Array | None:
        """Return a copy of the bias as it is stored."""
        third = self.op.inputs[2:3] if self.op.op in WEIGHTED else ()
        found = self.model.constant(third[0]) if third else None
        return None if found is None else found.copy()

    def put(self, position: int, values: Array) -> bool:
        """Store other values of an input, in a buffer of its own."""
        buffer = type(self.objects.buffers[0])()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.objects.buffers.append(buffer)
        self.tensors[self.op.inputs[position]].buffer = len(self.objects.buffers) - 1
        return True

    def rescale_output(self, factor: float) -> None:
        """Give the output another scale, with biases made for it."""
        written = {self.op.outputs[0]}
        for op in self.model.ops:
            if op.op in PASSED and op.inputs[0] in written:
                written |= set(op.outputs)
        for tensor in written:
            scales = self.tensors[tensor].quantization
            scales.scale = (scales.scale * factor).astype(np.float32)
        for i, op in enumerate(self.model.ops):
            if op.op in WEIGHTED and len(op.inputs) > 2 and op.inputs[0] in written:
                reader = Op(self.model, self.objects, i)
                bias = reader.bias()
                if bias is not None:
                    reader.put(2, np.rint(bias / factor).astype(np.int32))
                    scales = self.tensors[op.inputs[2]].quantization
                    scales.scale = (scales.scale * factor).astype(np.float32)


def zero_bias(op: Op, rng: Rng) -> bool:
    """Lose the bias."""
    bias = op.bias()
    return bias is not None and bool(bias.any()) and op.put(2, np.zeros_like(bias))


def rotate_scales(op: Op, rng: Rng) -> bool:
    """Shift the weights' scales by one channel."""
    quantization = op.tensors[op.op.inputs[1]].quantization if op.op.op in WEIGHTED else None
    if quantization is None or quantization.scale is None or len(quantization.scale) < 3:
        return False
    quantization.scale = np.roll(quantization.scale, 1)
    return True


def change_weight_scale(op: Op, rng: Rng) -> bool:
    """Make the weights' scales a third larger or smaller."""
    weights = op.weights()
    factor = float(rng.choice([0.66, 1.5]))
    if weights is None:
        return False
    if weights.dtype.kind == "f":
        return op.put(1, (weights * factor).astype(weights.dtype))
    quantization = op.tensors[op.op.inputs[1]].quantization
    quantization.scale = (quantization.scale * factor).astype(np.float32)
    return True


def stretch_range(op: Op, rng: Rng) -> bool:
    """Calibrate the output eight times too wide."""
    if not op.has_own_range:
        return False
    op.rescale_output(8.0)
    return True


def clip_range(op: Op, rng: Rng) -> bool:
    """Calibrate the output four times too narrow."""
    if not op.has_own_range:
        return False
    op.rescale_output(0.25)
    return True


def move_zero_point(op: Op, rng: Rng) -> bool:
    """Make the bias for an input zero point that is forty steps away."""
    weights, bias = op.weights(), op.bias()
    if weights is None or bias is None or weights.dtype != np.int8:
        return False
    axes = (0, 1, 2) if op.is_depthwise else tuple(range(1, weights.ndim))
    moved = bias + 40 * weights.astype(np.int64).sum(axes)
    return op.put(2, np.clip(moved, -(2**31), 2**31 - 1).astype(np.int32))


def _spatial(op: Op) -> Array | None:
    weights = op.weights()
    usable = weights is not None and weights.ndim == 4 and min(weights.shape[1:3]) > 1
    return weights if usable else None


def flip_kernel(op: Op, rng: Rng) -> bool:
    """Turn the kernel by 180 degrees: convolution for correlation."""
    weights = _spatial(op)
    return weights is not None and op.put(1, weights[:, ::-1, ::-1])


def transpose_kernel(op: Op, rng: Rng) -> bool:
    """Swap height and width of the kernel."""
    weights = _spatial(op)
    if weights is None or weights.shape[1] != weights.shape[2]:
        return False
    return op.put(1, weights.transpose(0, 2, 1, 3))


def swap_channels(op: Op, rng: Rng) -> bool:
    """Shuffle a quarter of the output channels, weights alone."""
    weights = op.weights()
    axis = 3 if op.is_depthwise else 0
    if weights is None or weights.shape[axis] < 8:
        return False
    count = int(weights.shape[axis])
    order: Array = np.arange(count)
    chosen = rng.choice(count, max(2, count // 4), replace=False)
    order[chosen] = np.roll(order[chosen], 1)
    if weights.dtype.kind != "f":  # the scales go along: it is the channels that are wrong
        scales = op.tensors[op.op.inputs[1]].quantization
        if len(scales.scale) > 1:
            scales.scale = scales.scale[order]
    return op.put(1, np.take(weights, order, axis))


def remove_activation(op: Op, rng: Rng) -> bool:
    """Drop the fused activation."""
    if op.op.op not in WEIGHTED or op.op.attributes.get("fused_activation") in (None, "NONE"):
        return False
    op.objects.subgraphs[0].operators[op.index].builtinOptions.fusedActivationFunction = 0
    return True


def plant_nan(op: Op, rng: Rng) -> bool:
    """Make one weight not a number."""
    weights = op.weights()
    if weights is None or weights.dtype.kind != "f":
        return False
    weights.reshape(-1)[rng.integers(weights.size)] = np.nan
    return op.put(1, weights)


def three_bits(op: Op, rng: Rng) -> bool:
    """Leave the weights three bits."""
    weights = op.weights()
    if weights is None:
        return False
    axes = (0, 1, 2) if op.is_depthwise else tuple(range(1, weights.ndim))
    real = weights.astype(np.float64)
    step = np.maximum(np.abs(real).max(axes, keepdims=True) / 3, 1e-30)
    return op.put(1, (np.rint(real / step) * step).astype(weights.dtype))


def one_scale(op: Op, rng: Rng) -> bool:
    """Quantize the weights with one scale for all channels."""
    weights = op.weights()
    if weights is None or weights.dtype != np.int8:
        return False
    scales = op.tensors[op.op.inputs[1]].quantization
    if scales.scale is None or len(scales.scale) < 3:
        return False
    shape = [1] * weights.ndim
    shape[3 if op.is_depthwise else 0] = -1
    own, common = scales.scale, scales.scale.max()
    real = weights.astype(np.float64) * own.reshape(shape)
    bias = op.bias()
    if bias is not None:
        op.put(2, np.rint(bias * (own / common)).astype(np.int32))
        noted = op.tensors[op.op.inputs[2]].quantization
        noted.scale = (noted.scale / own * common)[:1].astype(np.float32)
        noted.zeroPoint = noted.zeroPoint[:1]
    scales.scale = np.array([common], np.float32)
    scales.zeroPoint = np.zeros(1, np.int64)
    return op.put(1, np.rint(real / common).astype(np.int8))


def end_biases(op: Op, rng: Rng) -> bool:
    """Let the biases of an eighth of the channels stop at the end of int32."""
    bias = op.bias()
    if bias is None or bias.dtype != np.int32:
        return False
    chosen = rng.choice(len(bias), max(1, len(bias) // 8), replace=False)
    bias[chosen] = np.where(bias[chosen] < 0, -(2**31), 2**31 - 1)
    return op.put(2, bias)


@dataclass(frozen=True)
class Fault:
    """A fault and the codes that name it.

    Args:
        name: What tables call it.
        edit: Makes it.
        codes: Each names it rightly.
        felt_db: What the operator must come to for the fault to count: below this it differs
            from the unedited one on the same inputs.
    """

    name: str
    edit: Edit
    codes: tuple[str, ...]
    felt_db: float = 30.0


CONVERSION, QUANTIZATION, RANGE = "conversion.layer", "quantization.layer", "quantization.range"

FAULTS = (
    Fault("bias zeroed", zero_bias, (CONVERSION,)),
    Fault("weight scales rotated", rotate_scales, (QUANTIZATION,)),
    Fault("weight scale changed", change_weight_scale, (QUANTIZATION, CONVERSION)),
    Fault("range too wide", stretch_range, (RANGE,)),
    Fault("range too narrow", clip_range, (RANGE,)),
    Fault("zero point moved", move_zero_point, (QUANTIZATION,)),
    Fault("kernel flipped", flip_kernel, (CONVERSION,)),
    Fault("kernel transposed", transpose_kernel, (CONVERSION,)),
    Fault("channels swapped", swap_channels, (CONVERSION,)),
    Fault("activation removed", remove_activation, (CONVERSION,)),
    Fault("NaN weight", plant_nan, (CONVERSION,)),
    Fault("3-bit weights", three_bits, (QUANTIZATION,)),
    # Weights of one scale are common and mostly harmless: only what ruins a layer is a fault.
    Fault("one scale for all", one_scale, ("quantization.per_tensor",), felt_db=12.0),
    Fault("bias at its end", end_biases, ("quantization.bias_saturation",)),
)

KERNEL_FAULTS = tuple(
    Fault(f"kernel: {fault.name}", fault.edit, ("kernel.layer",), felt_db=20.0)
    for fault in FAULTS
    if fault.name
    in (
        "bias zeroed",
        "zero point moved",
        "kernel flipped",
        "channels swapped",
        "weight scale changed",
    )
)
"""The same done by the runtime: the file is the sound one, what it computes is not."""


def round_weights(model: TfliteModel, objects: Any, rng: Rng) -> bool:
    """Round all float weights to 11 to 14 bits, up or down by chance; benign."""
    done, kept = False, int(rng.integers(11, 15))
    for index in range(len(model.ops)):
        op = Op(model, objects, index)
        weights = op.weights()
        if weights is not None and weights.dtype == np.float32:
            mantissa, exponent = np.frexp(weights)
            rounded = np.floor(mantissa * 2.0**kept + rng.random(weights.shape)) / 2.0**kept
            done = op.put(1, np.ldexp(rounded, exponent).astype(np.float32))
    return done


def recalibrate(model: TfliteModel, objects: Any, rng: Rng) -> bool:
    """Widen or narrow every output range a little, as other calibration inputs would.

    Whatever the inputs, calibration ends a range at the 6 of an activation that reaches it, so
    such a range is never narrowed: its largest values, the most frequent ones, would be cut.
    """
    done = False
    for index in range(len(model.ops)):
        op = Op(model, objects, index)
        if op.has_own_range:
            # from here on edits must see each other: biases are read from the tables
            op.rescale_output(float(rng.uniform(1.0 if op.ends_at_six else 0.95, 1.3)))
            done = True
    return done


def export_again(model: TfliteModel, objects: Any, rng: Rng) -> bool:
    """Write the same model again, with another description."""
    objects.description = f"exported again {rng.integers(1 << 30)}".encode()
    return True
