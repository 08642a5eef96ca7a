"""Small files of a partition rewritten as one: sorted, and each row once.

Writers leave a file for each commit, and where a row was sent again long after it first came,
the row twice. A rewrite reads the small files of one partition, drops repeated keys, sorts
and commits one file in their place. Readers of an older snapshot keep the old files, which
stay on disk until Delta's ``vacuum``.
"""

# pyarrow's stubs leave many types open, which pyright strict reports on every use:
# pyright: reportUnknownMemberType=false

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from exray.schema.arrow import arrow_schema
from exray.schema.columns import Table
from exray.schema.errors import LakeError
from exray.schema.tables import TABLES

from .delta import DeltaLog
from .layout import file_name
from .parquet import encode_parquet
from .typing import DataFile, Storage

if TYPE_CHECKING:
    import pyarrow as pa

SMALL_BYTES = 64 << 20
"""A file below this is worth a rewrite."""

REWRITE_BYTES = 256 << 20
"""Most that is read for one rewrite; it takes some times as much memory."""

NEWEST = {"runs": "recorded_ns", "alignments": "recorded_ns"}
"""Tables of which a repeated key is a correction, and the column that says the newest."""


@dataclass(frozen=True, slots=True)
class PartitionState:
    """What of a partition is not compacted.

    Args:
        table: Its table.
        partition: Its values.
        files: All its files.
        small: Those that a compaction would rewrite, none if fewer than two.
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
        small = sorted((f for f in files if f.size_bytes < SMALL_BYTES), key=lambda f: f.name)
        taken: list[DataFile] = []
        for file in small:
            if sum(f.size_bytes for f in taken) + file.size_bytes > REWRITE_BYTES:
                break
            taken.append(file)
        yield PartitionState(name, files[0].partition, files, taken if len(taken) > 1 else ())


def compact_partition(storage: Storage, state: PartitionState) -> Compacted:
    """Rewrite the small files of a partition as one, if nobody else does so meanwhile.

    Raises:
        LakeError: The lake cannot be read or written.
    """
    table = TABLES[state.table]
    log = DeltaLog(storage.uri(table.name), table.name)
    writer = "compact-" + "-".join(state.partition.values() or ("all",))
    recorded = log.recorded_sequence(writer)
    sequence = 0 if recorded is None else recorded + 1
    # What this snapshot holds counts: another compaction may have been here since.
    present = {entry.name: entry for entry in log.entries()}
    small = [present[file.name] for file in state.small if file.name in present]
    if len(small) < 2:
        return Compacted()
    rows = _read(storage, table, small)
    kept = without_repetitions(rows, table)
    name = file_name(f"compact-{uuid.uuid4().hex}", sequence, state.partition)
    content = encode_parquet(kept, table)
    if not storage.publish(f"{table.name}/{name}", content):
        msg = f"{storage.uri(name)!r} is there already, under a name made by chance"
        raise LakeError(msg)
    file = DataFile(name, content.nbytes, kept.num_rows, dict(state.partition))
    if not log.replace(file, small, writer, sequence):
        return Compacted()  # the other one's file stands; ours is named by no log
    return Compacted(len(small), 1, rows.num_rows - kept.num_rows)


def without_repetitions(rows: "pa.Table", table: Table) -> "pa.Table":
    """Return *rows* with each key once: its newest row, where rows say when they were written."""
    import pyarrow as pa

    newest = NEWEST.get(table.name)
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
    parts = [
        pq.ParquetFile(_source(storage, f"{table.name}/{unquote(file.name)}")).read(columns)
        for file in files
    ]
    return pa.concat_tables([part.cast(stored) for part in parts])


def _source(storage: Storage, name: str) -> Any:
    """Return what Arrow reads a file from."""
    import pyarrow as pa

    content = storage.read(name)
    if content is None:
        msg = (
            f"{storage.uri(name)!r} is missing, but the table's log names it. Restore it from a copy; "
            "a vacuum of another program may have removed it."
        )
        raise LakeError(msg)
    return pa.BufferReader(content)
