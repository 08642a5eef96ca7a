"""Numbers outside frames: whose run they are, and the road to the sink."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from exray.schema.records import MetricRecord, Run

IN_USE_S = 60.0
"""How long after its last frame a run still gets what the application's sensors say."""

WAITING_METRICS = 1000
"""Kept of what sensors say before the process runs its first model; the newest ones."""


class MetricSink(Protocol):
    """Takes numbers outside frames; never raises and never waits."""

    def add_metrics(self, metrics: Sequence[MetricRecord]) -> None:
        """Take numbers outside any frame, each with its run."""
        ...


class RunMetrics:
    """Gives a number to every run that is in use: to whichever its frame will belong.

    A process has a run for each of its models, and knows not which of them runs next.

    Args:
        sink: Where the numbers go.
    """

    def __init__(self, sink: MetricSink) -> None:
        self._sink = sink
        self.renew()

    def renew(self) -> None:
        """Begin as a new process does: without runs."""
        self._lock = threading.RLock()
        self._last_used_s: dict[bytes, tuple[Run, float]] = {}
        self._latest: Run | None = None
        self._waiting: deque[MetricRecord] = deque(maxlen=WAITING_METRICS)

    @property
    def has_waiting(self) -> bool:
        """Whether numbers wait for the process's first run."""
        return bool(self._waiting)

    def use(self, runs: Iterable[Run]) -> None:
        """Note that these runs have just recorded something."""
        now_s = time.monotonic()
        with self._lock:
            for run in runs:
                self._last_used_s[run.run_id] = run, now_s
                self._latest = run
            if not self._waiting:
                return
            waiting = list(self._waiting)
            self._waiting.clear()
        self.add(waiting)

    def in_use(self, window_s: float) -> list[Run]:
        """Return the runs that recorded something within *window_s*."""
        now_s = time.monotonic()
        with self._lock:
            for run_id, (_, used_s) in list(self._last_used_s.items()):
                if now_s - used_s > max(window_s, IN_USE_S):
                    del self._last_used_s[run_id]
            return [run for run, used_s in self._last_used_s.values() if now_s - used_s <= window_s]

    def add(self, metrics: Sequence[MetricRecord], runs: Sequence[Run] = ()) -> None:
        """Hand on *metrics*, once for each of *runs*.

        Args:
            metrics: Numbers without a run.
            runs: Whose they are; none for those in use, else the one used last. Before the
                first run they wait for it.
        """
        with self._lock:
            runs = runs or self.in_use(IN_USE_S) or [run for run in (self._latest,) if run]
            if not runs:
                self._waiting += metrics
                return
        self._sink.add_metrics([replace(m, run=run) for run in runs for m in metrics])
