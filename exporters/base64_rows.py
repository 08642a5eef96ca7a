"""Base64 of many rows at once: sketches are text on the wire."""

import numpy as np
import pybase64
from numpy.typing import NDArray

_BLOCK_BYTES = 32 * 1024
"""Encoded at once: it stays in a core's first cache."""


def base64_size(size: int) -> int:
    """Return how many characters *size* bytes become.

    >>> base64_size(256)
    344
    """
    return -(-size // 3) * 4


def base64_rows(rows: NDArray[np.uint8], out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """Encode each row by itself, padded as RFC 4648 has it.

    One call encodes many rows, by vector instructions where there are any, each filled up
    with zeros to whole groups of three bytes; the characters that the zeros become are
    overwritten.

    Args:
        rows: Shape (n, bytes).
        out: Where to write, of the shape that is returned.

    Returns:
        Characters, shape (n, `base64_size` of the bytes).

    >>> base64_rows(np.frombuffer(b"exray ok", np.uint8).reshape(2, 4)).tobytes()
    b'ZXhyYQ==eSBvaw=='
    """
    count, size = rows.shape
    chars = base64_size(size)
    whole = chars // 4 * 3
    text = np.empty((count, chars), np.uint8) if out is None else out
    block = max(_BLOCK_BYTES // max(whole, 1), 1)
    padded = np.zeros((min(block, count), whole), np.uint8)
    for start in range(0, count, block):
        part = rows[start : start + block]
        padded[: len(part), :size] = part
        encoded = pybase64.b64encode(padded[: len(part)].data)
        text[start : start + block] = np.frombuffer(encoded, np.uint8).reshape(len(part), chars)
    text[:, chars - (whole - size) :] = ord("=")
    return text
