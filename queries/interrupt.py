"""Let Ctrl-C end a query.

Python hands signals to the main thread alone, and only between its own instructions: while
DuckDB computes there, the signal waits, or surfaces as an error of DuckDB's. So a thread of
its own asks, and the main thread waits for the answer or the signal.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    import duckdb

Answer = TypeVar("Answer")

REPEAT_S = 0.05
"""Seconds until connections are interrupted again: one between two queries heeds nothing."""


class Watch:
    """The connections that an interrupt must reach.

    Connections are watched for as long as the `interruptible` call takes that made it.
    """

    def __init__(self) -> None:
        self._connections: list[duckdb.DuckDBPyConnection] = []
        self._is_interrupted = False

    def watched(self, connection: "duckdb.DuckDBPyConnection") -> "duckdb.DuckDBPyConnection":
        """Return *connection*, which an interrupt now reaches.

        Raises:
            KeyboardInterrupt: There was one already.
        """
        self._connections.append(connection)
        if self._is_interrupted:
            raise KeyboardInterrupt
        return connection

    def interrupt(self) -> None:
        """End what the connections are computing."""
        import duckdb

        self._is_interrupted = True
        for connection in list(self._connections):
            try:
                connection.interrupt()
            except duckdb.Error:  # closed
                self._connections.remove(connection)


class Cursors(Protocol):
    """Makes the connections that threads need for themselves."""

    def cursor(self) -> "duckdb.DuckDBPyConnection":
        """Return a new connection to the same database."""
        ...


class WatchedCursors:
    """Makes cursors of a connection that an interrupt reaches."""

    def __init__(self, connection: "duckdb.DuckDBPyConnection", watch: Watch) -> None:
        self._connection = connection
        self._watch = watch

    def cursor(self) -> "duckdb.DuckDBPyConnection":
        """Return a new connection to the same database."""
        return self._watch.watched(self._connection.cursor())


def interruptible(work: Callable[[Watch], Answer]) -> Answer:
    """Do *work* in a thread and return what it returns; Ctrl-C ends its queries.

    Args:
        work: Hands each connection that it opens to the `Watch` it is given.

    Raises:
        KeyboardInterrupt: There was one; what *work* raised in consequence is dropped.
    """
    watch = Watch()
    with ThreadPoolExecutor(1, "exray-query") as pool:
        answer = pool.submit(work, watch)
        try:
            return answer.result()
        except KeyboardInterrupt:
            while not answer.done():
                watch.interrupt()
                wait([answer], REPEAT_S)
            raise
