"""Rows of many blocks put together."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def joined_rows(
    parts: Sequence[NDArray[np.void]], out: NDArray[np.void] | None = None
) -> NDArray[np.void]:
    """Return the rows of *parts*, all of one structured type, one after the other.

    ``numpy.concatenate`` compares the fields of every pair of parts, which takes longer than
    to copy them.

    Args:
        parts: At least one, each of shape (rows,); they may be empty.
        out: Where to put them, of the shape that is returned.

    Raises:
        ValueError: Their types differ.
    """
    dtype = parts[0].dtype
    if any(part.dtype is not dtype and part.dtype != dtype for part in parts):
        msg = f"rows of different types cannot be joined: {sorted({str(p.dtype) for p in parts})}"
        raise ValueError(msg)
    if out is None:
        if len(parts) == 1:
            return parts[0]
        out = np.empty(sum(map(len, parts)), dtype)
    raw, size, start = out.view(np.uint8), dtype.itemsize, 0
    for part in parts:
        end = start + len(part) * size
        raw[start:end] = np.ascontiguousarray(part).view(np.uint8)
        start = end
    return out
