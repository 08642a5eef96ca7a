"""OTLP over gRPC and HTTP: what is acknowledged is in the log, what is not is answered right."""

import gzip
import json
import zlib
from collections.abc import Generator
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
    OTLPSpanExporter as GrpcSpanExporter,
)
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
    OTLPSpanExporter as HttpSpanExporter,
)
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter

from exray.collector.grpc_server import METHODS
from exray.collector.service import Collector
from exray.exporters.log import Encoding

from .service import (
    JSON,
    PROTOBUF,
    collector,
    grpc_call,
    http_call,
    raw_call,
    request,
    request_bytes,
    span,
    stored,
)

TRACES = {
    "resourceSpans": [
        {
            "resource": {"attributes": [{"key": "n", "value": {"intValue": 3}}]},
            "scopeSpans": [
                {
                    "spans": [
                        {
                            "traceId": "0102030405060708090a0b0c0d0e0f10",
                            "spanId": "0102030405060708",
                            "name": "a",
                            "startTimeUnixNano": "1700000000000000000",
                            "endTimeUnixNano": 1700000000000000001,
                            "unknownField": {"x": 1},
                        }
                    ]
                }
            ],
        }
    ]
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Generator[Collector]:
    """One for all that needs no settings of its own; a test looks at the newest record."""
    with collector(tmp_path_factory.mktemp("log")) as one:
        yield one


def newest(running: Collector) -> bytes:
    return stored(running.writer.folder)[-1].body


def sdk_spans(exporter: SpanExporter, count: int = 3) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for _ in range(count):
        with provider.get_tracer("test").start_as_current_span("a", attributes={"k": 1}):
            pass
    provider.shutdown()


@pytest.mark.parametrize("packing", [None, grpc.Compression.Gzip])
def test_python_sdk_over_grpc_arrives(tmp_path: Path, packing: grpc.Compression | None) -> None:
    with collector(tmp_path) as one:
        endpoint = f"http://{one.grpc_address}"
        sdk_spans(GrpcSpanExporter(endpoint=endpoint, insecure=True, compression=packing))
    wanted = Encoding.PROTOBUF if packing is None else Encoding.PROTOBUF_GZIP
    assert [record.encoding for record in stored(tmp_path)] == [wanted] * 3


@pytest.mark.parametrize("packing", [Compression.NoCompression, Compression.Gzip])
def test_python_sdk_over_http_arrives(tmp_path: Path, packing: Compression) -> None:
    with collector(tmp_path) as one:
        endpoint = f"http://{one.http_address}/v1/traces"
        sdk_spans(HttpSpanExporter(endpoint=endpoint, compression=packing))
    bodies = [record.body for record in stored(tmp_path)]
    assert len(bodies) == 3
    if packing is Compression.Gzip:
        bodies = [gzip.decompress(body) for body in bodies]
    spans = [ExportTraceServiceRequest.FromString(body) for body in bodies]
    assert [s.resource_spans[0].scope_spans[0].spans[0].name for s in spans] == ["a"] * 3


@pytest.mark.parametrize("method", METHODS)
def test_every_signal_is_taken_over_grpc(running: Collector, method: str) -> None:
    bodies = {"traces": request_bytes(), "metrics": metrics(), "logs": logs()}
    assert grpc_call(running, bodies[METHODS[method]], method).code == ""
    assert newest(running) == bodies[METHODS[method]]
    assert stored(running.writer.folder)[-1].signal == METHODS[method]


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_every_signal_is_taken_over_http(running: Collector, signal: str) -> None:
    bodies = {"traces": request_bytes(), "metrics": metrics(), "logs": logs()}
    answer = http_call(running, bodies[signal], path=f"/v1/{signal}")
    assert (answer.code, answer.body) == (200, b"")
    assert answer.headers["content-type"] == "application/x-protobuf"
    assert newest(running) == bodies[signal]


def metrics() -> bytes:
    message = ExportMetricsServiceRequest()
    metric = message.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    metric.gauge.data_points.add(as_double=1.0)
    return message.SerializeToString()


def logs() -> bytes:
    message = ExportLogsServiceRequest()
    message.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=1)
    return message.SerializeToString()


def test_json_is_stored_as_it_came(running: Collector) -> None:
    body = json.dumps(TRACES).encode()
    answer = http_call(running, body, JSON | {"Content-Type": "application/json; charset=utf-8"})
    assert (answer.code, answer.body) == (200, b"{}")
    assert answer.headers["content-type"] == "application/json"
    record = stored(running.writer.folder)[-1]
    assert (record.body, record.encoding) == (body, Encoding.JSON)


def test_packed_json_is_taken(running: Collector) -> None:
    body = gzip.compress(json.dumps(TRACES).encode())
    assert http_call(running, body, JSON | {"Content-Encoding": "gzip"}).code == 200
    assert stored(running.writer.folder)[-1].encoding is Encoding.JSON_GZIP


def test_chunked_body_is_taken_and_the_connection_kept(running: Collector) -> None:
    body = request_bytes(span(77))
    head = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
    chunks = b"".join(b"%x\r\n%b\r\n" % (1, body[i : i + 1]) for i in range(len(body)))
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    last = head + b"Connection: close\r\nContent-Length: 0\r\n\r\n"
    answer = raw_call(running, chunked + last)
    assert answer.count(b"HTTP/1.1 200") == 2
    assert newest(running) == body


def test_request_without_records_is_a_success(running: Collector) -> None:
    before = len(stored(running.writer.folder))
    assert http_call(running, b"").code == 200
    assert grpc_call(running, b"").code == ""
    assert len(stored(running.writer.folder)) == before


def test_span_without_good_ids_is_rejected_alone(running: Collector) -> None:
    spans = [span(1), span(2, trace_id=b"x"), span(3, span_id=bytes(8)), span(4)]
    called = grpc_call(running, request_bytes(*spans))
    assert called.code == ""
    partial = ExportTraceServiceResponse.FromString(called.body).partial_success
    assert partial.rejected_spans == 2
    assert "2 of 4 spans were rejected: 2 with ids" in partial.error_message
    assert ExportTraceServiceRequest.FromString(newest(running)) == request(span(1), span(4))


def test_rejections_are_told_in_json_too(running: Collector) -> None:
    bad = json.loads(json.dumps(TRACES))
    spans = bad["resourceSpans"][0]["scopeSpans"][0]["spans"]
    spans.append(spans[0] | {"spanId": "0102"})
    answer = http_call(running, json.dumps(bad).encode(), JSON)
    assert answer.code == 200
    assert json.loads(answer.body)["partialSuccess"]["rejectedSpans"] == "1"
    assert stored(running.writer.folder)[-1].encoding is Encoding.PROTOBUF


def test_body_that_is_no_protobuf_is_a_client_error(running: Collector) -> None:
    called = grpc_call(running, b"\xff\xff\xff")
    assert called.code == "INVALID_ARGUMENT"
    assert Status.FromString(called.status).code == 3
    answer = http_call(running, b"\xff\xff\xff")
    assert answer.code == 400
    assert Status.FromString(answer.body).message.startswith("the body is no protobuf")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"resourceSpans": 1}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "xyz"}]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"startTimeUnixNano": "x"}]}]}]}',
        b"[" * 100_000,
        b'{"resourceSpans":' + b"[" * 2000 + b"]" * 2000 + b"}",
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "\xff"}]}]}]}',
    ],
)
def test_body_that_is_no_json_of_ours_is_a_client_error(running: Collector, body: bytes) -> None:
    answer = http_call(running, body, JSON)
    assert answer.code == 400
    assert answer.headers["content-type"] == "application/json"
    assert set(json.loads(answer.body)) == {"code", "message"}


@pytest.mark.parametrize(
    ("headers", "path", "method", "code"),
    [
        ({"Content-Type": "text/plain"}, "/v1/traces", "POST", 415),
        (PROTOBUF | {"Content-Encoding": "br"}, "/v1/traces", "POST", 415),
        (PROTOBUF, "/v1/other", "POST", 404),
        (PROTOBUF, "/v1/traces", "GET", 405),
        (PROTOBUF, "/metrics", "POST", 405),
    ],
)
def test_request_that_is_no_otlp_gets_the_code_of_http(
    running: Collector, headers: dict[str, str], path: str, method: str, code: int
) -> None:
    assert http_call(running, request_bytes(), headers, path, method).code == code


def test_packing_that_is_not_gzip_is_refused_over_grpc(running: Collector) -> None:
    called = grpc_call(running, request_bytes(), compression=grpc.Compression.Deflate)
    assert called.code == "UNIMPLEMENTED"


def test_packed_body_that_is_damaged_is_a_client_error(running: Collector) -> None:
    packed = gzip.compress(request_bytes() * 10)
    headers = PROTOBUF | {"Content-Encoding": "gzip"}
    for body in (b"no gzip", packed[:-9], packed[:12], packed[:-5] + b"xxxxx"):
        assert http_call(running, body, headers).code == 400, body
    assert http_call(running, packed + packed, headers).code == 200, "members follow each other"


def test_bomb_is_refused_before_it_unpacks(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(20 << 20))
    with collector(tmp_path, max_inflight_bytes=8 << 20) as one:
        headers = PROTOBUF | {"Content-Encoding": "gzip"}
        assert http_call(one, bomb, headers).code == 413
        called = grpc_call(one, bytes(20 << 20), compression=grpc.Compression.Gzip)
        assert called.code == "RESOURCE_EXHAUSTED"
        assert b"RetryInfo" not in called.status, "it must not be sent again"
        assert http_call(one, request_bytes()).code == 200


def test_request_beyond_the_size_limit_is_refused_for_good(tmp_path: Path) -> None:
    large = request_bytes(span(1, name="x" * 5000))
    with collector(tmp_path, max_request_bytes=4096) as one:
        assert http_call(one, large).code == 413
        chunked = (
            b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(large), large)
        )
        assert raw_call(one, chunked).startswith(b"HTTP/1.1 413")
        assert grpc_call(one, large).code == "RESOURCE_EXHAUSTED"
        assert http_call(one, request_bytes()).code == 200


def test_limits_of_records_and_attributes_hold(tmp_path: Path) -> None:
    many = span(2)
    for number in range(11):
        many.attributes.add(key=str(number)).value.int_value = number
    long = span(3)
    long.attributes.add(key="k").value.string_value = "x" * 200
    with collector(tmp_path, max_records=3, max_attributes=10, max_attribute_bytes=150) as one:
        called = grpc_call(one, request_bytes(*(span(n) for n in range(1, 5))))
        assert called.code == "RESOURCE_EXHAUSTED"
        called = grpc_call(one, request_bytes(span(1), many, long))
        partial = ExportTraceServiceResponse.FromString(called.body).partial_success
        assert partial.rejected_spans == 2
    (record,) = stored(tmp_path)
    assert ExportTraceServiceRequest.FromString(record.body) == request(span(1))


def test_full_log_refuses_so_that_clients_come_again(tmp_path: Path) -> None:
    with collector(tmp_path, max_log_bytes=300, retry_after_s=2) as one:
        assert http_call(one, request_bytes()).code == 200
        large = request_bytes(span(1, name="x" * 250))
        answer = http_call(one, large)
        assert (answer.code, answer.headers["retry-after"]) == (503, "2")
        called = grpc_call(one, large)
        assert called.code == "UNAVAILABLE"
        info = RetryInfo()
        Status.FromString(called.status).details[0].Unpack(info)
        assert info.retry_delay.seconds == 2
    assert len(stored(tmp_path)) == 1


def test_full_log_drops_the_oldest_where_told_so(tmp_path: Path) -> None:
    with collector(tmp_path, max_log_bytes=700, when_full="drop_oldest") as one:
        for number in range(1, 6):
            assert http_call(one, request_bytes(span(number, name="x" * 250))).code == 200
        assert one.committer.counts.dropped_records >= 3
        shown = http_call(one, b"", path="/metrics", method="GET").body.decode()
    assert f"dropped_records {one.committer.counts.dropped_records}.0" in shown
    assert stored(tmp_path)[-1].body == request_bytes(span(5, name="x" * 250))


def test_memory_of_requests_under_way_is_bounded(tmp_path: Path) -> None:
    with collector(tmp_path, max_inflight_bytes=1000) as one:
        answer = http_call(one, request_bytes(span(1, name="x" * 2000)))
        assert (answer.code, answer.headers["retry-after"]) == (503, "1")
        assert http_call(one, request_bytes()).code == 200
        shown = http_call(one, b"", path="/metrics", method="GET").body.decode()
        assert 'exray_collector_refused_total{reason="inflight",signal="traces"} 1.0' in shown
        assert "exray_collector_inflight_bytes 0.0" in shown


def test_error_inside_shows_no_traceback_and_is_retryable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("exray.collector.intake.check_request", fail)
    monkeypatch.setattr("exray.collector.intake.count_sound", fail)
    with collector(tmp_path) as one:
        answer = http_call(one, request_bytes())
        assert answer.code == 503
        assert b"secret" not in answer.body
        assert grpc_call(one, request_bytes()).code == "UNAVAILABLE"


def test_zlib_stream_is_no_gzip(running: Collector) -> None:
    headers = PROTOBUF | {"Content-Encoding": "gzip"}
    assert http_call(running, zlib.compress(request_bytes()), headers).code == 400
