"""Summary of one tensor: counts, sums of powers, extremes, hash and sketch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import UsageError
from .identity import tensor_hash
from .quantization import dequantize, is_per_tensor
from .records import SKETCH_SIZE, Quantization
from .sketch import CHUNK_SIZE, SketchSum, chunks, fold, ones_sketch

EXTENSION_FLOATS = ("bfloat16", "float8", "float6", "float4")
"""Beginnings of the names of ml_dtypes' floats, whose kind is "V"."""


def summarize_into(
    rows: NDArray[np.void],
    i: int,
    array: NDArray[Any],
    *,
    quantization: Quantization | None,
    family: int,
) -> NDArray[np.float32]:
    """Summarise one tensor into row *i* of a block.

    Statistics, extremes and sketch are of real values: ``scale * (q - zero_point)`` where
    *quantization* is given. Elements that are not finite count as 0 in sums and sketch
    and are counted apart. A type without real values (strings, complex) gets its count
    and hash, and NaN for sums, extremes and sketch. Never raises for what *array* holds.

    Args:
        rows: Block of dtype `TENSOR_ROW`; the fields from ``count`` on are written.
        i: The row.
        array: Any shape and dtype, in canonical layout (batch, then NHWC for images).
        quantization: How integers map to real values; None, or no scales: they are real.
        family: Sketch family of the frame's input, 0 to 15.

    Returns:
        The wide sketch, shape (256,), in the real values' unit; the row holds its fold.
    """
    with np.errstate(all="ignore"):  # overflow to infinity is an answer, not a warning
        array = np.ascontiguousarray(array)
        summary = _summarize(array, quantization, family)
        row = rows[i : i + 1]
        row["count"] = array.size
        row["hash"] = tensor_hash(array)
        row["sum"], row["sum2"], row["sum3"], row["sum4"] = summary.sums
        row["min"], row["max"] = summary.extremes()
        row["nan_count"] = summary.nan_count
        row["posinf_count"] = summary.posinf_count
        row["neginf_count"] = summary.neginf_count
        row["zero_count"] = summary.zero_count
        row["sat_low_count"] = summary.sat_low_count
        row["sat_high_count"] = summary.sat_high_count
        row["sketch"] = _float32_from(fold(summary.sketch, SKETCH_SIZE))
        return _float32_from(summary.sketch)


def _summarize(array: NDArray[Any], quantization: Quantization | None, family: int) -> "_Summary":
    """Choose the way by type."""
    summary = _Summary(family)
    kind = array.dtype.kind
    if kind in "fb" or (kind == "V" and array.dtype.name.startswith(EXTENSION_FLOATS)):
        summary.add_numbers(array)
    elif kind not in "iu":
        summary.spoil()
    elif not is_per_tensor(quantization):
        try:
            summary.add_numbers(dequantize(array, quantization, np.float64))
        except UsageError:  # not one scale per channel: nobody knows the real values
            summary.spoil()
        summary.count_saturated(array)
    else:
        summary.add_integers(array, quantization)
    return summary


class _Summary:
    """The numbers of one tensor in the making."""

    def __init__(self, family: int) -> None:
        self.sums = np.zeros(4)  # of x, x^2, x^3, x^4
        self.sketch = np.zeros(0)
        self.nan_count = self.posinf_count = self.neginf_count = self.zero_count = 0
        self.sat_low_count = self.sat_high_count = 0
        self._least, self._greatest = np.inf, -np.inf
        self._family = family

    def extremes(self) -> tuple[float, float]:
        """Least and greatest finite element, NaN where there is none."""
        if self._least > self._greatest:
            return np.nan, np.nan
        return self._least, self._greatest

    def spoil(self) -> None:
        """Say that there are no real values."""
        self.sums = np.full(4, np.nan)
        self.sketch = np.full(256, np.nan)

    def add_numbers(self, array: NDArray[Any], zero_point: int = 0) -> None:
        """Add all elements minus *zero_point*, chunk by chunk in float64."""
        sketch_sum = SketchSum(self._family)
        buffer, squares = np.empty((2, min(array.size, CHUNK_SIZE)))
        for chunk in chunks(array):
            x = buffer[: chunk.size]
            np.copyto(x, chunk, casting="unsafe")
            if zero_point:
                x -= zero_point
            self._add_chunk(x, squares[: chunk.size])
            sketch_sum.add(x)
        self.sketch = sketch_sum.total()

    def _add_chunk(self, x: NDArray[np.float64], xx: NDArray[np.float64]) -> None:
        """Add one chunk, making its non-finite elements 0; *xx* is working memory."""
        self.zero_count += int(np.count_nonzero(x == 0))  # thrice as fast as count_nonzero(x)
        np.multiply(x, x, out=xx)
        if np.isfinite(np.add.reduce(xx)):  # so is each element: most tensors end here
            least, greatest = x.min(), x.max()
        else:
            least, greatest = self._drop_nonfinite(x)
            np.multiply(x, x, out=xx)
        self._least = min(self._least, float(least))
        self._greatest = max(self._greatest, float(greatest))
        self.sums += (
            np.add.reduce(x),
            np.add.reduce(xx),
            np.einsum("i,i", xx, x),
            np.einsum("i,i", xx, xx),
        )

    def _drop_nonfinite(self, x: NDArray[np.float64]) -> tuple[float, float]:
        """Count what is not finite and make it 0; return the extremes of the others."""
        finite = np.isfinite(x)
        self.nan_count += int(np.count_nonzero(np.isnan(x)))
        self.posinf_count += int(np.count_nonzero(x == np.inf))
        self.neginf_count += int(np.count_nonzero(x == -np.inf))
        least = np.min(x, initial=np.inf, where=finite)
        greatest = np.max(x, initial=-np.inf, where=finite)
        x[~finite] = 0.0
        return float(least), float(greatest)

    def add_integers(self, array: NDArray[Any], quantization: Quantization | None) -> None:
        """Add integers that are real already or quantized per tensor."""
        scale, zero_point = _scale_and_zero_point(quantization)
        if array.dtype.itemsize == 1:
            self._add_octets(array, zero_point)
        else:
            self.add_numbers(array, zero_point)
            self.count_saturated(array)
        self._scale_by(scale)

    def _add_octets(self, array: NDArray[Any], zero_point: int) -> None:
        """Add int8 or uint8, minus *zero_point*.

        Such a tensor has at most 256 values: counting each of them gives every statistic,
        exactly, in one pass.
        """
        sketch_sum = SketchSum(self._family)
        counts = np.zeros(256, np.int64)
        for chunk in chunks(array):
            counts += np.bincount(chunk.view(np.uint8), minlength=256)
            sketch_sum.add(chunk)
        values = np.arange(256, dtype=np.uint8).view(array.dtype).astype(np.float64)
        self.sat_low_count = int(counts[values.argmin()])
        self.sat_high_count = int(counts[values.argmax()])
        values -= zero_point
        self._add_counts(values, counts)
        self.sketch = sketch_sum.total()
        if zero_point:
            self.sketch -= zero_point * ones_sketch(array.size, self._family)

    def _add_counts(self, values: NDArray[np.float64], counts: NDArray[np.int64]) -> None:
        """Add ``counts[j]`` elements of value ``values[j]``."""
        present = values[counts > 0]
        if present.size:
            self._least, self._greatest = float(present.min()), float(present.max())
        self.zero_count = int(counts[values == 0].sum())
        weighted = counts.astype(np.float64)
        for power in range(4):
            weighted *= values
            self.sums[power] = weighted.sum()

    def count_saturated(self, array: NDArray[Any]) -> None:
        """Count integers at their type's ends."""
        ends = np.iinfo(array.dtype)
        self.sat_low_count = int(np.count_nonzero(array == ends.min))
        self.sat_high_count = int(np.count_nonzero(array == ends.max))

    def _scale_by(self, scale: float) -> None:
        """Turn the integers' unit into the real one."""
        self.sums *= (scale, scale**2, scale**3, scale**4)
        self.sketch *= scale
        if self._least <= self._greatest:
            ends = self._least * scale, self._greatest * scale
            self._least, self._greatest = min(ends), max(ends)


def _scale_and_zero_point(quantization: Quantization | None) -> tuple[float, int]:
    """The one scale and zero point of all elements; 1 and 0 where none is given."""
    if quantization is None or not quantization.scales:
        return 1.0, 0
    return quantization.scales[0], next(iter(quantization.zero_points), 0)


def _float32_from(sums: NDArray[np.float64]) -> NDArray[np.float32]:
    """Sums as float32, at most its greatest number: a distance to infinity is none."""
    limit = float(np.finfo(np.float32).max)
    return np.clip(sums, -limit, limit).astype(np.float32)
