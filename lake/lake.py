"""A lake: the tables of the schema in one folder, each a Delta table of Parquet files."""

import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from exray.schema.errors import LakeError
from exray.schema.tables import TABLES

from .commit import commit_files, write_files
from .compact import (
    Compacted,
    PartitionState,
    compact_partition,
    partition_states,
    remove_unused,
)
from .layout import LAYOUT_VERSION, check_marker, create_marker, storage_at
from .relay import open_log
from .storage import LocalStorage
from .typing import DataFile, Storage
from .validate import check_origin, check_set

if TYPE_CHECKING:
    import pyarrow as pa

COMMIT_ORDER = (
    "runs",
    "graphs",
    "tensors",
    "layer_spans",
    "spans",
    "metrics",
    "logs",
    "alignments",
    "tensor_build_stats",
    "build_answers",
    "build_times",
    "layer_build_stats",
    "build_stats",
    "frames",
)
"""Frames come last: every view starts from them, so an unfinished set is invisible."""


class Lake:
    """Tables of runs, frames, layers and tensors that many processes write and read at once.

    Open one with `open` or `open_or_create`. A lake holds no handle and no lock: it may be
    kept, shared between threads and carried over a fork.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @property
    def storage(self) -> Storage:
        """Where its bytes are."""
        return self._storage

    @property
    def place(self) -> str:
        """Its folder or URL, as messages name it."""
        return self._storage.place

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open the lake in folder *path*, or at a URL ``s3://BUCKET/PREFIX``.

        Raises:
            LakeError: *path* is no lake, a damaged one, or one of a newer exray.
        """
        storage = storage_at(os.fspath(path))
        check_marker(storage)
        return cls(storage)

    @classmethod
    def open_or_create(cls, path: str | os.PathLike[str]) -> Self:
        """Open the lake in folder *path* or at a URL; start one where there is nothing.

        Raises:
            LakeError: *path* holds something else, or cannot be written.
        """
        storage = storage_at(os.fspath(path))
        create_marker(storage)
        storage.sweep()
        return cls(storage)

    @property
    def has_old_files(self) -> bool:
        """Whether files may lack columns that tables got after the lake was made.

        Raises:
            LakeError: The lake is gone, or its marker damaged.
        """
        return check_marker(self._storage) < LAYOUT_VERSION

    @property
    def path(self) -> Path:
        """The lake's folder, absolute.

        Raises:
            LakeError: It is in a bucket.
        """
        if isinstance(self._storage, LocalStorage):
            return self._storage.root
        msg = (
            f"this needs a lake in a folder of this machine, and {self.place!r} is in a bucket: "
            "there, 'exray collect' and 'exray ingest' write, and queries and reports read"
        )
        raise LakeError(msg)

    def commit(
        self,
        tables: "Mapping[str, pa.Table]",
        *,
        writer: str,
        sequence: int,
        step: Callable[[str], None] = lambda table: None,
    ) -> None:
        """Add a set of rows: once, however often it is asked.

        The whole set is checked before any of it is written. If the process dies or the
        call raises, commit the same set under the same sequence again: what is in the
        lake already is skipped. Sequences of one writer are committed in their order.

        Args:
            tables: Rows by table, each with all columns of its table. Empty ones are skipped.
            writer: Who writes: letters and digits that no other process uses.
            sequence: Number of this set, greater than that of the writer's set before.
            step: Called with the name of each table whose rows are in the lake.

        Raises:
            LakeError: The rows do not fit the schema, or the lake cannot be written.
            LakeFullError: The disk is full.
            CommitError: Another process commits under the same writer.
        """
        check_origin(writer, sequence)
        check_set(tables)

        def written(name: str) -> list[DataFile]:
            return self._write(name, tables[name], writer, sequence)

        filled = [name for name, rows in tables.items() if rows.num_rows]
        self._commit(filled, written, writer=writer, sequence=sequence, step=step)

    def write(
        self, tables: "Mapping[str, pa.Table]", *, writer: str, sequence: int
    ) -> dict[str, list[DataFile]]:
        """Write a part of a set as files that are in no table yet; `add` puts them there.

        So several processes can share the work of one set. Written again, the same part
        finds its files.

        Args:
            tables: As `commit` takes them.
            writer: The part, in letters and digits: what stands in it is always the same.
            sequence: Number of the set.

        Returns:
            The files by table.

        Raises:
            LakeError: As `commit` does.
        """
        check_origin(writer, sequence)
        check_set(tables)
        create_marker(self._storage)
        return {
            name: self._write(name, rows, writer, sequence)
            for name, rows in tables.items()
            if rows.num_rows
        }

    def add(
        self,
        files: Mapping[str, Sequence[DataFile]],
        *,
        writer: str,
        sequence: int,
        step: Callable[[str], None] = lambda table: None,
    ) -> None:
        """Add a set that was written in parts: once, however often it is asked.

        Args:
            files: Those of all parts, by table.
            writer: As `commit` takes it, like the following.
            sequence: Number of this set.
            step: Called with the name of each table whose rows are in the lake.

        Raises:
            LakeError: As `commit` does.
        """
        check_origin(writer, sequence)
        filled = [name for name, found in files.items() if found]
        self._commit(filled, files.__getitem__, writer=writer, sequence=sequence, step=step)

    def _write(self, name: str, rows: "pa.Table", writer: str, sequence: int) -> list[DataFile]:
        return write_files(self._storage, TABLES[name], rows, writer=writer, sequence=sequence)

    def _commit(
        self,
        names: Sequence[str],
        files_of: Callable[[str], Sequence[DataFile]],
        *,
        writer: str,
        sequence: int,
        step: Callable[[str], None],
    ) -> None:
        create_marker(self._storage)  # again, should somebody have removed the whole folder
        for name in COMMIT_ORDER:
            if name in names:
                write, table = partial(files_of, name), TABLES[name]
                commit_files(self._storage, table, write, writer=writer, sequence=sequence)
                step(name)

    def append(self, tables: "Mapping[str, pa.Table]") -> None:
        """Add a set of rows under a writer id of its own.

        After an error nobody can tell which of its tables were written: for what must
        not be lost or doubled use `commit`.

        Raises:
            LakeError: As `commit` does.
        """
        self.commit(tables, writer=uuid.uuid4().hex, sequence=0)

    def files(self, table: str) -> list[str]:
        """Return the Parquet files of the table's newest snapshot, as absolute paths or URLs.

        Raises:
            LakeError: There is no such table in the schema, or its log is damaged.
        """
        if table not in TABLES:
            msg = f"there is no table {table!r}; tables: {', '.join(sorted(TABLES))}"
            raise LakeError(msg)
        log = open_log(self._storage.uri(table), table)
        return [self._storage.uri(f"{table}/{name}") for name in log.active_files()]

    def source(self, path: str) -> Any:
        """Return what Arrow reads one of `files` from: the path itself, or a bucket's content.

        Raises:
            LakeError: It cannot be read.
        """
        if isinstance(self._storage, LocalStorage):
            return path
        import pyarrow as pa

        return pa.BufferReader(self._storage.read(path.removeprefix(f"{self.place}/")) or b"")

    def partitions(self) -> list[PartitionState]:
        """Return all partitions, with the files that a compaction would rewrite.

        Raises:
            LakeError: A table's log is damaged.
        """
        return list(partition_states(self._storage, COMMIT_ORDER))

    def compact(self, state: PartitionState) -> Compacted:
        """Rewrite the small files of one partition as one file, each row once.

        A row that an earlier date has too is dropped; of two compactions of a table at once
        one does nothing.

        Raises:
            LakeError: The lake cannot be read or written.
        """
        return compact_partition(self._storage, state)

    def remove_unused(self, keep_hours: int) -> int:
        """Delete files that no snapshot of the last hours needs; return how many.

        Args:
            keep_hours: Files replaced or written since stay.

        Raises:
            LakeError: The lake cannot be read or written.
        """
        return remove_unused(self._storage, COMMIT_ORDER, keep_hours)

    def snapshot(self) -> dict[str, list[str]]:
        """Return the files of every table such that each frame's other rows are among them.

        Frames are written last, so they are listed first.

        Raises:
            LakeError: A table's log is damaged.
        """
        return {table: self.files(table) for table in reversed(COMMIT_ORDER)}
