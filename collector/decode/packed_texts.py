"""Numbers that travel as text: sketches, predictions, the id of a frame."""

import binascii
import re

import numpy as np
import pybase64
from numpy.typing import NDArray

from exray.exporters.base64_rows import base64_size
from exray.exporters.span_content import SKETCH_PREFIX
from exray.schema.errors import DataError
from exray.schema.packed import unpack_floats
from exray.schema.records import SKETCH_SIZE, WIDE_SKETCH_SIZE
from exray.schema.sketch import SKETCH_VERSION, fold

SKETCH_SIZES = {
    len(SKETCH_PREFIX) + base64_size(4 * size): size for size in (1, 2, 4, 8, 16, 32, 64, 256)
}
"""Values of a sketch by the length of its text."""

_ID = re.compile("[0-9a-fA-F]{16}")
_INTEGER = re.compile("-?[0-9]{1,10}")
_REAL = re.compile(r"-?(?:[0-9]{1,20}(?:\.[0-9]{0,20})?(?:e[-+]?[0-9]{1,3})?|inf)|nan")

_HEX = np.full(256, 255, np.uint8)
_HEX[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)
_HEX[np.frombuffer(b"ABCDEF", np.uint8)] = np.arange(10, 16)


def sketch_from_text(text: str) -> NDArray[np.float32] | None:
    """Return the numbers of a sketch, shape (size,), None where the text holds none."""
    if SKETCH_SIZES.get(len(text)) is None or not text.isascii():
        return None
    try:
        values = unpack_floats(text, SKETCH_VERSION)
    except DataError:
        return None
    return values if len(values) == SKETCH_SIZES[len(text)] else None


def sketches_from_rows(rows: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """Return sketches of one size, shape (rows, size), None where some text holds none.

    One call decodes them all, as it encodes them: the padding of
    each is read as zeros, which are cut off again.

    Args:
        rows: Their texts, shape (rows, characters), a length of `SKETCH_SIZES`.
    """
    size = SKETCH_SIZES[rows.shape[1]]
    prefix = np.frombuffer(SKETCH_PREFIX.encode(), np.uint8)
    padding = -4 * size % 3
    chars = rows[:, len(prefix) :].copy()
    if not (rows[:, : len(prefix)] == prefix).all():
        return None
    tail = chars[:, chars.shape[1] - padding :]
    if not (tail == ord("=")).all():
        return None
    tail[...] = ord("A")
    try:
        data = pybase64.b64decode(chars.data, validate=True)
    except binascii.Error:
        return None
    whole = chars.shape[1] // 4 * 3
    octets = np.frombuffer(data, np.uint8).reshape(len(chars), whole)[:, : 4 * size]
    return np.ascontiguousarray(octets).view("<f4").astype(np.float32, copy=False)


def folded(wide: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the 64 sums that the last axis of *wide*, of 256, folds to."""
    with np.errstate(over="ignore", invalid="ignore"):
        return fold(wide.astype(np.float64), SKETCH_SIZE).astype(np.float32)


def is_wide(values: NDArray[np.float32]) -> bool:
    """Tell whether a sketch is one of 256."""
    return bool(values.shape[-1] == WIDE_SKETCH_SIZE)


def span_id_from_text(text: str) -> bytes | None:
    """Return an id from its hex digits, None where they are not 16."""
    return bytes.fromhex(text) if _ID.fullmatch(text) else None


def span_ids_from_rows(rows: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return ids from their 16 hex digits, shape (rows, 8), and which are such."""
    digits: NDArray[np.uint8] = _HEX[rows]
    good: NDArray[np.bool_] = (digits != 255).all(axis=1)
    ids: NDArray[np.uint8] = digits[:, 0::2] << np.uint8(4) | digits[:, 1::2] & np.uint8(15)
    return ids, good


def integers_from_text(text: str) -> list[int] | None:
    """Return the 32-bit integers of a list with commas, None where it is none."""
    parts = text.split(",") if text else []
    if not all(map(_INTEGER.fullmatch, parts)):
        return None
    values = list(map(int, parts))
    return values if all(-(2**31) <= value < 2**31 for value in values) else None


def reals_from_text(text: str) -> list[float] | None:
    """Return the numbers of a list with commas, None where it is none."""
    parts = text.split(",") if text else []
    return list(map(float, parts)) if all(map(_REAL.fullmatch, parts)) else None
