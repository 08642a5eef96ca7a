"""What Grafana does to a query before its data source sees it.

`interpolate` replaces dashboard variables as the browser does, `expand` the macros as the
backend of the PostgreSQL data source does (``macros.go``). With both, a panel's query can be
asked without Grafana, and of a Grafana without a browser.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from exray.schema.errors import UsageError

_VARIABLE = re.compile(r"\$\{(\w+)(?::(\w+))?\}")
_MACRO = re.compile(r"\$(\w+)\(([^)]*)\)")
_INTERVAL = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}

Values = Mapping[str, str | list[str]]
"""What is chosen of each variable, a list where several may be."""


@dataclass(frozen=True, slots=True)
class TimeRange:
    """What the reader looks at, and how finely.

    Args:
        start: Beginning, with a time zone.
        end: End, with a time zone.
        interval_ms: Time between two points of a graph.
    """

    start: datetime
    end: datetime
    interval_ms: int = 60_000

    @classmethod
    def last(cls, days: int, points: int = 100, end: datetime | None = None) -> "TimeRange":
        """Return the last *days*, in as many points."""
        until = datetime.now(UTC) if end is None else end
        interval_ms = max(1, days * 86_400_000 // points)
        return cls(until - timedelta(days=days), until, interval_ms)


def interpolate(sql: str, values: Values) -> str:
    """Replace ``${name:format}`` by what is chosen.

    Raises:
        UsageError: A variable has no value, or a format is none of sqlstring, csv and raw.
    """

    def replaced(match: re.Match[str]) -> str:
        name, style = match[1], match[2] or "raw"
        if name not in values:
            msg = f"variable {name!r} has no value; there are {', '.join(sorted(values))}"
            raise UsageError(msg)
        chosen = values[name]
        several = [chosen] if isinstance(chosen, str) else chosen
        if style == "sqlstring":
            return ",".join("'" + value.replace("'", "''") + "'" for value in several)
        if style in ("raw", "csv"):
            return ",".join(several)
        msg = f"variable {name!r} has the format {style!r}; expected sqlstring, csv or raw"
        raise UsageError(msg)

    return _VARIABLE.sub(replaced, sql)


def expand(sql: str, range_: TimeRange, *, timescaledb: bool = True) -> str:
    """Replace the macros of Grafana's PostgreSQL data source.

    Args:
        sql: A query without variables.
        range_: What the reader looks at.
        timescaledb: Whether the data source is set to have TimescaleDB.

    Raises:
        UsageError: There is no such macro, or it lacks an argument.
    """
    text = sql.replace("$__interval_ms", str(range_.interval_ms))
    text = text.replace("$__interval", _as_interval(range_.interval_ms))
    text = text.replace("$__unixEpochFrom()", str(int(range_.start.timestamp())))
    text = text.replace("$__unixEpochTo()", str(int(range_.end.timestamp())))

    def replaced(match: re.Match[str]) -> str:
        name = match[1]
        # Of old, a group before a comma was the time column.
        if name == "__timeGroup" and text[text.index(match[0]) + len(match[0]) :][:1] == ",":
            name = "__timeGroupAlias"
        arguments = [argument.strip(" ") for argument in match[2].split(",")]
        return _evaluated(name, arguments, range_, timescaledb=timescaledb)

    return _MACRO.sub(replaced, text)


def _evaluated(name: str, arguments: list[str], range_: TimeRange, *, timescaledb: bool) -> str:
    first = arguments[0]
    start, end = range_.start, range_.end
    plain = {
        "__time": lambda: f'{first} AS "time"',
        "__timeEpoch": lambda: f'extract(epoch from {first}) as "time"',
        "__timeFilter": lambda: f"{first} BETWEEN '{rfc3339(start)}' AND '{rfc3339(end)}'",
        "__timeFrom": lambda: f"'{rfc3339(start)}'",
        "__timeTo": lambda: f"'{rfc3339(end)}'",
        "__unixEpochFilter": lambda: (
            f"{first} >= {int(start.timestamp())} AND {first} <= {int(end.timestamp())}"
        ),
        "__unixEpochNanoFilter": lambda: f"{first} >= {_ns(start)} AND {first} <= {_ns(end)}",
        "__unixEpochNanoFrom": lambda: str(_ns(start)),
        "__unixEpochNanoTo": lambda: str(_ns(end)),
    }
    if name in plain:
        return plain[name]()
    if name in ("__timeGroup", "__unixEpochGroup"):
        return _group(name, arguments, timescaledb=timescaledb)
    if name in ("__timeGroupAlias", "__unixEpochGroupAlias"):
        group = _group(name.removesuffix("Alias"), arguments, timescaledb=timescaledb)
        return f'{group} AS "time"'
    msg = f"there is no macro ${name} in Grafana's PostgreSQL data source"
    raise UsageError(msg)


def _group(name: str, arguments: list[str], *, timescaledb: bool) -> str:
    if len(arguments) < 2:
        msg = f"macro ${name} needs a time column and an interval; got {', '.join(arguments)!r}"
        raise UsageError(msg)
    seconds = _interval_s(arguments[1].strip("'"))
    if name == "__unixEpochGroup":
        return f"floor(({arguments[0]})/{seconds:g})*{seconds:g}"
    if timescaledb:
        return f"time_bucket('{seconds:.3f}s',{arguments[0]})"
    return f"floor(extract(epoch from {arguments[0]})/{seconds:g})*{seconds:g}"


def _interval_s(text: str) -> float:
    match = _INTERVAL.fullmatch(text)
    if match is None:
        msg = f"{text!r} is no interval; expected a number and one of {', '.join(_UNIT_S)}"
        raise UsageError(msg)
    return float(match[1]) * _UNIT_S[match[2]]


def _as_interval(interval_ms: int) -> str:
    for unit, seconds in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        if interval_ms % (seconds * 1000) == 0:
            return f"{interval_ms // (seconds * 1000)}{unit}"
    return f"{interval_ms}ms"


def rfc3339(moment: datetime) -> str:
    """Return a moment as Go's RFC3339Nano has it: in UTC, without zeros at the end."""
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return f"{text}Z"


def _ns(moment: datetime) -> int:
    whole = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (whole.days * 86_400 + whole.seconds) * 10**9 + whole.microseconds * 1000
