"""Sums and extremes of each channel of a tensor: channel order, scales, dead channels.

Channels are the last dimension of tensors in layout nhwc and of those of rank 2; others
have none. A tensor of more than 256 channels has 256 groups instead: channel c counts in
group c mod 256, on every device alike. Elements that are not finite count as 0 in sums
and not at all in extremes.

As text (`Channels.encode`): ``ch1:`` and base64 of little-endian float32: the number of
channels, the elements of each, then sums, sums of squares, minima and maxima of all
groups; NaN is the extreme of a group without finite elements.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DataError, UsageError
from .histogram import has_real_values
from .packed import pack_floats, unpack_floats
from .quantization import dequantize, is_per_tensor
from .records import Quantization
from .sketch import CHUNK_SIZE

CHANNELS_VERSION = "ch1"
"""Name of the encoding, in front of all channel statistics."""

MAX_GROUPS = 256
"""Most groups kept of a tensor."""

_HEAD = 2
_FIELDS = 4

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Channels:
    """Statistics by channel, or by group of channels.

    Args:
        channels: Channels of the tensor.
        elements: Elements of each channel.
        sums: Shape (groups,), float64.
        sums2: Sums of squares.
        minima: Least finite element, NaN where there is none.
        maxima: Greatest finite element.
    """

    channels: int
    elements: int
    sums: Numbers
    sums2: Numbers
    minima: Numbers
    maxima: Numbers

    def encode(self) -> str:
        """Return it as text; see the module."""
        head = [float(self.channels), float(self.elements)]
        fields = [self.sums, self.sums2, self.minima, self.maxima]
        with np.errstate(over="ignore"):  # beyond float32 lies infinity
            return pack_floats(CHANNELS_VERSION, [head, *fields])

    @classmethod
    def decode(cls, text: str) -> "Channels":
        """Return the statistics that a text holds.

        Raises:
            DataError: It holds none.
        """
        floats = unpack_floats(text, CHANNELS_VERSION).astype(np.float64)
        channels = int(floats[0]) if len(floats) >= _HEAD else 0
        if len(floats) != _HEAD + _FIELDS * min(channels, MAX_GROUPS) or not channels:
            msg = f"channels {text[:20]!r} have {len(floats)} numbers, which do not fit their head"
            raise DataError(msg)
        return cls(channels, int(floats[1]), *floats[_HEAD:].reshape(_FIELDS, -1))


def channels(
    array: NDArray[Any], quantization: Quantization | None = None, layout: str | None = None
) -> Channels | None:
    """Sum a tensor by channel.

    Args:
        array: Any shape and dtype.
        quantization: How integers map to real values; None: they are real.
        layout: Meaning of the dimensions.

    Returns:
        The statistics of real values; None where there are no channels or no real values.
    """
    has_channels = array.ndim == 2 or (array.ndim == 4 and layout == "nhwc")
    if not has_channels or not array.size or not has_real_values(array):
        return None
    if not is_per_tensor(quantization):
        try:
            array, quantization = dequantize(array, quantization, np.float64), None
        except UsageError:  # not one scale per channel: nobody knows the real values
            return None
    count = array.shape[-1]
    rows = array.reshape(-1, count)
    total = _Totals(count)
    step = max(CHUNK_SIZE // count, 1)
    with np.errstate(all="ignore"):  # overflow to infinity is an answer, not a warning
        for start in range(0, len(rows), step):
            total.add(dequantize(rows[start : start + step], quantization, np.float64))
        return total.grouped(len(rows))


class _Totals:
    """The statistics of each channel in the making."""

    def __init__(self, count: int) -> None:
        self._sums, self._sums2 = np.zeros((2, count))
        self._minima, self._maxima = np.full(count, np.inf), np.full(count, -np.inf)

    def add(self, values: Numbers) -> None:
        """Add some elements of every channel, shape (n, channels)."""
        finite = np.isfinite(values)
        whole = bool(finite.all())
        sound = values if whole else np.where(finite, values, 0.0)
        self._sums += sound.sum(axis=0)
        self._sums2 += np.square(sound).sum(axis=0)
        low = values if whole else np.where(finite, values, np.inf)
        high = values if whole else np.where(finite, values, -np.inf)
        np.minimum(self._minima, low.min(axis=0), out=self._minima)
        np.maximum(self._maxima, high.max(axis=0), out=self._maxima)

    def grouped(self, elements: int) -> Channels:
        """Return the statistics, channels beyond the 256th added to groups."""
        count = len(self._sums)
        padding = -count % MAX_GROUPS if count > MAX_GROUPS else 0
        groups = min(count, MAX_GROUPS)

        def fold(numbers: Numbers, neutral: float) -> Numbers:
            return np.pad(numbers, (0, padding), constant_values=neutral).reshape(-1, groups)

        minima = fold(self._minima, np.inf).min(axis=0)
        maxima = fold(self._maxima, -np.inf).max(axis=0)
        empty = minima > maxima
        minima[empty] = maxima[empty] = np.nan
        return Channels(
            count,
            elements,
            fold(self._sums, 0.0).sum(axis=0),
            fold(self._sums2, 0.0).sum(axis=0),
            minima,
            maxima,
        )
