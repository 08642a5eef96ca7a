"""Text and tables as HTML, closed to what names may hold."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from exray.queries.names import printable, tail_name

LONGEST_NAME = 400
"""Characters of a name under the pointer: a converter that fuses layers writes thousands."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Args:
        title: What stands above it.
        is_number: Whether it holds numbers, which are set to the right.
    """

    title: str
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a table, not escaped yet.

    Args:
        text: As the reader sees it.
        value: What it is sorted by, where that is not the text; None sorts last.
        full: All of what *text* is an end of, for the pointer and the filter.
    """

    text: str
    value: float | None = None
    full: str = ""


def text_columns(*titles: str) -> list[Column]:
    """Return columns of text."""
    return [Column(title) for title in titles]


def number_columns(*titles: str) -> list[Column]:
    """Return columns of numbers."""
    return [Column(title, is_number=True) for title in titles]


def text(value: str) -> str:
    """Return text that is safe between tags and in attributes."""
    return escape(printable(value))


def name_cell(name: str) -> Cell:
    """Return a name cut to its telling end; the page shows all of it under the pointer."""
    return Cell(tail_name(name), full=cut(name))


def cut(name: str) -> str:
    """Return a name as long as is of use."""
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of a table.

    Args:
        cells: One for each column; plain text stands for itself.
        kind: Its class, empty for none.
        anchor: What a link or a click on a chart leads to, empty for none.
    """

    cells: Sequence[Cell | str]
    kind: str = ""
    anchor: str = ""


def table(
    columns: Sequence[Column], rows: Iterable[TableRow], kind: str = "", *, sortable: bool = False
) -> str:
    """Return a table in a box of its own, which scrolls where it is too wide.

    Args:
        columns: What the cells are.
        rows: The rows.
        kind: Class of the table.
        sortable: Whether the page's script lets the reader sort it.
    """
    head = "".join(_head(column, sortable) for column in columns)
    body = "\n".join(_row(row, columns, sortable) for row in rows)
    sorts = " data-sortable" if sortable else ""
    return (
        f'<div class="scroll" tabindex="0"><table class="{kind}"{sorts}><thead><tr>{head}</tr>'
        f"</thead>\n<tbody>{body}</tbody></table></div>"
    )


def _head(column: Column, sortable: bool) -> str:
    kind = ' class="n"' if column.is_number else ""
    title = text(column.title)
    shown = f'<button type="button">{title}</button>' if sortable else title
    return f'<th scope="col"{kind}>{shown}</th>'


def _row(row: TableRow, columns: Sequence[Column], sortable: bool) -> str:
    kind = f' class="{row.kind}"' if row.kind else ""
    anchor = f' id="{row.anchor}"' if row.anchor else ""
    cells = "".join(map(_cell, row.cells, columns, [sortable] * len(columns)))
    return f"<tr{anchor}{kind}>{cells}</tr>"


def _cell(cell: Cell | str, column: Column, sortable: bool) -> str:
    cell = Cell(cell) if isinstance(cell, str) else cell
    kind = ' class="n"' if column.is_number else ""
    title = f' title="{text(cell.full)}"' if cell.full else ""
    value = ""
    if sortable and column.is_number:
        value = ' data-value=""' if cell.value is None else f' data-value="{cell.value!r}"'
    return f"<td{kind}{title}{value}>{_breakable(text(cell.text))}</td>"


def _breakable(shown: str) -> str:
    """Let names break where they are put together, rather than anywhere."""
    return shown.replace("/", "/<wbr>").replace("_", "_<wbr>")


def note(*texts: str | None) -> str:
    """Return remarks, a paragraph each; None is none."""
    return "".join(f'<p class="note">{text(told)}</p>' for told in texts if told)
