"""Columns of integers as varints of a fixed width.

A varint longer than it need be is valid: parsers read up to ten bytes
(https://protobuf.dev/programming-guides/encoding/#varints).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

SHORT_BITS = 28
"""What a varint of four bytes holds: 7 bits each."""


_LONG = np.dtype([("low", "<u8"), ("high", "<u2")])


def long_varints(values: NDArray[np.int64]) -> NDArray[np.void]:
    """Return integers as varints of ten bytes.

    Each byte holds 7 bits, the lowest first, and all but the last have their top bit set.

    Args:
        values: Any shape.

    Returns:
        Shape of *values*, of items of ten bytes.
    """
    bits = values.view(np.uint64)
    low = _spread(bits & np.uint64((1 << 56) - 1), _LONG_HALVINGS)
    low |= np.uint64(0x8080808080808080)
    # Bits 56 to 62 stay where they are, bit 63 moves on to the next byte.
    top = (bits >> np.uint64(56)).astype(np.uint16)
    high = top & np.uint16(0x80)
    high <<= np.uint16(1)
    high |= top
    high |= np.uint16(0x80)
    varints = np.empty(values.shape, _LONG)
    varints["low"], varints["high"] = low, high
    return varints.view("V10")


def short_varints(values: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return integers of up to `SHORT_BITS` bits as varints of four bytes; any shape."""
    low = _spread(values.copy(), _SHORT_HALVINGS)
    low |= np.uint32(0x00808080)
    return low.astype("<u4", copy=False)


def _spread(groups: NDArray[Any], halvings: tuple[tuple[Any, Any, Any], ...]) -> NDArray[Any]:
    """Spread groups of 7 bits over the bytes, in place: halve the groups until they are one."""
    upper = np.empty_like(groups)
    for shift, kept, moved in halvings:
        np.left_shift(groups, shift, out=upper)
        upper &= moved
        groups &= kept
        groups |= upper
    return groups


_LONG_HALVINGS = tuple(
    (np.uint64(shift), np.uint64(kept), np.uint64(kept << shift + distance))
    for shift, distance, kept in (
        (4, 28, 0x0FFFFFFF),
        (2, 14, 0x00003FFF00003FFF),
        (1, 7, 0x007F007F007F007F),
    )
)
"""Shift, what stays where it is, and what is moved."""

_SHORT_HALVINGS = tuple(
    (np.uint32(shift), np.uint32(kept), np.uint32(kept << shift + distance))
    for shift, distance, kept in ((2, 14, 0x00003FFF), (1, 7, 0x007F007F))
)
