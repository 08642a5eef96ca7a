"""Small files of a partition rewritten as one: sorted, and each row once.

Writers leave a file for each commit, and where a row was sent again long after it first came,
the row twice, also under two dates. A rewrite reads the small files of one partition, drops
keys that repeat or stand under an earlier date, sorts and commits one file in their place.
Readers of an older snapshot keep the old files, which `remove_unused` deletes days later.
"""

# pyarrow's stubs leave many types open, which pyright strict reports on every use:
# pyright: reportUnknownMemberType=false

import uuid
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exray.schema.arrow import arrow_schema
from exray.schema.columns import Table
from exray.schema.errors import LakeError
from exray.schema.tables import TABLES

from .delta import DeltaLog
from .keys import key_texts
from .layout import file_name
from .parquet import encode_parquet
from .typing import DataFile, Storage

if TYPE_CHECKING:
    import pyarrow as pa

SMALL_BYTES = 64 << 20
"""A file below this is worth a rewrite."""

REWRITE_BYTES = 256 << 20
"""Most that is read for one rewrite; it takes some times as much memory."""

REWRITTEN = "compact-"
"""What the names of files begin with that a compaction wrote."""

WRITER = "compact"
"""All compactions of a table commit under one name, so of two at once one counts: each decides
which of two copies of a row stays, and both might drop the other's."""


@dataclass(frozen=True, slots=True)
class PartitionState:
    """What of a partition is not compacted.

    Args:
        table: Its table.
        partition: Its values.
        files: All its files.
        small: Those that a compaction would rewrite: what it has not seen yet, and what it
            has, where that is small.
    """

    table: str
    partition: Mapping[str, str]
    files: Sequence[DataFile]
    small: Sequence[DataFile]


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a compaction did.

    Args:
        files_before: Files that were rewritten.
        files_after: Files in their place.
        repeated_rows: Rows that stood there twice.
    """

    files_before: int = 0
    files_after: int = 0
    repeated_rows: int = 0


def partition_states(storage: Storage, tables: Sequence[str]) -> Iterator[PartitionState]:
    """Yield every partition of *tables*, newest snapshot, oldest date first.

    Raises:
        LakeError: A table's log is damaged.
    """
    for name in tables:
        if not storage.names(f"{name}/_delta_log"):
            continue
        log = DeltaLog(storage.uri(name), name)
        log.recorded_sequence("compact")
        yield from _states(name, log.entries())


def _states(name: str, entries: Sequence[DataFile]) -> Iterator[PartitionState]:
    found: dict[tuple[str, ...], list[DataFile]] = {}
    for entry in entries:
        found.setdefault(tuple(entry.partition.values()), []).append(entry)
    for _, files in sorted(found.items()):
        small = [file for file in files if not _is_rewritten(file) or file.size_bytes < SMALL_BYTES]
        taken: list[DataFile] = []
        for file in sorted(small, key=lambda file: (_is_rewritten(file), file.name)):
            if taken and sum(f.size_bytes for f in taken) + file.size_bytes > REWRITE_BYTES:
                break
            taken.append(file)
        is_done = len(taken) < 2 and all(map(_is_rewritten, taken))
        yield PartitionState(name, files[0].partition, files, () if is_done else taken)


def _is_rewritten(file: DataFile) -> bool:
    return file.name.rpartition("/")[2].startswith(REWRITTEN)


def compact_partition(storage: Storage, state: PartitionState) -> Compacted:
    """Rewrite files of a partition as one, if nobody else compacts the table meanwhile.

    Raises:
        LakeError: The lake cannot be read or written.
    """
    table = TABLES[state.table]
    log = DeltaLog(storage.uri(table.name), table.name)
    recorded = log.recorded_sequence(WRITER)
    sequence = 0 if recorded is None else recorded + 1
    # What this snapshot holds counts: another compaction may have been here since.
    present = {entry.name: entry for entry in log.entries()}
    small = [present.pop(file.name) for file in state.small if file.name in present]
    if not small or (len(small) < 2 and _is_rewritten(small[0])):
        return Compacted()
    rows = _read(storage, table, small)
    kept = without_repetitions(rows, table)
    others = [file for file in present.values() if _decides(file, state.partition)]
    kept = _without_those_of(storage, table, kept, others)
    files = _write(storage, table, kept, state.partition, sequence)
    if not log.replace(files, small, WRITER, sequence):
        return Compacted()  # the other one's file stands; ours is named by no log
    return Compacted(len(small), len(files), rows.num_rows - kept.num_rows)


def _decides(file: DataFile, partition: Mapping[str, str]) -> bool:
    """Tell whether a row stays in *file* and leaves *partition*, should it stand in both.

    It stays where it came first, unless the later one has been compacted already.
    """
    mine, other = dict(partition), dict(file.partition)
    mine_dt, other_dt = mine.pop("dt", None), other.pop("dt", None)
    if mine != other or mine_dt is None or other_dt is None:
        return False
    return other_dt < mine_dt or _is_rewritten(file)


def _without_those_of(
    storage: Storage, table: Table, rows: "pa.Table", files: Sequence[DataFile]
) -> "pa.Table":
    """Return *rows* without those whose key stands in one of *files*."""
    import pyarrow.compute as pc

    untyped: Any = pc
    time = next((c.name for c in table.stored_columns if c.name in ("start_ns", "time_ns")), None)
    for file in files:
        if not rows.num_rows or time is None:
            break
        span = untyped.min_max(rows.column(time)).as_py()
        there = _keys_within(storage, table, file, (time, span["min"], span["max"]))
        if there is None:
            continue
        repeated = untyped.is_in(key_texts(rows.select(list(table.key))), there)
        rows = rows.filter(untyped.invert(repeated))
    return rows


def _keys_within(
    storage: Storage, table: Table, file: DataFile, times: tuple[str, int, int]
) -> Any:
    """Return the keys of a file's rows that may be of some times, None where there are none."""
    import pyarrow.parquet as pq

    name = f"{table.name}/{file.name}"
    with _explained(storage, name):
        parquet: Any = pq.ParquetFile(storage.open(name))
        groups = _groups_within(parquet, *times)
        keys = parquet.read_row_groups(groups, list(table.key)) if groups else None
    return None if keys is None else key_texts(keys.select(list(table.key)))


def _groups_within(parquet: Any, column: str, low: int, high: int) -> list[int]:
    """Return the row groups that may hold rows of a time: copies of a row have the same."""
    metadata = parquet.metadata
    at = [parquet.schema.column(n).path for n in range(metadata.num_columns)].index(column)
    found: list[int] = []
    for group in range(parquet.num_row_groups):
        known = metadata.row_group(group).column(at).statistics
        if known is None or not known.has_min_max or (known.min <= high and low <= known.max):
            found.append(group)
    return found


def _write(
    storage: Storage, table: Table, rows: "pa.Table", partition: Mapping[str, str], sequence: int
) -> list[DataFile]:
    """Write the rows, if there are any, as one file."""
    if not rows.num_rows:
        return []
    name = file_name(f"{REWRITTEN}{uuid.uuid4().hex}", sequence, partition)
    content = encode_parquet(rows, table)
    if not storage.publish(f"{table.name}/{name}", content):
        msg = f"{storage.uri(name)!r} is there already, under a name made by chance"
        raise LakeError(msg)
    return [DataFile(name, content.nbytes, rows.num_rows, dict(partition))]


def remove_unused(storage: Storage, tables: Sequence[str], keep_hours: int) -> int:
    """Delete the files that compactions have replaced, and what killed writers left.

    Args:
        storage: The lake's files.
        tables: Where to look.
        keep_hours: Files replaced or written since stay.

    Returns:
        How many were deleted.

    Raises:
        LakeError: The lake cannot be read or written.
    """
    removed = 0
    for name in tables:
        if storage.names(f"{name}/_delta_log"):
            log = DeltaLog(storage.uri(name), name)
            log.recorded_sequence(WRITER)
            removed += log.remove_unused(keep_hours)
    return removed


def without_repetitions(rows: "pa.Table", table: Table) -> "pa.Table":
    """Return *rows* with each key once: its newest row, where rows say when they were written."""
    import pyarrow as pa

    newest = table.newest_by
    if newest is not None:
        rows = rows.sort_by([(newest, "descending")])
    untyped: Any = pa
    numbered = rows.select(list(table.key)).append_column(
        "_row", untyped.array(range(rows.num_rows), "int64")
    )
    first = numbered.group_by(list(table.key)).aggregate([("_row", "min")]).column("_row_min")
    if len(first) == rows.num_rows:
        return rows
    return rows.take(first)


def _read(storage: Storage, table: Table, files: Sequence[DataFile]) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema: Any = arrow_schema(table.name)
    columns = [column.name for column in table.stored_columns]
    stored = pa.schema([schema.field(name) for name in columns])
    parts: list[pa.Table] = []
    for file in files:
        name = f"{table.name}/{file.name}"
        with _explained(storage, name):
            parts.append(pq.ParquetFile(_source(storage, name)).read(columns).cast(stored))
    return pa.concat_tables(parts)


def _source(storage: Storage, name: str) -> Any:
    """Return what Arrow reads a file from."""
    import pyarrow as pa

    content = storage.read(name)
    if content is None:
        raise _missing(storage, name)
    return pa.BufferReader(content)


@contextmanager
def _explained(storage: Storage, name: str) -> Generator[None]:
    """Say which file it is that cannot be read."""
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError as error:
        raise _missing(storage, name) from error
    except (pa.ArrowException, OSError) as error:
        told = str(error).split("\n", 1)[0]
        msg = f"{storage.uri(name)!r} is damaged: {told} Restore it from a copy."
        raise LakeError(msg) from error


def _missing(storage: Storage, name: str) -> LakeError:
    msg = (
        f"{storage.uri(name)!r} is missing, but the table's log names it. Restore it from a copy; "
        "a vacuum of another program may have removed it."
    )
    return LakeError(msg)
