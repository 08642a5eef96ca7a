"""Requests that a device keeps on disk until a server has taken them.

A spool is a folder of logs, one for each process that sends at a time: a process takes the
first that nobody holds for its own, and sends what it finds in the others that nobody holds,
left by processes that ended before they could.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from exray.schema.errors import LogError, LogFullError, UsageError

from .log import HEADER_BYTES, CorruptRecord, Encoding, LogRecord
from .log_reader import LogReader, read_cursor, write_cursor
from .log_writer import LogWriter
from .otlp_settings import Signal

SPOOL_BYTES = 256 << 20
"""Enough for an hour of a busy device: some 5000 frames of a MobileNet, summarised."""

SMALLEST_SPOOL_BYTES = 1 << 20

_SEGMENTS = 16
"""Into which a full spool is cut: what is given up at a time where it overflows."""


def default_spool() -> Path:
    """Return the spool's folder where nobody names one: ``$XDG_STATE_HOME/exray/spool``."""
    state = os.environ.get("XDG_STATE_HOME", "")
    base = Path(state) if state else Path.home() / ".local" / "state"
    return base / "exray" / "spool"


@dataclass(frozen=True, slots=True)
class Spooled:
    """The oldest request of a spool.

    Args:
        slot: Number of the log it is in.
        record: The request.
    """

    slot: int
    record: LogRecord


class Spool:
    """The part of a spool that this process holds. Not safe for threads: the owner locks.

    Args:
        folder: The spool's, made where it is missing.
        max_bytes: Most that this process keeps there; beyond it the oldest goes.

    Raises:
        UsageError: *max_bytes* is too small.
        LogError: The folder cannot be written.
    """

    def __init__(self, folder: Path, *, max_bytes: int = SPOOL_BYTES) -> None:
        if max_bytes < SMALLEST_SPOOL_BYTES:
            msg = f"a spool of {max_bytes} bytes is too small; give {SMALLEST_SPOOL_BYTES} or more"
            raise UsageError(msg)
        self.folder = folder
        self._max_bytes = max_bytes
        self.dropped_requests = 0
        """Requests given up for want of room."""
        self.corrupt = 0
        """Damaged parts that were passed over."""
        self._open()

    def _open(self) -> None:
        self._writers = dict(self._free_logs())
        self._own = min(self._writers)
        self._readers = {
            slot: LogReader(writer.folder, read_cursor(writer.folder))
            for slot, writer in self._writers.items()
        }
        self._oldest: dict[int, LogRecord] = {}

    def _free_logs(self) -> Iterator[tuple[int, LogWriter]]:
        """Yield the logs that nobody holds, at least one."""
        present = slots(self.folder)
        held: LogError | None = None
        count = 0
        for slot in [*present, next(n for n in range(len(present) + 1) if n not in present)]:
            if slot not in present and count:
                return
            try:
                yield slot, self._log(slot)
                count += 1
            except LogError as error:
                held = error
        if not count and held is not None:
            raise held

    def _log(self, slot: int) -> LogWriter:
        segment_bytes = self._max_bytes // _SEGMENTS
        return LogWriter(self.folder / str(slot), segment_bytes=segment_bytes)

    @property
    def size_bytes(self) -> int:
        """Bytes on disk, sent ones that are still there too."""
        return sum(writer.size_bytes for writer in self._writers.values())

    def append(self, signal: Signal, encoding: Encoding, body: bytes, time_ns: int) -> bool:
        """Keep a request; `sync` has it on disk.

        Returns:
            False if it is larger than the whole spool, and given up.

        Raises:
            LogFullError: The disk is full though the spool is empty.
            LogError: It cannot be written.
        """
        size_bytes = HEADER_BYTES + len(body)
        if size_bytes > self._max_bytes:
            self.dropped_requests += 1
            return False
        while self.size_bytes + size_bytes > self._max_bytes and self._drop_oldest():
            pass
        while True:
            try:
                self._writers[self._own].append(signal, encoding, body, time_ns)
                return True
            except LogFullError:
                if not self._drop_oldest():
                    raise

    def sync(self) -> None:
        """Have all on disk that was appended.

        Raises:
            LogError: What was appended since the last sync is not kept.
        """
        self._writers[self._own].sync()

    def oldest(self) -> Spooled | None:
        """Return the request that is to be sent next, None where there is none."""
        for slot in sorted(self._readers, key=lambda slot: slot == self._own):
            record = self._oldest.get(slot) or self._next(slot)
            if record is not None:
                self._oldest[slot] = record
                return Spooled(slot, record)
        return None

    def finish(self, spooled: Spooled) -> None:
        """Forget a request, which a server has taken or does not want.

        Raises:
            LogError: That cannot be noted on disk: it may be sent twice.
        """
        self._oldest.pop(spooled.slot, None)
        writer = self._writers[spooled.slot]
        try:
            write_cursor(writer.folder, spooled.record.end)
        except OSError as error:
            msg = f"the spool {str(self.folder)!r} cannot note what was sent: {error}"
            raise LogError(msg) from error
        writer.drop_before(spooled.record.sequence + 1)

    def close(self) -> None:
        """Sync, and let other processes have it."""
        for writer in self._writers.values():
            writer.close()

    def reopen_in_child(self) -> None:
        """Take logs of its own in a forked child: those open here are its parent's."""
        for writer in self._writers.values():
            writer.abandon()
        self._open()

    def _next(self, slot: int) -> LogRecord | None:
        for item in self._readers[slot]:
            if not isinstance(item, CorruptRecord):
                return item
            self.corrupt += 1
        return None

    def _drop_oldest(self) -> bool:
        """Give up the oldest segment; False if there is none."""
        for slot in sorted(self._writers, key=lambda slot: slot == self._own):
            writer = self._writers[slot]
            cursor = read_cursor(writer.folder)
            dropped = writer.drop_oldest(cursor.sequence)
            if dropped.size_bytes:
                self._oldest.pop(slot, None)
                self._readers[slot] = LogReader(writer.folder, cursor)
                self.dropped_requests += dropped.records
                return True
        return False


def slots(folder: Path) -> list[int]:
    """Return the logs of a spool by number."""
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in one log of a spool.

    Args:
        requests: That are still to be sent.
        size_bytes: Of them.
        oldest_ns: When the first of them came, 0 for none.
    """

    requests: int
    size_bytes: int
    oldest_ns: int


def waiting_requests(log_dir: Path) -> Waiting:
    """Return what waits in a log, whoever holds it."""
    requests = size_bytes = oldest_ns = 0
    for item in LogReader(log_dir, read_cursor(log_dir)):
        if isinstance(item, LogRecord):
            requests += 1
            size_bytes += HEADER_BYTES + len(item.body)
            oldest_ns = oldest_ns or item.received_ns
    return Waiting(requests, size_bytes, oldest_ns)
