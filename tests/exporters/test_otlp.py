import socket
import time
from collections.abc import Iterator

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from exray.exporters import OTLPExporter, RecordBatch, RecordBuffer
from exray.exporters.typing import ExportResult
from exray.schema.errors import UsageError
from exray.schema.records import FrameRecord, MetricRecord

from . import frames as make
from .builders import make_foreign_span, make_frame, make_graph, make_run
from .otlp_oracle import decode, encode
from .otlp_server import OTLPServer, Reply, otlp_server

ENVIRONMENT = {"service.name": "shelf-camera"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OTLPServer]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with otlp_server() as running:
        yield running


def make_exporter(server: OTLPServer) -> OTLPExporter:
    return OTLPExporter(server.url, environment=ENVIRONMENT)


def make_batch(*frames: FrameRecord) -> RecordBatch:
    return RecordBatch(frames=frames or (make_frame(1),))


def events(server: OTLPServer) -> list[tuple[str, int]]:
    """Return name and run of every log record received."""
    found: list[tuple[str, int]] = []
    for body in server.bodies("logs"):
        for logs in ExportLogsServiceRequest.FromString(body).resource_logs:
            pairs = {p.key: p.value.string_value for p in logs.resource.attributes}
            run = int(pairs["exray.run.id"], 16)
            found += [(record.event_name, run) for record in logs.scope_logs[0].log_records]
    return found


# --- what arrives ---------------------------------------------------------------------------


def test_frames_arrive_as_spans(server: OTLPServer) -> None:
    frames = [make.KINDS[kind](number) for number, kind in enumerate(make.KINDS)]

    result = make_exporter(server).export(make_batch(*frames))

    assert result is ExportResult.SUCCESS
    assert decode(server.bodies("traces")) == decode([encode(frames, ENVIRONMENT)])


def test_requests_are_compressed_protobuf(server: OTLPServer) -> None:
    make_exporter(server).export(make_batch())

    headers = server.received[0].headers
    assert headers["Content-Type"] == "application/x-protobuf"
    assert headers["Content-Encoding"] == "gzip"
    assert headers["User-Agent"] == "exray"


def test_without_compression_the_request_goes_as_it_is(
    server: OTLPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")

    make_exporter(server).export(make_batch())

    assert "Content-Encoding" not in server.received[0].headers
    assert len(decode(server.bodies("traces"))) > 3


def test_headers_of_the_environment_are_sent(
    server: OTLPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b,x-team=vision")

    make_exporter(server).export(make_batch())

    assert server.received[0].headers["api-key"] == "a b"
    assert server.received[0].headers["x-team"] == "vision"


def test_signals_go_to_their_own_paths_what_describes_before_what_is_described(
    server: OTLPServer,
) -> None:
    batch = RecordBatch(
        runs=(make_run(),), graphs=(make_graph(),), frames=(make.bare_frame(),),
        spans=(make_foreign_span(),),
    )  # fmt: skip

    make_exporter(server).export(batch)

    paths = [received.path for received in server.received]
    assert paths == ["/v1/logs", "/v1/metrics", "/v1/traces", "/v1/traces"]


def test_numbers_outside_frames_go_as_metrics(server: OTLPServer) -> None:
    metric = MetricRecord(name="load", value=0.5, time_ns=1, run=make_run())

    make_exporter(server).export(RecordBatch(metrics=(metric,)))

    assert [received.path for received in server.received] == ["/v1/metrics"]


def test_an_empty_batch_sends_nothing(server: OTLPServer) -> None:
    assert make_exporter(server).export(RecordBatch()) is ExportResult.SUCCESS
    assert server.received == []


def test_a_graph_is_sent_once_for_each_run_of_its_model(server: OTLPServer) -> None:
    exporter = make_exporter(server)
    exporter.export(RecordBatch(runs=(make_run(1),), graphs=(make_graph(),)))
    exporter.export(RecordBatch(runs=(make_run(1),)))  # more is known of it
    exporter.export(RecordBatch(runs=(make_run(2),)))
    exporter.export(RecordBatch(runs=(make_run(3, model_sha256="other"),)))

    assert events(server) == [
        *(("exray.run", 1), ("exray.graph.op", 1), ("exray.run", 1)),
        *(("exray.run", 2), ("exray.graph.op", 2), ("exray.run", 3)),
    ]


# --- when the server does not take it -------------------------------------------------------


@pytest.mark.parametrize("code", [408, 429, 502, 503, 504])
def test_what_may_be_taken_later_is_a_failure(
    server: OTLPServer, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    exporter, batch = make_exporter(server), make_batch()
    server.replies = [Reply(code, b"busy"), Reply(code, b"busy")]

    results = [exporter.export(batch) for _ in range(3)]

    assert results == [ExportResult.FAILURE, ExportResult.FAILURE, ExportResult.SUCCESS]
    (record,) = caplog.records
    assert f"it answered {code}" in record.getMessage()
    assert "busy. The records wait and are sent again." in record.getMessage()


@pytest.mark.parametrize("code", [301, 400, 401, 404, 413, 500, 501])
def test_what_is_refused_for_good_is_dropped_and_logged_once(
    server: OTLPServer, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    exporter = make_exporter(server)
    server.replies = [Reply(code, b"no\x00 way", {"Location": server.url}) for _ in range(2)]

    results = [exporter.export(make_batch()) for _ in range(3)]

    assert results == [ExportResult.SUCCESS] * 3
    assert len(server.received) == 3
    (record,) = caplog.records
    assert f"{server.url}/v1/traces: it answered {code}" in record.getMessage()
    assert "no  way. Such records are dropped." in record.getMessage()


def test_a_server_without_logs_still_gets_the_traces(server: OTLPServer) -> None:
    server.replies = [Reply(404)]

    result = make_exporter(server).export(RecordBatch(runs=(make_run(),), frames=(make_frame(),)))

    assert result is ExportResult.SUCCESS
    assert len(server.bodies("traces")) == 1


def test_a_server_that_is_not_there_is_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and does not listen
        exporter = OTLPExporter(f"http://127.0.0.1:{bound.getsockname()[1]}")

        assert exporter.export(make_batch()) is ExportResult.FAILURE
    assert "it cannot be reached: ConnectionRefusedError" in caplog.text


def test_a_server_that_says_nothing_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.05")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        exporter = OTLPExporter(f"http://127.0.0.1:{silent.getsockname()[1]}")

        assert exporter.export(make_batch()) is ExportResult.FAILURE


def test_a_server_is_left_alone_as_long_as_it_asks(
    server: OTLPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter, batch = make_exporter(server), make_batch()
    server.replies = [Reply(503, headers={"Retry-After": "60"})]
    begin_s = time.monotonic()

    assert [exporter.export(batch) for _ in range(3)] == [ExportResult.FAILURE] * 3
    assert len(server.received) == 1

    monkeypatch.setattr(time, "monotonic", lambda: begin_s + 70)
    assert exporter.export(batch) is ExportResult.SUCCESS


def test_what_has_been_taken_of_a_batch_is_not_sent_again(server: OTLPServer) -> None:
    exporter = make_exporter(server)
    batch = RecordBatch(runs=(make_run(),), graphs=(make_graph(),), frames=(make_frame(),))
    server.replies = [Reply(), Reply(503)]

    assert exporter.export(batch) is ExportResult.FAILURE
    assert exporter.export(batch) is ExportResult.SUCCESS

    assert len(server.bodies("logs")) == 1
    assert len(server.bodies("traces")) == 2


def test_another_batch_after_a_failed_one_is_sent_whole(server: OTLPServer) -> None:
    exporter = make_exporter(server)
    server.replies = [Reply(), Reply(503)]
    exporter.export(RecordBatch(runs=(make_run(),), frames=(make_frame(),)))

    exporter.export(RecordBatch(runs=(make_run(2),), frames=(make_frame(2),)))

    assert ("exray.run", 2) in events(server)


def test_what_a_server_takes_in_part_is_logged_and_not_sent_again(
    server: OTLPServer, caplog: pytest.LogCaptureFixture
) -> None:
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = 300
    response.partial_success.error_message = "zu groß"
    server.replies = [Reply(200, response.SerializeToString())]

    assert make_exporter(server).export(make_batch()) is ExportResult.SUCCESS
    assert "it took all but 300 records: zu groß" in caplog.text


def test_an_unreadable_response_is_a_success(
    server: OTLPServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.replies = [Reply(200, b"<html>thanks")]

    assert make_exporter(server).export(make_batch()) is ExportResult.SUCCESS
    assert caplog.text == ""


def test_a_frame_that_cannot_be_encoded_is_left_out(
    server: OTLPServer, caplog: pytest.LogCaptureFixture
) -> None:
    bad = make_frame(2)
    assert bad.inferences[0].layers is not None
    bad.inferences[0].layers.rows["site"][0] = 99
    good = [make_frame(1), make_frame(3)]

    result = make_exporter(server).export(make_batch(good[0], bad, good[1]))

    assert result is ExportResult.SUCCESS
    assert decode(server.bodies("traces")) == decode([encode(good, ENVIRONMENT)])
    assert "a frame is left out" in caplog.text


def test_a_buffer_sends_again_until_the_server_takes_it(server: OTLPServer) -> None:
    buffer = RecordBuffer(make_exporter(server), period_s=0.01)
    server.replies = [Reply(503)]
    buffer.add_frame(make_frame())

    deadline_s = time.monotonic() + 10
    while not buffer.flush(1.0) and time.monotonic() < deadline_s:
        pass
    buffer.shutdown()

    assert len(server.bodies("traces")) == 2
    assert buffer.dropped_frames == 0


def test_after_shutdown_nothing_is_sent(server: OTLPServer) -> None:
    exporter = make_exporter(server)
    exporter.shutdown()
    exporter.shutdown()

    assert exporter.export(make_batch()) is ExportResult.FAILURE
    assert server.received == []


def test_an_endpoint_that_is_no_url_is_refused() -> None:
    with pytest.raises(UsageError, match="endpoint 'collector:4317' is no HTTP URL"):
        OTLPExporter("collector:4317")
