"""What many spans read at once become: columns of the table of spans."""

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from exray.exporters.arrays import numbers
from exray.exporters.span_content import FRAME, OWN_SCOPE, TENSOR

from .known import FOREIGN, kinds_of
from .lockstep import Column, Flags, SpanReader
from .octets import Octets, Places
from .packed_texts import (
    SKETCH_SIZES,
    folded,
    integers_from_text,
    is_wide,
    reals_from_text,
    sketch_from_text,
    sketches_from_rows,
    span_ids_from_rows,
)
from .plain import MAX_NS
from .span_table import arrow, span_schema

if TYPE_CHECKING:
    import pyarrow as pa

    Array = pa.Array[Any]

_INLINE = 12
"""Longest text that stands in a view itself."""


def table_from_spans(
    spans: SpanReader, origins: NDArray[np.int32], received_ns: NDArray[np.int64]
) -> "tuple[pa.Table, Flags]":
    """Return the spans that are exray's own, and which are not: those are to be read singly.

    Args:
        spans: Spans of exray's scope, read.
        origins: Number of the resource of each, all of them runs.
        received_ns: When each was received.
    """
    pa = arrow()
    odd = spans.odd.copy()
    odd |= (spans.starts > MAX_NS) | (spans.ends_ns > MAX_NS)
    octets = spans.octets
    kinds = kinds_of(_is_named(spans, FRAME) & ~odd, _is_named(spans, TENSOR) & ~odd, spans.masks)
    odd |= kinds == FOREIGN
    count = len(odd)
    starts, ends = spans.starts.view(np.int64), spans.ends_ns.view(np.int64)
    columns: dict[str, Any] = {
        "origin": numbers(origins),
        "span_kind": numbers(kinds),
        "trace_id": pa.Array.from_buffers(
            pa.binary(16), count, [None, pa.py_buffer(spans.trace_ids)]
        ),
        "span_id": pa.Array.from_buffers(pa.binary(8), count, [None, pa.py_buffer(spans.span_ids)]),
        "parent_span_id": _ids(spans.parents, spans.has_parent),
        "name": _texts(octets, spans.names, spans.name_sizes, None, odd),
        "kind": _constant("internal", count),
        "status": _constant("unset", count),
        "scope": _constant(OWN_SCOPE, count),
        "start_ns": numbers(starts),
        "dur_ns": numbers(np.where(ends != 0, np.maximum(ends - starts, 0), -1)),
        "received_ns": numbers(received_ns),
    }
    for name, column in spans.columns.items():
        if name == "sketch":
            columns |= _sketches(column, octets, odd)
        elif name in _NUMBER_LISTS:
            columns[name] = _number_lists(column, octets, odd)
        elif name == "frame_id":
            columns[name] = _frame_ids(column, octets, odd)
        elif column.known.kind == "text":
            columns[name] = _text_column(column, octets, odd)
        else:
            columns[name] = _number_column(column, count)
    schema: Any = span_schema()
    arrays = [columns[f.name] if f.name in columns else pa.nulls(count, f.type) for f in schema]
    table = pa.Table.from_arrays(arrays, schema=schema)
    return (table.filter(pa.array(~odd)) if odd.any() else table), odd


def _is_named(spans: SpanReader, name: str) -> Flags:
    same: Flags = (spans.name_sizes == len(name)) & ~spans.odd
    if same.any():
        places = np.where(same, spans.names, 0)
        same &= spans.octets.equal(places, name.encode())
    return same


def _ids(words: NDArray[np.uint64], present: Flags) -> "Array":
    pa = arrow()
    bits = np.packbits(present, bitorder="little")
    buffers = [pa.py_buffer(bits.tobytes()), pa.py_buffer(words)]
    array: Array = pa.Array.from_buffers(pa.binary(8), len(words), buffers)
    return array


def _constant(text: str, count: int) -> "Array":
    pa = arrow()
    array: Array = pa.repeat(pa.scalar(text, pa.string()), count)
    return array


def _number_column(column: Column, count: int) -> "Array":
    values: NDArray[Any] = column.values
    if column.known.kind == "small":
        values = values.astype(np.int32)
    if len(column.rows) == count:
        spread = np.empty_like(values)
        spread[column.rows] = values
        return numbers(spread)
    spread = np.zeros(count, values.dtype)
    missing = np.ones(count, np.bool_)
    spread[column.rows], missing[column.rows] = values, False
    return numbers(spread, missing)


def _text_column(column: Column, octets: Octets, odd: Flags) -> "Array":
    count = len(odd)
    places, sizes = np.zeros(count, np.int64), np.zeros(count, np.int64)
    present = np.zeros(count, np.bool_)
    places[column.rows], sizes[column.rows], present[column.rows] = (
        column.values,
        column.sizes,
        True,
    )
    return _texts(octets, places, sizes, None if present.all() else present, odd)


def _texts(
    octets: Octets, places: Places, sizes: Places, present: Flags | None, odd: Flags
) -> "Array":
    """Return texts; spans whose text is no UTF-8 become odd, and their text empty."""
    pa = arrow()
    sound = ~odd if present is None else present & ~odd
    if not sound.all():
        places, sizes = np.where(sound, places, 0), np.where(sound, sizes, 0)
    array = _from_views(octets, places, sizes, present)
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        for row in np.flatnonzero(sound).tolist():
            place, size = int(places[row]), int(sizes[row])
            try:
                octets.data[place : place + size].decode()
            except UnicodeDecodeError:
                odd[row] = True
        return _texts(octets, places, sizes, present, odd)
    return array


def _from_views(octets: Octets, places: Places, sizes: Places, present: Flags | None) -> "Array":
    """Return texts at these places as Arrow's string views have them, copied into strings.

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
        first = head[short] & _first(np.minimum(sizes[short], 8))
        rest = octets.words[within + 8] & _first(np.clip(sizes[short] - 8, 0, 4))
        views[short, 1] = first & np.uint64(0xFFFFFFFF)
        views[short, 2] = first >> np.uint64(32)
        views[short, 3] = rest & np.uint64(0xFFFFFFFF)
    valid = None
    if present is not None:
        valid = pa.py_buffer(np.packbits(present, bitorder="little").tobytes())
    buffers = [valid, pa.py_buffer(views), pa.py_buffer(octets.data)]
    seen = pa.Array.from_buffers(pa.string_view(), len(places), buffers)
    array: Array = seen.cast(pa.string())
    return array


def _first(sizes: Places) -> NDArray[np.uint64]:
    """Return masks of the first bytes of a word."""
    return _MASKS[sizes]


_MASKS = np.array([(1 << 8 * size) - 1 for size in range(9)], np.uint64)


def _frame_ids(column: Column, octets: Octets, odd: Flags) -> "Array":
    count = len(odd)
    right = column.sizes == 16
    odd[column.rows[~right]] = True
    rows = column.rows[right]
    ids, good = span_ids_from_rows(octets.rows(column.places[right], 16))
    odd[rows[~good]] = True
    spread = np.zeros((count, 8), np.uint8)
    spread[rows] = ids
    present = np.zeros(count, np.bool_)
    present[rows] = True
    return _ids(spread.view(np.uint64).reshape(-1), present)


def _sketches(column: Column, octets: Octets, odd: Flags) -> "dict[str, Array]":
    """Return the columns of sketches, the wide ones and their folds."""
    count = len(odd)
    narrow, wide = _ListsBySize(count), _ListsBySize(count)
    for size in np.unique(column.sizes).tolist():
        chosen = column.sizes == size
        rows, places = column.rows[chosen], column.places[chosen]
        if size not in SKETCH_SIZES:
            odd[rows] = True
            continue
        texts = octets.rows(places, size)
        values = sketches_from_rows(texts)
        if values is None:  # one of them is no sketch: look at each
            good = [_holds_sketch(text.tobytes()) for text in texts]
            odd[rows[~np.array(good)]] = True
            rows, texts = rows[good], texts[good]
            values = sketches_from_rows(texts)
            if values is None:
                odd[rows] = True
                continue
        if is_wide(values):
            wide.put(rows, values)
            values = folded(values)
        narrow.put(rows, values)
    return {"sketch": narrow.array(), "sketch_256": wide.array()}


def _holds_sketch(text: bytes) -> bool:
    return sketch_from_text(text.decode("latin-1")) is not None


class _ListsBySize:
    """Lists of float32 of which many have one size."""

    def __init__(self, count: int) -> None:
        self._sizes = np.zeros(count, np.int64)
        self._parts: list[tuple[Places, NDArray[np.float32]]] = []

    def put(self, rows: Places, values: NDArray[np.float32]) -> None:
        """Add lists of one size."""
        self._sizes[rows] = values.shape[1]
        self._parts.append((rows, values))

    def array(self) -> "Array":
        """Return the lists, NULL where none was put."""
        pa = arrow()
        offsets = np.zeros(len(self._sizes) + 1, np.int32)
        np.cumsum(self._sizes, out=offsets[1:])
        elements = np.empty(int(offsets[-1]), np.float32)
        for rows, values in self._parts:
            first: Places = offsets[rows].astype(np.int64)
            across = np.arange(int(values.shape[1]))
            elements[first[:, None] + across] = values
        array: Array = pa.ListArray.from_arrays(
            pa.array(offsets), pa.array(elements), mask=pa.array(self._sizes == 0)
        )
        return array


_NUMBER_LISTS: dict[str, Any] = {
    "prediction_ids": integers_from_text,
    "prediction_scores": reals_from_text,
}


def _number_lists(column: Column, octets: Octets, odd: Flags) -> "Array":
    """Return lists of numbers: of frames alone, so one by one."""
    pa = arrow()
    read = _NUMBER_LISTS[column.known.column]
    found: list[list[float] | None] = [None] * len(odd)
    for row, place, size in zip(
        column.rows.tolist(), column.values.tolist(), column.sizes.tolist(), strict=True
    ):
        found[row] = read(octets.data[place : place + size].decode("latin-1"))
        if found[row] is None:
            odd[row] = True
    array: Array = pa.array(found, cast("Any", span_schema()).field(column.known.column).type)
    return array
