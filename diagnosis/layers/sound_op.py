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

    Args:
        model: The edge's file.
        layer_index: The operator.
        reference: What its weights should be.

    Returns:
        None where they cannot be put in; see `restore`.
    """
    objects = model.edited()
    if not restore(model, objects, layer_index, reference):
        return None
    return model.cut(layer_index, objects)


def restore(model: TfliteModel, objects: Any, layer_index: int, reference: Parameters) -> bool:
    """Put the reference's weights, bias and activation in place of an operator's own.

    Integer weights get one scale per channel, as TFLite's converter makes them; input and
    output keep theirs.

    Args:
        model: The edge's file.
        objects: Its tables, which are edited.
        layer_index: The operator.
        reference: What its weights should be.

    Returns:
        False, and nothing is edited, where the operator is none of those whose weights can
        be put in, or has no place for the reference's bias.
    """
    op = model.ops[layer_index]
    given, weight, bias = (*op.inputs, -1, -1, -1)[:3]
    weights, has_bias = model.constant(weight), bias >= 0
    if weights is None or (reference.bias.any() and not has_bias):
        return False
    graph = objects.subgraphs[0]
    kernel = as_stored(reference.kernel, weights, is_depthwise=op.op == DEPTHWISE)
    quantization, source = model.tensors[weight].quantization, model.tensors[given]
    if kernel.shape != weights.shape:
        return False
    if quantization is None:
        put(objects, graph.tensors[weight], kernel.astype(weights.dtype))
        if has_bias:
            put(objects, graph.tensors[bias], reference.bias.astype(np.float32))
    elif weights.dtype == np.int8 and source.quantization is not None:
        axis = 3 if op.op == DEPTHWISE else 0
        input_step = float(graph.tensors[given].quantization.scale[0])
        steps = np.abs(reference.kernel).max((1, 2, 3)) / _LARGEST
        # As the converter does: a bias must fit into int32 at the step of input times weights.
        fitting = np.abs(reference.bias) / (input_step * _LARGEST_BIAS)
        steps = np.maximum(np.where(steps > 0, steps, 1.0), fitting)
        shape = [1] * weights.ndim
        shape[axis] = -1
        stored = np.clip(np.rint(kernel / steps.reshape(shape)), -_LARGEST, _LARGEST)
        put(objects, graph.tensors[weight], stored.astype(np.int8), steps, axis)
        if has_bias:
            put_bias(objects, graph.tensors[bias], reference.bias, steps * input_step)
    else:
        return False
    options = graph.operators[layer_index].builtinOptions
    if reference.activation in ACTIVATIONS:
        options.fusedActivationFunction = ACTIVATIONS.index(reference.activation)
    return True


def put_bias(objects: Any, tensor: Any, bias: Reals, steps: Reals) -> None:
    """Store a bias in int32, at the step of input times weights of each channel."""
    stored = np.clip(np.rint(bias / steps), -(2**31), 2**31 - 1)
    put(objects, tensor, stored.astype(np.int32), steps, 0)


def as_stored(kernel: Reals, weights: Array, *, is_depthwise: bool) -> Reals:
    """Return a kernel of `Parameters` in the layout in which TFLite stores *weights*."""
    if weights.ndim == 2:
        return kernel[:, 0, 0, :]
    return kernel.transpose(3, 1, 2, 0) if is_depthwise else kernel


def put(
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
