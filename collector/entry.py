"""A request on its way to disk, and how whoever brought it learns that it is there."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from exray.exporters.log import Encoding
from exray.exporters.log_packing import Packing
from exray.exporters.otlp_settings import Signal

from .reply import RefusedError


@dataclass(slots=True, eq=False)
class Entry:
    """A request to be stored.

    Args:
        signal: What it carries.
        encoding: How it is written.
        packing: How *body* was packed already.
        body: As it is stored.
        received_ns: When it came.
        on_done: Called once, by the thread that writes the log: it must not wait.
        sequence: Of its record, once it has one.
        refusal: Why it is not stored, once that is so.
    """

    signal: Signal
    encoding: Encoding
    packing: Packing
    body: bytes
    received_ns: int
    on_done: "Callable[[Entry], None]"
    sequence: int = 0
    refusal: RefusedError | None = None
    is_done: bool = False

    def finish(self) -> None:
        """Let who waits go on; a second call does nothing."""
        if not self.is_done:
            self.is_done = True
            self.on_done(self)


class ThreadWait:
    """Holds a thread until one entry is done. A lock is cheaper than an event."""

    def __init__(self) -> None:
        self._pending = threading.Lock()
        self._pending.acquire()

    def on_done(self, entry: Entry) -> None:
        """Let the thread go on."""
        self._pending.release()

    def wait(self) -> None:
        """Wait for the entry; once."""
        self._pending.acquire()


class LoopWait:
    """Holds tasks of an event loop; those of one group go on with one call across threads."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._done: deque[asyncio.Future[None]] = deque()
        self._is_called = False

    def new(self) -> "tuple[asyncio.Future[None], Callable[[Entry], None]]":
        """Return what a task awaits, and the `Entry.on_done` that ends it."""
        future: asyncio.Future[None] = self._loop.create_future()
        return future, lambda entry: self._add(future)

    def _add(self, future: "asyncio.Future[None]") -> None:
        self._done.append(future)
        if not self._is_called:
            self._is_called = True
            self._loop.call_soon_threadsafe(self._resolve)

    def _resolve(self) -> None:
        self._is_called = False  # before the first is taken: what comes now calls again
        while self._done:
            future = self._done.popleft()
            if not future.done():  # its client may have gone
                future.set_result(None)
