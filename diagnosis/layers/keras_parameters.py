"""Weights of a Keras file, with normalisation folded in as a converter does."""

from pathlib import Path
from typing import Any

import numpy as np

from exray.instrumentation.keras_graph import flatten_layers, keras_graph
from exray.instrumentation.keras_model import load_keras

from .parameters import Parameters, Reals

_PASSED = frozenset({"Activation", "ReLU", "Dropout", "Flatten", "Reshape", "ZeroPadding2D"})
_KINDS = frozenset({"Conv2D", "DepthwiseConv2D", "Dense"})
_RELU6 = 6.0


class KerasParameters:
    """The weights of a Keras model.

    Args:
        path: A .keras or .h5 file.

    Raises:
        ModelError: The file is damaged, or Keras refuses it.
        MissingExtraError: TensorFlow is not installed.
    """

    def __init__(self, path: Path) -> None:
        model = load_keras(path)
        self._layers = flatten_layers(model)
        self._parents = [
            op.parents for op in keras_graph(model, model_name=path.stem, sha256="").ops
        ]

    def of(self, layer_index: int) -> Parameters | None:
        """Return a layer's, with the normalisation between it and the output folded in."""
        gain, offset = np.ones(1), np.zeros(1)
        activation, index = "NONE", layer_index
        while True:
            flat = self._layers[index]
            if flat.op in _KINDS:
                return _folded(flat.op, flat.layer, gain, offset, activation)
            if flat.op == "BatchNormalization":
                more_gain, more_offset = _normalization(flat.layer)
                gain, offset = gain * more_gain, gain * more_offset + offset
            elif flat.op in _PASSED:
                found = _activation(flat.op, flat.layer)
                activation = found if activation == "NONE" else activation
            else:
                return None
            if len(self._parents[index]) != 1 or self._parents[index][0] < 0:
                return None
            index = self._parents[index][0]


def _folded(op: str, layer: Any, gain: Reals, offset: Reals, activation: str) -> Parameters | None:
    weights = [np.asarray(weight, np.float64) for weight in layer.get_weights()]
    if not weights or weights[0].ndim not in (2, 4):
        return None
    if op == "Dense":
        kernel = weights[0].T[:, None, None, :]
    elif op == "DepthwiseConv2D":
        height, width, channels, multiplier = weights[0].shape
        kernel = weights[0].reshape(height, width, channels * multiplier)
        kernel = kernel.transpose(2, 0, 1)[..., None]
    else:
        kernel = weights[0].transpose(3, 0, 1, 2)
    bias = weights[1] if len(weights) > 1 else np.zeros(len(kernel))
    own = _activation(op, layer)
    gain = np.broadcast_to(gain, len(kernel))
    return Parameters(
        kernel=kernel * gain[:, None, None, None],
        bias=bias * gain + offset,
        activation=own if activation == "NONE" else activation,
        is_depthwise=op == "DepthwiseConv2D",
    )


def _normalization(layer: Any) -> tuple[Reals, Reals]:
    """Return gain and offset of a batch normalisation at inference."""
    mean = np.asarray(layer.moving_mean, np.float64)
    gain = 1.0 / np.sqrt(np.asarray(layer.moving_variance, np.float64) + layer.epsilon)
    if layer.gamma is not None:
        gain = gain * np.asarray(layer.gamma, np.float64)
    beta = 0.0 if layer.beta is None else np.asarray(layer.beta, np.float64)
    return gain, beta - mean * gain


def _activation(op: str, layer: Any) -> str:
    """Return the function as TFLite names it; ``NONE`` for none or one not fused."""
    if op == "ReLU":
        return "RELU6" if layer.max_value == _RELU6 else "RELU"
    name = str(getattr(getattr(layer, "activation", None), "__name__", "linear")).upper()
    return name if name in ("RELU", "RELU6") else "NONE"
