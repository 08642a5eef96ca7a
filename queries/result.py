"""What a query returned, as JSON or for a reader at a terminal."""

import datetime
import decimal
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from .names import DASH, printable, tail_name
from .text_table import Column, Kind, fitting, text_table

if TYPE_CHECKING:
    import duckdb
    from rich.console import Console

PIPE_WIDTH = 10_000
"""Characters per line where no terminal limits them: a cut value is of no use to a program."""

SHORTEST_RUN_ID = 8
"""Digits of a run's id that are shown even if fewer tell it apart."""


@dataclass(frozen=True, slots=True)
class Result:
    """Rows as the engine returned them."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[object, ...]]

    def json_rows(self) -> list[list[object]]:
        """Return the rows in values that JSON has."""
        return [[json_value(value) for value in row] for row in self.rows]

    def records(self) -> list[dict[str, object]]:
        """Return the rows as JSON objects."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.json_rows()]


def fetch(connection: "duckdb.DuckDBPyConnection") -> Result:
    """Read what the statement just executed returned; a statement without rows has no columns."""
    columns = tuple(str(column[0]) for column in connection.description or ())
    return Result(columns, connection.fetchall() if columns else [])


def json_value(value: object) -> object:
    """Return *value* as JSON can hold it.

    Bytes become hex, times ISO 8601, decimals floats; NaN and infinities become null.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float | decimal.Decimal):
        number = float(value)
        return number if math.isfinite(number) else None
    if isinstance(value, bytes | bytearray):
        return value.hex()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {str(key): json_value(item) for key, item in items}
    if isinstance(value, list | tuple | set):
        return [json_value(item) for item in cast("Sequence[object]", value)]
    return str(value)


def print_json(document: Mapping[str, object]) -> None:
    """Print one JSON object on one line."""
    print(json.dumps(document, allow_nan=False))


def print_result(result: Result, *, short_names: bool = False) -> None:
    """Print rows as a table; where a terminal is too narrow, as one line a value or a part of it.

    Args:
        result: What to print.
        short_names: Print the telling part of layers' names in a pipe, too.
    """
    if not result.columns:
        return
    console, is_terminal = _console()
    columns = [
        _column(result, i, short=short_names or is_terminal) for i in range(len(result.columns))
    ]
    count = len(result.rows)
    fits = len(fitting(columns, console.width)) == len(columns)
    if not fits and count * (len(columns) + 1) < console.height:
        _print_records(columns, console)
    else:
        if not fits and count > 1:
            columns = _print_constant(columns, console)
        console.print(text_table(columns, console.width))
        _name_left_out(columns, console.width, "--json shows all, 'exray sql' those you name")
    print(f"{count} row{'' if count == 1 else 's'}")


def print_runs(result: Result) -> None:
    """Print the rows of ``run_list``, each run by as much of its id as tells it apart."""
    records = [dict(zip(result.columns, row, strict=True)) for row in result.rows]
    if not records:
        print("no runs yet. Record one: exray run")
        return
    digits = _unique_digits([str(record["run_id"]) for record in records])
    has_failed = any(record["failed_frames"] for record in records)

    def column(header: str, kind: Kind, rank: int, texts: Iterable[object]) -> Column:
        return Column(header, [str(text) for text in texts], kind, rank)

    def named(name: str) -> list[object]:
        return [record[name] for record in records]

    columns = [
        column("run", "word", 0, (str(run_id)[:digits] for run_id in named("run_id"))),
        column("build", "text", 0, named("build")),
        column("role", "word", 0, named("role")),
        column("model", "name", 0, named("model_name")),
        column("kernels", "word", 0, named("kernels")),
        column("device", "text", 3, named("device")),
        column("started", "word", 2, (f"{start:%Y-%m-%d %H:%M:%S}" for start in named("started"))),
        column("frames", "number", 0, named("frames")),
        column("failed", "number", 1 if has_failed else 4, named("failed_frames")),
        column("seconds", "number", 5, map(shown, named("duration_s"))),
        column("top-1", "number", 0, map(_percent, named("top1_ratio"))),
    ]
    console, _ = _console()
    console.print(text_table(columns, console.width))
    _name_left_out(columns, console.width, "--json shows all")


def print_catalogue(rows: Sequence[tuple[str, str, str]]) -> None:
    """Print the library: each query's name, its arguments, and what it says."""
    names, arguments, summaries = zip(*rows, strict=True)
    columns = [
        Column("query", names, "word"),
        Column("arguments", arguments, "prose"),
        Column("what it says", summaries, "prose"),
    ]
    console, _ = _console()
    console.print(text_table(columns, console.width))


def shown(value: object) -> str:
    """Return *value* as a cell's text: four digits of a float, a dash for NULL and NaN."""
    plain = json_value(value)
    if plain is None:
        return DASH
    if isinstance(plain, float):
        return f"{plain:.4g}"
    if isinstance(plain, list | dict):
        return json.dumps(plain)
    return str(plain)


def _unique_digits(run_ids: Sequence[str]) -> int:
    for digits in range(SHORTEST_RUN_ID, max(map(len, run_ids))):
        if len({run_id[:digits] for run_id in run_ids}) == len(run_ids):
            return digits
    return max(map(len, run_ids))


def _percent(value: object) -> str:
    return f"{value:.1%}" if isinstance(value, float) else DASH


def _column(result: Result, index: int, *, short: bool) -> Column:
    """Return one column of a result as texts; of equal columns the last is left out first."""
    header = result.columns[index]
    values = [row[index] for row in result.rows]
    texts = [shown(value) for value in values]
    kind: Kind = "text"
    if any(isinstance(value, int | float | decimal.Decimal) for value in values):
        kind = "number"
    elif header.endswith("name"):
        kind = "name"
    if short and header.endswith(("layer_name", "tensor_name")):
        texts = [tail_name(text) for text in texts]
    return Column(header, texts, kind, rank=index)


def _print_records(columns: Sequence[Column], console: "Console") -> None:
    """Print one value a line."""
    names = [column.header for column in columns]
    for row in range(len(columns[0].texts)):
        texts = [column.texts[row] for column in columns]
        pair = [Column("column", names, "word"), Column("value", texts, "text")]
        console.print(text_table(pair, console.width))
        print()


def _print_constant(columns: Sequence[Column], console: "Console") -> list[Column]:
    """Print once what is the same in every row; return the columns that differ."""
    from rich.text import Text

    differing = [column for column in columns if len(set(column.texts)) > 1]
    if not differing:
        return list(columns)
    same = [column for column in columns if column not in differing]
    told = [f"{column.header} {column.texts[0]}" for column in same if column.texts[0] != DASH]
    empty = [column.header for column in same if column.texts[0] == DASH]
    for said, names in (("In every row", told), ("Without a value", empty)):
        if names:
            console.print(Text(printable(f"{said}: {', '.join(names)}")))
    if same:
        print()
    return differing


def _name_left_out(columns: Sequence[Column], width: int, advice: str) -> None:
    kept = fitting(columns, width)
    names = [column.header for column in columns if column not in kept]
    if names:
        print(f"Left out for want of room: {', '.join(names)}; {advice}.")


def _console() -> tuple["Console", bool]:
    """Return a console on stdout, and whether it is a terminal."""
    from rich.console import Console

    console = Console(highlight=False)
    if console.is_terminal:
        return console, True
    return Console(highlight=False, width=PIPE_WIDTH), False
