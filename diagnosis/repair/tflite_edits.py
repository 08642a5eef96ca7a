"""Edits of a .tflite file's tables that repair an operator.

Each edits the tables in place and returns whether there was something to edit; where there
was not, it has left them alone. What comes with the runtime to read and write the tables has
no types: it is `Any`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from exray.diagnosis.layers.parameters import DEPTHWISE, Parameters, Reals, TfliteParameters
from exray.diagnosis.layers.sound_op import as_stored, put, put_bias
from exray.diagnosis.layers.tflite_model import TfliteModel
from exray.instrumentation.tflite_schema import OPERATORS, TENSOR_TYPES
from exray.schema.quantization import dequantize

ParametersOf = Callable[[int], Parameters | None]
"""The reference's weights of an edge layer, None where they are not known."""

_INT8_VERSION = 2
"""Version of DEQUANTIZE and QUANTIZE from which on they know signed bytes."""

SAME_SCALE = frozenset(
    {"AVERAGE_POOL_2D", "MAX_POOL_2D", "RESHAPE", "PAD", "SQUEEZE", "TRANSPOSE", "STRIDED_SLICE"}
)
"""Operators whose output has the input's scale."""

BOUND = frozenset({"CONCATENATION", "PACK", "SPLIT", "UNPACK", "TRANSPOSE_CONV", "PADV2"})
"""Operators that bind the scales of several tensors, or hold a bias elsewhere."""

WEIGHTED = ("CONV_2D", DEPTHWISE, "FULLY_CONNECTED")


def recalibrate(
    model: TfliteModel,
    objects: Any,
    layer_index: int,
    ends: tuple[float, float],
    reference: ParametersOf,
) -> bool:
    """Give an operator's output the range that its values need, and readers biases for it.

    Args:
        model: The edge's file.
        objects: Its tables.
        layer_index: The operator.
        ends: Least and greatest value that the output is to hold.
        reference: The reference's weights; where they are not known, a reader's bias is
            rescaled.
    """
    written = _of_one_scale(model, layer_index)
    info = model.tensors[model.ops[layer_index].outputs[0]]
    if written is None or info.quantization is None or info.dtype not in ("int8", "uint8"):
        return False
    low, high = min(ends[0], 0.0), max(ends[1], 0.0)
    if high <= low:
        return False
    limits = np.iinfo(np.dtype(info.dtype))
    step = (high - low) / (int(limits.max) - int(limits.min))
    zero = int(np.clip(round(int(limits.min) - low / step), int(limits.min), int(limits.max)))
    tensors = objects.subgraphs[0].tensors
    for tensor in written:
        tensors[tensor].quantization.scale = np.array([step], np.float32)
        tensors[tensor].quantization.zeroPoint = np.array([zero], np.int64)
    for index, op in enumerate(model.ops):
        if op.op in WEIGHTED and op.inputs[0] in written and len(op.inputs) > 2:
            _fit_bias(model, objects, index, step, reference(index))
    return True


def _of_one_scale(model: TfliteModel, layer_index: int) -> set[int] | None:
    """Return the tensors that share an output's scale; None where others are bound to it."""
    written = {model.ops[layer_index].outputs[0]}
    for op in model.ops[layer_index + 1 :]:
        if op.inputs and op.inputs[0] in written and op.op in SAME_SCALE:
            written |= set(op.outputs)
        elif op.op in BOUND and written & set(op.inputs):
            return None
    return None if written & set(model.graph.outputs) else written


def _fit_bias(
    model: TfliteModel, objects: Any, index: int, input_step: float, reference: Parameters | None
) -> None:
    """Store a bias again for an input of another step."""
    op, tensors = model.ops[index], objects.subgraphs[0].tensors
    if op.inputs[2] < 0:
        return
    bias = model.constant(op.inputs[2])
    weights, source = model.tensors[op.inputs[1]], model.tensors[op.inputs[0]]
    if bias is None or weights.quantization is None or source.quantization is None:
        return
    scales = np.array(tensors[op.inputs[1]].quantization.scale, np.float64)
    steps = np.broadcast_to(scales, bias.size).copy()
    if reference is not None and len(reference.bias) == bias.size:
        real: Reals = reference.bias
    else:
        noted = model.tensors[op.inputs[2]].quantization
        was = steps * source.quantization.scales[0] if noted is None else np.array(noted.scales)
        real = bias.ravel() * was
    put_bias(objects, tensors[op.inputs[2]], real, steps * input_step)


def compute_in_float(
    model: TfliteModel, objects: Any, layer_index: int, reference: Parameters | None
) -> bool:
    """Let one operator of a quantized model compute in floats, between conversions.

    Args:
        model: The edge's file.
        objects: Its tables.
        layer_index: The operator.
        reference: Its weights; None for its own.
    """
    op = model.ops[layer_index]
    graph = objects.subgraphs[0]
    if any(not _is_bytes(model, t) for t in (*model.activations(op), *op.outputs)):
        return False
    replaced = _float_constants(model, layer_index, reference)
    if replaced is None:
        return False
    before: list[Any] = []
    inputs = list(op.inputs)
    own = graph.operators[layer_index]
    for position, tensor in enumerate(op.inputs):
        if tensor < 0:
            continue
        if position in replaced:
            inputs[position] = _add_tensor(objects, graph, tensor, replaced[position])
        elif model.constant(tensor) is None:
            inputs[position] = _add_tensor(objects, graph, tensor)
            before.append(_converter(objects, own, "DEQUANTIZE", tensor, inputs[position]))
    outputs = [_add_tensor(objects, graph, tensor) for tensor in op.outputs]
    after = [
        _converter(objects, own, "QUANTIZE", made, tensor)
        for made, tensor in zip(outputs, op.outputs, strict=True)
    ]
    own.inputs, own.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
    operators = graph.operators
    graph.operators = [
        *operators[:layer_index], *before, own, *after, *operators[layer_index + 1 :]
    ]  # fmt: skip
    return True


def _is_bytes(model: TfliteModel, tensor: int) -> bool:
    info = model.tensors[tensor]
    return info.quantization is not None and info.dtype in ("int8", "uint8")


def _float_constants(
    model: TfliteModel, layer_index: int, reference: Parameters | None
) -> dict[int, Reals] | None:
    """Return the constants of an operator that floats need otherwise, by position."""
    op = model.ops[layer_index]
    if op.op not in WEIGHTED:
        return {
            position: dequantize(stored, info.quantization, np.float64)
            for position, tensor in enumerate(op.inputs)
            if (stored := model.constant(tensor)) is not None
            and (info := model.tensors[tensor]).quantization is not None
        }
    weights, wanted = model.constant(op.inputs[1]), reference
    if wanted is None:
        wanted = TfliteParameters(model).of(layer_index)
    has_bias = len(op.inputs) > 2 and op.inputs[2] >= 0
    if weights is None or wanted is None or (wanted.bias.any() and not has_bias):
        return None
    kernel = as_stored(wanted.kernel, weights, is_depthwise=op.op == DEPTHWISE)
    if kernel.shape != weights.shape:
        return None
    return {1: kernel, 2: wanted.bias} if has_bias else {1: kernel}


def _add_tensor(objects: Any, graph: Any, like: int, values: Reals | None = None) -> int:
    """Add a float tensor of another one's shape; constant where *values* are given."""
    tensor = type(graph.tensors[like])()
    tensor.shape = graph.tensors[like].shape
    tensor.shapeSignature = graph.tensors[like].shapeSignature
    tensor.hasRank = graph.tensors[like].hasRank
    tensor.type = TENSOR_TYPES.index("FLOAT32")
    name = graph.tensors[like].name or b""
    tensor.name = (name if isinstance(name, bytes) else str(name).encode()) + b"_float"
    tensor.buffer = 0  # always the empty one
    if values is not None:
        put(objects, tensor, values.astype(np.float32))
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _converter(objects: Any, like: Any, name: str, source: int, target: int) -> Any:
    """Return an operator that converts one tensor into another."""
    operator = type(like)()
    operator.opcodeIndex = _code_index(objects, name)
    operator.inputs = np.array([source], np.int32)
    operator.outputs = np.array([target], np.int32)
    return operator


def _code_index(objects: Any, name: str) -> int:
    value = OPERATORS.index(name)
    for index, code in enumerate(objects.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == value:
            code.version = max(code.version, _INT8_VERSION)
            return index
    code = type(objects.operatorCodes[0])()
    code.builtinCode = code.deprecatedBuiltinCode = value  # both below 127
    code.version = _INT8_VERSION
    objects.operatorCodes.append(code)
    return len(objects.operatorCodes) - 1
