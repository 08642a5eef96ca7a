"""Memory that is used again and again, instead of asked of the system for every batch.

Arrays of a megabyte come from the system page by page and go back when they are dropped:
that takes longer than to fill them.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Scratch:
    """Arrays by name, each good until the next one of its name."""

    def __init__(self) -> None:
        self._buffers: dict[str, NDArray[np.uint8]] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return an array with anything in it; what *name* stood for before is overwritten.

        >>> Scratch().array("rows", (2, 3), np.int64).shape
        (2, 3)
        """
        kind = np.dtype(dtype)
        size = math.prod(shape) * kind.itemsize
        buffer = self._buffers.get(name)
        if buffer is None or len(buffer) < size:
            buffer = self._buffers[name] = np.empty(size, np.uint8)
        return np.ndarray(shape, kind, buffer.data)


class Arena:
    """Memory handed out piece by piece, and taken back all at once."""

    def __init__(self) -> None:
        self._buffer = np.empty(0, np.uint8)
        self._used = 0

    def take(self, rows: int, size: int) -> NDArray[np.uint8]:
        """Return an array of shape (rows, size), with anything in it."""
        start, self._used = self._used, self._used + rows * size
        if self._used > len(self._buffer):  # it will do from the next time on
            return np.empty((rows, size), np.uint8)
        return self._buffer[start : self._used].reshape(rows, size)

    def clear(self) -> None:
        """Take everything back: what was handed out is overwritten from here on."""
        if self._used > len(self._buffer):
            self._buffer = np.empty(self._used, np.uint8)
        self._used = 0
