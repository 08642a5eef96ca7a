"""The table of spans into rows of the lake: frames, layers, tensors, and all other spans.

What a frame's rows say of each other (how long its stages took together, which execution of
a model a layer belongs to) is not on the wire. It is found among the spans that are decoded
together; a frame travels in one request, so they are.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from exray.exporters.arrays import columns_from_rows, numbers, table_from_columns
from exray.exporters.span_content import INFERENCE, UNMEASURED

from .known import FOREIGN, OWN_FRAME, OWN_LAYER, OWN_OTHER, OWN_TENSOR
from .lists import taken_lists
from .origin import Origin
from .span_table import arrow

if TYPE_CHECKING:
    import pyarrow as pa

    Array = pa.Array[Any]

SPAN_TABLES = ("tensors", "layer_spans", "spans", "frames")
"""What spans become."""

_NONE = -1
"""No inference."""


def tables_from_spans(table: "pa.Table", origins: Sequence[Origin]) -> "dict[str, pa.Table]":
    """Return rows of ``frames``, ``layer_spans``, ``tensors`` and ``spans``.

    Args:
        table: Decoded spans, see `span_table`.
        origins: What its column ``origin`` numbers.
    """
    spans = _Spans(table, origins)
    kinds = spans.kinds
    has_tensor, is_layer = ~_nulls(table, "tensor_role"), kinds == OWN_LAYER
    other = (kinds == OWN_OTHER) | (kinds == FOREIGN)
    order = spans.in_order("tensors", has_tensor | is_layer)  # which is that of layers too
    return {
        "tensors": spans.rows("tensors", order[has_tensor[order]]),
        "layer_spans": spans.rows("layer_spans", order[is_layer[order]]),
        "spans": spans.rows("spans", spans.in_order("spans", other)),
        "frames": spans.rows("frames", spans.in_order("frames", kinds == OWN_FRAME)),
    }


class _Spans:
    """Decoded spans, with the columns that are made of several."""

    def __init__(self, table: "pa.Table", origins: Sequence[Origin]) -> None:
        self._table: Any = _with_dictionaries(table)
        self.kinds: NDArray[np.int8] = _numpy(table, "span_kind")
        self._traces = _words(table, "trace_id").reshape(-1, 2)
        self._ids = _words(table, "span_id")
        self._parents = _words(table, "parent_span_id")
        self._frames = np.where(self.kinds == OWN_FRAME, self._ids, _words(table, "frame_id"))
        self._durations = self._measured()
        self._identity = _identity(origins)
        """A row for each of *origins*."""
        self._origin = self._table.column("origin").combine_chunks()
        self._columns: dict[str, Any] = {
            "frame_span_id": _ids(self._frames, self.kinds == FOREIGN),
            "dur_ns": numbers(self._durations, self._durations < 0),
            "inference_index": self._inference_indices(),
            "subgraph_index": self._subgraphs(),
            "sketch_version": _versions(self._table.column("sketch")),
            "dt": dates(_numpy(table, "received_ns")),
            **self._times_of_frames(),
        }

    def in_order(self, name: str, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the chosen spans in the order in which a table stores them.

        The lake would put them into it: to take them once, in this order, spares a copy.
        """
        from exray.lake.parquet import sorted_order
        from exray.schema.tables import TABLES

        rows = np.flatnonzero(chosen)
        if not len(rows):
            return rows
        table, index = TABLES[name], numbers(rows)
        origin = self._origin.take(index)
        keys = {key: self._sort_key(key, index, origin) for key in table.sort}
        order = sorted_order(arrow().table(keys), table)
        return rows if order is None else rows[order.to_numpy()]

    def rows(self, name: str, chosen: NDArray[np.int64]) -> "pa.Table":
        """Return the chosen spans as rows of a table of the lake."""
        from exray.schema.arrow import arrow_schema

        if not len(chosen):
            return arrow_schema(name).empty_table()
        fields = arrow_schema(name).names
        index = numbers(chosen)
        origin = self._origin.take(index)
        made = {
            **{f: self._columns[f].take(index) for f in fields if f in self._columns},
            **{f: self._identity[f].take(origin) for f in fields if f in self._identity},
        }
        read = [f for f in self._table.column_names if f in fields and f not in made]
        lists = [f for f in read if isinstance(self._table.field(f).type, arrow().ListType)]
        rest = self._table.select([f for f in read if f not in lists]).take(index)
        made |= dict(zip(rest.column_names, rest.columns, strict=True))
        made |= {f: taken_lists(self._table.column(f), chosen) for f in lists}
        return table_from_columns(name, made)

    def _sort_key(self, name: str, chosen: "Array", origin: "Array") -> Any:
        if name in self._identity:
            return self._identity[name].take(origin)
        columns = self._columns
        return (columns[name] if name in columns else self._table.column(name)).take(chosen)

    def _measured(self) -> NDArray[np.int64]:
        """Return durations, -1 where nobody knows them.

        What was not measured travels as zero. Of a layer its timing says whether that is so;
        a frame, a stage or an inference takes longer than nothing.
        """
        durations: NDArray[np.int64] = _numpy(self._table, "dur_ns").copy()
        timed = (self.kinds == OWN_FRAME) | (self.kinds == OWN_OTHER)
        durations[timed & (durations == 0)] = -1
        untimed = arrow().compute.equal(self._table.column("timing"), UNMEASURED)
        durations[_truth(untimed)] = -1
        return durations

    def _subgraphs(self) -> "Array":
        """Return subgraphs: a layer that names none is in the primary one."""
        column = self._table.column("subgraph_index").combine_chunks()
        absent = column.is_null().to_numpy(zero_copy_only=False)
        values = column.fill_null(0).to_numpy()
        return numbers(values, absent & _nulls(self._table, "layer_index"))

    def _inference_indices(self) -> "Array":
        """Return for each span the position of its inference among those of its frame."""
        indices = np.full(len(self.kinds), _NONE, np.int32)
        inferences = self._inferences()
        indices[inferences] = self._positions(inferences)
        layers, tensors = (np.flatnonzero(self.kinds == kind) for kind in (OWN_LAYER, OWN_TENSOR))
        for below, above in ((layers, inferences), (tensors, inferences), (tensors, layers)):
            lost = below[indices[below] == _NONE]
            found = self._parents_among(lost, above)
            known = found >= 0
            indices[lost[known]] = indices[above[found[known]]]
        return numbers(indices, indices == _NONE)

    def _parents_among(
        self, spans: NDArray[np.int64], above: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return where in *above* the parent of each of *spans* stands, -1 where it does not.

        Layers follow one another, so only the first of those with one parent is looked up.
        """
        parents, traces = self._parents[spans], self._traces[spans]
        is_first = np.ones(len(spans), np.bool_)
        is_first[1:] = (parents[1:] != parents[:-1]) | (traces[1:] != traces[:-1]).any(axis=1)
        firsts = self._keys(self._parents, spans[is_first])
        found = _index_in(firsts, self._keys(self._ids, above))
        return found.take(np.cumsum(is_first) - 1)

    def _inferences(self) -> NDArray[np.int64]:
        """Return which spans are executions of models directly below a frame."""
        named = _truth(arrow().compute.equal(self._table.column("name"), INFERENCE))
        within = self._parents == self._frames
        return np.flatnonzero((self.kinds == OWN_OTHER) & named & within)

    def _positions(self, inferences: NDArray[np.int64]) -> NDArray[np.int32]:
        """Number the inferences of each frame in the order in which they began."""
        starts = _numpy(self._table, "start_ns")[inferences].tolist()
        keys = self._keys(self._frames, inferences).to_pylist()
        ids = [row.tobytes() for row in self._ids[inferences]]
        order = sorted(range(len(keys)), key=lambda i: (keys[i], starts[i], ids[i]))
        positions = np.zeros(len(keys), np.int32)
        for before, number in zip([None, *order], order, strict=False):
            if before is not None and keys[before] == keys[number]:
                positions[number] = positions[before] + 1
        return positions

    def _times_of_frames(self) -> "dict[str, Array]":
        """Return what the stages, and the models, of each frame took together."""
        frames = np.flatnonzero(self.kinds == OWN_FRAME)
        found: dict[str, NDArray[np.int64]] = {
            name: np.zeros(len(self.kinds), np.int64) for name in ("stage_ns", "model_ns")
        }
        inferences = self._inferences()
        within = (self._parents == self._frames) & (self.kinds == OWN_OTHER)
        within[inferences] = False
        for name, parts in (("stage_ns", np.flatnonzero(within)), ("model_ns", inferences)):
            above = _index_in(self._keys(self._parents, parts), self._keys(self._ids, frames))
            known = above >= 0
            spent = np.maximum(self._durations[parts[known]], 0)
            np.add.at(found[name], frames[above[known]], spent)
        return {name: numbers(values) for name, values in found.items()}

    def _keys(self, ids: NDArray[np.uint64], rows: NDArray[np.int64]) -> "Array":
        """Return trace and span id together, of some spans."""
        pa = arrow()
        both = np.column_stack([self._traces[rows], ids[rows]])
        array: Array = pa.Array.from_buffers(
            pa.binary(24), len(rows), [None, pa.py_buffer(both.tobytes())]
        )
        return array


def _with_dictionaries(table: Any) -> Any:
    """Return spans with the texts that the lake stores by dictionary in dictionaries.

    Most are the same for many spans, and two tables have them: so they are compared once, and
    what is taken, sorted and written is numbers.
    """
    from exray.schema.tables import TABLES

    columns = [column for name in SPAN_TABLES for column in TABLES[name].stored_columns]
    texts = {c.name for c in columns if c.type == "string" and c.encoding == "dictionary"}
    for place, field in enumerate(table.schema):
        if field.name in texts:
            encoded = table.column(place).dictionary_encode()
            table = table.set_column(place, field.name, encoded)
    return table


def dates(times_ns: NDArray[np.int64]) -> "Array":
    """Return the UTC date of each time since 1970, as a dictionary."""
    days = times_ns // (86_400 * 10**9)
    distinct, index = np.unique(days, return_inverse=True)
    texts: list[str] = distinct.astype("datetime64[D]").astype(str).tolist()
    array: Array = arrow().DictionaryArray.from_arrays(
        numbers(index.astype(np.int32)), arrow().array(texts, "string")
    )
    return array


def _identity(origins: Sequence[Origin]) -> "dict[str, Array]":
    """Return the columns that a resource decides, a row for each of *origins*.

    Texts stand in dictionaries: nothing behind here looks at them row by row.
    """
    rows = [
        {
            "run_id": origin.run.run_id,
            "build": origin.run.build,
            "model_name": origin.run.model_name,
            "model_sha256": origin.run.model_sha256,
            "role": origin.run.role,
            "resource_json": origin.resource_json,
        }
        for origin in origins
    ]
    if not rows:
        return {}
    columns: dict[str, Any] = {
        **columns_from_rows("spans", rows),
        **columns_from_rows("frames", rows),
    }
    is_text = arrow().types.is_string
    return {f: c.dictionary_encode() if is_text(c.type) else c for f, c in columns.items()}


def _versions(sketches: Any) -> "Array":
    from exray.exporters.blocks import SKETCH_VERSION

    pa = arrow()
    array: Array = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(len(sketches), np.int32), mask=_truth(sketches.is_null())),
        pa.array([SKETCH_VERSION], "string"),
    )
    return array


def _numpy(table: Any, name: str) -> NDArray[Any]:
    values: NDArray[Any] = table.column(name).to_numpy()
    return values


def _nulls(table: Any, name: str) -> NDArray[np.bool_]:
    return _truth(table.column(name).is_null())


def _truth(values: Any) -> NDArray[np.bool_]:
    """Return which of *values* are true; NULL is not."""
    truth: NDArray[np.bool_] = values.fill_null(False).to_numpy().astype(np.bool_)
    return truth


def _words(table: Any, name: str) -> NDArray[np.uint64]:
    """Return ids as the words that they have in memory, zeros where NULL."""
    pa = arrow()
    column = table.column(name).combine_chunks()
    size = column.type.byte_width
    if column.null_count:
        column = column.fill_null(pa.scalar(bytes(size), pa.binary(size)))
    begin, end = size * column.offset, size * (column.offset + len(column))
    data = column.buffers()[1] if len(column) else b""
    return np.frombuffer(data, np.uint8)[begin:end].view(np.uint64)


def _ids(words: NDArray[np.uint64], null: NDArray[np.bool_]) -> "Array":
    pa = arrow()
    valid = pa.py_buffer(np.packbits(~null, bitorder="little").tobytes())
    data = pa.py_buffer(words.tobytes())
    array: Array = pa.Array.from_buffers(pa.binary(8), len(words), [valid, data])
    return array


def _index_in(values: Any, among: Any) -> NDArray[np.int64]:
    """Return where in *among* each of *values* stands, -1 where it does not."""
    found: NDArray[np.int64] = (
        arrow().compute.index_in(values, among).fill_null(-1).to_numpy().astype(np.int64)
    )
    return found
