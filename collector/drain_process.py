"""The road from log to lake in a process of its own: decoding must not hold up receiving.

The child lives as long as its standard input is open: it ends with its parent, however that
ends, after it has moved what is in the log. Run as a module, this is the child.
"""

import contextlib
import fcntl
import json
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from exray.schema.errors import ExrayError

from .child import Child, Program
from .memory import keep_what_a_set_frees

logger = logging.getLogger(__name__)

LOCK_FILE = "drain.lock"
"""A child of a killed collector may still be at work when the next one starts its own."""


class DrainProcess:
    """Keeps a child that drains a collector's logs, until `stop`.

    Args:
        log_dir: Their folder.
        lake: The lake's.
        command: What is started with these as arguments; trials have another.
        decoders: Processes that decode and write, the child among them.
    """

    def __init__(
        self,
        log_dir: Path,
        lake: str,
        command: Sequence[str] | None = None,
        *,
        decoders: int = 1,
    ) -> None:
        own = (sys.executable, "-P", "-m", __name__)
        whole = [*(own if command is None else command), str(log_dir), lake, str(decoders)]
        self._status: dict[str, Any] = {}
        self._moved = 0.0
        self._child = Child(Program("the drain", whole), self._told, self._has_progressed)

    def start(self) -> None:
        """Start draining."""
        self._child.start()

    def stop(self) -> None:
        """Have the child move what is in the logs, and wait for it."""
        self._child.end()
        self._child.join()

    @property
    def child_pid(self) -> int:
        """Process of the child, 0 before there is one."""
        return self._child.pid

    @property
    def deaths(self) -> int:
        """Children that ended unasked."""
        return self._child.deaths

    def figure(self, name: str) -> float:
        """Return a number of what the child said last, 0 before it said anything."""
        return float(self._status.get(name, 0))

    def _told(self, status: dict[str, Any]) -> None:
        self._status = status

    def _has_progressed(self) -> bool:
        before, self._moved = self._moved, self.figure("requests")
        return self._moved > before


def main(arguments: Sequence[str], step: Callable[[str], None] = lambda name: None) -> int:
    """Drain until standard input ends."""
    keep_what_a_set_frees()
    from exray.collector.drain import DrainStatus, drain
    from exray.lake import Lake

    log_dir, lake, decoders = Path(arguments[0]), arguments[1], int(arguments[2])
    stop = threading.Event()

    def wait_for_end() -> None:
        while sys.stdin.read(1):
            pass
        stop.set()

    def report(status: DrainStatus) -> None:
        with contextlib.suppress(OSError):  # nobody reads any more
            print(json.dumps(asdict(status)), flush=True)

    threading.Thread(target=wait_for_end, daemon=True).start()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    with (log_dir / LOCK_FILE).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            opened = Lake.open_or_create(lake)
            drain(log_dir, opened, stop, report=report, step=step, decoders=decoders)
        except ExrayError as error:
            logger.error("%s", error)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
