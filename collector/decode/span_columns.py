"""What many spans read at once become: columns of the table of spans."""

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from exray.exporters.arrays import numbers
from exray.exporters.span_content import FRAME, OWN_SCOPE, TENSOR

from .gather import sketches_at, span_ids_at, texts_at
from .known import FOREIGN, kinds_of
from .lists import ListsBySize
from .lockstep import Column, Flags, SpanReader
from .octets import Octets, Places
from .packed_texts import (
    SKETCH_SIZES,
    folded,
    integers_from_text,
    is_wide,
    reals_from_text,
)
from .plain import MAX_NS
from .span_table import arrow, span_schema

if TYPE_CHECKING:
    import pyarrow as pa

    Array = pa.Array[Any]


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
            columns[name] = _number_column(column)
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


def _number_column(column: Column) -> "Array":
    values: NDArray[Any] = column.values
    if column.known.kind == "small":
        values = values.astype(np.int32)
    return numbers(values, None if column.present.all() else ~column.present)


def _text_column(column: Column, octets: Octets, odd: Flags) -> "Array":
    present = None if column.present.all() else column.present
    return _texts(octets, column.places, column.sizes, present, odd)


def _texts(
    octets: Octets, places: Places, sizes: Places, present: Flags | None, odd: Flags
) -> "Array":
    """Return texts; spans whose text is no UTF-8 become odd, and their text empty."""
    sound = ~odd if present is None else present & ~odd
    if not sound.all():
        places, sizes = np.where(sound, places, 0), np.where(sound, sizes, 0)
    array = texts_at(octets, places, sizes, present)
    if array is None:
        for row in np.flatnonzero(sound).tolist():
            place, size = int(places[row]), int(sizes[row])
            try:
                octets.data[place : place + size].decode()
            except UnicodeDecodeError:
                odd[row] = True
        return _texts(octets, places, sizes, present, odd)
    return array


def _frame_ids(column: Column, octets: Octets, odd: Flags) -> "Array":
    count = len(odd)
    rows = column.rows
    right = column.sizes[rows] == 16
    odd[rows[~right]] = True
    rows = rows[right]
    ids, good = span_ids_at(octets, column.places[rows])
    odd[rows[~good]] = True
    spread = np.zeros(count, np.uint64)
    spread[rows] = ids
    present = np.zeros(count, np.bool_)
    present[rows] = True
    return _ids(spread, present)


def _sketches(column: Column, octets: Octets, odd: Flags) -> "dict[str, Array]":
    """Return the columns of sketches, the wide ones and their folds."""
    count = len(odd)
    narrow, wide = ListsBySize(count), ListsBySize(count)
    all_rows = column.rows
    sizes = column.sizes[all_rows]
    for size in np.unique(sizes).tolist():
        rows = all_rows[sizes == size]
        if size not in SKETCH_SIZES:
            odd[rows] = True
            continue
        values, good = sketches_at(octets, column.places[rows], SKETCH_SIZES[size], size)
        if not good.all():
            odd[rows[~good]] = True
            rows, values = rows[good], values[good]
        if is_wide(values):
            wide.put(rows, values)
            values = folded(values)
        narrow.put(rows, values)
    return {"sketch": narrow.array(), "sketch_256": wide.array()}


_NUMBER_LISTS: dict[str, Any] = {
    "prediction_ids": integers_from_text,
    "prediction_scores": reals_from_text,
}


def _number_lists(column: Column, octets: Octets, odd: Flags) -> "Array":
    """Return lists of numbers: of frames alone, so one by one."""
    pa = arrow()
    read = _NUMBER_LISTS[column.known.column]
    found: list[list[float] | None] = [None] * len(odd)
    rows = column.rows
    for row, place, size in zip(
        rows.tolist(), column.values[rows].tolist(), column.sizes[rows].tolist(), strict=True
    ):
        found[row] = read(octets.data[place : place + size].decode("latin-1"))
        if found[row] is None:
            odd[row] = True
    array: Array = pa.array(found, cast("Any", span_schema()).field(column.known.column).type)
    return array
