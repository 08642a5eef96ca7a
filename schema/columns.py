"""What a table of the lake is made of: its columns, key, partitions and sort order."""

from dataclasses import dataclass
from typing import Literal

Encoding = Literal["plain", "delta", "dictionary", "byte_stream_split"]
"""How Parquet writes a column's pages."""

ColumnType = Literal[
    "fixed8",
    "fixed16",
    "int32",
    "int64",
    "float32",
    "float64",
    "string",
    "bool",
    "list<int32>",
    "list<int64>",
    "list<float32>",
    "list<float64>",
    "list<string>",
]
"""A column's type; fixed8 and fixed16 are binary ids of 8 and 16 bytes."""


RECORDED = "recorded_ns"
"""The column, in tables that have it, that says when a row was recorded."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Args:
        name: Name in every engine.
        type: Type without its nullability.
        nullable: Whether NULL is a legal value. Arrow and Parquet allow it in every
            column; the writer is what enforces this.
        unit: UCUM unit, None for names, ids and plain numbers.
        attribute: The span or resource attribute that carries it, if one does.
        brief: Its meaning, one sentence.
        encoding: How Parquet writes it; a list's elements are meant.
    """

    name: str
    type: ColumnType
    nullable: bool
    unit: str | None
    attribute: str | None
    brief: str
    encoding: Encoding


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the lake.

    Args:
        name: Name in every engine, and of its folder.
        brief: Its meaning, one sentence.
        key: Columns that tell rows apart; a repeated key is the same row again, or its correction.
        partition: Columns that live in the path only; they come last in *columns*.
        sort: Columns by which a file's rows are sorted.
        columns: All columns, in order.
    """

    name: str
    brief: str
    key: tuple[str, ...]
    partition: tuple[str, ...]
    sort: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def newest_by(self) -> str | None:
        """The column whose greatest value counts where a key is repeated; None where all are one row.

        A table that says when a row was recorded has corrections, the others have copies.
        """
        return next((column.name for column in self.columns if column.name == RECORDED), None)

    @property
    def stored_columns(self) -> tuple[Column, ...]:
        """The columns inside a file: all but those of the path."""
        return tuple(column for column in self.columns if column.name not in self.partition)
