"""The table in which decoded spans stand before they become rows of the lake.

Protobuf's parser and the one that reads many spans at once both end here, in the same
columns, so that what follows cannot tell them apart.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .known import KNOWN

if TYPE_CHECKING:
    import pyarrow


def span_schema() -> "pyarrow.Schema":
    """Return the columns: those that every span has, then one for each known attribute.

    ``origin`` numbers the resources of a batch, ``span_kind`` is one of `known`'s, and a
    ``dur_ns`` of -1 is one that nobody knows.
    """
    pa = arrow()
    types = {"text": pa.string(), "integer": pa.int64(), "small": pa.int32(), "real": pa.float64()}
    fields: dict[str, Any] = {
        "origin": pa.int32(),
        "span_kind": pa.int8(),
        "trace_id": pa.binary(16),
        "span_id": pa.binary(8),
        "parent_span_id": pa.binary(8),
        "name": pa.string(),
        "kind": pa.string(),
        "status": pa.string(),
        "status_message": pa.string(),
        "scope": pa.string(),
        "start_ns": pa.int64(),
        "dur_ns": pa.int64(),
        "received_ns": pa.int64(),
        "attributes_json": pa.string(),
        "events_json": pa.string(),
        **{known.column: types[known.kind] for known in KNOWN.values()},
        "frame_id": pa.binary(8),
        "sketch": pa.list_(pa.float32()),
        "sketch_256": pa.list_(pa.float32()),
        "prediction_ids": pa.list_(pa.int32()),
        "prediction_scores": pa.list_(pa.float32()),
    }
    schema: pyarrow.Schema = pa.schema(list(fields.items()))
    return schema


def table_from_span_rows(rows: Sequence[Mapping[str, Any]]) -> "pyarrow.Table":
    """Return spans that were decoded one by one; what a row does not say is NULL."""
    pa = arrow()
    schema: Any = span_schema()
    columns = [pa.array([row.get(f.name) for row in rows], f.type) for f in schema]
    table: pyarrow.Table = pa.Table.from_arrays(columns, schema=schema)
    return table


def arrow() -> Any:
    """Return pyarrow, untyped: its stubs know neither numpy's arrays nor their masks."""
    import pyarrow as untyped

    import_module("pyarrow.compute")  # `pyarrow` has it as an attribute from then on
    return untyped
