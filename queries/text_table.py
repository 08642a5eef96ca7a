"""Tables that fit a terminal: headers folded, names cut, columns left out, in this order.

Numbers are never cut. What is left out is named, so that a narrow terminal hides nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .names import printable

if TYPE_CHECKING:
    from rich.table import Table

Kind = Literal["number", "word", "name", "text", "prose"]
"""How a column gives way: numbers and words never, names lose their beginning, texts their
end, prose goes on in the next line."""

GAP = 2
"""Characters between two columns."""

LEAST_WIDTH = {"name": 12, "text": 12, "prose": 24}
"""Characters that a column which may give way keeps."""

ELLIPSIS = "…"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its header, and one text a row.

    Args:
        header: Words joined with spaces or ``_``, where it may be folded.
        texts: One a row.
        kind: How it gives way where room is short.
        rank: Columns of the highest rank are left out first; of equal rank, the last.
    """

    header: str
    texts: Sequence[str]
    kind: Kind = "text"
    rank: int = 0

    def __post_init__(self) -> None:
        """Take what would steer a terminal out, before anything is measured."""
        object.__setattr__(self, "header", printable(self.header))
        object.__setattr__(self, "texts", [printable(text) for text in self.texts])

    @property
    def body_width(self) -> int:
        """Characters that the longest text takes."""
        return max(map(_width, self.texts), default=0)

    @property
    def full_width(self) -> int:
        """Characters that nothing cut and nothing folded takes."""
        return max(self.body_width, _width(self.header))

    @property
    def folded_width(self) -> int:
        """Characters that it takes with its header folded."""
        return max(self.body_width, *map(_width, _parts(self.header)))

    @property
    def least_width(self) -> int:
        """Characters that it takes at least."""
        if self.kind not in LEAST_WIDTH:
            return self.folded_width
        header = max(map(_width, _parts(self.header)))
        return min(self.folded_width, max(LEAST_WIDTH[self.kind], header))


def fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """Return the columns that there is room for, in their order; always one."""
    ranked = sorted(range(len(columns)), key=lambda i: columns[i].rank)
    kept: list[int] = []
    for i in ranked:
        if kept and _total([columns[k].least_width for k in [*kept, i]]) > width:
            break
        kept.append(i)
    return [columns[i] for i in sorted(kept)]


def widths(columns: Sequence[Column], width: int, shortest: int | None = None) -> list[int]:
    """Return the characters that each column gets.

    Args:
        columns: Those of the table.
        width: Characters of a line, kept to unless it takes what must not be cut.
        shortest: Least width of what may be cut; None for the column's own.
    """
    full = [column.full_width for column in columns]
    if _total(full) <= width:
        return full
    given = [column.folded_width for column in columns]
    least = [
        shortest if shortest and column.kind in LEAST_WIDTH else column.least_width
        for column in columns
    ]
    while _total(given) > width:
        spare = [i for i in range(len(given)) if given[i] > least[i]]
        if not spare:
            break
        given[max(spare, key=lambda i: given[i])] -= 1
    return given


def text_table(
    columns: Sequence[Column],
    width: int,
    *,
    title: str | None = None,
    styles: Sequence[str] = (),
    leave_out: bool = True,
) -> "Table":
    """Return a table of what fits.

    Args:
        columns: All of them; those without room are left out (`fitting` tells which).
        width: Characters of a line.
        title: Stands above it.
        styles: One a row, or none.
        leave_out: Leave out columns; False keeps all, names cut as far as it takes.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    kept = fitting(columns, width) if leave_out else columns
    given = widths(kept, width, shortest=None if leave_out else 1)
    table = Table(
        box=box.SIMPLE_HEAD,
        title=title,
        title_justify="left",
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )
    for column, size in zip(kept, given, strict=True):
        table.add_column(
            Text(_folded(column.header, size)),  # a Text: it may hold [brackets]
            justify="right" if column.kind == "number" else "left",
            width=size,
            overflow="fold",
            no_wrap=column.kind != "prose",
        )
    for row in range(len(kept[0].texts)):
        cells = [
            Text(cut(column.texts[row], size, column.kind))
            for column, size in zip(kept, given, strict=True)
        ]
        table.add_row(*cells, style=styles[row] if styles else "")
    return table


def cut(text: str, width: int, kind: Kind) -> str:
    """Return *text* in at most *width* characters: of a name the end, of a text the beginning.

    >>> cut("expanded_conv_10/depthwise", 14, "name")
    '…_10/depthwise'
    >>> cut("a reason", 5, "text")
    'a re…'
    """
    if kind not in ("name", "text") or _width(text) <= width:
        return text
    while _width(text) >= width and text:
        text = text[1:] if kind == "name" else text[:-1]
    return ELLIPSIS + text if kind == "name" else text + ELLIPSIS


def _total(given: Sequence[int]) -> int:
    return sum(given) + GAP * (len(given) - 1)


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _parts(header: str) -> list[str]:
    """Return the pieces of a header that stay together: ``a_b c`` is ``a_``, ``b``, ``c``."""
    return header.replace("_", "_ ").split() or [""]


def _folded(header: str, width: int) -> str:
    """Return a header in lines of at most *width* characters, broken between its parts."""
    if _width(header) <= width:
        return header
    lines = [""]
    for part in _parts(header):
        blank = "" if not lines[-1] or lines[-1].endswith("_") else " "
        if lines[-1] and _width(lines[-1] + blank + part) > width:
            lines.append(part)
        else:
            lines[-1] += blank + part
    return "\n".join(lines)
