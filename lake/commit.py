"""One table's part of a commit: Parquet files, then one entry in the table's log.

A writer that dies leaves at most files that no log names; readers never see them, and the
same commit, made again, finds them and names them. ``vacuum`` of Delta removes the rest.
"""

# pyarrow's stubs leave many types open, which pyright strict reports on every use:
# pyright: reportUnknownMemberType=false

import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from exray.schema.columns import Table
from exray.schema.errors import CommitError, LakeError

from .layout import file_name
from .parquet import encode_parquet, row_count
from .relay import open_log
from .typing import DataFile, Storage

if TYPE_CHECKING:
    import pyarrow as pa

MAX_TRIES = 10
"""Lost races before giving up. Only commits under one writer id race at all."""

BACKOFF_S = 0.05
"""Longest first pause after a lost race; it doubles with each, up to a second."""


def commit_files(
    storage: Storage,
    table: Table,
    write: Callable[[], Sequence[DataFile]],
    *,
    writer: str,
    sequence: int,
) -> bool:
    """Add files to *table*, unless *writer* has committed *sequence* or a later one already.

    Args:
        storage: The lake's files.
        table: Where the rows belong.
        write: Makes the files, or finds them; called at most once, and only if they are wanted.
        writer: Who writes, as a word that nobody else uses.
        sequence: The commit's number, ascending for each writer.

    Returns:
        False if the rows were there already.

    Raises:
        LakeError: The lake cannot be written; `LakeFullError` if for want of space.
        CommitError: Another process commits under the same *writer*, and always wins.
    """
    log = open_log(storage.uri(table.name), table.name)
    files: Sequence[DataFile] = []
    for attempt in range(MAX_TRIES):
        recorded = log.recorded_sequence(writer)
        if recorded is not None and recorded >= sequence:
            return False
        files = files or write()
        if log.append(files, writer, sequence):
            return True
        time.sleep(random.uniform(0, min(BACKOFF_S * 2**attempt, 1.0)))
    msg = (
        f"table {table.name!r} of {storage.place!r}: lost {MAX_TRIES} commits of writer "
        f"{writer!r} to others under the same name. Give each process a writer id of its own."
    )
    raise CommitError(msg)


def write_files(
    storage: Storage, table: Table, rows: "pa.Table", *, writer: str, sequence: int
) -> list[DataFile]:
    """Write *rows* as files that no log names yet, one for each partition.

    Args:
        storage: The lake's files.
        table: Where the rows belong.
        rows: All columns of *table*, checked.
        writer: With *sequence* in the files' names: the same two mean the same rows, and
            files that stand there already are taken.
        sequence: See *writer*.

    Raises:
        LakeError: The lake cannot be written, or something else stands there.
    """
    return [
        _write_file(storage, table, part, values, (writer, sequence))
        for values, part in _partitions(table, rows)
    ]


def _partitions(table: Table, rows: "pa.Table") -> "Iterator[tuple[dict[str, str], pa.Table]]":
    """Yield the values of each partition in *rows*, and its rows without those columns."""
    import pyarrow.compute as pc

    keys = list(table.partition)
    ordered = rows.select([column.name for column in table.columns]).unify_dictionaries()
    if not keys:
        yield {}, ordered
        return
    partitions = ordered.select(keys).group_by(keys).aggregate([]).to_pylist()
    for values in partitions:
        part = ordered
        for key in keys if len(partitions) > 1 else ():  # one takes all rows as they are
            part = part.filter(pc.equal(part.column(key), values[key]))
        yield {key: str(values[key]) for key in keys}, part.drop_columns(keys)


def _write_file(
    storage: Storage,
    table: Table,
    rows: "pa.Table",
    values: dict[str, str],
    origin: tuple[str, int],
) -> DataFile:
    """Write one file, or take the one that the same commit left when it was cut short.

    Where some of a set's requests were dropped meanwhile, what it left holds other rows. No
    log names it then, and it is left alone: the rows go into a file beside it.
    """
    writer, sequence = origin
    content = encode_parquet(rows, table)
    problems: list[str] = []
    for part in (writer, f"{writer}-{rows.num_rows}rows"):
        name = file_name(part, sequence, values)
        path = f"{table.name}/{name}"
        if storage.publish(path, content):
            return DataFile(name, content.nbytes, rows.num_rows, values)
        found = storage.read(path) or b""
        if row_count(found) == rows.num_rows:
            return DataFile(name, len(found), rows.num_rows, values)
        problems.append(f"{storage.uri(path)!r} ({row_count(found)} rows)")
    msg = (
        f"{' and '.join(problems)} stand in the way of a commit of {rows.num_rows} rows, and no "
        f"commit of table {table.name!r} made them. Remove them."
    )
    raise LakeError(msg)
