"""The random numbers behind the sketch: where each element goes, and with which sign."""

import numpy as np
from numpy.typing import NDArray

ROW = 256
"""Elements in a row of a tensor, and sums in a sketch."""

BINS = 2 * ROW
"""Sums kept apart for elements that are added (0..255) and subtracted (256..511)."""

MAX_CACHED_ROWS = 16_384
"""Rows kept for the life of the process, 8 MiB: all a tensor of 3.7 million elements needs.

Rows past it are made anew each time, which doubles their cost, lest one huge tensor
hold its numbers in memory for ever.
"""

_SEED = np.uint64(0x9E3779B97F4A7C15)
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_WORDS = 5  # 64-bit words per row: one for the rotation, four of sign bits

_cached = np.empty((0, ROW), np.uint16)


def sketch_bins(first: int, count: int) -> NDArray[np.uint16]:
    """Return the bins of *count* rows from row *first* of the table.

    Threads may call at once: the table is replaced as a whole, and two that grow it
    together do the same work twice, no more. So a fork never finds it locked.

    Args:
        first: Row of the table that all families share.
        count: Rows wanted.

    Returns:
        Bin of each element, 0..511, shape (count, 256); 256 more where its sign is -1.
    """
    global _cached
    end = first + count
    if end > MAX_CACHED_ROWS:
        return make_bins(first, count)
    cached = _cached
    if len(cached) < end:
        cached = make_bins(0, min(MAX_CACHED_ROWS, max(2 * len(cached), end)))
        _cached = cached
    return cached[first:end]


def make_bins(first: int, count: int) -> NDArray[np.uint16]:
    """Compute what `sketch_bins` returns."""
    words = _splitmix64(np.arange(_WORDS * first, _WORDS * (first + count), dtype=np.uint64))
    words = words.reshape(count, _WORDS)
    rotations = (words[:, :1] >> np.uint64(56)).astype(np.uint8)
    buckets = np.arange(ROW, dtype=np.uint8) + rotations  # eight bits wrap at 256
    # "<u8": sign bits are taken from the lowest up, whatever the machine's byte order
    sign_bytes = np.ascontiguousarray(words[:, 1:], dtype="<u8").view(np.uint8)
    bins = np.unpackbits(sign_bytes, axis=1, bitorder="little").astype(np.uint16)
    bins <<= 8
    bins |= buckets
    return bins


def _splitmix64(i: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix 64-bit integers as splitmix64 does; wraps."""
    z = (i + _SEED) * _GAMMA
    z ^= z >> np.uint64(30)
    z *= _MIX_1
    z ^= z >> np.uint64(27)
    z *= _MIX_2
    z ^= z >> np.uint64(31)
    return z
