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
from .origin import Origin
from .span_table import arrow

if TYPE_CHECKING:
    import pyarrow as pa

    Array = pa.Array[Any]

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
    has_tensor = ~_nulls(table, "tensor_role")
    return {
        "tensors": spans.rows("tensors", has_tensor),
        "layer_spans": spans.rows("layer_spans", kinds == OWN_LAYER),
        "spans": spans.rows("spans", (kinds == OWN_OTHER) | (kinds == FOREIGN)),
        "frames": spans.rows("frames", kinds == OWN_FRAME),
    }


class _Spans:
    """Decoded spans, with the columns that are made of several."""

    def __init__(self, table: "pa.Table", origins: Sequence[Origin]) -> None:
        self._table: Any = table  # in chunks: to combine them would copy every sketch
        self.kinds: NDArray[np.int8] = _numpy(table, "span_kind")
        self._traces = _octets(table, "trace_id", 16)
        self._ids = _octets(table, "span_id", 8)
        self._parents = _octets(table, "parent_span_id", 8)
        self._frames = np.where(
            (self.kinds == OWN_FRAME)[:, None], self._ids, _octets(table, "frame_id", 8)
        )
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

    def rows(self, name: str, chosen: NDArray[np.bool_]) -> "pa.Table":
        """Return the chosen spans as rows of a table of the lake."""
        from exray.schema.arrow import arrow_schema

        if not chosen.any():
            return arrow_schema(name).empty_table()
        fields = arrow_schema(name).names
        index = self._stored_order(name, numbers(np.flatnonzero(chosen)))
        origin = self._origin.take(index)
        made = {
            **{f: self._columns[f].take(index) for f in fields if f in self._columns},
            **{f: self._identity[f].take(origin) for f in fields if f in self._identity},
        }
        read = [f for f in self._table.column_names if f in fields and f not in made]
        table = self._table.select(read).take(index)
        return table_from_columns(name, made | dict(zip(read, table.columns, strict=True)))

    def _stored_order(self, name: str, chosen: "Array") -> "Array":
        """Return the chosen spans in the order in which a table stores them.

        The lake would put them into it: to take them once, in this order, spares a copy.
        """
        from exray.lake.parquet import sorted_order
        from exray.schema.tables import TABLES

        table = TABLES[name]
        origin = self._origin.take(chosen)
        keys = {key: self._sort_key(key, chosen, origin) for key in table.sort}
        order = sorted_order(arrow().table(keys), table)
        ordered: Array = chosen if order is None else chosen.take(order)
        return ordered

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
        for kind in (OWN_LAYER, OWN_TENSOR):
            below = np.flatnonzero(self.kinds == kind)
            above = np.flatnonzero(indices != _NONE)
            found = _index_in(self._keys(self._parents, below), self._keys(self._ids, above))
            known = found >= 0
            indices[below[known]] = indices[above[found[known]]]
        return numbers(indices, indices == _NONE)

    def _inferences(self) -> NDArray[np.int64]:
        """Return which spans are executions of models directly below a frame."""
        named = _truth(arrow().compute.equal(self._table.column("name"), INFERENCE))
        within = (self._parents == self._frames).all(axis=1)
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
        within = (self._parents == self._frames).all(axis=1) & (self.kinds == OWN_OTHER)
        within[inferences] = False
        for name, parts in (("stage_ns", np.flatnonzero(within)), ("model_ns", inferences)):
            above = _index_in(self._keys(self._parents, parts), self._keys(self._ids, frames))
            known = above >= 0
            spent = np.maximum(self._durations[parts[known]], 0)
            np.add.at(found[name], frames[above[known]], spent)
        return {name: numbers(values) for name, values in found.items()}

    def _keys(self, ids: NDArray[np.uint8], rows: NDArray[np.int64]) -> "Array":
        """Return trace and span id together, of some spans."""
        pa = arrow()
        both = np.ascontiguousarray(np.concatenate([self._traces[rows], ids[rows]], axis=1))
        array: Array = pa.Array.from_buffers(
            pa.binary(24), len(rows), [None, pa.py_buffer(both.tobytes())]
        )
        return array


def dates(times_ns: NDArray[np.int64]) -> "Array":
    """Return the UTC date of each time since 1970."""
    days = times_ns // (86_400 * 10**9)
    distinct, index = np.unique(days, return_inverse=True)
    texts: list[str] = distinct.astype("datetime64[D]").astype(str).tolist()
    array: Array = arrow().array(texts, "string").take(numbers(index))
    return array


def _identity(origins: Sequence[Origin]) -> "dict[str, Array]":
    """Return the columns that a resource decides, a row for each of *origins*."""
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
    return {**columns_from_rows("spans", rows), **columns_from_rows("frames", rows)}


def _versions(sketches: Any) -> "Array":
    from exray.exporters.blocks import SKETCH_VERSION

    pa = arrow()
    array: Array = pa.compute.if_else(
        sketches.is_valid(), pa.scalar(SKETCH_VERSION), pa.scalar(None, "string")
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


def _octets(table: Any, name: str, size: int) -> NDArray[np.uint8]:
    """Return ids as bytes, zeros where NULL, shape (rows, size)."""
    pa = arrow()
    column = table.column(name).combine_chunks()
    if column.null_count:
        column = column.fill_null(pa.scalar(bytes(size), pa.binary(size)))
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    data = np.frombuffer(column.buffers()[1], np.uint8) if len(column) else np.empty(0, np.uint8)
    return data[size * column.offset :][: size * len(column)].reshape(-1, size)


def _ids(octets: NDArray[np.uint8], null: NDArray[np.bool_]) -> "Array":
    pa = arrow()
    valid = pa.py_buffer(np.packbits(~null, bitorder="little").tobytes())
    data = pa.py_buffer(np.ascontiguousarray(octets).tobytes())
    array: Array = pa.Array.from_buffers(pa.binary(8), len(octets), [valid, data])
    return array


def _index_in(values: Any, among: Any) -> NDArray[np.int64]:
    """Return where in *among* each of *values* stands, -1 where it does not."""
    found: NDArray[np.int64] = (
        arrow().compute.index_in(values, among).fill_null(-1).to_numpy().astype(np.int64)
    )
    return found
