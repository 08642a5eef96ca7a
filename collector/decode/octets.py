"""Protobuf's wire format read at many places of one buffer at once.

Nothing here trusts what it reads: every place is inside the buffer before it is looked at,
because the buffer ends in padding longer than the longest read, and a reader says which of
its values are not what was expected instead of raising.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

PADDING = 32
"""Zeros behind the data: more than a varint, or a word at any place of it."""

_ZERO = np.uint64(0)
_TOP = np.uint64(0x8080808080808080)
_SEVEN = np.uint64(0x7F)
_FIRST = np.array([(1 << 8 * size) - 1 for size in range(9)], np.uint64)
"""Masks of the first bytes of a word, by their number."""

Places = NDArray[np.int64]
"""Offsets in a buffer, shape (n,)."""


class Octets:
    """A buffer, and every place in it seen as a number, aligned or not.

    Args:
        parts: What it holds, one behind the other.
    """

    def __init__(self, parts: "list[bytes] | list[memoryview]") -> None:
        self.size = sum(map(len, parts))
        self.data = b"".join([*parts, bytes(PADDING)])
        self.bytes: NDArray[np.uint8] = np.frombuffer(self.data, np.uint8)
        self.words: NDArray[np.uint64] = self._seen_as("<u8")
        self._halves: NDArray[np.uint16] = self._seen_as("<u2")

    def _seen_as(self, dtype: str) -> NDArray[Any]:
        count = len(self.data) - np.dtype(dtype).itemsize + 1
        return np.ndarray((count,), dtype, self.data, 0, (1,))

    def rows(self, places: Places, size: int) -> NDArray[np.uint8]:
        """Return *size* bytes at each place, all of them within the data: (places, size)."""
        if not len(places) or not size:
            return np.empty((len(places), size), np.uint8)
        seen = np.ndarray((len(self.data) - size + 1,), f"V{size}", self.data, 0, (1,))
        return seen[places].view(np.uint8).reshape(len(places), size)

    def sizes(self, places: Places) -> tuple[Places, Places]:
        """Read a length at each place.

        Returns:
            The lengths, and the places behind them. A length of more than four bytes is
            -1: no message is so long.
        """
        first = self.bytes[places]
        sizes, after = first.astype(np.int64), places + 1
        long = np.flatnonzero(first & 0x80)
        if long.size:
            sizes[long], count = _long_sizes(self.words[places[long]])
            after[long] += count
        return sizes, after

    def tags(self, places: Places) -> tuple[NDArray[np.int64], Places]:
        """Read a field's tag of one or two bytes at each place.

        Returns:
            The tags, -1 for a longer one, and the places behind them.
        """
        first = self.bytes[places].astype(np.int64)
        if (first < 0x80).all():
            return first, places + 1
        second = self.bytes[places + 1].astype(np.int64)
        wide = first >= 0x80
        long = (first & 0x7F) | second << 7
        tags = np.where(wide, np.where(second < 0x80, long, -1), first)
        return tags, places + 1 + wide

    def integers(
        self, places: Places, sizes: Places
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Read a varint of a known size at each place.

        Args:
            places: Their first bytes.
            sizes: Bytes that each must take.

        Returns:
            The values, and which of them are varints of just that size.
        """
        words = self.words[places]
        short = np.clip(sizes, 0, 8)
        low = words & _FIRST[short]
        # All but the last byte go on.
        wanted = np.where(sizes > 8, _TOP, _TOP & _FIRST[np.maximum(short - 1, 0)])
        good = (sizes >= 1) & (sizes <= 10) & (low & _TOP == wanted)
        low &= ~_TOP
        low = (low & np.uint64(0x007F007F007F007F)) | (
            low >> np.uint64(1) & np.uint64(0x3F803F803F803F80)
        )
        low = (low & np.uint64(0x00003FFF00003FFF)) | (
            low >> np.uint64(2) & np.uint64(0x0FFFC0000FFFC000)
        )
        low = (low & np.uint64(0x000000000FFFFFFF)) | (
            low >> np.uint64(4) & np.uint64(0x00FFFFFFF0000000)
        )
        if (sizes > 8).any():
            high = self._halves[places + 8].astype(np.uint64)
            eighth, ninth = high & np.uint64(0xFF), high >> np.uint64(8)
            nine, ten = sizes == 9, sizes == 10
            good &= ~nine | (eighth < 0x80)
            good &= ~ten | ((eighth >= 0x80) & (ninth < 2))
            low |= np.where(nine | ten, (eighth & _SEVEN) << np.uint64(56), _ZERO)
            low |= np.where(ten, (ninth & np.uint64(1)) << np.uint64(63), _ZERO)
        return low.view(np.int64), good

    def equal(self, places: Places, expected: bytes) -> NDArray[np.bool_]:
        """Tell at which places *expected* stands, each with as many bytes left."""
        same = np.ones(len(places), np.bool_)
        padded = expected + bytes(8)
        for at in range(0, len(expected), 8):
            word = np.frombuffer(padded, "<u8", 1, at)[0]
            mask = _FIRST[min(len(expected) - at, 8)]
            same &= self.words[places + at] & mask == word & mask
        return same

    def hashes(self, places: Places, sizes: Places) -> NDArray[np.uint64]:
        """Return a number for the bytes at each place, by which equal ones are found.

        Different bytes may have the same: whoever relies on it compares them.
        """
        # Keys mostly begin alike: their ends, middles and sizes tell them apart.
        within = _FIRST[np.minimum(sizes, 8)]
        tail = self.words[places + np.maximum(sizes - 8, 0)] & within
        middle = self.words[places + np.maximum((sizes >> 1) - 4, 0)] & within
        mixed: NDArray[np.uint64] = tail * np.uint64(0xC2B2AE3D27D4EB4F)
        mixed ^= middle * np.uint64(0x165667B19E3779F9)
        mixed ^= sizes.astype(np.uint64)
        return mixed


def _long_sizes(words: NDArray[np.uint64]) -> tuple[Places, Places]:
    """Return the lengths that *words* begin with, and how many bytes each has after its first."""
    # Bytes that end a varint have no top bit; the lowest such byte ends this one.
    ends = ~words & _TOP & _FIRST[4]
    upto = ends ^ (ends - np.uint64(1))  # all bits up to that top bit
    group = words & upto & ~_TOP
    value = (group & _SEVEN) | (group >> np.uint64(1) & np.uint64(0x7F << 7))
    value |= group >> np.uint64(2) & np.uint64(0x7F << 14)
    value |= group >> np.uint64(3) & np.uint64(0x7F << 21)
    more = 1 + (ends & np.uint64(0x8000) == _ZERO).astype(np.int64)
    more += ends & np.uint64(0x808000) == _ZERO
    return np.where(ends != _ZERO, value.astype(np.int64), -1), more
