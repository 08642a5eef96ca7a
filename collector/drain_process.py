"""The road from log to lake in a process of its own: decoding must not hold up receiving.

The child lives as long as its standard input is open: it ends with its parent, however that
ends, after it has moved what is in the log. Run as a module, this is the child.
"""

import contextlib
import fcntl
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from exray.schema.errors import ExrayError

logger = logging.getLogger(__name__)

LOCK_FILE = "drain.lock"
"""A child of a killed collector may still be at work when the next one starts its own."""

RESTART_S: tuple[float, ...] = (1.0, 2.0, 5.0, 15.0, 30.0)
"""Pauses before a child that died is started again; the last one repeats."""


class DrainProcess:
    """Keeps a child that drains a log, until `stop`.

    Args:
        log_dir: The log's folder.
        lake: The lake's.
        command: What is started with both as arguments; trials have another.
    """

    def __init__(self, log_dir: Path, lake: str, command: Sequence[str] | None = None) -> None:
        own = (sys.executable, "-P", "-m", __name__)
        self._command = [*(own if command is None else command), str(log_dir), lake]
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._status: dict[str, Any] = {}
        self.deaths = 0
        """Children that ended unasked."""
        self._thread = threading.Thread(target=self._keep, name="exray-drain", daemon=True)

    def start(self) -> None:
        """Start draining."""
        self._thread.start()

    def stop(self) -> None:
        """Have the child move what is in the log, and wait for it."""
        with self._lock:
            self._stopping.set()
            child = self._child
        if child is not None and child.stdin is not None:
            with contextlib.suppress(OSError):
                child.stdin.close()
        self._thread.join()

    @property
    def child_pid(self) -> int:
        """Process of the child, 0 before there is one."""
        return self._child.pid if self._child is not None else 0

    def figure(self, name: str) -> float:
        """Return a number of what the child said last, 0 before it said anything."""
        return float(self._status.get(name, 0))

    def _keep(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            moved_before = self.figure("requests")
            self._run_child()
            if self._stopping.is_set():
                return
            self.deaths += 1
            failures = 0 if self.figure("requests") > moved_before else failures + 1
            pause_s = RESTART_S[min(failures, len(RESTART_S) - 1)]
            code = self._child.returncode if self._child is not None else None
            logger.error("the drain ended with code %s; another starts in %g s", code, pause_s)
            self._stopping.wait(pause_s)

    def _run_child(self) -> None:
        with self._lock:
            if self._stopping.is_set():
                return
            child = self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,  # Ctrl-C is for the collector, which ends the child
                text=True,
            )
        assert child.stdout is not None
        for line in child.stdout:
            with contextlib.suppress(ValueError):
                self._status = json.loads(line)
        child.wait()
        child.stdout.close()
        if child.stdin is not None:
            with contextlib.suppress(OSError):
                child.stdin.close()


def main(arguments: Sequence[str], step: Callable[[str], None] = lambda name: None) -> int:
    """Drain until standard input ends."""
    from exray.collector.drain import DrainStatus, drain
    from exray.lake import Lake

    log_dir, lake = Path(arguments[0]), arguments[1]
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
            drain(log_dir, Lake.open_or_create(lake), stop, report=report, step=step)
        except ExrayError as error:
            logger.error("%s", error)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
