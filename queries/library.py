"""Connections with the SQL library: defined by its statements, or copied from a kept catalog.

To define a view or a macro DuckDB binds it with all that it is built on. For the whole library
that takes half a CPU second, longer than most of what is asked of it; to copy a catalog takes
a twentieth. So what was defined once is kept in a file of the user's cache folder, under a name
made of the statements and DuckDB's version. A file that cannot be written, or read, costs that
half second and nothing else.
"""

import hashlib
import os
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from exray.schema.errors import MissingExtraError

if TYPE_CHECKING:
    import duckdb

_OLD_S = 30 * 24 * 3600
"""Since it was written: a kept catalog goes then, where another one is written."""


def connection_with(
    connect: "Callable[[], duckdb.DuckDBPyConnection]", statements: Sequence[str]
) -> "duckdb.DuckDBPyConnection":
    """Return a connection in which these statements have been run, or their result copied.

    Args:
        connect: Makes a connection in memory, with the functions that the statements call.
        statements: Define tables, views and macros; the tables' rows are not kept.

    Raises:
        MissingExtraError: DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError as error:
        raise MissingExtraError("lake", "a query") from error

    kept = _kept_at(duckdb.__version__, statements)
    # not Path.exists, which raises where the folder may not be looked into
    if kept is not None and os.path.exists(kept):  # noqa: PTH110
        connection = connect()
        try:
            _copy(connection, kept)
        except duckdb.Error:  # written by half, or by another hand; it may have cost the connection
            connection.close()
        else:
            return connection
    connection = _defined(connect, statements)
    if kept is not None:
        try:
            _keep(connection, kept)
        except OSError:
            pass
        except duckdb.Error:  # a full disk; it may have cost the connection
            connection.close()
            connection = _defined(connect, statements)
    return connection


def _defined(
    connect: "Callable[[], duckdb.DuckDBPyConnection]", statements: Sequence[str]
) -> "duckdb.DuckDBPyConnection":
    connection = connect()
    for statement in statements:
        connection.execute(statement)
    return connection


def _kept_at(version: str, statements: Sequence[str]) -> Path | None:
    """Return where the catalog of these statements is kept; None without a home folder."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    try:
        folder = Path(cache) if cache else Path.home() / ".cache"
    except RuntimeError:  # a user without an entry and without $HOME
        return None
    made_of = hashlib.sha256("\0".join((version, *statements)).encode())
    return folder / "exray" / f"queries-{made_of.hexdigest()[:16]}.duckdb"


def _copy(connection: "duckdb.DuckDBPyConnection", kept: Path) -> None:
    connection.execute(f"ATTACH {_literal(kept)} AS kept (READ_ONLY)")
    connection.execute("COPY FROM DATABASE kept TO memory (SCHEMA)")
    connection.execute("DETACH kept")


def _keep(connection: "duckdb.DuckDBPyConnection", kept: Path) -> None:
    """Write a connection's catalog, whole under its name or not at all."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_name(f"{kept.stem}-{uuid.uuid4().hex}.part")
    try:
        part.touch(exist_ok=False)  # where nothing may be written, it is said here
        part.unlink()
        connection.execute(f"ATTACH {_literal(part)} AS kept")
        try:
            connection.execute("COPY FROM DATABASE memory TO kept (SCHEMA)")
        finally:
            connection.execute("DETACH kept")
        part.replace(kept)
    finally:
        part.unlink(missing_ok=True)
        Path(f"{part}.wal").unlink(missing_ok=True)
    written_before_s = time.time() - _OLD_S
    for other in kept.parent.glob("queries-*"):
        if other.stat().st_mtime < written_before_s:
            other.unlink(missing_ok=True)


def _literal(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
