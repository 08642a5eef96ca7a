"""The base-2 exponential histogram of a tensor, laid out as OpenTelemetry has it.

Bucket i of scale s holds magnitudes in (b^i, b^(i+1)] with b = 2^(2^-s); positive and
negative elements have buckets of their own, zeros are counted apart. A side has at most
160 buckets: the scale is the finest at which both fit. Merging two neighbours gives the
histogram of the next coarser scale exactly, so histograms of any tensors can be pooled.
A quantile read from the buckets is off by a factor of at most b.

Source: OpenTelemetry data model of metrics, ExponentialHistogram. Its own SDKs start at
scale 20; here 12 is the finest, so that every bucket's index is exact in float32.

As text (`Histogram.encode`): ``eh1:`` and base64 of little-endian float32: scale, zero
count, offset and number of the positive buckets, offset and number of the negative ones,
then the counts of both. Counts above 16,777,216 are rounded to 24 bits.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DataError, UsageError
from .packed import pack_floats, unpack_floats
from .quantization import dequantize, is_per_tensor
from .records import Quantization
from .sketch import chunks
from .statistics import EXTENSION_FLOATS

HISTOGRAM_VERSION = "eh1"
"""Name of the encoding, in front of every histogram."""

MAX_BUCKETS = 160
"""Most buckets of a side, OpenTelemetry's own default."""

MAX_SCALE = 12
"""The finest: a bucket is 0.017 % wide."""

MIN_SCALE = -10
"""The coarsest that OpenTelemetry has: all of float64 in two buckets."""

_HEAD = 6
_LEAST_NORMAL = float(np.finfo(np.float64).smallest_normal)

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Histogram:
    """The finite elements of a tensor by their size.

    Args:
        scale: Buckets per octave are 2 ** scale.
        zero_count: Elements equal to zero.
        positive_offset: Index of the first positive bucket.
        positive: Elements of each positive bucket, shape (buckets,), int64.
        negative_offset: Index of the first negative bucket.
        negative: Elements of each negative bucket, the least magnitude first.
    """

    scale: int
    zero_count: int
    positive_offset: int
    positive: Counts
    negative_offset: int
    negative: Counts

    def encode(self) -> str:
        """Return it as text; see the module."""
        head: list[float] = [
            self.scale,
            self.zero_count,
            self.positive_offset,
            len(self.positive),
            self.negative_offset,
            len(self.negative),
        ]
        return pack_floats(HISTOGRAM_VERSION, [head, self.positive, self.negative])

    @classmethod
    def decode(cls, text: str) -> "Histogram":
        """Return the histogram that a text holds.

        Raises:
            DataError: It holds none.
        """
        floats = unpack_floats(text, HISTOGRAM_VERSION)
        numbers = floats.astype(np.int64)
        if len(numbers) < _HEAD or len(numbers) != _HEAD + numbers[3] + numbers[5]:
            msg = f"histogram {text[:20]!r} has {len(numbers)} numbers, which do not fit its head"
            raise DataError(msg)
        scale, zero_count, positive_offset, positive, negative_offset, _ = numbers[:_HEAD].tolist()
        counts = numbers[_HEAD:]
        return cls(
            scale,
            zero_count,
            positive_offset,
            counts[:positive],
            negative_offset,
            counts[positive:],
        )


def histogram(array: NDArray[Any], quantization: Quantization | None = None) -> Histogram | None:
    """Count a tensor's elements by their size.

    Args:
        array: Any shape and dtype.
        quantization: How integers map to real values; None: they are real.

    Returns:
        The histogram of the finite real values; None for a type without real values.
    """
    if not has_real_values(array):
        return None
    if not is_per_tensor(quantization):
        try:
            array, quantization = dequantize(array, quantization, np.float64), None
        except UsageError:  # not one scale per channel: nobody knows the real values
            return None
    zero_count, ends = _zeros_and_ends(array, quantization)
    scale = _finest_scale(ends)
    sides = [_Side(ends[0], scale), _Side(ends[1], scale)]
    for values, counts in _values_and_counts(array, quantization):
        sides[0].add(values, counts)
        sides[1].add(-values, counts)
    positive, negative = sides
    return Histogram(
        scale, zero_count, positive.first, positive.totals, negative.first, negative.totals
    )


def has_real_values(array: NDArray[Any]) -> bool:
    """Tell whether a type's elements are real numbers, ml_dtypes' floats among them."""
    kind = array.dtype.kind
    return kind in "fbiu" or (kind == "V" and array.dtype.name.startswith(EXTENSION_FLOATS))


def _values_and_counts(
    array: NDArray[Any], quantization: Quantization | None
) -> Iterator[tuple[NDArray[np.float64], Counts | None]]:
    """Yield finite real values, float64, and how often each occurs: None is once."""
    if array.dtype.kind in "iu" and array.dtype.itemsize == 1:
        octets = np.zeros(256, np.int64)
        for chunk in chunks(array):
            octets += np.bincount(chunk.view(np.uint8), minlength=256)
        values = np.arange(256, dtype=np.uint8).view(array.dtype)
        yield dequantize(values, quantization, np.float64)[octets > 0], octets[octets > 0]
        return
    for chunk in chunks(array):
        values = dequantize(chunk, quantization, np.float64)
        finite = np.isfinite(values)
        yield values if finite.all() else values[finite], None


def _zeros_and_ends(
    array: NDArray[Any], quantization: Quantization | None
) -> tuple[int, NDArray[np.float64]]:
    """Return how many elements are zero, and each side's least and greatest magnitude.

    The magnitudes have shape (2, 2), the positive side first; NaN where a side is empty.
    """
    zero_count = 0
    ends = np.array([[np.inf, -np.inf], [np.inf, -np.inf]])
    for values, counts in _values_and_counts(array, quantization):
        zeros = values == 0
        zero_count += int(np.count_nonzero(zeros) if counts is None else counts[zeros].sum())
        for side, magnitudes in zip(ends, (values[values > 0], -values[values < 0]), strict=True):
            if magnitudes.size:
                side[:] = min(side[0], magnitudes.min()), max(side[1], magnitudes.max())
    ends[ends[:, 0] > ends[:, 1]] = np.nan
    return zero_count, ends


def _finest_scale(ends: NDArray[np.float64]) -> int:
    """Return the greatest scale at which both sides fit; *ends* has shape (2, 2)."""
    present = ends[~np.isnan(ends[:, 0])]
    for scale in range(MAX_SCALE, MIN_SCALE, -1):
        indices = bucket_indices(present, scale)
        if (indices[:, 1] - indices[:, 0] < MAX_BUCKETS).all():
            return scale
    return MIN_SCALE


class _Side:
    """The buckets of one side in the making.

    Args:
        ends: Its least and greatest magnitude, NaN where it has none.
        scale: Of the histogram.
    """

    def __init__(self, ends: NDArray[np.float64], scale: int) -> None:
        self._scale = scale
        self.first = 0
        self.totals = np.zeros(0, np.int64)
        if not np.isnan(ends[0]):
            self.first, last = bucket_indices(ends, scale).tolist()
            self.totals = np.zeros(last - self.first + 1, np.int64)

    def add(self, values: NDArray[np.float64], counts: Counts | None) -> None:
        """Add the values above zero, each as often as *counts* says."""
        above = values > 0
        magnitudes = values[above]
        if not magnitudes.size:
            return
        places = bucket_indices(magnitudes, self._scale) - self.first
        if counts is None:
            self.totals += np.bincount(places, minlength=len(self.totals))
        else:
            np.add.at(self.totals, places, counts[above])


def bucket_indices(magnitudes: NDArray[np.float64], scale: int) -> Counts:
    """Return the bucket of each magnitude.

    Args:
        magnitudes: Positive and finite, any shape.
        scale: `MIN_SCALE` to `MAX_SCALE`.

    Returns:
        The same shape, int64. A power of two closes its bucket, exactly; subnormal
        magnitudes count as the least normal one.
    """
    fractions, exponents = np.frexp(np.maximum(magnitudes, _LEAST_NORMAL))
    steps = 1 << max(scale, 0)  # of an octave
    # log2 of 1..2 keeps its precision next to a power of two, which that of the whole does not
    within = np.ceil(np.log2(2 * fractions) * steps).astype(np.int64)
    indices: Counts = (exponents.astype(np.int64) - 1) * steps + within - 1
    indices >>= max(-scale, 0)
    return indices
