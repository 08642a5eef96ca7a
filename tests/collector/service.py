"""Collectors on free ports of loopback, and clients that speak to them byte by byte."""

import http.client
import socket
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from deltalake import DeltaTable
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from exray.collector.grpc_server import DETAILS_KEY, METHODS
from exray.collector.service import Collector
from exray.collector.settings import Settings
from exray.exporters.log import LogRecord
from exray.exporters.log_reader import LogReader

ANYWHERE = "127.0.0.1:0"

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}

TRACE_METHOD = next(method for method, signal in METHODS.items() if signal == "traces")


@contextmanager
def collector(folder: Path, **settings: object) -> Generator[Collector]:
    """Run a collector inside the block."""
    given = {"wal": folder, "grpc": ANYWHERE, "http": ANYWHERE, **settings}
    running = Collector(Settings.model_validate(given))
    running.start()
    try:
        yield running
    finally:
        running.stop()


def span(number: int = 1, **fields: object) -> Span:
    """Return a span that can be stored."""
    given: dict[str, object] = {
        "trace_id": number.to_bytes(16, "big"),
        "span_id": number.to_bytes(8, "big"),
        "name": "CONV_2D",
        **fields,
    }
    return Span(**given)  # type: ignore[arg-type]


def request(*spans: Span) -> ExportTraceServiceRequest:
    """Return a request of spans."""
    message = ExportTraceServiceRequest()
    message.resource_spans.add().scope_spans.add().spans.extend(spans)
    return message


def request_bytes(*spans: Span) -> bytes:
    """Return a request of spans, of one where none is given."""
    return request(*(spans or (span(),))).SerializeToString()


@dataclass(frozen=True)
class Answered:
    """What a server said over HTTP."""

    code: int
    headers: Mapping[str, str]
    body: bytes


def http_call(
    running: Collector,
    body: bytes,
    headers: Mapping[str, str] = PROTOBUF,
    path: str = "/v1/traces",
    method: str = "POST",
) -> Answered:
    """Send one request over HTTP."""
    address = running.http_address
    assert address is not None
    connection = http.client.HTTPConnection(address.host, address.port, timeout=20)
    try:
        connection.request(method, path, body, dict(headers))
        with connection.getresponse() as response:
            named = {name.lower(): value for name, value in response.getheaders()}
            return Answered(response.status, named, response.read())
    finally:
        connection.close()


def raw_call(running: Collector, data: bytes, timeout_s: float = 5.0) -> bytes:
    """Send bytes as they are; return what comes back until the server is done."""
    address = running.http_address
    assert address is not None
    with socket.create_connection((address.host, address.port), timeout_s) as connection:
        connection.sendall(data)
        parts: list[bytes] = []
        try:
            while part := connection.recv(65536):
                parts.append(part)
        except (TimeoutError, ConnectionResetError):
            pass
        return b"".join(parts)


@dataclass(frozen=True)
class Called:
    """What a server said over gRPC; an empty code is success."""

    code: str
    details: str
    status: bytes
    body: bytes


def exporting(
    channel: grpc.Channel, method: str = TRACE_METHOD
) -> "grpc.UnaryUnaryMultiCallable[bytes, bytes]":
    """Return a method that takes and gives bytes."""
    return channel.unary_unary(method)


def grpc_call(
    running: Collector,
    body: bytes,
    method: str = TRACE_METHOD,
    metadata: tuple[tuple[str, str], ...] = (),
    compression: grpc.Compression | None = None,
) -> Called:
    """Send one request over gRPC, on a connection of its own."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(str(running.grpc_address), options) as channel:
        call = exporting(channel, method)
        try:
            answer = call(body, timeout=20, metadata=metadata, compression=compression)
        except grpc.RpcError as error:
            assert isinstance(error, grpc.Call)
            trailing: Any = error.trailing_metadata() or ()
            status = dict(trailing).get(DETAILS_KEY, b"")
            return Called(error.code().name, error.details() or "", status, b"")
        return Called("", "", b"", answer)


def stored(folder: Path) -> list[LogRecord]:
    """Return the records of a log."""
    return [item for item in LogReader(folder) if isinstance(item, LogRecord)]


def span_ids(lake: Path) -> list[bytes]:
    """Return trace and span id of every row of a lake's spans."""
    rows = DeltaTable(lake / "spans").to_pyarrow_table(columns=["trace_id", "span_id"])
    columns: list[list[Any]] = [rows.column(name).to_pylist() for name in rows.column_names]
    return [bytes(trace_id) + bytes(span_id) for trace_id, span_id in zip(*columns, strict=True)]
