"""The loop that empties the logs of received requests into a lake.

Each round takes a set of requests, plans it on disk, decodes it, commits its rows under a
name made of the first log's id and the set's last sequences, and moves on. Killed anywhere in between,
the next start makes the same set again, and the lake takes what it has not.
"""

import logging
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from exray.collector.logs import id_of, logs_of
from exray.lake import Lake
from exray.schema.errors import LakeError, LogError

from .decoders import Decoders
from .group import Stretch, next_stretch
from .quarantine import Quarantine
from .state import StateFolder

LINGER_S = 1.0
"""How long requests are gathered before a set that is not full is written: a set costs the
lake a commit for each of its tables."""

POLL_S = 0.2
"""How often an empty log is looked at."""

RETRY_S = (1.0, 2.0, 5.0, 15.0, 30.0)
"""Pauses after a lake that could not be written; the last one repeats."""

logger = logging.getLogger(__name__)


class Stop(Protocol):
    """What ends a drain: an event of threads or of processes."""

    def is_set(self) -> bool:
        """Tell whether to stop."""
        ...

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, for so many seconds at most."""
        ...


@dataclass(frozen=True, slots=True)
class DrainStatus:
    """How far a drain is.

    Args:
        sequence: Last request that is in the lake; of several logs, the sum of theirs.
        requests: Requests taken from the log since it was made.
        spans: Spans committed.
        repeated_spans: Spans dropped because they had come before.
        rejected_spans: Spans without whole ids.
        quarantined: Requests and damaged parts that could not be read.
        commit_s: Seconds that the last commit took.
        problem: Why the lake cannot be written, empty where it can.
    """

    sequence: int
    requests: int = 0
    spans: int = 0
    repeated_spans: int = 0
    rejected_spans: int = 0
    quarantined: int = 0
    commit_s: float = 0.0
    problem: str = ""


Report = Callable[[DrainStatus], None]


def drain(
    log_dir: Path,
    lake: Lake,
    stop: Stop,
    *,
    report: Report = lambda status: None,
    step: Callable[[str], None] = lambda name: None,
    linger_s: float = LINGER_S,
    decoders: int = 1,
) -> None:
    """Move what arrives in the logs of a collector into *lake* until *stop* is set, then what is left.

    Args:
        log_dir: The collector's folder; others may be writing the logs. Only one may drain it.
        lake: Where the rows go. While it cannot be written, the log is left as it is.
        stop: When set, what is in the log by then is still moved.
        report: Called after each set, and when the lake fails or recovers.
        step: Called with the name of each step that is done, for tests that die there.
        linger_s: How long to gather requests for a set.
        decoders: Processes that decode and write, this one among them.

    Raises:
        LogError: The log cannot be read, or its drain's state not be written.
    """
    with closing(Drain(log_dir, lake, report=report, step=step, decoders=decoders)) as loop:
        _drain(loop, log_dir, stop, linger_s)


def _drain(loop: "Drain", log_dir: Path, stop: Stop, linger_s: float) -> None:
    pause_s = 0.0
    failures = 0
    while True:
        stopping = stop.is_set()
        try:
            moved = loop.move_one()
            failures = 0
        except LakeError as error:
            if stopping:
                logger.warning("exray: the log is kept for the next start: %s", error)
                return
            pause_s = RETRY_S[min(failures, len(RETRY_S) - 1)]
            failures += 1
            loop.report_problem(str(error))
            stop.wait(pause_s)
            continue
        except OSError as error:
            msg = f"the log {str(log_dir)!r} cannot be drained: {error}"
            raise LogError(msg) from error
        if not moved and stopping:
            return
        if not moved:
            stop.wait(POLL_S)
        elif not loop.was_full:
            stop.wait(linger_s)


class Drain:
    """Logs on their way into a lake, a set at a time.

    Args:
        log_dir: The folder of the first, with the others in it.
        lake: Where the rows go.
        report: Called after each set.
        step: Called with the name of each step.
        decoders: Processes that decode and write, this one among them.
    """

    def __init__(
        self,
        log_dir: Path,
        lake: Lake,
        *,
        report: Report = lambda status: None,
        step: Callable[[str], None] = lambda name: None,
        decoders: int = 1,
    ) -> None:
        self._wal = log_dir
        self._lake = lake
        self._report = report
        self._step = step
        self._writer = id_of(log_dir)
        self._files = StateFolder(log_dir, step)
        self._quarantine = Quarantine(self._files.quarantine)
        self._state, self._recent = self._files.load()
        self._decoders = Decoders(lake, decoders)
        self._commit_s = 0.0
        self.was_full = False
        """Whether the last set ended because it was full, so that more is there."""

    def close(self) -> None:
        """Let the decoders go."""
        self._decoders.close()

    @property
    def status(self) -> DrainStatus:
        """How far it is."""
        return self._status("")

    def report_problem(self, problem: str) -> None:
        """Say that the lake cannot be written."""
        logger.warning("exray: requests wait in the log: %s", problem)
        self._report(self._status(problem))

    def move_one(self) -> bool:
        """Move the next set into the lake.

        Returns:
            False if there was nothing in the log.

        Raises:
            LakeError: The lake cannot be written; the set is tried again by the next call.
            OSError: The log cannot be read, or the state not be written.
        """
        state = self._state
        stretch = next_stretch(logs_of(self._wal), state.cursors, state.plan)
        if not stretch.ends:
            return False
        if state.plan is None:
            self._files.save_plan(state, stretch.ends)
        self._move(stretch)
        self._report(self.status)
        return True

    def _move(self, stretch: Stretch) -> None:
        state = self._state
        found = self._decoders.decode(stretch, self._recent, state.runs)
        for number, why in sorted(found.poison.items()):
            request, (log, sequence) = stretch.requests[number], stretch.origins[number]
            self._quarantine.keep_request(log, sequence, request, why)
        for log, damage in stretch.damaged:
            self._quarantine.keep_damage(log, damage)
        self._step("decoded")
        began_s = time.monotonic()
        set_number = state.number_of(stretch.ends)
        files = self._decoders.write(self._writer, set_number)
        self._step("written")
        self._lake.add(files, writer=self._writer, sequence=set_number, step=self._step)
        self._commit_s = time.monotonic() - began_s
        self._step("committed")
        self._count("requests", len(stretch.requests))
        self._count("spans", len(found.keys))
        self._count("repeated_spans", found.repeated_spans)
        self._count("rejected_spans", found.rejected_spans)
        self._count("quarantined", len(found.poison) + len(stretch.damaged))
        state.add_runs(found.run_ids)
        self.was_full = stretch.is_full
        self._files.finish(state, stretch.ends, found.keys, self._recent)

    def _status(self, problem: str) -> DrainStatus:
        counts = self._state.counts
        return DrainStatus(
            sequence=self._state.number_of({}),
            requests=counts.get("requests", 0),
            spans=counts.get("spans", 0),
            repeated_spans=counts.get("repeated_spans", 0),
            rejected_spans=counts.get("rejected_spans", 0),
            quarantined=counts.get("quarantined", 0),
            commit_s=self._commit_s,
            problem=problem,
        )

    def _count(self, name: str, more: int) -> None:
        self._state.counts[name] = self._state.counts.get(name, 0) + more
