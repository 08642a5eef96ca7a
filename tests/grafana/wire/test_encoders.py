"""Values over the wire, in text and binary, as psycopg and asyncpg read them back."""

import asyncio
import datetime as dt
import math
import uuid
from decimal import Decimal
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg.types.numeric import Int2

from exray.grafana.wire.encoders import numeric_bytes
from exray.grafana.wire.parameters import parameter_value

from .servers import PASSWORD, Connection, Running

UTC = dt.UTC
VALUES: list[tuple[str, Any, str]] = [
    ("true", True, "bool"),
    ("false", False, "bool"),
    ("(-128)::TINYINT", -128, "int2"),
    ("255::UTINYINT", 255, "int2"),
    ("(-32768)::SMALLINT", -32768, "int2"),
    ("65535::USMALLINT", 65535, "int4"),
    ("(-2147483648)::INTEGER", -(2**31), "int4"),
    ("4294967295::UINTEGER", 2**32 - 1, "int8"),
    ("9223372036854775807::BIGINT", 2**63 - 1, "int8"),
    ("18446744073709551615::UBIGINT", Decimal(2**64 - 1), "numeric"),
    ("sum(-9223372036854775807::BIGINT)", Decimal(-(2**63) + 1), "numeric"),
    ("170141183460469231731687303715884105727::HUGEINT", Decimal(2**127 - 1), "numeric"),
    ("0.00012345::DECIMAL(18, 8)", Decimal("0.00012345"), "numeric"),
    ("-12345.6789::DECIMAL(18, 4)", Decimal("-12345.6789"), "numeric"),
    ("10000::DECIMAL(9, 0)", Decimal(10000), "numeric"),
    ("0::DECIMAL(9, 2)", Decimal("0.00"), "numeric"),
    ("0.1::FLOAT", 0.10000000149011612, "float4"),
    ("0.1::DOUBLE", 0.1, "float8"),
    ("1e300::DOUBLE", 1e300, "float8"),
    ("5e-324::DOUBLE", 5e-324, "float8"),
    ("1.0::DOUBLE", 1.0, "float8"),
    ("'inf'::DOUBLE", math.inf, "float8"),
    ("'-inf'::FLOAT", -math.inf, "float4"),
    ("'grüße; ''\\n'", "grüße; '\\n", "text"),
    ("''", "", "text"),
    ("'x'::ENUM('x', 'y')", "x", "text"),
    ("'101'::BIT", "101", "text"),
    ("'\\x00\\xFFab'::BLOB", b"\x00\xffab", "bytea"),
    ("DATE '1999-12-31'", dt.date(1999, 12, 31), "date"),
    ("DATE '0001-01-01'", dt.date(1, 1, 1), "date"),
    ("TIME '23:59:59.000001'", dt.time(23, 59, 59, 1), "time"),
    ("TIMESTAMP '2026-02-03 04:05:06.000007'", dt.datetime(2026, 2, 3, 4, 5, 6, 7), "timestamp"),
    ("TIMESTAMP '1969-12-31 23:59:59'", dt.datetime(1969, 12, 31, 23, 59, 59), "timestamp"),
    ("TIMESTAMP_S '2026-02-03 04:05:06'", dt.datetime(2026, 2, 3, 4, 5, 6), "timestamp"),
    (
        "TIMESTAMP_MS '2026-02-03 04:05:06.007'",
        dt.datetime(2026, 2, 3, 4, 5, 6, 7000),
        "timestamp",
    ),
    (
        "TIMESTAMP_NS '2026-02-03 04:05:06.123456789'",
        dt.datetime(2026, 2, 3, 4, 5, 6, 123457),
        "timestamp",
    ),
    (
        "TIMESTAMPTZ '2026-02-03 04:05:06+02'",
        dt.datetime(2026, 2, 3, 2, 5, 6, tzinfo=UTC),
        "timestamptz",
    ),
    (
        "INTERVAL '3 days 4 hours' + INTERVAL '5 microseconds'",
        dt.timedelta(days=3, hours=4, microseconds=5),
        "interval",
    ),
    ("INTERVAL '-2 hours'", dt.timedelta(hours=-2), "interval"),
    (
        "'6f1f9a5e-0000-4000-8000-00000000000a'::UUID",
        uuid.UUID("6f1f9a5e-0000-4000-8000-00000000000a"),
        "uuid",
    ),
    ("NULL", None, "text"),
    ("NULL::DOUBLE", None, "float8"),
    ("NULL::TIMESTAMP", None, "timestamp"),
]
JSON_VALUES: list[tuple[str, Any]] = [
    ("[1.5, NULL, 2]", [1.5, None, 2]),
    ("['nan'::DOUBLE, 'inf'::DOUBLE, 1]", [None, None, 1]),
    ("{'a': 1, 'b': 'x'}", {"a": 1, "b": "x"}),
    ("MAP {'k': [true]}", {"k": [True]}),
    ("[1, 2]::INTEGER[2]", [1, 2]),
    ("""'{"a": [1, "NaN"]}'::JSON""", {"a": [1, "NaN"]}),
]


def of_asyncpg(wire: Running, statement: str, *arguments: Any) -> Any:
    """Return the only value of a statement that asyncpg asked."""

    async def ask() -> Any:
        connection = await asyncpg.connect(
            host=wire.address.host,
            port=wire.address.port,
            user="anybody",
            database="exray",
            password=PASSWORD,
        )
        try:
            return await connection.fetchval(statement, *arguments)
        finally:
            await connection.close()

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def asked(wire: Running) -> dict[str, Any]:
    """Every value as asyncpg reads it, from one connection."""

    async def ask() -> dict[str, Any]:
        connection = await asyncpg.connect(
            host=wire.address.host,
            port=wire.address.port,
            user="u",
            database="d",
            password=PASSWORD,
        )
        try:
            return {e: await connection.fetchval(f"SELECT {e} AS x") for e, _, _ in VALUES}
        finally:
            await connection.close()

    return asyncio.run(ask())


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
@pytest.mark.parametrize(("expression", "expected", "type_name"), VALUES)
def test_psycopg_reads_back(
    connection: Connection, expression: str, expected: Any, type_name: str, binary: bool
) -> None:
    cursor = connection.cursor(binary=binary)
    cursor.execute(f"SELECT {expression} AS x".encode())
    row = cursor.fetchone()
    assert row is not None
    found = row[0]
    if type_name == "float4" and not binary and found is not None and math.isfinite(found):
        found, expected = round(found, 7), round(expected, 7)
    assert found == expected
    assert cursor.description is not None
    registered = psycopg.adapters.types.get(cursor.description[0].type_code)
    assert registered is not None
    assert registered.name == type_name


@pytest.mark.parametrize(("expression", "expected", "type_name"), VALUES)
def test_asyncpg_reads_back(
    asked: dict[str, Any], expression: str, expected: Any, type_name: str
) -> None:
    assert asked[expression] == expected


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
@pytest.mark.parametrize(("expression", "expected"), JSON_VALUES)
def test_nested_values_are_json_without_nan(
    connection: Connection, expression: str, expected: Any, binary: bool
) -> None:
    cursor = connection.cursor(binary=binary)
    assert cursor.execute(f"SELECT {expression}".encode()).fetchone() == (expected,)


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_nan_stays_nan_between_numbers_and_null(connection: Connection, binary: bool) -> None:
    cursor = connection.cursor(binary=binary)
    cursor.execute("SELECT unnest(['nan'::DOUBLE, 1.5, NULL, '-inf'::DOUBLE])")
    rows = cursor.fetchall()
    assert math.isnan(rows[0][0])
    assert rows[1:] == [(1.5,), (None,), (-math.inf,)]


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_columns_with_and_without_null_stay_in_their_rows(
    connection: Connection, binary: bool
) -> None:
    cursor = connection.cursor(binary=binary)
    cursor.execute(
        "SELECT a, CASE WHEN a % 3 = 0 THEN NULL ELSE repeat('x', a % 7) END,"
        " CASE WHEN a % 2 = 0 THEN a / 2 END, a % 5 = 0,"
        " CASE WHEN a % 11 <> 0 THEN TIMESTAMP '2026-01-01' + to_microseconds(a) END"
        " FROM range(20000) AS t(a) ORDER BY a"
    )
    assert cursor.fetchall() == [
        (
            a,
            None if a % 3 == 0 else "x" * (a % 7),
            a / 2 if a % 2 == 0 else None,
            a % 5 == 0,
            None if a % 11 == 0 else dt.datetime(2026, 1, 1) + dt.timedelta(microseconds=a),
        )
        for a in range(20000)
    ]


def test_infinite_times_are_those_of_postgresql(wire: Running) -> None:
    found = of_asyncpg(wire, "SELECT 'infinity'::TIMESTAMP")
    assert found == dt.datetime.max
    assert of_asyncpg(wire, "SELECT '-infinity'::DATE") == dt.date.min


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "0.00",
        "1",
        "-1",
        "9999",
        "10000",
        "10000.0001",
        "0.0001",
        "0.00001",
        "123456789.12345",
        "-0.5",
        "100000000",
        "99999999999999999999999999999999999999",
        "1E+3",
        "0.10",
    ],
)
def test_decimals_survive_their_binary_format(text: str) -> None:
    found = parameter_value(numeric_bytes(text), 1700, 1, 1)
    assert isinstance(found, Decimal)
    assert found == Decimal(text)


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
@pytest.mark.parametrize(
    ("cast", "value"),
    [
        ("INTEGER", Int2(-5)),
        ("INTEGER", 70_000),
        ("BIGINT", 2**40),
        ("DOUBLE", 0.1),
        ("DECIMAL(20, 5)", Decimal("-12345.67890")),
        ("BOOLEAN", True),
        ("VARCHAR", "grüße $1 'x' -- y"),
        ("BLOB", b"\x00\xff"),
        ("DATE", dt.date(1969, 7, 20)),
        ("TIME", dt.time(1, 2, 3, 4)),
        ("TIMESTAMP", dt.datetime(2026, 1, 2, 3, 4, 5, 6)),
        ("TIMESTAMPTZ", dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("INTERVAL", dt.timedelta(days=2, seconds=-3)),
        ("UUID", uuid.UUID(int=5)),
        ("VARCHAR", None),
    ],
)
def test_parameters_arrive_as_they_were_sent(
    connection: Connection, cast: str, value: Any, binary: bool
) -> None:
    place = "%b" if binary else "%t"
    try:
        row = connection.execute(f"SELECT {place}::{cast}".encode(), [value]).fetchone()
    except psycopg.ProgrammingError as error:
        pytest.skip(f"psycopg has no such format: {error}")
    assert row == (value,)


@pytest.mark.parametrize(
    ("statement", "arguments", "expected"),
    [
        ("SELECT $1::INTEGER + $2::INTEGER", (2, 3), 5),
        ("SELECT $1", ("text",), "text"),
        ("SELECT $1::DOUBLE", (0.5,), 0.5),
        ("SELECT $1::TIMESTAMP", (dt.datetime(2026, 1, 2),), dt.datetime(2026, 1, 2)),
        ("SELECT count(*) FROM range(10) AS t(a) WHERE a >= $1", ("7",), 3),
        ("SELECT 'ü$1' || $1", ("x",), "ü$1x"),
    ],
)
def test_asyncpg_binds_by_the_types_it_is_told(
    wire: Running, statement: str, arguments: tuple[Any, ...], expected: Any
) -> None:
    assert of_asyncpg(wire, statement, *arguments) == expected


@pytest.mark.parametrize(
    ("value", "oid", "state"),
    [(b"x", 23, "22P02"), (b"\xff", 25, "22P02"), (b"maybe", 16, "22P02"), (b"1", 600, "0A000")],
)
def test_a_parameter_that_cannot_be_read_is_named(value: bytes, oid: int, state: str) -> None:
    with pytest.raises(Exception, match=r"parameter \$3") as error:
        parameter_value(value, oid, 0, 3)
    assert getattr(error.value, "state", None) == state
