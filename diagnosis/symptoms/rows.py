"""Rows of the SQL library's answers, by column name."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exray.queries.interrupt import Cursors

Row = Mapping[str, Any]


def read(cursors: "Cursors", macro: str, **selectors: str) -> list[Row]:
    """Return what a table macro says.

    Args:
        cursors: A connection from `exray.queries.engine.connect`, or what makes its cursors.
        macro: The macro's name.
        selectors: Its arguments.
    """
    named = ", ".join(f"{name} := ${name}" for name in selectors)
    with cursors.cursor() as cursor:
        cursor.execute(f"FROM {macro}({named})", selectors)
        names = [str(column[0]) for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
