"""An operator as it should have been made: the reference's weights, quantized well."""

from typing import Any

import numpy as np

from exray.instrumentation.tflite_schema import ACTIVATIONS

from .parameters import DEPTHWISE, Parameters, Reals
from .tflite_model import Array, SingleOp, TfliteModel

_LARGEST = 127
_LARGEST_BIAS = 2.0**30


def sound_op(model: TfliteModel, layer_index: int, reference: Parameters) -> SingleOp | None:
    """Cut an operator out with the reference's weights in place of its own.

    Integer weights get one scale per channel, as TFLite's converter makes them; input and
    output keep theirs.

    Args:
        model: The edge's file.
        layer_index: The operator.
        reference: What its weights should be.

    Returns:
        None where the operator is none of those whose weights can be put in, or has no
        place for the reference's bias.
    """
    op = model.ops[layer_index]
    given, weight, bias = (*op.inputs, -1, -1, -1)[:3]
    weights, has_bias = model.constant(weight), bias >= 0
    if weights is None or (reference.bias.any() and not has_bias):
        return None
    objects = model.edited()
    graph = objects.subgraphs[0]
    kernel = _as_stored(reference.kernel, weights, op.op == DEPTHWISE)
    quantization, source = model.tensors[weight].quantization, model.tensors[given]
    if quantization is None:
        _put(objects, graph.tensors[weight], kernel.astype(weights.dtype))
        if has_bias:
            _put(objects, graph.tensors[bias], reference.bias.astype(np.float32))
    elif weights.dtype == np.int8 and source.quantization is not None:
        axis = 3 if op.op == DEPTHWISE else 0
        steps = np.abs(reference.kernel).max((1, 2, 3)) / _LARGEST
        # As the converter does: a bias must fit into int32 at the step of input times weights.
        fitting = np.abs(reference.bias) / (source.quantization.scales[0] * _LARGEST_BIAS)
        steps = np.maximum(np.where(steps > 0, steps, 1.0), fitting)
        shape = [1] * weights.ndim
        shape[axis] = -1
        stored = np.clip(np.rint(kernel / steps.reshape(shape)), -_LARGEST, _LARGEST)
        _put(objects, graph.tensors[weight], stored.astype(np.int8), steps, axis)
        bias_steps = steps * source.quantization.scales[0]
        if has_bias:
            added = np.clip(np.rint(reference.bias / bias_steps), -(2**31), 2**31 - 1)
            _put(objects, graph.tensors[bias], added.astype(np.int32), bias_steps, 0)
    else:
        return None
    options = graph.operators[layer_index].builtinOptions
    if reference.activation in ACTIVATIONS:
        options.fusedActivationFunction = ACTIVATIONS.index(reference.activation)
    return model.cut(layer_index, objects)


def _as_stored(kernel: Reals, weights: Array, is_depthwise: bool) -> Reals:
    if weights.ndim == 2:
        return kernel[:, 0, 0, :]
    return kernel.transpose(3, 1, 2, 0) if is_depthwise else kernel


def _put(
    objects: Any, tensor: Any, values: Array, steps: Reals | None = None, axis: int = 0
) -> None:
    """Give a tensor other contents, and other scales."""
    fresh = type(objects.buffers[0])()
    fresh.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
    objects.buffers.append(fresh)
    tensor.buffer = len(objects.buffers) - 1
    if steps is not None:
        tensor.quantization.scale = steps.astype(np.float32)
        tensor.quantization.zeroPoint = np.zeros(len(steps), np.int64)
        tensor.quantization.quantizedDimension = axis
