from collections.abc import Sequence

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from exray.exporters import RecordBatch
from exray.exporters.otlp_requests import RequestEncoder
from exray.exporters.readable import ReadableSpans, SpanExporterAdapter
from exray.exporters.typing import ExportResult
from exray.schema.records import FrameRecord, SpanRecord

from . import frames as make
from .builders import make_foreign_span, make_frame, make_graph, make_run
from .otlp_oracle import Decoded, decode, encode

ENVIRONMENT = {"service.name": "shelf-camera"}


def make_spans() -> ReadableSpans:
    return ReadableSpans(Resource(dict(ENVIRONMENT)))


def encoded_by_opentelemetry(spans: Sequence[ReadableSpan]) -> Decoded:
    return decode([encode_spans(spans).SerializeToString()])


def without_remote_flag(spans: Decoded) -> Decoded:
    """OpenTelemetry says of every parent that it is known to be local; exray, if it is."""
    return {key: span | {"flags": 0x100} for key, span in spans.items()}


@pytest.mark.parametrize("kind", make.KINDS)
def test_opentelemetrys_encoder_writes_of_them_what_exray_writes_itself(kind: str) -> None:
    frame: FrameRecord = make.KINDS[kind](3)

    spans = encoded_by_opentelemetry(make_spans().of_frame(frame))

    assert spans == without_remote_flag(decode(RequestEncoder(ENVIRONMENT).traces([frame])))
    assert spans == without_remote_flag(decode([encode([frame], ENVIRONMENT)]))


def test_parents_come_before_their_children() -> None:
    seen: set[int] = set()
    for span in make_spans().of_frame(make.carried_frame(1)):
        assert span.context is not None
        assert span.parent is None or span.parent.span_id in seen
        seen.add(span.context.span_id)
    assert len(seen) == 6


def test_a_foreign_span_is_what_exray_writes_itself() -> None:
    span: SpanRecord = make_foreign_span(run=make_run())
    span.events_json = '[{"name":"retry","time_ns":17,"attributes":{"n":2}}]'
    span.parent_span_id = b"12345678"

    found = encoded_by_opentelemetry([make_spans().of_span(span)])

    own = decode(RequestEncoder(ENVIRONMENT).traces([], [span]))
    assert found == without_remote_flag(own)


def test_spans_are_sampled_so_that_processors_pass_them_on() -> None:
    spans = make_spans().of_frame(make_frame())

    assert all(span.context is not None and span.context.trace_flags.sampled for span in spans)


# --- any exporter ---------------------------------------------------------------------------


class CountingExporter(SpanExporter):
    def __init__(self, answer: SpanExportResult = SpanExportResult.SUCCESS) -> None:
        self.sizes: list[int] = []
        self.answer = answer
        self.shut_down = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.sizes.append(len(spans))
        return self.answer

    def shutdown(self) -> None:
        self.shut_down += 1


def make_batch(frames: int = 1) -> RecordBatch:
    return RecordBatch(
        runs=(make_run(),),
        graphs=(make_graph(),),
        frames=tuple(make_frame(number) for number in range(frames)),
        spans=(make_foreign_span(),),
    )


def test_an_exporter_gets_frames_and_foreign_spans() -> None:
    exporter = InMemorySpanExporter()

    result = SpanExporterAdapter(exporter, Resource({})).export(make_batch())

    assert result is ExportResult.SUCCESS
    names = [span.name for span in exporter.get_finished_spans()]
    assert names[:3] == ["frame", "preprocess", "inference"]
    assert names[-1] == "GET /"
    assert names.count("CONV_2D") == 3


def test_many_spans_come_in_portions() -> None:
    exporter = CountingExporter()

    SpanExporterAdapter(exporter, Resource({})).export(make_batch(frames=100))

    assert sum(exporter.sizes) == 100 * 10 + 1
    assert max(exporter.sizes) == 512


def test_what_an_exporter_refuses_is_dropped_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    adapter = SpanExporterAdapter(CountingExporter(SpanExportResult.FAILURE), Resource({}))

    assert [adapter.export(make_batch()) for _ in range(2)] == [ExportResult.SUCCESS] * 2
    assert [r.getMessage() for r in caplog.records] == [
        "exray: CountingExporter did not take some spans: it answered FAILURE"
    ]


def test_an_exporter_that_raises_is_logged() -> None:
    class Raising(CountingExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            raise RuntimeError("no network")

    assert SpanExporterAdapter(Raising(), Resource({})).export(make_batch()) is ExportResult.SUCCESS


def test_shutdown_reaches_the_exporter_once_and_ends_exports() -> None:
    exporter = CountingExporter()
    adapter = SpanExporterAdapter(exporter, Resource({}))

    adapter.shutdown()
    adapter.shutdown()

    assert exporter.shut_down == 1
    assert adapter.export(make_batch()) is ExportResult.FAILURE
    assert exporter.sizes == []
