"""Records held in memory until a background thread exports them.

The application's thread only appends, under a lock held for microseconds. Batches leave at
the size that their exporter asks for, after 30 s, at `RecordBuffer.flush`, before a fork and
at exit: a process that is killed loses what it recorded in the last 30 s. What cannot be
exported is kept and tried again, up to 128 MiB; beyond that the oldest frames go, never the
runs.
"""

import atexit
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Sequence

from exray.schema.records import FrameRecord, Graph, LaterFrames, MetricRecord, Run, SpanRecord

from .pending import PendingRecords
from .typing import ExportResult, RecordExporter

BATCH_BYTES = 768 * 1024
"""Estimated size at which a batch leaves for an exporter that asks for no other by an attribute
``batch_bytes``: some twenty frames with summaries, as a request holds. What waits is memory
that the application has not."""

KEEP_BYTES = 128 * 1024 * 1024
"""Most that is kept of what cannot be exported."""

PERIOD_S = 30.0
"""Longest time that a record waits, and the most that a killed process loses."""

FORK_TIMEOUT_S = 5.0
"""Longest time that a fork waits for what was recorded before it."""

FIRST_RETRY_S = 1.0
"""Pause after a failed export; it doubles with each, up to the period."""

logger = logging.getLogger(__name__)


class RecordBuffer:
    """Takes records from any thread, hands them to *exporter* in batches, never raises.

    The thread starts with the first record. A forked child starts with an empty buffer
    and a thread of its own.

    Args:
        exporter: Where batches go; one at a time, from one thread.
        max_bytes: Estimated size at which a batch leaves; None asks the exporter.
        period_s: Longest time that a record waits.
        keep_bytes: Most that is kept of what cannot be exported; never less than two batches.
        owns_exporter: Whether `shutdown` shuts *exporter* down too.

    Raises:
        ValueError: *max_bytes* or *period_s* is not positive.
    """

    def __init__(
        self,
        exporter: RecordExporter,
        max_bytes: int | None = None,
        period_s: float = PERIOD_S,
        *,
        keep_bytes: int = KEEP_BYTES,
        owns_exporter: bool = True,
    ) -> None:
        if max_bytes is None:
            max_bytes = int(getattr(exporter, "batch_bytes", BATCH_BYTES))
        if max_bytes <= 0 or not period_s > 0:
            msg = f"max_bytes and period_s must be positive, got {max_bytes} and {period_s}"
            raise ValueError(msg)
        self._exporter = exporter
        self._max_bytes, self._keep_bytes = max_bytes, keep_bytes
        self._period_s = period_s
        self._owns_exporter = owns_exporter
        self._closed = False
        self._logged: set[str] = set()
        self._start_empty()
        _buffers.add(self)
        atexit.register(self.shutdown)

    def _start_empty(self) -> None:
        """Forget everything of the life before: at the start, and in a forked child."""
        self._changed = threading.Condition()  # reentrant: a signal handler may flush
        self._exporting = threading.Lock()
        self._pending = PendingRecords(self._max_bytes, self._keep_bytes)
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._stopping = False
        self._flush_wanted = False
        self._attempts = 0
        self._failed_attempt = 0
        self._retry_s = FIRST_RETRY_S
        self._retry_at_s = 0.0

    @property
    def dropped_frames(self) -> int:
        """Frames lost since the start, because export failed for too long."""
        return self._pending.dropped_frames

    def add_run(self, run: Run) -> None:
        """Add a run, again whenever more of it is known."""
        self._add(lambda pending: pending.add_run(run))

    def add_graph(self, graph: Graph) -> None:
        """Add a model's operators; the same model again is ignored."""
        self._add(lambda pending: pending.add_graph(graph))

    def add_frame(self, frame: FrameRecord) -> None:
        """Add a complete frame; nobody may write to its blocks any more."""
        self._add(lambda pending: pending.add_frame(frame))

    def add_frames_later(self, frames: LaterFrames) -> None:
        """Add frames whose records are made in the buffer's thread."""
        self._add(lambda pending: pending.add_frames_later(frames))

    def add_span(self, span: SpanRecord) -> bool:
        """Add a span outside any frame of ours; False after `shutdown`."""
        return self._add(lambda pending: pending.add_span(span))

    def add_metrics(self, metrics: Sequence[MetricRecord]) -> None:
        """Add numbers outside any frame, each with its run."""
        self._add(lambda pending: pending.add_metrics(metrics))

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Export what has been added until now.

        Returns:
            False if some of it could not be exported in time; it is kept, and tried again.
        """
        try:
            return self._flush(timeout_s)
        except Exception:  # noqa: BLE001  nothing reaches the application
            self._log_once("flush failed", exc_info=True)
            return False

    def shutdown(self, timeout_s: float = 10.0) -> None:
        """Export what there is and take no more; a second call does nothing."""
        try:
            self._shutdown(timeout_s)
        except Exception:  # noqa: BLE001  nothing reaches the application
            self._log_once("shutdown failed", exc_info=True)

    def _add(self, add: Callable[[PendingRecords], None]) -> bool:
        try:
            with self._changed:
                if self._closed:
                    return False
                idle, batches = self._pending.open_since_s is None, self._pending.sealed_count
                add(self._pending)
                if idle or self._pending.sealed_count > batches:
                    self._changed.notify_all()
            self._start_thread()
            self._report_drops()
        except Exception:  # noqa: BLE001  nothing reaches the application
            self._log_once("a record was lost", exc_info=True)
            return False
        return True

    def _start_thread(self) -> bool:
        """Make sure that the thread runs; False if the system gives none."""
        if self._thread is not None:
            return True
        with self._changed:
            if self._thread is not None:
                return True
            thread = threading.Thread(target=self._work, name="exray-export", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                self._log_once(f"no thread for exports, they wait for flush() or exit: {error}")
                return False
            self._thread = thread
        _finalize_with_multiprocessing(self)
        return True

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (self._stopping or self._is_time()):
                    self._changed.wait(self._idle_s())
                if self._stopping:
                    return
                self._pending.seal()
            self._export_sealed()

    def _is_time(self) -> bool:
        if self._flush_wanted:
            return True
        now_s, since_s = time.monotonic(), self._pending.open_since_s
        if now_s < self._retry_at_s:
            return False
        is_due = since_s is not None and now_s >= since_s + self._period_s
        return self._pending.has_sealed or is_due

    def _idle_s(self) -> float | None:
        """Return how long nothing will be due, None for ever."""
        now_s, since_s = time.monotonic(), self._pending.open_since_s
        if now_s < self._retry_at_s:
            return self._retry_at_s - now_s
        return None if since_s is None else max(since_s + self._period_s - now_s, 0.0)

    def _export_sealed(self, timeout_s: float = -1) -> None:
        """Export batch by batch, oldest first, until one fails."""
        if not self._exporting.acquire(timeout=timeout_s):
            return
        try:
            while self._export_next():
                pass
        finally:
            self._exporting.release()

    def _export_next(self) -> bool:
        """Export the oldest batch; False if there was none, or it failed."""
        with self._changed:
            self._flush_wanted = False
            self._attempts += 1
            attempt, sealed = self._attempts, self._pending.take()
        if sealed is None:
            return False
        try:
            exported = self._exporter.export(sealed.batch()) is ExportResult.SUCCESS
        except Exception:  # noqa: BLE001  whatever a foreign exporter raises
            self._log_once("the exporter raised", exc_info=True)
            exported = False
        with self._changed:
            self._pending.finish(exported=exported)
            if exported:
                self._retry_s, self._retry_at_s = FIRST_RETRY_S, 0.0
            else:
                self._failed_attempt = attempt
                self._retry_at_s = time.monotonic() + self._retry_s
                self._retry_s = min(2 * self._retry_s, self._period_s)
            self._changed.notify_all()
        return exported

    def _flush(self, timeout_s: float) -> bool:
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            self._pending.seal()
            if not self._pending.has_sealed:
                return True
            self._flush_wanted = True
            number, attempts = self._pending.sealed_count, self._attempts
            dropped = self._pending.dropped
            self._changed.notify_all()
        if not self._start_thread():
            self._export_sealed(timeout_s)
        with self._changed:
            # An attempt that was under way may not have seen the newest records.
            self._changed.wait_for(
                lambda: self._pending.is_settled(number) or self._failed_attempt > attempts,
                deadline_s - time.monotonic(),
            )
            return self._pending.is_settled(number) and self._pending.dropped == dropped

    def _shutdown(self, timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            if self._closed:
                return
            self._closed = True
        atexit.unregister(self.shutdown)
        self._flush(timeout_s)
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            left = self._pending.unexported()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(max(deadline_s - time.monotonic(), 0.0))
        if left:
            self._log_once(f"{left} frames, spans and metrics could not be exported and are lost")
        if self._owns_exporter:
            self._exporter.shutdown()

    def _report_drops(self) -> None:
        if self._pending.dropped:
            self._log_once(
                f"exports fail, more than {self._pending.keep_bytes} bytes wait: the oldest frames are "
                "dropped from now on; RecordBuffer.dropped_frames counts them"
            )

    def _log_once(self, message: str, *, exc_info: bool = False) -> None:
        kind = message.translate(_NO_DIGITS)
        if kind not in self._logged:
            self._logged.add(kind)
            logger.warning("exray: %s", message, exc_info=exc_info)

    def before_fork(self) -> None:
        """Export what the parent has, so that a fork in the middle loses nothing."""
        if threading.current_thread() is not self._thread:
            self.flush(FORK_TIMEOUT_S)

    def after_fork_in_child(self) -> None:
        """Start anew: what waits is the parent's, and its thread does not exist here."""
        self._start_empty()


_NO_DIGITS = str.maketrans("", "", "0123456789")

_buffers: "weakref.WeakSet[RecordBuffer]" = weakref.WeakSet()


def _before_fork() -> None:
    for buffer in list(_buffers):
        buffer.before_fork()


def _after_fork_in_child() -> None:
    for buffer in list(_buffers):
        buffer.after_fork_in_child()


os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)


def _finalize_with_multiprocessing(buffer: RecordBuffer) -> None:
    """Shut *buffer* down when a `multiprocessing` child ends: those skip `atexit`."""
    process = sys.modules.get("multiprocessing.process")
    util = sys.modules.get("multiprocessing.util")
    if process is not None and util is not None and process.parent_process() is not None:
        util.Finalize(None, buffer.shutdown, exitpriority=0)
