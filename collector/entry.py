"""A request on its way to disk, and how whoever brought it learns that it is there."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from exray.exporters.log import Encoding
from exray.exporters.log_packing import Packing
from exray.exporters.otlp_settings import Signal
from exray.exporters.typing import Buffer

from .reply import RefusedError

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Entry:
    """A request to be stored.

    Args:
        signal: What it carries.
        encoding: How it is written.
        packing: How *body* was packed already.
        body: As it is stored.
        received_ns: When it came.
        on_done: Called once, by the thread that writes the log: it must not wait. What it
            returns is called after those of all of a group, once where they return the same.
        refusal: Why it is not stored, once that is so.
    """

    signal: Signal
    encoding: Encoding
    packing: Packing
    body: Buffer
    received_ns: int
    on_done: "OnDone"
    refusal: RefusedError | None = None
    is_done: bool = False

    def finish(self) -> "Wake | None":
        """Let who waits go on; a second call does nothing."""
        if self.is_done:
            return None
        self.is_done = True
        return self.on_done(self)


Wake: TypeAlias = Callable[[], None]

OnDone: TypeAlias = Callable[[Entry], Wake | None]


def finish_all(entries: Iterable[Entry]) -> None:
    """Let all who wait for *entries* go on, and wake each event loop once."""
    for wake in {entry.finish() for entry in entries}:
        if wake is not None:
            wake()


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


TURN_BYTES = 1 << 19
"""At which what a turn of an event loop has brought is not kept for its end: a disk that waits
for a turn of large requests is idle for long."""


class LoopWait:
    """Has what comes in an event loop stored, and goes on there when that is done.

    What one turn of the loop brought goes to disk together, as a sync takes its time whatever
    it writes; and for all of a group the loop is called once across threads.

    Args:
        loop: The event loop.
        submit: Has requests stored.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, submit: Callable[[Sequence[Entry]], None]
    ) -> None:
        self._loop = loop
        self._submit = submit
        self._brought: list[Entry] = []
        self._brought_bytes = 0
        self._done: deque[tuple[Callable[[Entry], object], Entry]] = deque()

    def submit(self, entry: Entry) -> None:
        """Have a request stored, with the others of this turn."""
        if not self._brought:
            self._loop.call_soon(self._end_turn)
        self._brought.append(entry)
        self._brought_bytes += len(entry.body)
        if self._brought_bytes >= TURN_BYTES:
            self._end_turn()

    def _end_turn(self) -> None:
        brought, self._brought, self._brought_bytes = self._brought, [], 0
        if brought:
            self._submit(brought)

    def then(self, go_on: Callable[[Entry], object]) -> OnDone:
        """Return an `Entry.on_done` that has *go_on* called with the entry in the loop.

        Which should not hold the entry itself: each would keep the other, and the body with
        them, until the garbage collector comes.
        """

        def add(entry: Entry) -> Wake:
            self._done.append((go_on, entry))
            return self._wake

        return add

    def future(self) -> "tuple[asyncio.Future[None], OnDone]":
        """Return what a task awaits, and the `Entry.on_done` that ends it."""
        future: asyncio.Future[None] = self._loop.create_future()

        def end(_: Entry) -> None:
            if not future.done():  # its task may have been cancelled
                future.set_result(None)

        return future, self.then(end)

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
            self._loop.call_soon_threadsafe(self._go_on)

    def _go_on(self) -> None:
        while self._done:
            go_on, entry = self._done.popleft()
            try:
                go_on(entry)
            except Exception:  # the others of the group have to go on
                logger.exception("an answer could not be given")
