"""Rows that fit the lake's tables, made from the schema alone."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from exray.schema.arrow import arrow_schema
from exray.schema.tables import TABLES

LATE_NS = 1_769_904_000_123_456_789
"""A time that no float64 holds."""

_VALUES: dict[str, Any] = {
    "fixed8": b"12345678",
    "fixed16": b"0123456789abcdef",
    "int32": 7,
    "int64": LATE_NS,
    "float32": 0.5,
    "float64": 0.1,
    "string": "text",
    "bool": True,
    "list<int32>": [1, 2],
    "list<int64>": [LATE_NS],
    "list<float32>": [0.5, 1.5],
    "list<float64>": [0.1, None],
    "list<string>": ["a", "b"],
}


def make_table(name: str, rows: int = 1, **columns: Any) -> pa.Table:
    """Return *rows* rows of table *name*; a column given as one value is repeated."""
    values = {column.name: _VALUES[column.type] for column in TABLES[name].columns}
    values |= {"role": "edge", "dt": "2026-02-01"} | columns
    spread = {
        column: value if isinstance(value, pa.Array) else [value] * rows
        for column, value in values.items()
    }
    schema = arrow_schema(name)
    return pa.table({column: spread[column] for column in schema.names}, schema=schema)


def make_set(number: int, rows: int = 3) -> Mapping[str, pa.Table]:
    """Return a set of five tables in which every row carries *number*."""
    span_ids = pa.array([number.to_bytes(4, "big") + i.to_bytes(4, "big") for i in range(rows)])
    facts = {
        name: make_table(name, rows, start_ns=number, span_id=span_ids.cast(pa.binary(8)))
        for name in ("tensors", "layer_spans", "spans", "frames")
    }
    return {"runs": make_table("runs", started_ns=number), **facts}
