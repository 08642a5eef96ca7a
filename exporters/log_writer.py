"""A log written by one process."""

import errno
import fcntl
import os
import threading
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from exray.lake.storage import make_folder, sync_file, sync_folder, write_synced
from exray.schema.errors import LogError, LogFullError

from .log import (
    Cursor,
    Encoding,
    LogRecord,
    count_records,
    pack_header,
    read_segment,
    segment_path,
    segments,
)
from .log_packing import Packing
from .otlp_settings import Signal
from .typing import Buffer

SEGMENT_BYTES = 16 << 20

SEQUENCE_GAP = 1 << 20
"""Sequences left out when a log is opened. A reader may have seen records that a power cut
took back before they were synced; their sequences must not name others."""

LOCK_FILE, ID_FILE = "lock", "id"

_FULL = (errno.ENOSPC, errno.EDQUOT)

_PARTS = 1024
"""Most that the kernel writes with one call, IOV_MAX."""


class Request(Protocol):
    """What a record is made of, see `LogWriter.append`."""

    @property
    def signal(self) -> Signal:
        """What it carries."""
        ...

    @property
    def encoding(self) -> Encoding:
        """How its body is written."""
        ...

    @property
    def packing(self) -> Packing:
        """How *body* was packed already."""
        ...

    @property
    def body(self) -> Buffer:
        """The body, stored as it is given."""
        ...

    @property
    def received_ns(self) -> int:
        """When it came."""
        ...


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was given up to make room."""

    records: int
    size_bytes: int


class LogWriter:
    """Appends to a log. Usable from several threads; a second process is refused.

    Opening cuts off what a crash left half written at the end. What is appended is on disk
    when `sync` has returned, not before.

    Args:
        folder: The log's, made where it is missing.
        segment_bytes: At the first sync at which a segment has this size it is sealed.

    Raises:
        LogError: Another process writes it, or the folder cannot be used.
    """

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.folder = folder
        self._segment_bytes = segment_bytes
        self._lock = threading.RLock()
        try:
            make_folder(folder.absolute())
            self._lock_descriptor = _lock(folder)
        except OSError as error:
            raise log_error(error, folder) from error
        try:
            self.log_id = _log_id(folder)
            self._open()
        except OSError as error:
            os.close(self._lock_descriptor)
            raise log_error(error, folder) from error

    def _open(self) -> None:
        present = segments(self.folder)
        last = _cut_torn_tail(self.folder, present[-1]) if present else _Tail(0, 0)
        self.torn_bytes = last.torn_bytes
        """Bytes cut off at opening: of a record that was never acknowledged."""
        self._sizes = {s: segment_path(self.folder, s).stat().st_size for s in present}
        self.size_bytes = sum(self._sizes.values())
        """Bytes of all segments."""
        self._sequence = last.sequence + SEQUENCE_GAP if present else 0
        self.synced_sequence = self._sequence
        """Everything up to this one is on disk."""
        self._descriptor, self._segment, self._synced_bytes = -1, 0, 0
        self._start_segment()
        for segment in present:
            if self._sizes[segment] == 0:
                self._remove(segment)

    @property
    def last_sequence(self) -> int:
        """Sequence of the newest record, or the one before the first."""
        return self._sequence

    def append(
        self,
        signal: Signal,
        encoding: Encoding,
        body: Buffer,
        received_ns: int,
        packing: Packing = Packing.NONE,
    ) -> int:
        """Write a request at the end; call `sync` to have it on disk.

        Args:
            signal: What it carries.
            encoding: How its body is written.
            body: The body, stored as it is given.
            received_ns: When it came.
            packing: How *body* was packed already.

        Returns:
            Its sequence.

        Raises:
            LogFullError: No space left; the log is as it was before.
            LogError: It cannot be written for another reason; likewise.
        """
        with self._lock:
            header = pack_header(self._sequence + 1, signal, encoding, received_ns, body, packing)
            return self._write([header, body], 1)

    def append_all(self, requests: "Sequence[Request]") -> int:
        """Write requests at the end, all of them or none; call `sync` to have them on disk.

        Returns:
            The sequence of the first; those of the others follow it.

        Raises:
            LogFullError: No space left; the log is as it was before.
            LogError: It cannot be written for another reason; likewise.
        """
        with self._lock:
            parts: list[Buffer] = []
            for sequence, one in enumerate(requests, self._sequence + 1):
                parts += (
                    pack_header(
                        sequence, one.signal, one.encoding, one.received_ns, one.body, one.packing
                    ),
                    one.body,
                )
            return self._write(parts, len(requests)) - len(requests) + 1

    def _write(self, parts: list[Buffer], records: int) -> int:
        """Write whole records; return the sequence of the last."""
        try:
            if self._descriptor < 0:
                self._start_segment()
            size_bytes = _write_all(self._descriptor, parts, self._sizes[self._segment])
        except OSError as error:
            self._take_back(self._sizes[self._segment])
            raise log_error(error, self.folder) from error
        self._sequence += records
        self._sizes[self._segment] += size_bytes
        self.size_bytes += size_bytes
        return self._sequence

    def sync(self) -> int:
        """Wait until all that was appended is on disk.

        Returns:
            Sequence of the last record that is.

        Raises:
            LogFullError: No space left: what was appended since the last sync is taken back.
            LogError: It failed for another reason; likewise.
        """
        with self._lock:
            if self._sequence == self.synced_sequence:
                return self._sequence
            try:
                os.fdatasync(self._descriptor)
            except OSError as error:
                # What the kernel could not write it now takes for written: never trust it.
                self._take_back(self._synced_bytes)
                self._close_segment()
                self.synced_sequence = self._sequence
                raise log_error(error, self.folder) from error
            self.synced_sequence = self._sequence
            self._synced_bytes = self._sizes[self._segment]
            if self._synced_bytes >= self._segment_bytes:
                self._seal()
            return self.synced_sequence

    def drop_before(self, sequence: int) -> None:
        """Remove the segments all of whose records come before *sequence*.

        Raises:
            LogError: A file cannot be removed.
        """
        with self._lock:
            try:
                if sequence > self.synced_sequence == self._sequence and self._is_begun():
                    self._start_segment()
                known = sorted(self._sizes)
                for segment, following in pairwise(known):
                    if following <= sequence:
                        self._remove(segment)
            except OSError as error:
                raise log_error(error, self.folder) from error

    def drop_oldest(self, read: int = 0) -> Dropped:
        """Remove the oldest segment, read or not.

        Args:
            read: Records up to this sequence are not counted.

        Raises:
            LogError: It cannot be removed.
        """
        with self._lock:
            try:
                if len(self._sizes) == 1 and self._is_begun():
                    self.sync()
                    self._start_segment()
                oldest = min(self._sizes)
                if oldest == self._segment:
                    return Dropped(0, 0)
                dropped = Dropped(
                    count_records(segment_path(self.folder, oldest), read), self._sizes[oldest]
                )
                self._remove(oldest)
            except OSError as error:
                raise log_error(error, self.folder) from error
            return dropped

    def close(self) -> None:
        """Sync, and let others open the log; a second call does nothing."""
        with self._lock:
            if self._lock_descriptor < 0:
                return
            try:
                self.sync()
            finally:
                self._close_segment()
                os.close(self._lock_descriptor)
                self._lock_descriptor = -1

    def abandon(self) -> None:
        """Let go without a word to the disk: in a forked child the log is its parent's."""
        self._lock = threading.RLock()
        self._close_segment()
        if self._lock_descriptor >= 0:
            os.close(self._lock_descriptor)
            self._lock_descriptor = -1

    def _is_begun(self) -> bool:
        return self._sizes.get(self._segment, 0) > 0

    def _start_segment(self) -> None:
        """Open a new segment. It stands before an old one is removed, for its name says which
        sequences have been given."""
        segment = self._sequence + 1
        path = segment_path(self.folder, segment)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            sync_folder(self.folder)
        except OSError:
            os.close(descriptor)
            raise
        self._close_segment()
        self._descriptor, self._segment = descriptor, segment
        self._sizes[segment] = self._synced_bytes = 0

    def _seal(self) -> None:
        """End the segment; if no other can be begun now, the next append tries again."""
        try:
            self._start_segment()
        except OSError:
            self._close_segment()

    def _take_back(self, size: int) -> None:
        """Cut the segment to *size*."""
        if self._descriptor >= 0:
            # What cannot be cut off is written over, or cut off at the next opening.
            with suppress(OSError):
                os.ftruncate(self._descriptor, size)
            self.size_bytes -= self._sizes[self._segment] - size
            self._sizes[self._segment] = size

    def _close_segment(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _remove(self, segment: int) -> None:
        segment_path(self.folder, segment).unlink(missing_ok=True)
        self.size_bytes -= self._sizes.pop(segment, 0)


@dataclass(frozen=True, slots=True)
class _Tail:
    """How a log ended when it was opened."""

    sequence: int
    torn_bytes: int


def _cut_torn_tail(folder: Path, segment: int) -> _Tail:
    """Cut off what stands behind the last whole record of the newest segment."""
    path = segment_path(folder, segment)
    end = Cursor(segment - 1, segment, 0)
    for item in read_segment(path, end):
        if isinstance(item, LogRecord):
            end = item.end
    torn_bytes = path.stat().st_size - end.offset
    if torn_bytes:
        os.truncate(path, end.offset)
        sync_file(path)
    return _Tail(end.sequence, torn_bytes)


def _lock(folder: Path) -> int:
    """Return the descriptor that holds the folder's lock."""
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        msg = (
            f"the log {str(folder)!r} is written by another process (pid {owner or 'unknown'}). "
            "Give each process a folder of its own, or stop the other one."
        )
        raise LogError(msg) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def holder(folder: Path) -> int | None:
    """Return the process that writes a log, None for none."""
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        return int(text) if text.isdigit() else 0
    finally:
        os.close(descriptor)
    return None


def _log_id(folder: Path) -> str:
    """Return the name that no other log has, given to this one when it was made."""
    path = folder / ID_FILE
    try:
        return path.read_text("ascii").strip()
    except FileNotFoundError:
        scratch = folder / f".{ID_FILE}"
        scratch.unlink(missing_ok=True)
        write_synced(scratch, memoryview(uuid.uuid4().hex.encode()))
        scratch.replace(path)
        sync_folder(folder)
        return path.read_text("ascii")


def _write_all(descriptor: int, parts: list[Buffer], offset: int) -> int:
    """Write *parts* one behind the other; return how many bytes they are."""
    begin = offset
    for first in range(0, len(parts), _PARTS):
        some = parts[first : first + _PARTS]
        size = sum(map(len, some))
        written = os.pwritev(descriptor, some, offset)
        if written < size:  # a signal, or the last free block
            rest = memoryview(b"".join(some))[written:]
            while rest:
                written = os.pwrite(descriptor, rest, offset + size - len(rest))
                rest = rest[written:]
        offset += size
    return offset - begin


def log_error(error: OSError, folder: Path) -> LogError:
    """Say what *error* means for the log in *folder*."""
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        msg = (
            f"no space left for the log {str(folder)!r}: {reason}. What it holds stays whole; "
            "free some space."
        )
        return LogFullError(msg)
    msg = (
        f"cannot write the log {str(folder)!r}: {reason}. It needs a folder on a local file "
        "system that this user may write."
    )
    return LogError(msg)
