"""The usual request over HTTP, answered without a task: small, sound, plain protobuf.

Whatever else comes is left to the application, which says what is wrong with it.
"""

import asyncio
from collections.abc import Callable, Sequence

from exray.exporters.otlp_settings import Signal
from exray.exporters.typing import Buffer

from .entry import LoopWait
from .http_app import PATHS, PROTOBUF
from .intake import Intake
from .reply import Reply
from .tokens import Tokens

_PROTOBUF = PROTOBUF.encode()

_PLAIN = (b"", b"identity")
"""Encodings that are none."""

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case."""


class QuickPath:
    """Takes requests in the thread of the event loop.

    Args:
        intake: Stores them.
        tokens: Who may send.
    """

    def __init__(self, intake: Intake, tokens: Tokens) -> None:
        self._intake = intake
        self._tokens = tokens
        self._waits: LoopWait | None = None

    def signal_of(self, path: str, headers: Headers) -> Signal | None:
        """Return what a request carries that was posted, None of an unusual one.

        Args:
            path: Of its address.
            headers: As they came.
        """
        signal = PATHS.get(path)
        if signal is None:
            return None
        media_type, authorization = b"", None
        for name, value in headers:
            if name == b"content-type":
                media_type = value
            elif name == b"authorization":
                authorization = value.decode("latin-1")
            elif name == b"content-encoding" and value not in _PLAIN:
                return None
        if media_type != _PROTOBUF or not self._tokens.admits(authorization):
            return None
        return signal

    def take(self, signal: Signal, body: Buffer, answer: Callable[[Reply], None]) -> bool:
        """Store a request.

        Args:
            signal: What it carries.
            body: All of it; its memory may be used again afterwards.
            answer: Called when it is on disk, or refused.

        Returns:
            False where it is an unusual one: nothing has been done.
        """
        if self._waits is None:
            self._waits = self._intake.waits(asyncio.get_running_loop())
        return self._intake.take_quickly(signal, body, self._waits, answer)
