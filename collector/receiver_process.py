"""More processes that take requests: one has no more than a core, whatever the machine has.

All listen at the same addresses, each writes a log of its own, and one drain empties them.
Run as a module, this is such a process. It reads what it is from the first line of its input;
where the input ends without a word its parent is dead, and it ends at once: what it has
acknowledged is on disk.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from exray.schema.errors import ExrayError, LogError

from .board import Board
from .child import Child, Program
from .logs import log_folder
from .memory import keep_what_is_freed, keep_what_is_loaded
from .service import Collector, Shared
from .settings import Settings
from .stderr_log import log_to_stderr

logger = logging.getLogger(__name__)

START_TIMEOUT_S = 60.0
"""Longest time until a receiver listens."""

LOCKED_S = 15.0
"""How long a log may be held by the process that had it before."""

_END = "end\n"


class Task(BaseModel):
    """What a receiver is to do.

    Args:
        settings: Its own, with its part of what is shared.
        number: Which one it is; that of the parent is 0.
        board: Descriptor of the board.
        places: On the board.
    """

    settings: Settings
    number: int
    board: int
    places: int


class ReceiverProcess:
    """Keeps one more receiver running.

    Args:
        task: What it is to do.
        command: What is started; trials have another.
    """

    def __init__(self, task: Task, command: Sequence[str] | None = None) -> None:
        own = (sys.executable, "-P", "-m", __name__)
        self._name = f"receiver {task.number}"
        program = Program(
            self._name,
            own if command is None else command,
            first_line=task.model_dump_json() + "\n",
            last_line=_END,
            descriptors=(task.board,),
        )
        self._listens = threading.Event()
        self._child = Child(program, self._told, self._has_progressed)

    @property
    def deaths(self) -> int:
        """Processes that ended unasked."""
        return self._child.deaths

    @property
    def pid(self) -> int:
        """The process, 0 before there is one."""
        return self._child.pid

    def start(self) -> None:
        """Start it."""
        self._child.start()

    def wait(self) -> None:
        """Wait until it listens.

        Raises:
            LogError: It does not; what it said of that is on stderr.
        """
        end_s = time.monotonic() + START_TIMEOUT_S
        while not self._listens.wait(0.05):
            if self.deaths or time.monotonic() > end_s:
                msg = f"{self._name} does not start. Try --receivers 1"
                raise LogError(msg)

    def end(self) -> None:
        """Tell it to finish what is under way and to end."""
        self._child.end()

    def join(self) -> None:
        """Wait for its end."""
        self._child.join()

    def _told(self, _: dict[str, Any]) -> None:
        self._listens.set()

    def _has_progressed(self) -> bool:
        progressed = self._listens.is_set()
        self._listens.clear()
        return progressed


def main(step: Callable[[str], None] = lambda name: None) -> int:
    """Take requests until the input says so."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # the parent says when to end
    first_line = sys.stdin.readline()
    if not first_line:  # the parent has died already
        return 1
    task = Task.model_validate_json(first_line)
    log_to_stderr(task.settings.log_format)
    ended = threading.Event()

    def wait_for_end() -> None:
        if sys.stdin.readline() != _END:
            os._exit(1)
        ended.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    try:
        collector = _collector(task, step)
    except ExrayError as error:
        logger.error("receiver %d: %s", task.number, error)
        return 1
    keep_what_is_loaded()
    keep_what_is_freed()
    collector.start()
    print("{}", flush=True)
    ended.wait()
    collector.stop()
    return 0


def _collector(task: Task, step: Callable[[str], None]) -> Collector:
    """Return the collector, once the process that had its log before has ended."""
    shared = Shared(task.number, Board(task.board, task.places))
    end_s = time.monotonic() + LOCKED_S
    while True:
        try:
            return Collector(task.settings, on_step=step, shared=shared)
        except LogError:
            if time.monotonic() > end_s:
                raise
            time.sleep(0.05)


def tasks(settings: Settings, board: Board, places: int) -> list[Task]:
    """Return what all receivers but the first are to do, their settings being *settings*."""
    return [
        Task(
            settings=settings.model_copy(update={"wal": log_folder(Path(settings.wal), number)}),
            number=number,
            board=board.descriptor,
            places=places,
        )
        for number in range(1, places)
    ]


if __name__ == "__main__":
    sys.exit(main())
