"""A process that is kept running beside the collector: its drain, its other receivers.

A child lives as long as its standard input is open, so none outlives its parent, however that
ends.
"""

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

logger = logging.getLogger(__name__)

RESTART_S: tuple[float, ...] = (1.0, 2.0, 5.0, 15.0, 30.0)
"""Pauses before a child that died is started again; the last one repeats."""


@dataclass(frozen=True, slots=True)
class Program:
    """What a child runs.

    Args:
        name: In words, for messages.
        command: Started once and again.
        first_line: What it is given to read.
        last_line: What it is told at the end, before its input ends.
        descriptors: Files that it inherits.
    """

    name: str
    command: Sequence[str]
    first_line: str = ""
    last_line: str = ""
    descriptors: Sequence[int] = ()


class Child:
    """Keeps a child running until it is told to end.

    Args:
        program: What it runs.
        told: Called with each object of JSON that it prints.
        has_progressed: Whether the one that died had got anywhere: then the next one is
            started soon.
    """

    def __init__(
        self,
        program: Program,
        told: Callable[[dict[str, Any]], None],
        has_progressed: Callable[[], bool],
    ) -> None:
        self._program = program
        self._told = told
        self._has_progressed = has_progressed
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self.deaths = 0
        """Children that ended unasked."""
        self._thread = threading.Thread(target=self._keep, name="exray-child", daemon=True)

    def start(self) -> None:
        """Start it."""
        self._thread.start()

    def end(self) -> None:
        """Tell it to end, and do not wait."""
        with self._lock:
            self._stopping.set()
            process = self._process
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                process.stdin.write(self._program.last_line)
            with contextlib.suppress(OSError):
                process.stdin.close()

    def join(self) -> None:
        """Wait for its end."""
        if self._thread.is_alive():
            self._thread.join()

    @property
    def pid(self) -> int:
        """Its process, 0 before there is one."""
        return self._process.pid if self._process is not None else 0

    def _keep(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            code = self._run()
            if self._stopping.is_set():
                return
            self.deaths += 1
            failures = 0 if self._has_progressed() else failures + 1
            pause_s = RESTART_S[min(failures, len(RESTART_S) - 1)]
            name = self._program.name
            logger.error("%s ended with code %s; another starts in %g s", name, code, pause_s)
            self._stopping.wait(pause_s)

    def _run(self) -> int | None:
        with self._lock:
            if self._stopping.is_set():
                return None
            process = self._process = subprocess.Popen(
                self._program.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,  # Ctrl-C is for the collector, which ends the child
                pass_fds=self._program.descriptors,
                text=True,
            )
            assert process.stdin is not None and process.stdout is not None
            with contextlib.suppress(OSError):
                process.stdin.write(self._program.first_line)
                process.stdin.flush()
        for line in process.stdout:
            with contextlib.suppress(ValueError):
                self._told(json.loads(line))
        code = process.wait()
        process.stdout.close()
        with contextlib.suppress(OSError):
            process.stdin.close()
        return code
