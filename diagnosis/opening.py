"""A lake opened for one piece of work, whose queries Ctrl-C ends and whose damage is told."""

from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from exray.queries.engine import connect, show_files, unreadable
from exray.queries.interrupt import Watch, interruptible
from exray.schema.errors import MissingExtraError

if TYPE_CHECKING:
    import duckdb

    from exray.lake import Lake

Answer = TypeVar("Answer")

Work = Callable[["duckdb.DuckDBPyConnection", Watch], Answer]
"""What is done with an open lake: takes the connection and what interrupts its queries."""


def with_lake(
    lake: "Lake",
    purpose: str,
    work: Work[Answer],
    *,
    beside: "Sequence[Lake]" = (),
    without: Collection[int] = (),
) -> Answer:
    """Open a lake, do *work* on it and close it again.

    Args:
        lake: The lake.
        purpose: What needs it, in a few words, for errors.
        work: What is done.
        beside: Lakes whose rows are shown as if they stood in *lake*.
        without: Input keys of frames that are not shown.

    Raises:
        LakeError: The lake is damaged.
        MissingExtraError: DuckDB is not installed.
        KeyboardInterrupt: There was one.
    """
    try:
        import duckdb
    except ImportError as error:
        raise MissingExtraError("lake", purpose) from error

    def opened(watch: Watch) -> Answer:
        with closing(connect(lake)) as connection:
            if beside or without:
                _show_all(connection, (lake, *beside), without)
            watch.watched(connection)
            return work(connection, watch)

    try:
        return interruptible(opened)
    except duckdb.Error as error:
        raise unreadable(lake, error) from error


def _show_all(
    connection: "duckdb.DuckDBPyConnection", lakes: "Sequence[Lake]", without: Collection[int]
) -> None:
    files: dict[str, list[str]] = {}
    for lake in lakes:
        for name, paths in lake.snapshot().items():
            files.setdefault(name, []).extend(paths)
    are_old = any(lake.has_old_files for lake in lakes)
    show_files(connection, files, are_old=are_old, without=without)
