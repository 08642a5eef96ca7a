"""Files that hold OTLP requests: lines of JSON, messages with their lengths, spools.

The OpenTelemetry Collector's file exporter writes the first two: a JSON object a line, or
with ``format: proto`` each message behind its length as four bytes, the highest first.
Others put the length in front as a varint, as protobuf's own libraries do.
"""

import gzip
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import xxhash

from exray.collector.messages import message_from_protobuf
from exray.exporters.log import SUFFIX, Cursor, Encoding, LogItem, LogRecord, read_segment
from exray.exporters.log_reader import LogReader
from exray.exporters.otlp_settings import Signal
from exray.schema.errors import DataError, UsageError

MAX_REQUEST_BYTES = 256 << 20
"""Longest line or message; a longer one is no request but another kind of file."""

_KEYS: dict[str, Signal] = {
    "resourceSpans": "traces",
    "resourceMetrics": "metrics",
    "resourceLogs": "logs",
    "resource_spans": "traces",
    "resource_metrics": "metrics",
    "resource_logs": "logs",
}

_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class FileRequest:
    """A request of a file.

    Args:
        place: Where it is, in words.
        signal: What it carries.
        encoding: How the body is written.
        body: Its bytes.
        done_bytes: Bytes of the file up to its end, as far as that is known.
    """

    place: str
    signal: Signal
    encoding: Encoding
    body: bytes
    done_bytes: int

    @property
    def digest(self) -> bytes:
        """What tells its content from any other."""
        return xxhash.xxh3_128_digest(self.body)


@dataclass(frozen=True, slots=True)
class BadRequest:
    """A part of a file that is no request.

    Args:
        place: Where it is, in words.
        problem: What is wrong with it.
    """

    place: str
    problem: str


FileItem = FileRequest | BadRequest


def read_requests(path: Path) -> Iterator[FileItem]:
    """Yield the requests of a file, whatever its kind, and what in it is none.

    Args:
        path: A file of JSON lines or of messages behind their lengths, perhaps compressed
            with gzip; a log's or spool's folder, or one segment of it.

    Raises:
        UsageError: There is no such file, or it is of no kind that is known.
        OSError: It cannot be read.
    """
    check_file(path)
    if path.is_dir():
        yield from _of_log(path)
        return
    if path.suffix == SUFFIX and path.stem.isdigit():
        segment = Cursor(0, int(path.stem), 0)
        yield from _of_items(read_segment(path, segment))
        return
    with _opened(path) as file:
        head = file.peek(64)
        if not head.strip():
            return
        if head.lstrip()[:1] == b"{":
            yield from _of_lines(file)
        else:
            yield from _of_messages(file, path)


def check_file(path: Path) -> None:
    """Check that a file is there.

    Raises:
        UsageError: It is not.
    """
    if not path.exists():
        msg = f"there is no file {str(path)!r}; name files of OTLP, or a spool's folder"
        raise UsageError(msg)


def _opened(path: Path) -> Any:
    with path.open("rb") as file:
        is_packed = file.read(2) == _GZIP_MAGIC
    return gzip.open(path) if is_packed else path.open("rb")


# --- a log or a spool -----------------------------------------------------------------------


def _of_log(folder: Path) -> Iterator[FileItem]:
    if not any(p.suffix == SUFFIX and p.stem.isdigit() for p in folder.iterdir()):
        msg = (
            f"the folder {str(folder)!r} is no spool: expected segments such as '{1:020d}{SUFFIX}'. "
            "Name files of OTLP, or the folder of a spool."
        )
        raise UsageError(msg)
    yield from _of_items(iter(LogReader(folder)))


def _of_items(items: Iterator[LogItem]) -> Iterator[FileItem]:
    done = 0
    for item in items:
        if isinstance(item, LogRecord):
            done += len(item.body)
            yield FileRequest(
                f"record {item.sequence}", item.signal, item.encoding, item.body, done
            )
        else:
            yield BadRequest(f"byte {item.end.offset - len(item.content)}", item.problem)


# --- lines of JSON --------------------------------------------------------------------------


def _of_lines(file: IO[bytes]) -> Iterator[FileItem]:
    number = done = 0
    while line := file.readline(MAX_REQUEST_BYTES):
        number, done = number + 1, done + len(line)
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            yield FileRequest(place, _signal_of_json(line), Encoding.JSON, line, done)
        except DataError as error:
            yield BadRequest(place, str(error))


def _signal_of_json(line: bytes) -> Signal:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:
        msg = f"it is no JSON: {str(error)[:120]}"
        raise DataError(msg) from error
    keys = list(cast("dict[str, object]", content)) if isinstance(content, dict) else []
    for key in keys:
        if key in _KEYS:
            return _KEYS[key]
    msg = f"it has none of 'resourceSpans', 'resourceMetrics', 'resourceLogs'; its keys: {keys[:5]}"
    raise DataError(msg)


# --- messages behind their lengths ----------------------------------------------------------


def _of_messages(file: Any, path: Path) -> Iterator[FileItem]:
    first = file.peek(16)[:16]
    size = struct.unpack(">I", first[:4])[0] if len(first) >= 4 else 0
    # A message begins with the tag of field 1, a length-delimited one.
    if first[4:5] == b"\x0a" and size <= MAX_REQUEST_BYTES:
        read_size = _four_bytes
    elif b"\x0a" in first[1:5] and (first[0] & 0x80 or first[1:2] == b"\x0a"):
        read_size = _varint
    else:
        msg = (
            f"{str(path)!r} holds no OTLP that is known: expected lines of JSON, or protobuf "
            "messages each behind its length, found "
            f"{first!r}. Name a file as the OpenTelemetry Collector's file exporter writes it."
        )
        raise UsageError(msg)
    number = done = 0
    while True:
        number += 1
        place = f"message {number}, at byte {done}"
        before = done
        try:
            found = read_size(file)
            if found is None:
                return
            size, prefix_bytes = found
            body = file.read(size) if size <= MAX_REQUEST_BYTES else b""
        except EOFError:
            yield BadRequest(place, "the file is cut short")
            return
        if len(body) < size:
            problem = f"expected {size} bytes, found {len(body)}: the file is cut short or damaged"
            yield BadRequest(place, problem)
            return
        done = before + prefix_bytes + size
        signal = _signal_of_protobuf(body)
        if signal is None:
            yield BadRequest(place, "it is no OTLP request")
        else:
            yield FileRequest(place, signal, Encoding.PROTOBUF, body, done)


def _four_bytes(file: IO[bytes]) -> tuple[int, int] | None:
    data = file.read(4)
    if not data:
        return None
    if len(data) < 4:
        raise EOFError
    return int(struct.unpack(">I", data)[0]), 4


def _varint(file: IO[bytes]) -> tuple[int, int] | None:
    value = 0
    for place in range(5):
        data = file.read(1)
        if not data:
            if place:
                raise EOFError
            return None
        value |= (data[0] & 0x7F) << (7 * place)
        if data[0] < 0x80:
            return value, place + 1
    return MAX_REQUEST_BYTES + 1, 5


def _signal_of_protobuf(body: bytes) -> Signal | None:
    """Return what a message carries: the three kinds differ only in their innermost records.

    Field 1 of a span is an id of 16 bytes, of a log record a fixed number, of a metric its
    name.
    """
    try:
        traces: Any = message_from_protobuf("traces", body)
        spans = [s for r in traces.resource_spans for c in r.scope_spans for s in c.spans]
        if spans and all(len(s.trace_id) == 16 and len(s.span_id) == 8 for s in spans):
            return "traces"
    except DataError:
        pass
    try:
        logs: Any = message_from_protobuf("logs", body)
        records = [r for g in logs.resource_logs for s in g.scope_logs for r in s.log_records]
        if records and all(r.time_unix_nano or r.observed_time_unix_nano for r in records):
            return "logs"
    except DataError:
        pass
    try:
        metrics: Any = message_from_protobuf("metrics", body)
        named = [m for g in metrics.resource_metrics for s in g.scope_metrics for m in s.metrics]
        return "metrics" if named and all(m.WhichOneof("data") for m in named) else None
    except DataError:
        return None
