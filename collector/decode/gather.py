"""What stands at many places of a buffer, gathered into columns.

By the native library where it is there, else by numpy and Arrow; the outcome is the same.
"""

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from exray.collector.native_library import otlp_library
from exray.exporters.span_content import SKETCH_PREFIX

from .octets import Octets, Places
from .packed_texts import sketch_from_text, sketches_from_rows, span_ids_from_rows
from .span_table import arrow

if TYPE_CHECKING:
    import pyarrow as pa

    Array = pa.Array[Any]

Flags = NDArray[np.bool_]

_INLINE = 12
"""Longest text that stands in a view itself."""

_PREFIX = SKETCH_PREFIX.encode()

_MASKS = np.array([(1 << 8 * size) - 1 for size in range(9)], np.uint64)
"""Of the first bytes of a word, by their number."""


def address(array: NDArray[Any]) -> ctypes.c_void_p:
    """Return where the numbers of *array* stand, which must outlive the use of it."""
    return ctypes.c_void_p(array.ctypes.data)


def texts_at(
    octets: Octets, places: Places, sizes: Places, present: Flags | None
) -> "Array | None":
    """Return texts, or None where one of them is no UTF-8.

    Args:
        octets: The buffer.
        places: Where each begins, shape (texts,).
        sizes: Bytes of each, the same shape, 0 for those not present.
        present: Which are not NULL, None for all.
    """
    pa = arrow()
    valid = None
    if present is not None:
        valid = pa.py_buffer(np.packbits(present, bitorder="little").tobytes())
    library = otlp_library().handle
    if library is None:
        seen = _views(octets, places, sizes, valid)
        try:
            seen.validate(full=True)
        except pa.ArrowInvalid:
            return None
        array: Array = seen.cast(pa.string())
        return array
    count = len(places)
    places, lengths = np.ascontiguousarray(places), sizes.astype(np.int32)
    offsets = np.empty(count + 1, np.int32)
    content = np.empty(int(sizes.sum()), np.uint8)
    bad = library.exray_otlp_texts(
        address(octets.bytes),
        address(places),
        address(lengths),
        ctypes.c_int64(count),
        address(offsets),
        address(content),
    )
    if bad >= 0:
        return None
    buffers = [valid, pa.py_buffer(offsets), pa.py_buffer(content)]
    gathered: Array = pa.Array.from_buffers(pa.string(), count, buffers)
    return gathered


def _views(octets: Octets, places: Places, sizes: Places, valid: Any) -> Any:
    """Return texts as Arrow's string views have them.

    A view has 16 bytes: the size, then the text itself, or its first four bytes and where
    all of it is. https://arrow.apache.org/docs/format/Columnar.html#variable-size-binary-view-layout
    """
    pa = arrow()
    views = np.zeros((len(places), 4), np.uint32)
    views[:, 0] = sizes
    head = octets.words[places]
    long = sizes > _INLINE
    if long.any():
        views[:, 1] = head & np.uint64(0xFFFFFFFF)
        views[:, 3] = places
    short = ~long
    if short.any():
        within = places[short]
        first = head[short] & _MASKS[np.minimum(sizes[short], 8)]
        rest = octets.words[within + 8] & _MASKS[np.clip(sizes[short] - 8, 0, 4)]
        views[short, 1] = first & np.uint64(0xFFFFFFFF)
        views[short, 2] = first >> np.uint64(32)
        views[short, 3] = rest & np.uint64(0xFFFFFFFF)
    buffers = [valid, pa.py_buffer(views), pa.py_buffer(octets.data)]
    return pa.Array.from_buffers(pa.string_view(), len(places), buffers)


def sketches_at(
    octets: Octets, places: Places, size: int, length: int
) -> tuple[NDArray[np.float32], Flags]:
    """Return sketches of one size, shape (sketches, size), and which of them are such.

    Args:
        octets: The buffer.
        places: Where the text of each begins, whole within the buffer.
        size: Numbers of each.
        length: Bytes of each text.
    """
    library = otlp_library().handle
    if library is None:
        return _sketches_from_rows(octets.rows(places, length), size)
    values = np.empty((len(places), size), np.float32)
    good = np.empty(len(places), np.bool_)
    places = np.ascontiguousarray(places)
    library.exray_otlp_floats(
        address(octets.bytes),
        address(places),
        ctypes.c_int64(len(places)),
        ctypes.c_char_p(_PREFIX),
        ctypes.c_int32(len(_PREFIX)),
        ctypes.c_int32(size),
        address(values),
        address(good),
    )
    return values, good


def _sketches_from_rows(texts: NDArray[np.uint8], size: int) -> tuple[NDArray[np.float32], Flags]:
    values = sketches_from_rows(texts)
    if values is not None:
        return values, np.ones(len(texts), np.bool_)
    values = np.zeros((len(texts), size), np.float32)
    good = np.zeros(len(texts), np.bool_)
    for row, text in enumerate(texts):  # one of them is no sketch: look at each
        found = sketch_from_text(text.tobytes().decode("latin-1"))
        if found is not None:
            values[row], good[row] = found, True
    return values, good


def span_ids_at(octets: Octets, places: Places) -> tuple[NDArray[np.uint64], Flags]:
    """Return ids of 16 hex digits, and which of them are such.

    Args:
        octets: The buffer.
        places: Where each begins, whole within the buffer.
    """
    library = otlp_library().handle
    if library is None:
        rows, good = span_ids_from_rows(octets.rows(places, 16))
        return np.ascontiguousarray(rows).view(np.uint64).reshape(-1), good
    ids, good = np.empty(len(places), np.uint64), np.empty(len(places), np.bool_)
    places = np.ascontiguousarray(places)
    library.exray_otlp_hex_ids(
        address(octets.bytes),
        address(places),
        ctypes.c_int64(len(places)),
        address(ids),
        address(good),
    )
    return ids, good
