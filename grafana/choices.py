"""The values that a board's variables have before a reader has chosen any."""

from collections.abc import Callable, Mapping

from .dashboards import Board
from .macros import TimeRange, expand, interpolate

Ask = Callable[[str], list[tuple[str, str]]]
"""Asks the data source for a variable's texts and values."""

Chosen = dict[str, str | list[str]]


def choose(
    board: Board, ask: Ask, range_: TimeRange, wanted: Mapping[str, str | list[str]] | None = None
) -> Chosen:
    """Return a value for each variable of a board, as Grafana would when it is opened.

    Args:
        board: The board.
        ask: Asks for a query's texts and values.
        range_: The time range that is looked at.
        wanted: Values by variable that are chosen already; of others the first is, of those
            that take several all are.
    """
    values: Chosen = {}
    for variable in board.variables:
        if wanted is not None and variable.name in wanted:
            values[variable.name] = wanted[variable.name]
            continue
        if variable.values:
            values[variable.name] = variable.values[0]
            continue
        found = [value for _, value in ask(panel_sql(variable.sql, values, range_))]
        values[variable.name] = found if variable.multi else (found[0] if found else "")
    return values


def panel_sql(sql: str, values: Mapping[str, str | list[str]], range_: TimeRange) -> str:
    """Return a query with variables and macros replaced, as the data source sees it."""
    return expand(interpolate(sql, values), range_)
