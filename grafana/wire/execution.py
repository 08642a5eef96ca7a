"""One statement running in DuckDB, read piece by piece as messages for the client."""

# pyarrow's stubs leave many types open, which pyright strict reports on every use:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from .cells import data_rows
from .encoders import encoder, select_sql
from .errors import PROTOCOL_VIOLATION, TOO_MANY_COLUMNS, WireError
from .messages import BINARY, TEXT, Field
from .pg_types import pg_type

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from duckdb.sqltypes import DuckDBPyType

    from .encoders import Encoder

BATCH_ROWS = 8192
"""Four of DuckDB's vectors: enough to keep Python out of the way, and little to hold."""

PIECE_BYTES = 1 << 20
"""About as much of a batch is encoded at once."""

MAX_COLUMNS = 1664
"""PostgreSQL's own bound."""


class Views(Protocol):
    """Where statements find their tables."""

    def cursor(self) -> "duckdb.DuckDBPyConnection":
        """Return a connection of its own."""
        ...

    def refresh(self) -> None:
        """Show what is newest."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """A statement that may run.

    Args:
        text: One SELECT or EXPLAIN.
        parameters: Values by parameter.
        formats: Of the result's columns: none for text, one for all, or one each.
        types: Types that the columns were said to have, if they were.
    """

    text: str
    parameters: Mapping[str, object] = field(default_factory=dict[str, object])
    formats: tuple[int, ...] = ()
    types: "tuple[DuckDBPyType, ...] | None" = None


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of a result's rows, as messages.

    Args:
        data: DataRow messages.
        rows: How many.
        is_last: Whether no more come.
    """

    data: bytes
    rows: int
    is_last: bool


def describe(
    views: Views, text: str, parameters: Mapping[str, object]
) -> "tuple[list[Field], tuple[DuckDBPyType, ...]]":
    """Return the columns of a statement without running it, and DuckDB's types of them."""
    with views.cursor() as cursor:
        relation = cursor.sql(text, params=dict(parameters) or None)
        types = tuple(relation.types)
        return _fields(relation.columns, types, ()), types


class Execution:
    """A statement that is being run, by one thread at a time; only `interrupt` is for others.

    Args:
        views: Where it finds its tables.
    """

    def __init__(self, views: Views) -> None:
        self._views = views
        self._cursor = views.cursor()
        self._reader: pa.RecordBatchReader | None = None
        self._encoders: list[Encoder] = []
        self._pending: deque[pa.RecordBatch] = deque()
        self._first: tuple[Piece, pa.RecordBatch | None] | None = None
        self._is_interrupted = False
        self.fields: list[Field] = []
        """The result's columns, once it is open."""
        self.is_closed = False
        """Whether all rows have been read, or given up."""

    def open(self, request: Request) -> None:
        """Start a statement on the newest snapshot, and read its first rows.

        Raises:
            duckdb.Error: It cannot be run.
            WireError: Formats that do not fit the columns.
        """
        self._views.refresh()
        self._cursor.execute("BEGIN TRANSACTION READ ONLY")
        parameters = dict(request.parameters) or None
        relation = self._cursor.sql(request.text, params=parameters)
        if len(relation.columns) > MAX_COLUMNS:
            msg = f"the result has {len(relation.columns)} columns; at most {MAX_COLUMNS} are sent"
            raise WireError(TOO_MANY_COLUMNS, msg)
        types = request.types or tuple(relation.types)
        self.fields = _fields(relation.columns, types, request.formats)
        binary = [column.format == BINARY for column in self.fields]
        shown = [
            select_sql(kind, is_binary=is_it).replace("#", _as_said(kind, found))
            for kind, found, is_it in zip(types, relation.types, binary, strict=True)
        ]
        if any(sql != "#" for sql in shown):
            relation = relation.project(
                ", ".join(f"{sql.replace('#', f'#{i}')} AS c{i}" for i, sql in enumerate(shown, 1))
            )
        self._encoders = [
            encoder(kind, is_binary=is_it) for kind, is_it in zip(types, binary, strict=True)
        ]
        self._reader = relation.to_arrow_reader(BATCH_ROWS)
        self._first = self._read(None)

    def first(self, max_rows: int = 0) -> Piece | None:
        """Return the rows that were read when it was opened, without waiting for any.

        Args:
            max_rows: How many are wanted; 0 for all.

        Returns:
            None if those were returned before, or are more than are wanted: `read` then.
        """
        if self._first is None or 0 < max_rows < self._first[0].rows:
            return None
        piece, self._first = self._first[0], None
        self.is_closed = piece.is_last
        return piece

    def read(self, max_rows: int = 0) -> Piece:
        """Return the next rows, at most *max_rows*; a few thousand if it is 0.

        The statement is closed with its last row.
        """
        first = self.first(max_rows)
        if first is not None:
            return first
        if self._first is not None and self._first[1] is not None:
            self._pending.appendleft(self._first[1])
            self._first = None
        piece, _ = self._read(max_rows or None)
        self.is_closed = piece.is_last
        return piece

    def interrupt(self) -> None:
        """End the statement; from any thread, as often as it takes."""
        import duckdb

        self._is_interrupted = True
        try:
            self._cursor.interrupt()
        except duckdb.Error:
            return  # closed

    def close(self) -> None:
        """Give up the rows that are left."""
        self.is_closed = True
        self._first = None
        self._pending.clear()
        self._release()

    def _release(self) -> None:
        """End what runs in DuckDB."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
        self._cursor.close()

    def _read(self, max_rows: int | None) -> "tuple[Piece, pa.RecordBatch | None]":
        """Return the next rows as messages, and as they were."""
        batch = self._next_batch()
        if batch is None:
            self._release()
            return Piece(b"", 0, is_last=True), None
        fitting = max(1, batch.num_rows * PIECE_BYTES // max(PIECE_BYTES, batch.nbytes))
        rows = min(fitting, batch.num_rows, max_rows or fitting)
        if rows < batch.num_rows:
            self._pending.appendleft(batch.slice(rows))
            batch = batch.slice(0, rows)
        data = data_rows(
            [encode(column) for encode, column in zip(self._encoders, batch.columns, strict=True)],
            rows,
        )
        following = self._next_batch()
        if following is None:
            self._release()
        else:
            self._pending.appendleft(following)
        return Piece(data, rows, following is None), batch

    def _next_batch(self) -> "pa.RecordBatch | None":
        """Return the rows that are read and not sent yet, or the next ones; None at the end."""
        import duckdb

        if self._is_interrupted:
            msg = "INTERRUPT"
            raise duckdb.InterruptException(msg)
        if self._pending:
            return self._pending.popleft()
        while self._reader is not None:
            try:
                batch = self._reader.read_next_batch()
            except StopIteration:
                return None
            if batch.num_rows:
                return batch
        return None


def _as_said(said: "DuckDBPyType", found: "DuckDBPyType") -> str:
    """Return how to select a column whose type its parameters have changed since it was said."""
    # A column that is nothing but a parameter has no type without one, and is sent as text.
    return "#" if said == found or said.id == "null" else f"CAST(# AS {said})"


def _fields(
    names: Sequence[str], types: "Sequence[DuckDBPyType]", formats: tuple[int, ...]
) -> list[Field]:
    if len(formats) > 1 and len(formats) != len(names):
        msg = f"{len(formats)} result formats for {len(names)} columns; expected none, 1 or as many"
        raise WireError(PROTOCOL_VIOLATION, msg)
    if any(code not in (TEXT, BINARY) for code in formats):
        msg = f"result formats {sorted(set(formats))}; expected 0 (text) and 1 (binary)"
        raise WireError(PROTOCOL_VIOLATION, msg)
    chosen = formats if len(formats) > 1 else (formats or (TEXT,)) * len(names)
    return [
        Field(name, pg_type(kind), code)
        for name, kind, code in zip(names, types, chosen, strict=True)
    ]
