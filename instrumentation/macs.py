"""Multiply-accumulates of operators, from shapes alone.

One multiply-accumulate is one product added to a sum; bias, activation and the zero
points of quantized arithmetic count nothing, as in the papers that publish such numbers.
"""

from collections.abc import Callable, Mapping, Sequence
from math import prod

Shape = tuple[int, ...]
"""Dimensions of a tensor, batch first; for filters in TFLite's order."""


def tflite_macs(
    op: str, inputs: Sequence[Shape], output: Shape, attributes: Mapping[str, object]
) -> int:
    """Count the multiply-accumulates of one execution of a TFLite operator.

    =====================  =====================================================
    CONV_2D, CONV_3D       output elements x filter elements per output channel
    DEPTHWISE_CONV_2D      output elements x filter height x filter width
    TRANSPOSE_CONV,        input elements x filter elements per input channel
    CONV_3D_TRANSPOSE
    FULLY_CONNECTED        output elements x columns of the weights
    BATCH_MATMUL           output elements x inner dimension
    anything else          0
    =====================  =====================================================

    Args:
        op: Operator's name in the schema.
        inputs: Stored shapes of all its inputs, constants too; ``()`` for one left out.
        output: Stored shape of its first output.
        attributes: Its options; ``adj_x`` is read.

    Returns:
        Multiply-accumulates; 0 where the file stores no shapes.

    Example:
        >>> tflite_macs("CONV_2D", [(1, 4, 4, 3), (8, 3, 3, 3)], (1, 4, 4, 8), {})
        3456
    """
    formula = _FORMULAS.get(op)
    needed = 3 if op in ("TRANSPOSE_CONV", "CONV_3D_TRANSPOSE") else 2
    known = len(inputs) >= needed and all(inputs[:needed]) and bool(output)
    if formula is None or not known:
        return 0
    return formula(inputs, output, attributes)


_Formula = Callable[[Sequence[Shape], Shape, Mapping[str, object]], int]


def _conv_2d(inputs: Sequence[Shape], output: Shape, _: Mapping[str, object]) -> int:
    return prod(output) * prod(inputs[1][1:])  # filter: out, h, w, in / groups


def _conv_3d(inputs: Sequence[Shape], output: Shape, _: Mapping[str, object]) -> int:
    return prod(output) * prod(inputs[1][:-1])  # filter: d, h, w, in, out


def _depthwise(inputs: Sequence[Shape], output: Shape, _: Mapping[str, object]) -> int:
    return prod(output) * prod(inputs[1][1:3])  # filter: 1, h, w, out


def _transpose_conv(inputs: Sequence[Shape], _: Shape, __: Mapping[str, object]) -> int:
    return prod(inputs[2]) * prod(inputs[1][:-1])  # inputs: output shape, filter o h w i, data


def _conv_3d_transpose(inputs: Sequence[Shape], _: Shape, __: Mapping[str, object]) -> int:
    return prod(inputs[2]) * prod(inputs[1][:-1])  # inputs: output shape, filter d h w o i, data


def _fully_connected(inputs: Sequence[Shape], output: Shape, _: Mapping[str, object]) -> int:
    return prod(output) * inputs[1][-1]  # weights: out, in


def _batch_matmul(inputs: Sequence[Shape], output: Shape, attributes: Mapping[str, object]) -> int:
    rows_are_inner = bool(attributes.get("adj_x"))
    return prod(output) * inputs[0][-2 if rows_are_inner else -1]


_FORMULAS: Mapping[str, _Formula] = {
    "CONV_2D": _conv_2d,
    "CONV_3D": _conv_3d,
    "CONV_3D_TRANSPOSE": _conv_3d_transpose,
    "DEPTHWISE_CONV_2D": _depthwise,
    "TRANSPOSE_CONV": _transpose_conv,
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _batch_matmul,
}


# --- ONNX -------------------------------------------------------------------------------


def onnx_macs(
    op: str, inputs: Sequence[Shape], output: Shape, attributes: Mapping[str, object]
) -> int:
    """Count the multiply-accumulates of one execution of an ONNX operator.

    ===========================  ===============================================
    Conv and its relatives       output elements x filter elements per output channel
    ConvTranspose                input elements x filter elements per input channel
    Gemm, MatMul, relatives      output elements x inner dimension
    anything else                0
    ===========================  ===============================================

    Args:
        op: Operator's name.
        inputs: Shapes of all its inputs, constants too; ``()`` for one left out or unknown.
        output: Shape of its first output.
        attributes: Its attributes; ``transA`` is read.

    Returns:
        Multiply-accumulates; 0 where shapes are not known.

    Example:
        >>> onnx_macs("Conv", [(1, 3, 4, 4), (8, 3, 3, 3)], (1, 8, 4, 4), {})
        3456
    """
    place = _ONNX_WEIGHTS.get(op)
    if place is None or len(inputs) <= place or not (inputs[0] and inputs[place] and output):
        return 0
    data, weights = inputs[0], inputs[place]
    if op == "ConvTranspose":
        return prod(data) * prod(weights[1:])  # filter: in, out / groups, h, w
    if "Conv" in op:
        return prod(output) * prod(weights[1:])  # filter: out, in / groups, h, w
    rows_are_inner = bool(attributes.get("transA")) and len(data) > 1
    return prod(output) * data[-2 if rows_are_inner else -1]


_ONNX_WEIGHTS: Mapping[str, int] = {
    "Conv": 1,
    "ConvInteger": 1,
    "ConvTranspose": 1,
    "FusedConv": 1,
    "QLinearConv": 3,
    "Gemm": 1,
    "FusedGemm": 1,
    "FusedMatMul": 1,
    "MatMul": 1,
    "MatMulInteger": 1,
    "QGemm": 3,
    "QLinearMatMul": 3,
}
"""Place of the weights among the inputs."""
