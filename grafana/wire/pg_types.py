"""PostgreSQL's types, and which of them each of DuckDB's becomes.

Only types that pgx knows by itself are used: Grafana turns an unknown one into an error.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType


@dataclass(frozen=True, slots=True)
class PgType:
    """A type of PostgreSQL; *size* in bytes, -1 where it varies."""

    oid: int
    name: str
    size: int


UNKNOWN_OID = 0
"""What a client declares a parameter as whose type it leaves to the server."""

BOOL = PgType(16, "bool", 1)
BYTEA = PgType(17, "bytea", -1)
INT8 = PgType(20, "int8", 8)
INT2 = PgType(21, "int2", 2)
INT4 = PgType(23, "int4", 4)
TEXT = PgType(25, "text", -1)
JSON = PgType(114, "json", -1)
FLOAT4 = PgType(700, "float4", 4)
FLOAT8 = PgType(701, "float8", 8)
DATE = PgType(1082, "date", 4)
TIME = PgType(1083, "time", 8)
TIMESTAMP = PgType(1114, "timestamp", 8)
TIMESTAMPTZ = PgType(1184, "timestamptz", 8)
INTERVAL = PgType(1186, "interval", 16)
NUMERIC = PgType(1700, "numeric", -1)
UUID = PgType(2950, "uuid", 16)

# As parameters only.
NAME = PgType(19, "name", 64)
UNKNOWN = PgType(705, "unknown", -2)
BPCHAR = PgType(1042, "bpchar", -1)
VARCHAR = PgType(1043, "varchar", -1)
JSONB = PgType(3802, "jsonb", -1)

_OF_DUCKDB = {
    "boolean": BOOL,
    "tinyint": INT2,
    "smallint": INT2,
    "utinyint": INT2,
    "integer": INT4,
    "usmallint": INT4,
    "bigint": INT8,
    "uinteger": INT8,
    "ubigint": NUMERIC,
    "hugeint": NUMERIC,
    "uhugeint": NUMERIC,
    "bignum": NUMERIC,
    "decimal": NUMERIC,
    "float": FLOAT4,
    "double": FLOAT8,
    "date": DATE,
    "time": TIME,
    "timestamp": TIMESTAMP,
    "timestamp_s": TIMESTAMP,
    "timestamp_ms": TIMESTAMP,
    "timestamp_ns": TIMESTAMP,
    "timestamp with time zone": TIMESTAMPTZ,
    "interval": INTERVAL,
    "blob": BYTEA,
    "uuid": UUID,
    "list": JSON,
    "array": JSON,
    "struct": JSON,
    "map": JSON,
    "union": JSON,
    "variant": JSON,
}
"""By DuckDB's name; all others are text."""


def pg_type(duckdb_type: "DuckDBPyType") -> PgType:
    """Return what a column of DuckDB's type is sent as."""
    return JSON if str(duckdb_type) == "JSON" else _OF_DUCKDB.get(duckdb_type.id, TEXT)
