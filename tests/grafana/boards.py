"""Every query of every board, asked as Grafana would ask it."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from exray.grafana.choices import Chosen, choose, panel_sql
from exray.grafana.dashboards import BOARDS, BUILDS_SQL, Board, Panel
from exray.grafana.macros import TimeRange

RANGE = TimeRange.last(90)
BY_NAME = {board.name: board for board in BOARDS}
PANELS = [(board, panel) for board in BOARDS for panel in board.panels]
VARIABLES = [(board, variable) for board in BOARDS for variable in board.variables if variable.sql]


_CHOSEN: dict[tuple[int, str], Chosen] = {}
"""What a board's variables say of a lake that stays the same for all tests."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Columns with their types, and rows."""

    columns: dict[str, str]
    rows: list[tuple[object, ...]]

    def column(self, name: str) -> list[object]:
        """Return one column's values."""
        index = list(self.columns).index(name)
        return [row[index] for row in self.rows]

    def records(self) -> list[dict[str, object]]:
        """Return the rows by column."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def answer(connection: duckdb.DuckDBPyConnection, sql: str) -> Answer:
    """Ask DuckDB itself."""
    cursor = connection.execute(sql)
    columns = {str(column[0]): str(column[1]) for column in cursor.description or ()}
    return Answer(columns, cursor.fetchall())


def chosen(
    connection: duckdb.DuckDBPyConnection,
    board: Board,
    wanted: Mapping[str, str | list[str]] | None = None,
) -> Chosen:
    """Return what the board's variables say, unless a test wants otherwise."""

    def ask(sql: str) -> list[tuple[str, str]]:
        found = answer(connection, sql)
        texts, values = found.column("__text"), found.column("__value")
        return [(str(text), str(value)) for text, value in zip(texts, values, strict=True)]

    if wanted:
        return choose(board, ask, RANGE, wanted)
    key = (id(connection), board.name)
    if key not in _CHOSEN:
        _CHOSEN[key] = choose(board, ask, RANGE)
    return _CHOSEN[key]


def panel_named(board: str, title: str) -> Panel:
    """Return a panel by the board's name and its title."""
    return next(panel for panel in BY_NAME[board].panels if panel.title == title)


def shown(
    connection: duckdb.DuckDBPyConnection, board: str, title: str, **wanted: str | list[str]
) -> Answer:
    """Return what a panel shows."""
    values = chosen(connection, BY_NAME[board], wanted)
    return answer(connection, panel_sql(panel_named(board, title).sql, values, RANGE))


def same_rows(ours: list[tuple[object, ...]], theirs: list[tuple[object, ...]]) -> bool:
    """Whether two engines gave the same rows, floats but for a rounding."""
    return len(ours) == len(theirs) and all(
        len(left) == len(right) and all(map(_alike, left, right))
        for left, right in zip(ours, theirs, strict=True)
    )


def _alike(ours: object, theirs: object) -> bool:
    if isinstance(ours, float) and isinstance(theirs, float):
        return math.isclose(ours, theirs, rel_tol=1e-6, abs_tol=1e-12)
    if isinstance(ours, list) and isinstance(theirs, str):  # JSON, parsed by the client
        return bool(ours == json.loads(theirs))
    return ours == theirs


QUERIES = [
    *((f"{board.name}: {panel.title}", panel.sql) for board, panel in PANELS),
    *((f"{board.name}: ${variable.name}", variable.sql) for board, variable in VARIABLES),
    ("annotation: builds", BUILDS_SQL),
]
"""Every query with a name for it."""
