"""Requests of all three signals, as they were received, into one set of tables of the lake."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from exray.collector.messages import message_from_protobuf
from exray.collector.native_library import otlp_library
from exray.collector.otlp_json import message_from_json
from exray.exporters.arrays import table_from_rows
from exray.exporters.log import Encoding
from exray.exporters.otlp_settings import Signal
from exray.exporters.rows import Row
from exray.schema.errors import DataError

from .lake_rows import dates, tables_from_spans
from .log_rows import LogRows, log_rows
from .metric_rows import metric_rows
from .origin import Origin, Origins
from .span_table import arrow
from .traces import Body, DecodedSpans, TraceDecoder

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK_BYTES, NATIVE_CHUNK_BYTES = 3 << 20, 12 << 20
"""Requests decoded together. By numpy some thousand spans, which a core's cache holds through
all its passes; the native library makes one."""

MAX_BYTES = 256 << 20
"""Largest request once unpacked. A receiver takes far less; this bounds what a file may do."""


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it was received.

    Args:
        number: By which it is known.
        signal: What it carries.
        encoding: How the body is written.
        received_ns: When it came, since 1970.
        body: Its bytes.
    """

    number: int
    signal: Signal
    encoding: Encoding
    received_ns: int
    body: bytes


@dataclass(slots=True)
class Decoded:
    """What requests hold, before it is known which of it is in the lake already.

    Args:
        spans: Their spans.
        logs: Rows from their log records.
        metrics: Rows from their numbers.
        poison: Requests that cannot be read, by number, and why.
        rejected_spans: Spans without whole ids.
    """

    spans: "pa.Table"
    origins: list[Origin]
    logs: LogRows = field(default_factory=LogRows)
    metrics: list[Row] = field(default_factory=list[Row])
    poison: dict[int, str] = field(default_factory=dict[int, str])
    rejected_spans: int = 0

    def tables(self, known_runs: Iterable[bytes] = ()) -> "dict[str, pa.Table]":
        """Return all of it as tables that a lake takes.

        Args:
            known_runs: Runs of which the lake has a row: of others one is made of what their
                resource says, should none of the log records here describe them.
        """
        described = {row["run_id"] for row in self.logs.runs}
        runs = [*self.logs.runs, *self._undescribed(described.union(known_runs))]
        return {
            "runs": table_from_rows("runs", runs),
            "graphs": table_from_rows("graphs", self.logs.graphs),
            **tables_from_spans(self.spans, self.origins),
            "metrics": _dated("metrics", self.metrics),
            "logs": _dated("logs", self.logs.logs),
        }

    def run_ids(self) -> set[bytes]:
        """Return the runs that `tables` has rows for, if it has to."""
        found = {row["run_id"] for row in self.logs.runs}
        return found | {origin.run.run_id for origin in self.origins if origin.is_run}

    def _undescribed(self, described: set[bytes]) -> list[Row]:
        """Return a row for each run that only resources tell of; any later row beats it."""
        spans: Any = self.spans
        origin_of_span: NDArray[np.int32] = spans.column("origin").to_numpy()
        rows: dict[bytes, Row] = {}
        for number, origin in enumerate(self.origins):
            run = origin.run
            if not origin.is_run or run.run_id in described or run.run_id in rows:
                continue
            own = np.flatnonzero(origin_of_span == number)
            if not len(own):
                continue
            starts = spans.column("start_ns").to_numpy()[own]
            received = spans.column("received_ns").to_numpy()[own]
            run.started_ns = int(starts.min())
            known = {name: getattr(run, name) for name in run.__slots__}
            rows[run.run_id] = known | {"recorded_ns": 0, "received_ns": int(received.min())}
        return list(rows.values())


class RequestDecoder:
    """Decodes requests; resources are remembered from one call to the next."""

    def __init__(self) -> None:
        self._traces = TraceDecoder()
        self._origins = Origins()

    def decode(self, requests: Sequence[Received]) -> Decoded:
        """Return what *requests* hold."""
        logs, metrics, poison = LogRows(), list[Row](), dict[int, str]()
        traces: list[tuple[int, Body]] = []
        for request in requests:
            try:
                content = _content(request)
                if request.signal == "traces":
                    traces.append((request.number, Body(content, request.received_ns)))
                elif request.signal == "logs":
                    logs += log_rows(_parsed(request, content), request.received_ns, self._origins)
                else:
                    parsed = _parsed(request, content)
                    metrics += metric_rows(parsed, request.received_ns, self._origins)
            except DataError as error:
                poison[request.number] = str(error)
        spans = self._spans(traces)
        return Decoded(
            spans.table, spans.origins, logs, metrics, poison | spans.poison, spans.rejected
        )

    def _spans(self, traces: Sequence[tuple[int, Body]]) -> DecodedSpans:
        """Return the spans of trace requests, read in chunks."""
        parts: list[Any] = []
        all_spans = DecodedSpans(self._traces.decode([]).table, [], {}, 0)
        is_native = otlp_library().handle is not None
        for chunk in _chunks(traces, NATIVE_CHUNK_BYTES if is_native else CHUNK_BYTES):
            found = self._traces.decode([body for _, body in chunk])
            parts.append(_moved(found.table, len(all_spans.origins)))
            all_spans.origins += found.origins
            all_spans.rejected += found.rejected
            all_spans.poison |= {chunk[number][0]: why for number, why in found.poison.items()}
        if parts:
            all_spans.table = arrow().concat_tables(parts)
        return all_spans


def _content(request: Received) -> Any:
    """Return a request's bytes, unpacked, or its message where it is JSON."""
    data = _unpacked(request.body) if request.encoding.is_gzip else request.body
    if request.encoding.is_json:
        return message_from_json(request.signal, data)
    return data


def _parsed(request: Received, content: Any) -> Any:
    return message_from_protobuf(request.signal, content) if isinstance(content, bytes) else content


def _unpacked(body: bytes) -> bytes:
    parts: list[bytes] = []
    left = MAX_BYTES
    while body:  # members follow one another, and zeros the last
        unpacker = zlib.decompressobj(wbits=31)  # 31: gzip, not zlib
        try:
            parts.append(unpacker.decompress(body, left))
        except zlib.error as error:
            msg = f"it is damaged gzip: {error}"
            raise DataError(msg) from error
        left -= len(parts[-1])
        if not unpacker.eof or left <= 0:
            msg = f"it is gzip cut short, or of more than {MAX_BYTES} bytes"
            raise DataError(msg)
        body = unpacker.unused_data.lstrip(b"\0")
    return b"".join(parts)


def _chunks(
    traces: Sequence[tuple[int, Body]], most_bytes: int
) -> Iterable[Sequence[tuple[int, Body]]]:
    start = size = 0
    for position, (_, body) in enumerate(traces):
        more = len(body.data) if isinstance(body.data, bytes) else 0
        if position > start and size + more > most_bytes:
            yield traces[start:position]
            start, size = position, 0
        size += more
    if start < len(traces):
        yield traces[start:]


def _moved(table: Any, first_origin: int) -> "pa.Table":
    """Return spans whose origins are numbered behind those of other chunks."""
    arrow_ = arrow()
    shift = arrow_.scalar(first_origin, "int32")
    column = arrow_.compute.add(table.column("origin"), shift)
    moved: pa.Table = table.set_column(table.column_names.index("origin"), "origin", column)
    return moved


def _dated(name: str, rows: Sequence[Mapping[str, Any]]) -> "pa.Table":
    """Return rows, in the partition of the day on which they were received."""
    table = table_from_rows(name, rows)
    if not rows:
        return table
    untyped: Any = table
    dt = dates(untyped.column("received_ns").to_numpy())
    dated: pa.Table = untyped.set_column(table.column_names.index("dt"), "dt", dt)
    return dated
