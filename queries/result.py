"""What a query returned, as JSON or for a reader at a terminal."""

import datetime
import decimal
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import duckdb
    from rich.table import Table

DASH = "-"
"""Stands where there is no value."""

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


def print_result(result: Result) -> None:
    """Print rows as a table."""
    if not result.columns:
        return
    table = _table()
    numeric = [
        any(isinstance(row[i], int | float) for row in result.rows)
        for i in range(len(result.columns))
    ]
    for name, right in zip(result.columns, numeric, strict=True):
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in result.rows:
        _add_row(table, [shown(value) for value in row])
    _print(table)
    print(f"{len(result.rows)} row{'' if len(result.rows) == 1 else 's'}")


def print_runs(result: Result) -> None:
    """Print the rows of ``run_list``, each run by as much of its id as tells it apart."""
    records = [dict(zip(result.columns, row, strict=True)) for row in result.rows]
    if not records:
        print("no runs yet. Record one: exray run")
        return
    digits = _unique_digits([str(record["run_id"]) for record in records])
    table = _table()
    names = ("run", "build", "role", "model", "kernels", "device", "started")
    for name in names:
        table.add_column(name, no_wrap=name == "run", overflow="fold")
    for name in ("frames", "failed", "seconds", "top-1"):
        table.add_column(name, justify="right")
    for record in records:
        top1 = record["top1_ratio"]
        texts = [
            str(record["run_id"])[:digits],
            *(str(record[name]) for name in ("build", "role", "model_name", "kernels", "device")),
            f"{record['started']:%Y-%m-%d %H:%M:%S}",
            str(record["frames"]),
            str(record["failed_frames"]),
            shown(record["duration_s"]),
            f"{top1:.1%}" if isinstance(top1, float) else DASH,
        ]
        _add_row(table, texts)
    _print(table)


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


def _table() -> "Table":
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD)


def _add_row(table: "Table", texts: Sequence[str]) -> None:
    from rich.text import Text

    table.add_row(*(Text(text) for text in texts))  # as Text: a name may hold [brackets]


def _print(table: "Table") -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPE_WIDTH)
    console.print(table)
