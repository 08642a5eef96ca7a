"""XNNPACK's operators, matched to those of a model's graph.

They are not one to one: XNNPACK adds some (a conversion before a dynamically quantized
convolution, a clamp after an addition) and drops some (a reshape that moves nothing). What
it reports comes in order, so order and kind tell which is which.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from exray.schema.records import MetricRecord

EXTRA_COUNT, EXTRA_NS = "exray.profiler.extra_count", "exray.profiler.extra_ns"
"""Metrics of a frame: how many events no operator of the graph claims, and their time."""

_NAMES: Mapping[str, str] = {
    "ADD": "Add",
    "AVERAGE_POOL_2D": "Average Pooling, Mean, Copy",
    "BATCH_MATMUL": "Batch Matrix Multiply, Fully Connected",
    "CAST": "Convert, Copy",
    "CEIL": "Ceiling",
    "CONCATENATION": "Copy",
    "CONV_2D": "Convolution, Fully Connected",
    "COS": "Cosine",
    "DEPTHWISE_CONV_2D": "Convolution",
    "DEQUANTIZE": "Convert, Copy",
    "DIV": "Divide",
    "EXPAND_DIMS": "Static Reshape, Static Expand Dims, Copy",
    "FULLY_CONNECTED": "Fully Connected, Dynamic Fully Connected",
    "GELU": "GELU, ApproxGELU",
    "LOGISTIC": "Sigmoid",
    "MAX_POOL_2D": "Max Pooling, Clamp, Copy",
    "MEAN": "Mean, Average Pooling",
    "MUL": "Multiply, Square",
    "NEG": "Negate",
    "PAD": "Constant Pad",
    "PADV2": "Constant Pad",
    "POW": "Power",
    "QUANTIZE": "Convert, Copy",
    "RELU": "Clamp",
    "RELU6": "Clamp",
    "RELU_0_TO_1": "Clamp",
    "RELU_N1_TO_1": "Clamp",
    "RESHAPE": "Static Reshape, Copy",
    "ROUND": "Bankders Rounding",  # as XNNPACK spells it
    "RSQRT": "Reciprocal Square Root",
    "SIN": "Sine",
    "SLICE": "Slice, Copy",
    "SPLIT": "Copy, Slice",
    "SQRT": "Square Root",
    "SQUEEZE": "Static Reshape, Copy",
    "STRIDED_SLICE": "Slice, Copy",
    "SUB": "Subtract",
    "TRANSPOSE_CONV": "Deconvolution",
}
"""XNNPACK's operators by the graph's, where another spelling is not all that parts them."""


def _key(name: str) -> str:
    return "".join(name.replace("_", "").split()).lower()


def _kinds(op: str) -> frozenset[str]:
    return frozenset(_key(name) for name in _NAMES.get(op, op).split(","))


def match(ops: Sequence[str], tags: Sequence[str]) -> list[int]:
    """Match XNNPACK's operators to the graph's, as many as order and kind allow.

    Args:
        ops: The graph's operators of one partition, in order.
        tags: What XNNPACK calls its own, such as ``Convolution (NHWC, QC8) IGEMM``.

    Returns:
        For each tag the operator's position in *ops*, -1 for none. Where several would do,
        the first is taken.

    Example:
        >>> match(["ADD", "CONV_2D"], ["Add (ND)", "Clamp (NC)", "Fully Connected (NC, F32) GEMM"])
        [0, -1, 1]
    """
    kinds = [_kinds(op) for op in ops]
    names = [_key(tag.split(" (")[0]) for tag in tags]
    best = np.zeros((len(names) + 1, len(kinds) + 1), np.int32)  # matches from (tag, op) on
    for i in range(len(names) - 1, -1, -1):
        for j in range(len(kinds) - 1, -1, -1):
            both = best[i + 1, j + 1] + 1 if names[i] in kinds[j] else 0
            best[i, j] = max(best[i + 1, j], best[i, j + 1], both)
    claims = [-1] * len(names)
    i = j = 0
    while i < len(names) and j < len(kinds):
        if names[i] in kinds[j] and best[i, j] == best[i + 1, j + 1] + 1:
            claims[i] = j
            i, j = i + 1, j + 1
        elif best[i, j] == best[i + 1, j]:
            i += 1
        else:
            j += 1
    return claims


def extra_metrics(count: int, dur_ns: int, time_ns: int) -> tuple[MetricRecord, MetricRecord]:
    """Return the metrics of what XNNPACK reports beyond the graph's operators.

    Args:
        count: How many such events there were.
        dur_ns: Their time together.
        time_ns: When, since 1970.
    """
    return (
        MetricRecord(name=EXTRA_COUNT, value=float(count), time_ns=time_ns),
        MetricRecord(name=EXTRA_NS, value=float(dur_ns), time_ns=time_ns, unit="ns"),
    )
