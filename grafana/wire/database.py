"""A lake's views in a DuckDB that can change nothing and read nothing else."""

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from exray.lake import LakeFollower
from exray.queries.engine import connect_tables, show_files, unglobbed
from exray.schema.errors import LakeError

from .kept import KeptViews

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from exray.lake import Lake

    from .settings import Limits


class LakeDatabase:
    """The newest snapshot of a lake, for many connections at once.

    A statement begins a transaction, and within it sees the views as they were then: what
    is committed, compacted or aligned meanwhile shows to the next statement.

    Args:
        lake: The lake to show; never written.
        limits: Memory and threads.

    Raises:
        LakeError: A table's log is damaged.
        MissingExtraError: DuckDB is not installed.
        UsageError: DuckDB does not understand the limits.
    """

    def __init__(self, lake: "Lake", limits: "Limits") -> None:
        self._follower = LakeFollower(lake)
        self._has_old_files = lake.has_old_files
        self._lock = threading.Lock()
        self._root = connect_tables({})
        self._kept = KeptViews(self._root)
        self._held: pa.Table | None = None
        self._alignment_files: list[str] = []
        self.generation = 0
        """How often the views have changed."""
        self.on_new_runs: Callable[[], object] | None = None
        """Called when the lake has runs that it did not have before."""
        _lock_down(self._root, os.fspath(lake.path), limits)
        self.refresh()

    def cursor(self) -> "duckdb.DuckDBPyConnection":
        """Return a connection of its own to the views."""
        return self._root.cursor()

    def table_macros(self) -> frozenset[str]:
        """Return the names of the library's table macros."""
        rows = self._root.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions()"
            " WHERE function_type = 'table_macro' AND NOT internal"
        ).fetchall()
        return frozenset(str(row[0]).lower() for row in rows)

    def refresh(self) -> None:
        """Let statements that begin from now on see what has been committed.

        Raises:
            LakeError: A table's log is damaged, or its files are of another version.
        """
        import duckdb

        with self._lock:
            changed = self._follower.changed_files()
            if changed:
                try:
                    self._show(changed)
                except duckdb.Error as error:
                    self._follower.forget()
                    msg = (
                        "the lake's tables cannot be shown; perhaps another version of exray wrote "
                        f"them: {str(error).splitlines()[0]}"
                    )
                    raise LakeError(msg) from error
                if self.on_new_runs is not None and changed.keys() & {"runs", "graphs"}:
                    self.on_new_runs()

    def hold(self, alignments: "pa.Table") -> None:
        """Show rows of the table ``alignments`` that the lake does not have."""
        import pyarrow as pa

        with self._lock:
            held = [self._held, alignments] if self._held is not None else [alignments]
            self._held = pa.concat_tables(held)
            self._show({"alignments": self._alignment_files})

    def close(self) -> None:
        """Give up the database; statements that run end with an error."""
        self._root.close()

    def _show(self, files: dict[str, list[str]]) -> None:
        """Replace views, all at once."""
        with self._root.cursor() as cursor:
            cursor.execute("BEGIN TRANSACTION")
            show_files(cursor, files, are_old=self._has_old_files)
            if "alignments" in files:
                self._alignment_files = files["alignments"]
                if self._held is not None:
                    _add_alignments(cursor, self._held)
            self._kept.show(cursor, files)
            cursor.execute("COMMIT")
        self.generation += 1


def _add_alignments(cursor: "duckdb.DuckDBPyConnection", held: "pa.Table") -> None:
    """Let the view ``_alignments`` hold *held* besides what it holds."""
    cursor.register("_held_rows", held)
    # Copied, because a view over itself would not end, and one over Arrow is the cursor's own.
    cursor.execute(
        "CREATE OR REPLACE TABLE _held_alignments AS"
        " FROM _alignments UNION ALL BY NAME FROM _held_rows"
    )
    cursor.execute("CREATE OR REPLACE VIEW _alignments AS FROM _held_alignments")
    cursor.unregister("_held_rows")


def _lock_down(root: "duckdb.DuckDBPyConnection", folder: str, limits: "Limits") -> None:
    """Take away everything but reading the lake's folder; there is no way back."""
    import duckdb

    from exray.schema.errors import UsageError

    folders = {f"{name.rstrip('/')}/".replace("'", "''") for name in (folder, unglobbed(folder))}
    allowed = ", ".join(f"'{name}'" for name in sorted(folders))
    try:
        root.execute(f"SET GLOBAL memory_limit = '{limits.memory.replace(chr(39), '')}'")
        if limits.threads is not None:
            root.execute(f"SET GLOBAL threads = {limits.threads:d}")
    except duckdb.Error as error:
        msg = f"memory {limits.memory!r} or threads {limits.threads} cannot be set: {error}"
        raise UsageError(msg) from error
    for setting in (
        "SET GLOBAL TimeZone = 'UTC'",
        # Names in SQL must never mean the server's own variables.
        "SET GLOBAL python_enable_replacements = false",
        "SET GLOBAL temp_directory = ''",
        f"SET GLOBAL allowed_directories = [{allowed}]",
        "SET GLOBAL enable_external_access = false",
        "SET GLOBAL lock_configuration = true",
    ):
        root.execute(setting)
