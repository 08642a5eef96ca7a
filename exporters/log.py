"""OTLP requests in files that outlive the process: the collector's log and a device's spool.

A log is a folder of segments, files named by the first sequence they may hold, of records
one after the other. A record, all numbers little-endian::

    magic "XRL1"  length u32  sequence u64  received_ns i64  signal u8  encoding u8
    packing u16  body checksum u64 (XXH3)  header checksum u32 (CRC-32 of all before it)  body

The header has a checksum of its own, so that behind a damaged body the next record is found
by its length; behind a damaged header it is looked for by its magic.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TypeAlias

import xxhash

from exray.schema.errors import DataError

from .log_packing import Packing, unpack
from .otlp_settings import Signal
from .typing import Buffer

MAGIC = b"XRL1"

_HEADER = struct.Struct("<4sIQqBBHQ")
_CHECK = struct.Struct("<I")
HEADER_BYTES = _HEADER.size + _CHECK.size

SUFFIX = ".log"

LOG_SIGNALS: tuple[Signal, ...] = ("traces", "metrics", "logs")
"""By the number that stands for each in a record."""

_SEARCH_BYTES = 1 << 20

_MOST_UNPACKED_BYTES = 1 << 30
"""Of one body: what a damaged one says is not believed."""


class Encoding(IntEnum):
    """How a body is written; the number stands in the record."""

    PROTOBUF = 0
    JSON = 1
    PROTOBUF_GZIP = 2
    JSON_GZIP = 3

    @property
    def is_json(self) -> bool:
        """Tell OTLP's JSON from protobuf."""
        return self in (Encoding.JSON, Encoding.JSON_GZIP)

    @property
    def is_gzip(self) -> bool:
        """Tell whether the body is compressed."""
        return self in (Encoding.PROTOBUF_GZIP, Encoding.JSON_GZIP)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place between two records.

    Args:
        sequence: Of the last record before it, 0 at the beginning.
        segment: First sequence of the segment it is in, which names the file.
        offset: Bytes of that segment before it.
    """

    sequence: int = 0
    segment: int = 0
    offset: int = 0


BEGINNING = Cursor()
"""Before the oldest record that there is."""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One request.

    Args:
        sequence: Ascending in a log, with gaps, and never given twice.
        signal: What it carries.
        encoding: How the body is written.
        received_ns: When it came, by this machine's wall clock.
        body: As received.
        end: The place behind it.
    """

    sequence: int
    signal: Signal
    encoding: Encoding
    received_ns: int
    body: bytes
    end: Cursor


@dataclass(frozen=True, slots=True)
class CorruptRecord:
    """Bytes that are no record, or no longer the one they were.

    Args:
        problem: What is wrong with them.
        content: The bytes, to be kept elsewhere for whoever wants to look.
        end: The place behind them.
    """

    problem: str
    content: bytes
    end: Cursor


LogItem: TypeAlias = LogRecord | CorruptRecord


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before a body.

    Args:
        length: Bytes of the body, as stored.
        sequence: Number of the record.
        received_ns: When it came.
        signal: What it carries.
        encoding: How the body is written.
        packing: How it is stored.
        checksum: XXH3-64 of the body, as stored.
    """

    length: int
    sequence: int
    received_ns: int
    signal: Signal
    encoding: Encoding
    packing: Packing
    checksum: int

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole record."""
        return HEADER_BYTES + self.length


def pack_header(
    sequence: int,
    signal: Signal,
    encoding: Encoding,
    received_ns: int,
    body: Buffer,
    packing: Packing = Packing.NONE,
) -> bytes:
    """Return what is written before *body*, which is packed already."""
    fields = _HEADER.pack(
        MAGIC,
        len(body),
        sequence,
        received_ns,
        LOG_SIGNALS.index(signal),
        encoding,
        packing,
        xxhash.xxh3_64_intdigest(body),
    )
    return fields + _CHECK.pack(zlib.crc32(fields))


def unpack_header(data: bytes) -> Header | None:
    """Return the header that *data* begins with, or None where there is none."""
    if len(data) < HEADER_BYTES or not data.startswith(MAGIC):
        return None
    if _CHECK.unpack_from(data, _HEADER.size)[0] != zlib.crc32(data[: _HEADER.size]):
        return None
    _, length, sequence, received_ns, signal, encoding, packing, checksum = _HEADER.unpack_from(
        data
    )
    if signal >= len(LOG_SIGNALS) or encoding >= len(Encoding) or packing >= len(Packing):
        return None
    carried: Signal = LOG_SIGNALS[int(signal)]
    return Header(
        length, sequence, received_ns, carried, Encoding(encoding), Packing(packing), checksum
    )


def segments(folder: Path) -> list[int]:
    """Return the segments in *folder*, oldest first."""
    return sorted(int(path.stem) for path in folder.glob(f"*{SUFFIX}") if path.stem.isdigit())


def segment_path(folder: Path, segment: int) -> Path:
    """Return the file of a segment."""
    return folder / f"{segment:020d}{SUFFIX}"


def read_segment(path: Path, start: Cursor, *, is_sealed: bool = True) -> Iterator[LogItem]:
    """Yield what a segment holds from *start* on, damaged parts too.

    Args:
        path: Its file.
        start: Where to begin; names the segment too.
        is_sealed: Whether nothing is written to it any more. In one that is still written,
            what is wrong at the very end is a record on its way: it is not yielded.

    Raises:
        OSError: The file is gone, or cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        item: LogItem | None = _read_item(descriptor, start, is_sealed)
        while item is not None:
            yield item
            item = _read_item(descriptor, item.end, is_sealed)
    finally:
        os.close(descriptor)


def _read_item(descriptor: int, at: Cursor, is_sealed: bool) -> LogItem | None:
    """Return what stands at a place, None at the end."""
    size = os.fstat(descriptor).st_size
    header = unpack_header(os.pread(descriptor, HEADER_BYTES, at.offset))
    if header is not None and at.offset + header.size_bytes <= size:
        body = os.pread(descriptor, header.length, at.offset + HEADER_BYTES)
        end = Cursor(header.sequence, at.segment, at.offset + header.size_bytes)
        if xxhash.xxh3_64_intdigest(body) == header.checksum:
            return _unpacked(header, body, end)
        if end.offset == size and not is_sealed:
            return None
        problem = f"record {header.sequence}: its bytes do not match their checksum"
        return CorruptRecord(problem, os.pread(descriptor, header.size_bytes, at.offset), end)
    next_offset = _find_record(descriptor, at.offset + 1, size)
    if next_offset is None:
        if not is_sealed or at.offset >= size:
            return None
        next_offset = size
    content = os.pread(descriptor, next_offset - at.offset, at.offset)
    problem = f"{len(content)} bytes after record {at.sequence} are no record"
    return CorruptRecord(problem, content, Cursor(at.sequence, at.segment, next_offset))


def _unpacked(header: Header, stored: bytes, end: Cursor) -> LogItem:
    try:
        body = unpack(header.packing, stored, _MOST_UNPACKED_BYTES)
    except DataError as error:
        return CorruptRecord(f"record {header.sequence}: {error}", stored, end)
    return LogRecord(header.sequence, header.signal, header.encoding, header.received_ns, body, end)


def _find_record(descriptor: int, offset: int, size: int) -> int | None:
    """Return where the next whole header stands, at *offset* or after it."""
    while offset + HEADER_BYTES <= size:
        chunk = os.pread(descriptor, _SEARCH_BYTES, offset)
        found = chunk.find(MAGIC)
        while found >= 0:
            header = unpack_header(os.pread(descriptor, HEADER_BYTES, offset + found))
            if header is not None and offset + found + header.size_bytes <= size:
                return offset + found
            found = chunk.find(MAGIC, found + 1)
        # The magic may lie across the border of two chunks.
        offset += max(len(chunk) - len(MAGIC) + 1, 1)
    return None


def count_records(path: Path, after: int = 0) -> int:
    """Return how many records after the sequence *after* a segment holds, by its headers."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        count = offset = 0
        size = os.fstat(descriptor).st_size
        while offset < size:
            header = unpack_header(os.pread(descriptor, HEADER_BYTES, offset))
            if header is not None and offset + header.size_bytes <= size:
                count += header.sequence > after
                offset += header.size_bytes
                continue
            found = _find_record(descriptor, offset + 1, size)
            offset = size if found is None else found
        return count
    finally:
        os.close(descriptor)
