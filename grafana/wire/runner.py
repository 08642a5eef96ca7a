"""Statements on their way through the server: their turn, their thread, their end."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from exray.queries.interrupt import REPEAT_S

from .errors import QUERY_CANCELED, WireError

if TYPE_CHECKING:
    from .settings import Limits

Answer = TypeVar("Answer")

CANCELED = "canceling statement due to user request"
TIMED_OUT = "canceling statement due to statement timeout"
GONE = "the client is gone"
SHUTDOWN = "the server is shutting down"


class Interruptible(Protocol):
    """What runs in a thread and can be told to stop."""

    def interrupt(self) -> None:
        """End it soon."""
        ...


class Threads:
    """Threads of which the one that worked last works next: its caches are warm.

    A pool takes them in turn, which makes a short statement half as long again.

    Args:
        count: How many there are.
    """

    def __init__(self, count: int) -> None:
        self._threads = [ThreadPoolExecutor(1, "exray-wire") for _ in range(count)]
        self._idle: asyncio.LifoQueue[ThreadPoolExecutor] = asyncio.LifoQueue()
        for thread in self._threads:
            self._idle.put_nowait(thread)

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """Do *work* in one of them, once one is idle."""
        thread = await self._idle.get()
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, work)
        finally:
            self._idle.put_nowait(thread)

    def shutdown(self) -> None:
        """Wait until their work is done, and end them."""
        for thread in self._threads:
            thread.shutdown()


@dataclass(frozen=True, slots=True)
class Turns:
    """Threads for statements, and who may use them."""

    slots: asyncio.Semaphore
    threads: Threads


def make_turns(limits: "Limits") -> Turns:
    """Return turns for as many statements at once as *limits* allow."""
    # Half as many threads again: what only parses or describes takes no turn.
    threads = limits.statements + max(2, limits.statements // 2)
    return Turns(asyncio.Semaphore(limits.statements), Threads(threads))


class Runner:
    """Runs one connection's statements, one at a time, until they end or are ended."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._loop = asyncio.get_running_loop()
        self._why: str | None = None
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._repeat: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._running: Interruptible | None = None
        self._is_busy = False

    @contextlib.asynccontextmanager
    async def turn(self, timeout_s: float) -> AsyncGenerator[None]:
        """Wait for a turn and keep it; what runs within is bounded by *timeout_s*, waiting too.

        Raises:
            WireError: The statement was stopped: by `stop`, or for its time was up.
        """
        self._why = None
        self._is_busy = True
        self._deadline = self._loop.time() + timeout_s
        self._timer = self._loop.call_at(self._deadline, self.stop, TIMED_OUT)
        try:
            if self._turns.slots.locked():
                await self._stoppable(self._turns.slots.acquire())
            else:  # at once, so no task need wait for it
                await self._turns.slots.acquire()
            try:
                yield
            finally:
                self._turns.slots.release()
        finally:
            self._timer.cancel()
            self._is_busy = False

    async def run(self, target: Interruptible, work: Callable[[], Answer]) -> Answer:
        """Do *work* in a thread; if stopped, *target* is interrupted until it ends.

        Raises:
            WireError: It was stopped.
        """
        if self._why is not None:
            raise self._stopped()
        self._running = target
        try:
            return await self._turns.threads.run(work)
        except Exception:
            if self._why is not None:
                raise self._stopped() from None
            raise
        finally:
            self._running = None
            if self._repeat is not None:
                self._repeat.cancel()

    async def quickly(self, work: Callable[[], Answer]) -> Answer:
        """Do *work* that takes no turn in a thread: parsing, describing, closing."""
        return await self._turns.threads.run(work)

    async def send(self, drain: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Wait until the client has taken enough of what was written to it.

        Raises:
            WireError: It was stopped.
        """
        await self._stoppable(drain())

    def stop(self, why: str) -> None:
        """End what runs, waits or is being sent, if anything."""
        if not self._is_busy:
            return
        self._why = self._why or why
        if self._task is not None:
            self._task.cancel()
        if self._running is not None:
            self._running.interrupt()
            # Again, because between two steps of a statement an interrupt is not heeded.
            self._repeat = self._loop.call_later(REPEAT_S, self.stop, why)

    async def _stoppable(self, work: Coroutine[Any, Any, object]) -> None:
        self._task = asyncio.create_task(work)
        if self._why is not None:
            self._task.cancel()
        try:
            await self._task
        except asyncio.CancelledError:
            if self._why is None:  # the whole session is being ended
                raise
            raise self._stopped() from None
        finally:
            self._task = None

    def _stopped(self) -> WireError:
        return WireError(
            QUERY_CANCELED, self._why or CANCELED, is_fatal=self._why in (GONE, SHUTDOWN)
        )
