"""A layer's weights in one layout, whatever the runtime wrote them in."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from exray.schema.quantization import dequantize
from exray.schema.records import Quantization

from .tflite_model import TfliteModel

Reals = NDArray[np.float64]
"""Real numbers of any shape."""

DEPTHWISE, DENSE, CONVOLUTION = "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "CONV_2D"


@dataclass(frozen=True, slots=True, eq=False)
class Parameters:
    """What a layer multiplies and adds.

    Args:
        kernel: Shape (output channels, height, width, input channels), real units; a
            depthwise kernel has one input channel, a dense one is 1 x 1.
        bias: Shape (output channels,), real units as the kernel computes with them; zeros
            where the layer has none.
        activation: Fused function, such as ``RELU6``; ``NONE`` for none.
        is_depthwise: Whether each output channel reads one input channel.
        steps: Quantization step of each output channel's weights; None for floats.
        bias_steps: The same of the bias: that of the input times that of the weights.
        noted_bias_steps: What the file notes as the bias's; None where it notes nothing.
        stored: The kernel's integers in the shape of *kernel*; None for floats.
        stored_bias: The bias's integers; None for floats, or without bias.
        per_tensor: Whether one step holds for all channels.
        input_step: Quantization step of what the layer reads; None for floats.
        output_ends: Least and greatest real value that the output's integers hold; None for
            floats.
    """

    kernel: Reals
    bias: Reals
    activation: str = "NONE"
    is_depthwise: bool = False
    steps: Reals | None = None
    bias_steps: Reals | None = None
    noted_bias_steps: Reals | None = None
    stored: NDArray[Any] | None = None
    stored_bias: NDArray[Any] | None = None
    per_tensor: bool = False
    input_step: float | None = None
    output_ends: tuple[float, float] | None = None


class ModelParameters(Protocol):
    """The weights of a model file."""

    def of(self, layer_index: int) -> Parameters | None:
        """Return a layer's, those that a converter would fold into it included.

        Args:
            layer_index: A layer of the file whose output is meant.

        Returns:
            None where it has none, or they are no convolution's or dense layer's.
        """
        ...


def read_parameters(model: Path) -> ModelParameters:
    """Read the weights of a .tflite, .keras or .h5 file.

    Raises:
        ModelError: The file is damaged or of another kind.
        MissingExtraError: What reads it is not installed.
    """
    if model.suffix.lower() == ".tflite":
        return TfliteParameters(TfliteModel.load(model))
    from .keras_parameters import KerasParameters

    return KerasParameters(model)


_SAME_OUTPUT = frozenset({"RELU", "RELU6", "RELU_N1_TO_1", "RESHAPE", "SQUEEZE", "QUANTIZE"})
"""Operators behind which the layer is found that holds the weights."""


class TfliteParameters:
    """The weights of a .tflite file."""

    def __init__(self, model: TfliteModel) -> None:
        self.model = model

    def of(self, layer_index: int) -> Parameters | None:
        """Return an operator's; see `ModelParameters`."""
        activation = ""
        op = self.model.ops[layer_index]
        while op.op in _SAME_OUTPUT:
            activation = activation or (op.op if op.op.startswith("RELU") else "")
            writer = self.model.writers.get(op.inputs[0])
            if writer is None:
                return None
            op = self.model.ops[writer]
        if op.op not in (CONVOLUTION, DEPTHWISE, DENSE):
            return None
        weights = self.model.constant(op.inputs[1])
        if weights is None or weights.ndim not in (2, 4):
            return None
        is_depthwise = op.op == DEPTHWISE
        info, source = self.model.tensors[op.inputs[1]], self.model.tensors[op.inputs[0]]
        kernel = canonical(dequantize(weights, info.quantization, np.float64), is_depthwise)
        steps = _steps(info.quantization, len(kernel))
        input_step = source.quantization.scales[0] if source.quantization else None
        bias, stored_bias, bias_steps = self._bias(op.inputs, kernel, steps, input_step)
        fused = str(op.attributes.get("fused_activation", "NONE"))
        return Parameters(
            kernel=kernel,
            bias=bias,
            activation=activation or fused,
            is_depthwise=is_depthwise,
            steps=steps,
            bias_steps=bias_steps,
            noted_bias_steps=None if bias_steps is None else self._noted(op.inputs[2], len(kernel)),
            stored=None if steps is None else canonical(weights, is_depthwise),
            stored_bias=stored_bias,
            per_tensor=info.quantization is not None and len(info.quantization.scales) == 1,
            input_step=input_step,
            output_ends=self._ends(op.outputs[0]),
        )

    def _ends(self, tensor: int) -> tuple[float, float] | None:
        info = self.model.tensors[tensor]
        if info.quantization is None:
            return None
        limits = np.iinfo(np.dtype(info.dtype).name)
        step, zero = info.quantization.scales[0], info.quantization.zero_points[0]
        return step * (int(limits.min) - zero), step * (int(limits.max) - zero)

    def _noted(self, tensor: int, channels: int) -> Reals | None:
        steps = _steps(self.model.tensors[tensor].quantization, channels)
        return steps if steps is not None and (steps > 0).all() else None

    def _bias(
        self,
        inputs: tuple[int, ...],
        kernel: Reals,
        steps: Reals | None,
        input_step: float | None,
    ) -> tuple[Reals, NDArray[Any] | None, Reals | None]:
        stored = self.model.constant(inputs[2]) if len(inputs) > 2 else None
        if stored is None:
            return np.zeros(len(kernel)), None, None
        stored = stored.ravel()
        if steps is None or input_step is None or stored.dtype.kind == "f":
            return stored.astype(np.float64), None, None
        # Kernels add the integers as they are, whatever scale the file notes beside them.
        bias_steps = steps * input_step
        return stored * bias_steps, stored, bias_steps


def canonical(weights: NDArray[Any], is_depthwise: bool) -> NDArray[Any]:
    """Return TFLite's weights as (output channels, height, width, input channels)."""
    if weights.ndim == 2:
        return weights[:, None, None, :]
    return weights.transpose(3, 1, 2, 0) if is_depthwise else weights


def _steps(quantization: Quantization | None, channels: int) -> Reals | None:
    if quantization is None:
        return None
    scales = np.array(quantization.scales, np.float64)
    return np.broadcast_to(scales, channels).copy() if len(scales) in (1, channels) else None


def correlation(a: Reals, b: Reals) -> float:
    """Return the cosine of two kernels, 0 where one is all zeros."""
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.vdot(a, b)) / norm if norm > 0 and np.isfinite(norm) else 0.0


def error_db(values: Reals, wanted: Reals) -> float:
    """Return squared *wanted* / squared error in dB; 140 at most, -20 at least."""
    error = float(np.square(values - wanted).sum())
    energy = float(np.square(wanted).sum())
    if error <= 1e-14 * energy:
        return 140.0
    return float(np.clip(10 * np.log10(max(energy, 1e-300) / error), -20, 140))
