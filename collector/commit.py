"""Requests onto disk, several with one sync, and the log kept within its bound."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Literal

from exray.exporters.log import HEADER_BYTES
from exray.exporters.log_reader import read_cursor
from exray.exporters.log_writer import LogWriter
from exray.schema.errors import LogError, LogFullError

from .entry import Entry, finish_all
from .reply import later

logger = logging.getLogger(__name__)

WhenFull = Literal["refuse", "drop_oldest"]
"""What gives way where the log is as large as it may be."""

CURSOR_PERIOD_S = 0.5
"""How often the reader's place is looked up, to drop what it has done with."""

SYNC_BYTES = 1 << 20
"""At which a group is synced. Nobody waits for that much to gather: a sync begins with what
there is, and what comes meanwhile waits for the next, some milliseconds."""


@dataclass(slots=True)
class LogCounts:
    """What happened to the log since the start."""

    syncs: int = 0
    sync_s: float = 0.0
    dropped_records: int = 0
    dropped_bytes: int = 0
    failures: int = 0


class GroupCommitter:
    """Appends requests to the log and syncs them in groups, in a thread of its own.

    While one group is synced the next one gathers, so a lone request waits for one sync and
    a thousand wait for a few.

    Args:
        writer: The log; closed by `close`.
        max_bytes: Most that the log may hold.
        when_full: What gives way then.
        retry_after_s: What a client is told that must wait.
        on_step: Called with the name of each step that is about to be made.
    """

    def __init__(
        self,
        writer: LogWriter,
        *,
        max_bytes: int,
        when_full: WhenFull = "refuse",
        retry_after_s: int = 1,
        on_step: Callable[[str], None] = lambda step: None,
    ) -> None:
        self.counts = LogCounts()
        self._writer = writer
        self._max_bytes = max_bytes
        self._when_full: WhenFull = when_full
        self._retry_after_s = retry_after_s
        self._on_step = on_step
        self._lock = threading.Lock()
        self._queue: SimpleQueue[Sequence[Entry] | None] = SimpleQueue()
        """What is to be stored; None is the last, nothing comes behind it."""
        self._closing = False
        self._last_problem = ""
        self._cursor_at_s = 0.0
        self._read_sequence = 0
        self._thread = threading.Thread(target=self._work, name="exray-commit", daemon=True)
        self._thread.start()

    @property
    def is_working(self) -> bool:
        """Whether the last attempt to write the log went well, and the thread runs."""
        return not self._last_problem and self._thread.is_alive()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def size_bytes(self) -> int:
        """Bytes of the log."""
        return self._writer.size_bytes

    @property
    def unread_records(self) -> int:
        """How far the reader is behind, in sequences; gaps count at a restart."""
        return max(self._writer.synced_sequence - self._read_sequence, 0)

    def submit(self, entries: Sequence[Entry]) -> None:
        """Have requests stored, with one sync; `Entry.on_done` is called of each when it is on
        disk, or refused.
        """
        with self._lock:
            if not self._closing:
                self._queue.put(entries)
                return
        self._refuse(entries, "the collector is shutting down", "shutdown")

    def close(self) -> None:
        """Finish what waits, then close the log; a second call does nothing."""
        with self._lock:
            if not self._closing:
                self._closing = True
                self._queue.put(None)
        self._thread.join()
        self._writer.close()

    def _work(self) -> None:
        is_last = False
        while not is_last:
            group, is_last = self._take_group()
            try:
                if group:
                    self._commit(group)
                self._drop_read()
            except Exception:  # whatever it is, nobody may wait for ever
                logger.exception("the log could not be written")
                self._refuse(group, "the log cannot be written", "log_error")

    def _take_group(self) -> tuple[list[Entry], bool]:
        """Return what is to be stored next, nothing after a while, and whether it is the last."""
        group: list[Entry] = []
        size = 0
        with contextlib.suppress(Empty):
            entries = self._queue.get(timeout=CURSOR_PERIOD_S)
            while entries is not None:
                group += entries
                size += sum(len(entry.body) for entry in entries)
                if size >= SYNC_BYTES:
                    return group, False
                entries = self._queue.get_nowait()
            return group, True
        return group, False

    def _commit(self, group: list[Entry]) -> None:
        appended = group
        if not self._append_all(group):
            appended = [entry for entry in group if self._append_all([entry], is_alone=True)]
        if not appended:
            return
        started_s = time.perf_counter()
        try:
            self._on_step("before_sync")
            self._writer.sync()
            self._on_step("after_sync")
        except LogError as error:
            self._failed(error, appended)
            return
        self.counts.syncs += 1
        self.counts.sync_s += time.perf_counter() - started_s
        if self._last_problem:
            self._last_problem = ""
            logger.warning("the log can be written again")
        finish_all(appended)

    def _append_all(self, entries: Sequence[Entry], *, is_alone: bool = False) -> bool:
        """Write requests, all or none; one that is alone is refused if there is no place."""
        try:
            if not self._make_room(sum(HEADER_BYTES + len(entry.body) for entry in entries)):
                if is_alone:
                    self._refuse(entries, "the log is full until it is read", "log_full")
                return False
            self._on_step("before_append")
            self._writer.append_all(entries)
            self._on_step("after_append")
        except LogError as error:
            if is_alone:
                self._failed(error, entries)
            return False
        return True

    def _make_room(self, size_bytes: int) -> bool:
        """Tell whether the log may grow so much, after dropping what may be dropped."""
        if self._writer.size_bytes + size_bytes <= self._max_bytes:
            return True
        self._drop_read(now=True)
        while self._writer.size_bytes + size_bytes > self._max_bytes:
            if self._when_full == "refuse":
                return False
            dropped = self._writer.drop_oldest(self._read_sequence)
            if not dropped.size_bytes:
                return False
            self.counts.dropped_records += dropped.records
            self.counts.dropped_bytes += dropped.size_bytes
        return True

    def _drop_read(self, *, now: bool = False) -> None:
        """Drop the part of the log that its reader has done with."""
        now_s = time.monotonic()
        if not now and now_s < self._cursor_at_s + CURSOR_PERIOD_S:
            return
        self._cursor_at_s = now_s
        sequence = read_cursor(self._writer.folder).sequence
        if sequence > self._read_sequence:
            self._read_sequence = sequence
            with contextlib.suppress(LogError):  # a full disk may not even take a new name
                self._writer.drop_before(sequence + 1)

    def _failed(self, error: LogError, group: Sequence[Entry]) -> None:
        self.counts.failures += 1
        if str(error) != self._last_problem:
            self._last_problem = str(error)
            logger.error("%s Requests are refused until then.", error)
        is_full = isinstance(error, LogFullError)
        message = "the collector's disk is full" if is_full else "the log cannot be written"
        self._refuse(group, message, "disk_full" if is_full else "log_error")

    def _refuse(self, group: Sequence[Entry], message: str, reason: str) -> None:
        for entry in group:
            if not entry.is_done:
                entry.refusal = later(f"{message}; send again", self._retry_after_s, reason)
        finish_all(group)
