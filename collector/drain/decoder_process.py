"""Decoders that work at the same time: one in this process, others beside it.

Run as a module, this is one of the others. It answers on the socket that it inherits until
that is closed, so it never outlives the drain.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, Protocol

from exray.lake import Lake
from exray.lake.layout import storage_at
from exray.schema.errors import LakeError, LogError

from .decoder import Decoder


class Asked(Protocol):
    """A decoder that works while others are asked."""

    def ask(self, what: str, *arguments: object) -> None:
        """Have it call a method of its `Decoder`."""
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

    def ask(self, what: str, *arguments: object) -> None:
        """See `Asked`."""
        self._answer = _answer_of(self._decoder, what, arguments)

    def answer(self) -> object:
        """See `Asked`."""
        answer, self._answer = self._answer, None
        return answer

    def close(self) -> None:
        """See `Asked`."""


class Beside:
    """Works in a process of its own.

    Args:
        place: The lake's folder or URL.
    """

    def __init__(self, place: str) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(theirs.fileno()), place],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # the drain's tells the collector how far it is
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                pass_fds=[theirs.fileno()],
            )
        self._connection = Connection(ours.detach())

    def ask(self, what: str, *arguments: object) -> None:
        """See `Asked`.

        Raises:
            LogError: The process ended.
        """
        try:
            self._connection.send((what, arguments))
        except OSError as error:
            raise self._ended() from error

    def answer(self) -> object:
        """See `Asked`.

        Raises:
            LogError: The process ended.
        """
        try:
            return self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._ended() from error

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def close(self) -> None:
        """See `Asked`."""
        self._connection.close()
        self._process.wait()

    def _ended(self) -> LogError:
        return LogError(f"a decoder ended with code {self._process.wait()}; the set is begun again")


def _answer_of(decoder: Decoder, what: str, arguments: Sequence[Any]) -> object:
    try:
        return getattr(decoder, what)(*arguments)
    except LakeError as error:
        return error


def main(arguments: Sequence[str]) -> int:
    """Answer on a socket until it is closed."""
    with Connection(int(arguments[0])) as connection:
        decoder = Decoder(Lake(storage_at(arguments[1])))
        while True:
            try:
                what, given = connection.recv()
            except (EOFError, OSError):
                return 0
            connection.send(_answer_of(decoder, what, given))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
