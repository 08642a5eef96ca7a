"""From Arrow columns of DuckDB's to cells, in text and in PostgreSQL's binary format.

What DuckDB renders as PostgreSQL does, or nearly, is left to it: `TEXT_SQL` and
`BINARY_SQL` say how a column of a type is to be selected, ``#`` being the column. Numbers
and strings come as they are.

Binary layouts: PostgreSQL's ``*_send`` functions in ``src/backend/utils/adt``.
"""

# pyarrow's stubs leave many types open, which pyright strict reports on every use:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import json
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from exray.queries.result import json_value

from . import pg_types
from .cells import Cells, cells_from_arrow, cells_from_bytes, fixed_cells, valid_from_arrow

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType
    from numpy.typing import NDArray

    from .cells import Column

    Encoder = Callable[[Column], Cells]

_EPOCH_DAYS = 10957
"""Days from 1970-01-01 to 2000-01-01, where PostgreSQL counts from."""
_EPOCH_US = _EPOCH_DAYS * 86_400_000_000

_AS_IT_IS = frozenset(
    {
        *("boolean", "tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint"),
        *("uinteger", "float", "double", "varchar"),
    }
)
"""Types that need no casting in either format."""

_TEXT_SQL = {
    "timestamp_s": "CAST(CAST(# AS TIMESTAMP) AS VARCHAR)",
    "timestamp_ms": "CAST(CAST(# AS TIMESTAMP) AS VARCHAR)",
    "timestamp_ns": "CAST(CAST(# AS TIMESTAMP) AS VARCHAR)",  # PostgreSQL knows microseconds
    "interval": "replace(CAST(# AS VARCHAR), 'month', 'mon')",
    "blob": "'\\x' || lower(hex(#))",
}
_BINARY_SQL = {
    "timestamp": "#",
    "timestamp_s": "CAST(# AS TIMESTAMP)",
    "timestamp_ms": "CAST(# AS TIMESTAMP)",
    "timestamp_ns": "CAST(# AS TIMESTAMP)",
    "timestamp with time zone": "#",
    "date": "#",
    "time": "#",
    "interval": "#",
    "blob": "#",
}


def select_sql(duckdb_type: "DuckDBPyType", *, is_binary: bool) -> str:
    """Return how to select a column of a type, ``#`` being the column."""
    name = duckdb_type.id
    if str(duckdb_type) == "JSON":
        return "CAST(# AS VARCHAR)"
    if name in _AS_IT_IS:
        return "#"
    if pg_types.pg_type(duckdb_type) is pg_types.JSON:
        return "CAST(to_json(#) AS VARCHAR)"
    if is_binary and name in _BINARY_SQL:
        return _BINARY_SQL[name]
    return _TEXT_SQL.get(name, "CAST(# AS VARCHAR)")


def encoder(duckdb_type: "DuckDBPyType", *, is_binary: bool) -> "Encoder":
    """Return what encodes a column selected as `select_sql` says."""
    wanted = pg_types.pg_type(duckdb_type)
    if wanted is pg_types.JSON:
        return _json
    if is_binary:
        return _BINARY.get(wanted, cells_from_arrow)
    if wanted is pg_types.BOOL:
        return _bool_text
    if wanted in (pg_types.FLOAT4, pg_types.FLOAT8):
        return _float_text
    if wanted in _INTEGERS:
        return _integer_text
    return cells_from_arrow


def _values(array: "Column") -> "NDArray[np.generic]":
    """Return an array's values, where NULL is some value."""
    import pyarrow.compute as pc

    zero: Any = False if str(array.type) == "bool" else 0
    filled = pc.fill_null(array, zero) if array.null_count else array
    return cast("NDArray[np.generic]", filled.to_numpy(zero_copy_only=False))


def _bool_text(array: "Column") -> Cells:
    letters = np.where(_values(array), ord("t"), ord("f")).astype(np.uint8)
    return fixed_cells(letters.reshape(-1, 1), valid_from_arrow(array))


def _bool_binary(array: "Column") -> Cells:
    bits = _values(array).astype(np.uint8)
    return fixed_cells(bits.reshape(-1, 1), valid_from_arrow(array))


def _integer_text(array: "Column") -> Cells:
    import pyarrow as pa

    return cells_from_arrow(array.cast(pa.string()))


def _float_text(array: "Column") -> Cells:
    import pyarrow as pa
    import pyarrow.compute as pc

    text = array.cast(pa.string())
    values = _values(array).astype(np.float64)
    if not np.isfinite(values).all():
        for is_it, name in (
            (np.isnan(values), "NaN"),
            (np.isposinf(values), "Infinity"),
            (np.isneginf(values), "-Infinity"),
        ):
            text = pc.if_else(pc.and_(pa.array(is_it), array.is_valid()), name, text)
    return cells_from_arrow(text)


def _json(array: "Column") -> Cells:
    """Return JSON as text; DuckDB's may hold NaN and Infinity, which JSON does not have."""
    cells = cells_from_arrow(array)
    content = cells.data.tobytes()
    if b"NaN" not in content and b"Infinity" not in content:
        return cells
    texts = cast("list[str | None]", array.to_pylist())
    return cells_from_bytes(
        [
            None if text is None else json.dumps(json_value(json.loads(text))).encode()
            for text in texts
        ]
    )


def _number(layout: str) -> "Encoder":
    def encode(array: "Column") -> Cells:
        values = _values(array).astype(layout)
        width = values.dtype.itemsize
        return fixed_cells(values.view(np.uint8).reshape(-1, width), valid_from_arrow(array))

    return encode


def _timestamp_binary(array: "Column") -> Cells:
    import pyarrow as pa

    micros = _values(array.cast(pa.int64())).astype(np.int64)
    ends = np.iinfo(np.int64)
    shifted = np.where(np.abs(micros) == ends.max, micros, micros - _EPOCH_US)
    shifted[micros == -ends.max] = ends.min  # PostgreSQL's -infinity
    return fixed_cells(shifted.astype(">i8").view(np.uint8).reshape(-1, 8), valid_from_arrow(array))


def _date_binary(array: "Column") -> Cells:
    import pyarrow as pa

    days = _values(array.cast(pa.int32())).astype(np.int64)
    ends = np.iinfo(np.int32)
    shifted = np.where(np.abs(days) == ends.max, days, days - _EPOCH_DAYS)
    shifted[days == -ends.max] = ends.min
    return fixed_cells(shifted.astype(">i4").view(np.uint8).reshape(-1, 4), valid_from_arrow(array))


def _time_binary(array: "Column") -> Cells:
    import pyarrow as pa

    micros = _values(array.cast(pa.int64())).astype(">i8")
    return fixed_cells(micros.view(np.uint8).reshape(-1, 8), valid_from_arrow(array))


_ARROW_INTERVAL = np.dtype([("months", "<i4"), ("days", "<i4"), ("nanos", "<i8")])
_PG_INTERVAL = np.dtype([("micros", ">i8"), ("days", ">i4"), ("months", ">i4")])


def _interval_binary(array: "Column") -> Cells:
    source = np.frombuffer(cast("bytes", array.buffers()[1]), _ARROW_INTERVAL)
    source = source[array.offset : array.offset + len(array)]
    wanted = np.empty(len(array), _PG_INTERVAL)
    wanted["micros"] = source["nanos"] // 1000
    wanted["days"], wanted["months"] = source["days"], source["months"]
    return fixed_cells(wanted.view(np.uint8).reshape(-1, 16), valid_from_arrow(array))


def _numeric_binary(array: "Column") -> Cells:
    texts = cast("list[str | None]", array.to_pylist())
    return cells_from_bytes([None if text is None else numeric_bytes(text) for text in texts])


def numeric_bytes(text: str) -> bytes:
    """Return a decimal number in PostgreSQL's binary format: digits to the base 10,000."""
    sign, digits, exponent = Decimal(text).as_tuple()
    scale = max(0, -cast("int", exponent))
    number = ("".join(map(str, digits)) + "0" * max(0, cast("int", exponent))).rjust(scale, "0")
    whole, fraction = number[: len(number) - scale], number[len(number) - scale :]
    whole = whole.rjust(-len(whole) % 4 + len(whole), "0")
    fraction = fraction.ljust(-len(fraction) % 4 + len(fraction), "0")
    groups = [int((whole + fraction)[i : i + 4]) for i in range(0, len(whole + fraction), 4)]
    weight = len(whole) // 4 - 1
    while groups and groups[0] == 0:
        groups.pop(0)
        weight -= 1
    while groups and groups[-1] == 0:
        groups.pop()
    header = struct.pack(
        "!hhHh", len(groups), weight if groups else 0, 0x4000 if sign and groups else 0, scale
    )
    return header + struct.pack(f"!{len(groups)}h", *groups)


def _uuid_binary(array: "Column") -> Cells:
    texts = cast("list[str | None]", array.to_pylist())
    return cells_from_bytes(
        [None if text is None else bytes.fromhex(text.replace("-", "")) for text in texts]
    )


_INTEGERS = (pg_types.INT2, pg_types.INT4, pg_types.INT8)
_BINARY: "dict[pg_types.PgType, Encoder]" = {
    pg_types.BOOL: _bool_binary,
    pg_types.INT2: _number(">i2"),
    pg_types.INT4: _number(">i4"),
    pg_types.INT8: _number(">i8"),
    pg_types.FLOAT4: _number(">f4"),
    pg_types.FLOAT8: _number(">f8"),
    pg_types.TIMESTAMP: _timestamp_binary,
    pg_types.TIMESTAMPTZ: _timestamp_binary,
    pg_types.DATE: _date_binary,
    pg_types.TIME: _time_binary,
    pg_types.INTERVAL: _interval_binary,
    pg_types.NUMERIC: _numeric_binary,
    pg_types.UUID: _uuid_binary,
}
"""By type; what is not here goes as its text does, which is its binary format too."""
