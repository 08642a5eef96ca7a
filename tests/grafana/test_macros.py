"""The macros expand as Grafana's own table of tests says."""

from datetime import UTC, datetime, timedelta

import pytest

from exray.grafana.macros import TimeRange, expand, interpolate
from exray.schema.errors import UsageError

FROM = datetime(2018, 4, 12, 18, 0, tzinfo=UTC)
RANGE = TimeRange(FROM, FROM + timedelta(minutes=5), 600_000)
EARLY = TimeRange(
    datetime(1960, 2, 1, 7, 0, 0, 500_000, tzinfo=UTC),
    datetime(1980, 2, 3, 8, 0, 0, 500_000, tzinfo=UTC),
)
BETWEEN = "c BETWEEN '2018-04-12T18:00:00Z' AND '2018-04-12T18:05:00Z'"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select $__time(c)", 'select c AS "time"'),
        ("select min($__time(c))", 'select min(c AS "time")'),
        ("$__timeEpoch(c)", 'extract(epoch from c) as "time"'),
        ("WHERE $__timeFilter(c)", f"WHERE {BETWEEN}"),
        ("select $__timeFrom()", "select '2018-04-12T18:00:00Z'"),
        ("select $__timeTo()", "select '2018-04-12T18:05:00Z'"),
        (
            "SELECT $__timeGroup(c,'5m'), value",
            'SELECT floor(extract(epoch from c)/300)*300 AS "time", value',
        ),
        (
            "SELECT $__timeGroup(c,'5m') as time, value",
            "SELECT floor(extract(epoch from c)/300)*300 as time, value",
        ),
        ("$__timeGroup(c , '5m')", "floor(extract(epoch from c)/300)*300"),
        ("$__timeGroupAlias(c , '5m')", 'floor(extract(epoch from c)/300)*300 AS "time"'),
        ("$__unixEpochFilter(t)", "t >= 1523556000 AND t <= 1523556300"),
        (
            "$__unixEpochNanoFilter(t)",
            "t >= 1523556000000000000 AND t <= 1523556300000000000",
        ),
        ("$__unixEpochNanoFrom()", "1523556000000000000"),
        ("$__unixEpochNanoTo()", "1523556300000000000"),
        ("$__unixEpochFrom() $__unixEpochTo()", "1523556000 1523556300"),
        ("$__unixEpochGroup(a+b,'5m')", "floor((a+b)/300)*300"),
        ("$__unixEpochGroupAlias(a,'5m')", 'floor((a)/300)*300 AS "time"'),
        ("$__interval $__interval_ms", "10m 600000"),
    ],
)
def test_macro_expands_as_grafana_does(sql: str, expected: str) -> None:
    assert expand(sql, RANGE, timescaledb=False) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("GROUP BY $__timeGroup(c,'5m')", "GROUP BY time_bucket('300.000s',c)"),
        ("GROUP BY $__timeGroup(c , '12d')", "GROUP BY time_bucket('1036800.000s',c)"),
        ("GROUP BY $__timeGroup(c , '20ms')", "GROUP BY time_bucket('0.020s',c)"),
    ],
)
def test_time_group_is_a_bucket_with_timescaledb(sql: str, expected: str) -> None:
    assert expand(sql, RANGE) == expected


def test_times_before_1970_and_parts_of_seconds_are_kept() -> None:
    assert expand("$__timeFilter(c)", EARLY) == (
        "c BETWEEN '1960-02-01T07:00:00.5Z' AND '1980-02-03T08:00:00.5Z'"
    )
    assert expand("$__unixEpochNanoFrom()", EARLY) == "-312915599500000000"


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("$__nonsense(c)", "__nonsense"),
        ("$__timeGroup(c)", "interval"),
        ("$__timeGroup(c,'soon')", "soon"),
    ],
)
def test_what_grafana_refuses_is_refused(sql: str, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        expand(sql, RANGE)


def test_variables_are_quoted_once_and_escaped() -> None:
    values: dict[str, str | list[str]] = {"device": ["pi5", "it's"], "model": "net"}
    sql = "m = ${model:sqlstring} AND d IN (${device:sqlstring}) ${model} ${device:csv}"
    assert interpolate(sql, values) == "m = 'net' AND d IN ('pi5','it''s') net pi5,it's"


@pytest.mark.parametrize("sql", ["${gone:sqlstring}", "${model:percentencode}"])
def test_a_variable_without_value_or_format_is_an_error(sql: str) -> None:
    with pytest.raises(UsageError, match="variable '"):
        interpolate(sql, {"model": "net"})
