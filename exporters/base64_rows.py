"""Base64 of many rows at once: sketches are text on the wire.

The standard library encodes one string a call; all sketches of a batch take one pass here,
with a table of 4096 pairs of characters.
"""

import numpy as np
from numpy.typing import NDArray

_ALPHABET = np.frombuffer(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", np.uint8
)
_BITS = np.arange(4096)
_PAIRS = (
    np.stack([_ALPHABET[_BITS >> 6], _ALPHABET[_BITS & 63]], axis=1).view(np.uint16).reshape(-1)
)
"""The two characters of 12 bits, as they lie in memory."""


_BLOCK_GROUPS = 8000
"""Groups of three bytes encoded at once: their intermediate arrays stay in a core's cache."""


def base64_size(size: int) -> int:
    """Return how many characters *size* bytes become.

    >>> base64_size(256)
    344
    """
    return -(-size // 3) * 4


def base64_rows(rows: NDArray[np.uint8], out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """Encode each row by itself, padded as RFC 4648 has it.

    Args:
        rows: Shape (n, bytes).
        out: Where to write, of the shape that is returned.

    Returns:
        Characters, shape (n, `base64_size` of the bytes).

    >>> base64_rows(np.frombuffer(b"exray ok", np.uint8).reshape(2, 4)).tobytes()
    b'ZXhyYQ==eSBvaw=='
    """
    count, size = rows.shape
    groups = -(-size // 3)
    text = np.empty((count, groups * 4), np.uint8) if out is None else out
    block = max(_BLOCK_GROUPS // max(groups, 1), 1)
    # One byte more than the groups have: the last is read as four bytes like the others.
    padded = np.zeros(block * groups * 3 + 1, np.uint8)
    index = np.empty((block * groups, 2), np.intp)
    for start in range(0, count, block):
        part = rows[start : start + block]
        used = len(part) * groups
        padded[:-1].reshape(block, groups * 3)[: len(part), :size] = part
        quads = np.ndarray((used,), ">u4", padded.data, 0, (3,)).astype(np.uint32)
        np.right_shift(quads, 20, out=index[:used, 0], casting="unsafe")
        quads >>= 8
        np.bitwise_and(quads, 0xFFF, out=index[:used, 1], casting="unsafe")
        pairs = _PAIRS.take(index[:used].reshape(-1), mode="clip")
        text[start : start + block] = pairs.view(np.uint8).reshape(len(part), groups * 4)
    text[:, groups * 4 - (groups * 3 - size) :] = ord("=")
    return text
