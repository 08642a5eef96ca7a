"""Summaries of numpy arrays by the native library, in numpy where it cannot serve."""

import ctypes
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.schema import statistics
from exray.schema.records import TENSOR_ROW, WIDE_SKETCH_SIZE, Quantization

from .native_library import native_library

_TENSOR_TYPES = {
    "float32": 1,
    "int32": 2,
    "uint8": 3,
    "int64": 4,
    "bool": 6,
    "int16": 7,
    "int8": 9,
    "float16": 10,
    "float64": 11,
    "uint64": 13,
    "uint32": 16,
    "uint16": 17,
    "bfloat16": 19,
}
"""TFLite's numbers (`TfLiteType`) of the types that the library summarises."""

_BAD_VIEW = 2

_Floats = ctypes.Array[ctypes.c_float]
_Ints = ctypes.Array[ctypes.c_int32]


class TensorView(ctypes.Structure):
    """A tensor as the library sees it: `TensorView` of `native/summary.h`."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("size_bytes", ctypes.c_int64),
        ("count", ctypes.c_int64),
        ("type", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("dims", ctypes.POINTER(ctypes.c_int32)),
        ("scale_count", ctypes.c_int32),
        ("scales", ctypes.POINTER(ctypes.c_float)),
        ("zero_points", ctypes.POINTER(ctypes.c_int32)),
        ("axis", ctypes.c_int32),
    )


def summarize_into(
    rows: NDArray[np.void],
    i: int,
    array: NDArray[Any],
    *,
    quantization: Quantization | None,
    family: int,
) -> NDArray[np.float32]:
    """Summarise one tensor into row *i* of a block.

    The same as `exray.schema.statistics.summarize_into`, which see, in a fraction of its
    time: integers of 8 bits exactly so, floats to rounding.

    Args:
        rows: Block of dtype `TENSOR_ROW`; the fields from ``count`` on are written.
        i: The row.
        array: Any shape and dtype, in canonical layout (batch, then NHWC for images).
        quantization: How integers map to real values; None, or no scales: they are real.
        family: Sketch family of the frame's input, 0 to 15.

    Returns:
        The wide sketch, shape (256,), in the real values' unit; the row holds its fold.
    """
    wide = _summarize(rows, i, array, quantization, family)
    if wide is None:
        return statistics.summarize_into(rows, i, array, quantization=quantization, family=family)
    return wide


def _summarize(
    rows: NDArray[np.void],
    i: int,
    array: NDArray[Any],
    quantization: Quantization | None,
    family: int,
) -> NDArray[np.float32] | None:
    """Summarise by the library; None where it cannot, and then nothing is written."""
    library = native_library().handle
    if library is None or rows.dtype != TENSOR_ROW or not _tensor_type(array.dtype):
        return None
    array = np.ascontiguousarray(array)
    view = tensor_view(array, quantization)
    if view is None:
        return None
    wide = np.empty(WIDE_SKETCH_SIZE, np.float32)
    row = ctypes.c_void_p(rows[i : i + 1].ctypes.data)
    wide_data = ctypes.c_void_p(wide.ctypes.data)
    status: int = library.exray_summarise(ctypes.byref(view), family, row, wide_data)
    return None if status == _BAD_VIEW else wide


def tensor_view(array: NDArray[Any], quantization: Quantization | None) -> TensorView | None:
    """Describe a contiguous array of a known type; None where *quantization* does not fit."""
    tensor_type = _tensor_type(array.dtype)
    view = TensorView(array.ctypes.data, array.nbytes, array.size, tensor_type)
    if quantization is None or not quantization.scales:
        return view
    numbers = _quantization_arrays(quantization)
    if numbers is None:
        return None
    view.scales, view.zero_points = numbers
    view.scale_count, view.axis = len(quantization.scales), quantization.axis
    if view.scale_count > 1:
        view.rank, view.dims = array.ndim, (ctypes.c_int32 * array.ndim)(*array.shape)
    return view


@lru_cache(maxsize=64)
def _tensor_type(dtype: np.dtype[Any]) -> int:
    """TFLite's number of a type, 0 where the library does not summarise it."""
    return _TENSOR_TYPES.get(dtype.name, 0) if dtype.isnative else 0


@lru_cache(maxsize=256)  # of as many models' layers, each asked for once a frame
def _quantization_arrays(quantization: Quantization) -> tuple[_Floats, _Ints] | None:
    """Scales and zero points as the library takes them; None where they do not fit."""
    count = len(quantization.scales)
    scales = (ctypes.c_float * count)(*quantization.scales)
    zero_points = quantization.zero_points
    if count == 1:
        zero_points = (*zero_points, 0)[:1]
    is_float32 = np.array_equal(scales, quantization.scales, equal_nan=True)
    ends = np.iinfo(np.int32)
    if not is_float32 or len(zero_points) != count:
        return None
    if any(not ends.min <= zero_point <= ends.max for zero_point in zero_points):
        return None
    return scales, (ctypes.c_int32 * count)(*zero_points)
