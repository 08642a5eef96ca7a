"""Decoders that work at the same time: one in this process, others beside it."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import IO, Any, Protocol

from exray.collector.decode import Received
from exray.schema.errors import LakeError, LogError

from .decoder import Decoder
from .rows import NewSpans

CHILD = "exray.collector.drain.decoder_child"


class Asked(Protocol):
    """A `Decoder` that works while others are asked; both methods end in an `answer`."""

    def decode(self, requests: Sequence[Received], known_runs: Sequence[str]) -> None:
        """Have it decode."""
        ...

    def write(
        self, is_new: NewSpans, known_runs: Sequence[str], writer: str, sequence: int
    ) -> None:
        """Have it write."""
        ...

    def answer(self) -> object:
        """Wait for what the method returns, or for the `LakeError` that it raises."""
        ...

    def close(self) -> None:
        """Let it go."""
        ...


class Here:
    """Works in this process, when it is asked.

    Args:
        decoder: What does the work.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._answer: object = None

    def decode(self, requests: Sequence[Received], known_runs: Sequence[str]) -> None:
        """See `Asked`."""
        self._answer = self._decoder.decode(requests, known_runs)

    def write(
        self, is_new: NewSpans, known_runs: Sequence[str], writer: str, sequence: int
    ) -> None:
        """See `Asked`."""
        try:
            self._answer = self._decoder.write(is_new, known_runs, writer, sequence)
        except LakeError as error:
            self._answer = error

    def answer(self) -> object:
        """See `Asked`."""
        answer, self._answer = self._answer, None
        return answer

    def close(self) -> None:
        """See `Asked`."""


class Beside:
    """Works in a process of its own.

    Requests lie in memory that both share: through a socket they would take as long as to
    decode them.

    Args:
        place: The lake's folder or URL.

    Raises:
        OSError: There is no memory for another process.
    """

    def __init__(self, place: str) -> None:
        self._bodies = shared_memory()
        ours, theirs = socket.socketpair()
        with theirs:
            descriptors = theirs.fileno(), self._bodies.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", CHILD, *map(str, descriptors), place],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # the drain's tells the collector how far it is
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                pass_fds=descriptors,
            )
        self._connection = Connection(ours.detach())

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def decode(self, requests: Sequence[Received], known_runs: Sequence[str]) -> None:
        """See `Asked`.

        Raises:
            LogError: The process ended.
        """
        self._bodies.seek(0)
        for request in requests:
            self._bodies.write(request.body)
        self._bodies.flush()
        bare = [replace(request, body=b"") for request in requests]
        self._send("decode", bare, [len(request.body) for request in requests], known_runs)

    def write(
        self, is_new: NewSpans, known_runs: Sequence[str], writer: str, sequence: int
    ) -> None:
        """See `Asked`.

        Raises:
            LogError: The process ended.
        """
        self._send("write", is_new, known_runs, writer, sequence)

    def answer(self) -> object:
        """See `Asked`.

        Raises:
            LogError: The process ended.
        """
        try:
            return self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._ended() from error

    def close(self) -> None:
        """See `Asked`."""
        self._connection.close()
        self._process.wait()
        self._bodies.close()

    def _send(self, what: str, *arguments: Any) -> None:
        try:
            self._connection.send((what, arguments))
        except OSError as error:
            raise self._ended() from error

    def _ended(self) -> LogError:
        return LogError(f"a decoder ended with code {self._process.wait()}; the set is begun again")


def shared_memory() -> IO[bytes]:
    """Return a file without a name, in memory where the system has that."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("exray-requests"), "w+b")
    return tempfile.TemporaryFile()
