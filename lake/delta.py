"""The Delta log of one table, through `deltalake`.

delta-rs adds what it is told and checks little: not the rows, not whether a file exists,
and it takes the same (writer, sequence) twice. What makes a commit safe here is that
`append` commits against the very snapshot in which the writer's last sequence was read.
"""

# pyarrow's stubs leave many types open, which pyright strict reports on every use:
# pyright: reportUnknownMemberType=false

import json
import time
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

from exray.schema.arrow import arrow_schema
from exray.schema.errors import LakeError, MissingExtraError
from exray.schema.tables import TABLES

from .object_storage import DELTA_OPTIONS, SCHEME, explained
from .storage import explain_os_errors, full_error, lake_error, sync_file
from .typing import DataFile

if TYPE_CHECKING:
    from deltalake import DeltaTable, Schema
    from deltalake.transaction import AddAction

CHECKPOINT_INTERVAL = 100
"""Commits between checkpoints: one costs 60 ms, and spares each reader as many files."""


class DeltaLog:
    """The log of the Delta table in *folder*, in this process.

    Args:
        folder: The table's folder, absolute, or its URL; made with the first row.
        table_name: Table of the schema.
    """

    def __init__(self, folder: str, table_name: str) -> None:
        if find_spec("deltalake") is None:  # a clear error here, not in the middle of a commit
            raise MissingExtraError("lake", "the lake")
        self._folder = folder
        self._is_remote = folder.startswith(SCHEME)
        self._options = DELTA_OPTIONS if self._is_remote else None
        self._table = TABLES[table_name]
        self._snapshot: DeltaTable | None = None
        self._synced: set[str] = set()

    def recorded_sequence(self, writer: str) -> int | None:
        """Open the newest snapshot, making the table if need be; return *writer*'s last sequence.

        Raises:
            LakeError: The log is damaged, or the table has other columns.
        """
        from deltalake.exceptions import DeltaError

        try:
            is_new = self._ensure_table()
            self._snapshot = self._open()
            self._synced = set() if is_new else self._log_names()
            return self._snapshot.transaction_version(writer)
        except (DeltaError, OSError) as error:
            raise self._explain(error) from error

    def append(self, files: Sequence[DataFile], writer: str, sequence: int) -> bool:
        """Add *files* to the snapshot opened last; False if another commit of *writer* was faster.

        Raises:
            LakeError: The log cannot be written.
        """
        from deltalake import CommitProperties, Transaction
        from deltalake.exceptions import CommitFailedError, DeltaError

        if self._snapshot is None:
            msg = "append() needs the snapshot of a recorded_sequence() before it"
            raise LakeError(msg)
        try:
            self._snapshot.create_write_transaction(
                [_add_action(file) for file in files],
                "append",
                _delta_schema(self._table.name),
                partition_by=list(self._table.partition),
                commit_properties=CommitProperties(
                    app_transactions=[Transaction(writer, sequence)]  # undated: never forgotten
                ),
            )
        except CommitFailedError:
            return False
        except (DeltaError, OSError) as error:
            raise self._explain(error) from error
        finally:
            self._snapshot = None  # it does not see its own commit
        self._sync_log()
        return True

    def entries(self) -> list[DataFile]:
        """Return the files of the snapshot opened last.

        Raises:
            LakeError: There is none, or the log is damaged.
        """
        from deltalake.exceptions import DeltaError

        snapshot = self._opened()
        try:
            actions: Any = snapshot.get_add_actions(flatten=True)
        except (DeltaError, OSError) as error:
            raise self._explain(error) from error
        keys = self._table.partition
        read = ("path", "size_bytes", "num_records", *(f"partition.{key}" for key in keys))
        rows = zip(*(actions.column(name).to_pylist() for name in read), strict=True)
        return [
            DataFile(
                unquote(str(path)), int(size), int(count or 0), dict(zip(keys, values, strict=True))
            )
            for path, size, count, *values in rows
        ]

    def replace(
        self,
        files: Sequence[DataFile],
        removed: Sequence[DataFile],
        writer: str,
        sequence: int,
    ) -> bool:
        """Let *files* stand for the *removed* ones, in the snapshot opened last.

        To Delta this is an append, which would not fail if another process has removed the
        same files meanwhile: only that all who remove use one *writer* makes it fail.

        Returns:
            False if another process replaced files as *writer* meanwhile.

        Raises:
            LakeError: The log cannot be written.
        """
        from deltalake import CommitProperties, Transaction
        from deltalake.exceptions import CommitFailedError, DeltaError
        from deltalake.transaction import RemoveAction

        now_ms = time.time_ns() // 1_000_000
        gone = [
            RemoveAction(
                old.name,
                False,
                now_ms,
                size=old.size_bytes,
                partition_values=dict(old.partition),
            )
            for old in removed
        ]
        try:
            self._opened().create_write_transaction(
                [*map(_add_action, files), *gone],
                "append",
                _delta_schema(self._table.name),
                partition_by=list(self._table.partition),
                commit_properties=CommitProperties(
                    app_transactions=[Transaction(writer, sequence)]
                ),
            )
        except CommitFailedError:
            return False
        except (DeltaError, OSError) as error:
            raise self._explain(error) from error
        finally:
            self._snapshot = None
        self._sync_log()
        return True

    def remove_unused(self, keep_hours: int) -> int:
        """Delete files that the snapshot opened last does not name; return how many.

        Args:
            keep_hours: What was replaced since stays, for readers of an older snapshot, and
                so does what was written since, which a writer may be about to name.

        Raises:
            LakeError: The folder cannot be read or written.
        """
        from deltalake.exceptions import DeltaError

        snapshot = self._opened()
        live = {file.name for file in self.entries()}
        try:
            for dry_run in (True, False):
                gone = snapshot.vacuum(
                    keep_hours, dry_run=dry_run, enforce_retention_duration=False, full=True
                )
                in_use = live.intersection(map(unquote, gone))
                if in_use:  # a mistake of ours or of delta-rs, which would lose rows
                    msg = (
                        f"{len(in_use)} files of {self._folder!r} are in use and marked as replaced, "
                        f"such as {min(in_use)!r}; nothing of this table is deleted. Compact it again"
                    )
                    raise LakeError(msg)
        except (DeltaError, OSError) as error:
            raise self._explain(error) from error
        finally:
            self._snapshot = None
        self._sync_log()
        return len(gone)

    def _opened(self) -> "DeltaTable":
        if self._snapshot is None:
            msg = "this needs the snapshot of a recorded_sequence() before it"
            raise LakeError(msg)
        return self._snapshot

    def active_files(self) -> list[str]:
        """Return the newest snapshot's files, relative to the table's folder; none if no table."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        try:
            if not self._is_there():
                return []
            table = DeltaTable(self._folder, storage_options=self._options)
            actions = table.get_add_actions(flatten=True)
        except (DeltaError, OSError) as error:
            raise self._explain(error) from error
        # The log's paths are URLs; file_uris() would encode the lake's own folder as well.
        return [unquote(path) for path in cast("list[str]", actions.column("path").to_pylist())]

    def _open(self) -> "DeltaTable":
        from deltalake import DeltaTable

        snapshot = DeltaTable(self._folder, storage_options=self._options)
        if snapshot.schema() != _delta_schema(self._table.name):
            found = ", ".join(field.name for field in snapshot.schema().fields)
            msg = (
                f"the table {self._folder!r} has other columns or types than this exray writes: "
                f"{found}. Use a new lake, or the exray that wrote this one."
            )
            raise LakeError(msg)
        return snapshot

    def _ensure_table(self) -> bool:
        """Make the table where there is none; True if it was made."""
        from deltalake.exceptions import DeltaError
        from deltalake.transaction import create_table_with_add_actions

        if self._is_there():
            return False
        if not self._is_remote:
            Path(self._folder).mkdir(exist_ok=True)
        try:
            create_table_with_add_actions(
                self._folder,
                _delta_schema(self._table.name),
                [],
                mode="ignore",
                partition_by=list(self._table.partition),
                configuration={"delta.checkpointInterval": str(CHECKPOINT_INTERVAL)},
                storage_options=self._options,
            )
        except DeltaError:
            if not self._is_there():  # else another process was faster
                raise
        return True

    def _is_there(self) -> bool:
        from deltalake import DeltaTable

        return DeltaTable.is_deltatable(self._folder, self._options)

    def _log_names(self) -> set[str]:
        if self._is_remote:
            return set()
        with explain_os_errors(Path(self._folder)):
            return {path.name for path in Path(self._folder, "_delta_log").iterdir()}

    def _sync_log(self) -> None:
        """Wait until the log's new files are on disk: delta-rs does not sync what it writes.

        A power cut could leave an entry empty, which reads as a commit of nothing, or a
        pointer to a checkpoint that is not there.
        """
        if self._is_remote:
            return  # what a bucket has taken is on disk
        log = Path(self._folder, "_delta_log")
        with explain_os_errors(log):
            new = {name for name in self._log_names() - self._synced if "#" not in name}
            if any("checkpoint" in name for name in new):
                new.add("_last_checkpoint")
            for name in sorted(new):
                if (log / name).exists():  # checkpoints expire
                    sync_file(log / name)
            sync_file(log)

    def _explain(self, error: Exception) -> LakeError:
        if self._is_remote and isinstance(error, OSError):
            return explained(error, self._folder)
        text = str(error).split("\n", 1)[0]  # the rest is a stack trace of delta-rs
        if "os error 28" in str(error) or "os error 122" in str(error):
            return full_error(Path(self._folder))
        if isinstance(error, OSError) and error.errno is not None:
            return lake_error(error, Path(self._folder))
        msg = (
            f"the Delta log of {self._folder!r} cannot be used: {text}. If a file of its _delta_log "
            "is damaged, restore it from a copy; the Parquet files beside it are not affected."
        )
        return LakeError(msg)


@cache
def _delta_schema(table_name: str) -> "Schema":
    from deltalake import Schema

    return Schema.from_arrow(arrow_schema(table_name))


def _add_action(file: DataFile) -> "AddAction":
    from deltalake.transaction import AddAction

    # Statistics beyond the row count would have to be exact for engines that prune by
    # them, and may hold neither NaN nor binary.
    return AddAction(
        path=file.name,
        size=file.size_bytes,
        partition_values=dict(file.partition),
        modification_time=time.time_ns() // 1_000_000,
        data_change=True,
        stats=json.dumps({"numRecords": file.rows}),
    )
