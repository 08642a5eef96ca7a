"""Which spans were seen lately: what is sent again within this window is dropped.

A span is known by two independent 64-bit hashes of its trace and span id. The window is part
of the drain's state: it is kept on disk set by set, so that after a crash the same set of
requests loses the same spans.
"""

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

WINDOW_SPANS = 1 << 20
"""Most spans remembered: at 100,000 a second those of ten seconds, of one device for days."""

_Number = TypeVar("_Number", np.uint64, np.int64)

Keys = NDArray[np.uint64]
"""Shape (spans, 2): two hashes of each."""

_A, _B, _C = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(29)


def span_keys(spans: "pa.Table") -> Keys:
    """Return the keys of a table of decoded spans."""
    table: Any = spans
    words = [
        np.frombuffer(_data(table.column(name), size), np.uint64).reshape(-1, size // 8)
        for name, size in (("trace_id", 16), ("span_id", 8))
    ]
    trace, span = words[0], words[1][:, 0]
    low, high = np.ascontiguousarray(trace[:, 0]), np.ascontiguousarray(trace[:, 1])
    keys = np.empty((len(span), 2), np.uint64)
    keys[:, 0] = _mixed(_mixed(low ^ _A) ^ _mixed(high + _B) * _A ^ span)
    keys[:, 1] = _mixed(_mixed(span + _A) ^ _mixed(low + _B) * _B ^ high)
    return keys


def _data(column: Any, size: int) -> bytes:
    """Return the bytes of ids, none of them NULL."""
    parts = [
        chunk.buffers()[1].slice(chunk.offset * size, len(chunk) * size).to_pybytes()
        for chunk in column.chunks
        if len(chunk)
    ]
    return b"".join(parts)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread every bit over all of them (Stafford's mix 13, as in splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class RecentSpans:
    """The spans of the latest sets.

    Args:
        window_spans: At most so many are remembered, but always those of the last set.
    """

    def __init__(self, window_spans: int = WINDOW_SPANS) -> None:
        self._window_spans = window_spans
        self._sets: list[tuple[int, int]] = []  # sequence and spans of each
        self._first: NDArray[np.uint64] = np.empty(0, np.uint64)  # sorted
        self._second: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._sequences: NDArray[np.int64] = np.empty(0, np.int64)

    @property
    def sequences(self) -> list[int]:
        """The sets that are remembered, oldest first."""
        return [sequence for sequence, _ in self._sets]

    def find_new(self, keys: Keys) -> NDArray[np.bool_]:
        """Tell which spans are neither remembered nor twice in *keys* (the first one is new)."""
        order = _order(keys)
        first, second = keys[order, 0], keys[order, 1]
        is_new = np.ones(len(order), np.bool_)
        if len(order) > 1:
            again = (first[1:] == first[:-1]) & (second[1:] == second[:-1])
            is_new[1:][again] = False
        if len(self._first):
            remembered: Any = self._first
            at: NDArray[np.int64] = np.minimum(remembered.searchsorted(first), len(self._first) - 1)
            is_new &= (self._first[at] != first) | (self._second[at] != second)
        found = np.empty(len(order), np.bool_)
        found[order] = is_new
        return found

    def add(self, sequence: int, keys: Keys) -> None:
        """Remember the spans of a set, and forget the oldest sets beyond the window."""
        self._sets.append((sequence, len(keys)))
        while len(self._sets) > 1 and sum(count for _, count in self._sets) > self._window_spans:
            self._sets.pop(0)
        kept = self._sequences >= self._sets[0][0]
        order = _order(keys)
        merged = _Merge(self._first[kept], keys[order, 0])
        self._first = merged.first
        self._second = merged.of(self._second[kept], keys[order, 1])
        self._sequences = merged.of(self._sequences[kept], np.full(len(keys), sequence))


class _Merge:
    """Two ascending arrays as one, and what belongs to them likewise.

    Args:
        old: One, which comes first where they are equal.
        new: The other, best a short one.
    """

    def __init__(self, old: NDArray[np.uint64], new: NDArray[np.uint64]) -> None:
        self._places = np.searchsorted(old, new, side="right") + np.arange(len(new))
        self._is_old = np.ones(len(old) + len(new), np.bool_)
        self._is_old[self._places] = False
        self.first: NDArray[np.uint64] = self.of(old, new)

    def of(self, old: NDArray[_Number], new: NDArray[_Number]) -> NDArray[_Number]:
        """Return numbers that belong to the one and the other."""
        merged = np.empty(len(self._is_old), old.dtype)
        merged[self._is_old], merged[self._places] = old, new
        return merged


def _order(keys: Keys) -> NDArray[np.int64]:
    """Return keys' places in the order of the first of their hashes, of equal ones as they stand."""
    first = np.ascontiguousarray(keys[:, 0])
    order = np.argsort(first)  # several times as fast as one that heeds how equal ones stand
    ascending = first[order]
    if (ascending[1:] == ascending[:-1]).any():
        order = np.argsort(first, kind="stable")
    return order
