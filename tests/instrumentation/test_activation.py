from collections.abc import Iterator
from contextvars import copy_context

import pytest
from opentelemetry import trace as otel_trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler

import exray
from exray.instrumentation.activation import ActiveSpan, Surroundings
from exray.instrumentation.guard import forget_logged
from exray.testing import MemorySink, recording

from .builders import FakeModel


class App:
    """An application with OpenTelemetry's SDK, as it is set up by its owner."""

    def __init__(self, sampler: Sampler) -> None:
        self.provider = TracerProvider(sampler=ParentBased(sampler))
        self.exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("app")

    def span(self, name: str) -> ReadableSpan:
        return next(s for s in self.exporter.get_finished_spans() if s.name == name)


def make_app(monkeypatch: pytest.MonkeyPatch, sampler: Sampler = ALWAYS_ON) -> App:
    app = App(sampler)
    monkeypatch.setattr(otel_trace, "get_tracer_provider", lambda: app.provider)
    return app


@pytest.fixture(autouse=True)
def _nothing_stays_active() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction] - autouse
    yield
    assert not otel_trace.get_current_span().get_span_context().is_valid


def context_of(span: ReadableSpan) -> otel_trace.SpanContext:
    context = span.get_span_context()
    assert context is not None
    return context


def test_a_frame_inside_an_applications_span_stands_in_its_trace_below_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app, sink = make_app(monkeypatch), MemorySink()
    with recording(sink) as recorder, app.tracer.start_as_current_span("request"):
        FakeModel(recorder)()

    request = context_of(app.span("request"))
    assert sink.frames[0].trace_id == request.trace_id.to_bytes(16, "big")
    assert sink.frames[0].parent_span_id == request.span_id.to_bytes(8, "big")


def test_a_frame_outside_any_span_is_the_root_of_a_new_trace() -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        model = FakeModel(recorder)
        model()
        model()

    first, second = sink.frames
    assert (first.parent_span_id, second.parent_span_id) == (None, None)
    assert first.trace_id != second.trace_id


def test_an_applications_span_inside_a_frame_or_a_stage_is_its_child(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app, sink = make_app(monkeypatch), MemorySink()
    with recording(sink) as recorder:
        model = FakeModel(recorder)
        with exray.frame("a"):
            with app.tracer.start_as_current_span("in frame"):
                pass
            with exray.stage("decode"), app.tracer.start_as_current_span("in stage"):
                pass
            model()

    (frame,) = sink.frames
    (stage,) = frame.spans
    for name, parent in (("in frame", frame.span_id), ("in stage", stage.span_id)):
        span = app.span(name)
        assert span.parent is not None
        assert span.parent.span_id.to_bytes(8, "big") == parent
        assert context_of(span).trace_id.to_bytes(16, "big") == frame.trace_id


def test_a_stage_inside_an_applications_span_inside_a_frame_is_that_spans_child(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app, sink = make_app(monkeypatch), MemorySink()
    with recording(sink) as recorder:
        model = FakeModel(recorder)
        with exray.frame("a"):
            with app.tracer.start_as_current_span("work"), exray.stage("decode"):
                pass
            model()

    (stage,) = sink.frames[0].spans
    assert stage.parent_span_id == context_of(app.span("work")).span_id.to_bytes(8, "big")


def test_a_stage_stands_in_its_frames_trace_whatever_trace_the_application_opens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app, sink = make_app(monkeypatch), MemorySink()
    other = otel_trace.set_span_in_context(otel_trace.INVALID_SPAN)
    with recording(sink) as recorder:
        model = FakeModel(recorder)
        with exray.frame("a"):
            with (
                app.tracer.start_as_current_span("elsewhere", context=other),
                exray.stage("decode"),
            ):
                pass
            model()

    (frame,) = sink.frames
    (stage,) = frame.spans
    assert (stage.trace_id, stage.parent_span_id) == (frame.trace_id, frame.span_id)


def test_the_applications_span_is_active_again_after_a_frame_even_one_that_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = make_app(monkeypatch)
    with recording(MemorySink()), app.tracer.start_as_current_span("request") as request:
        with pytest.raises(ValueError, match="bad"), exray.frame("a"), exray.stage("decode"):
            raise ValueError("bad")

        assert otel_trace.get_current_span() is request


def test_an_application_that_samples_no_trace_gets_no_spans_because_of_a_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app, sink = make_app(monkeypatch, ALWAYS_OFF), MemorySink()
    with recording(sink) as recorder:
        model = FakeModel(recorder)
        with exray.frame("a"), app.tracer.start_as_current_span("in frame"):
            model()

    assert len(sink.frames) == 1
    assert app.exporter.get_finished_spans() == ()


def test_a_sampler_that_fails_does_not_keep_a_frame_from_being_recorded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("EXRAY_GUARD")
    forget_logged()
    app, sink = make_app(monkeypatch), MemorySink()
    monkeypatch.setattr(app.provider, "sampler", object())
    with recording(sink) as recorder:
        FakeModel(recorder)()

    assert len(sink.frames) == 1
    assert "the application's sampler" in caplog.messages[0]


def test_a_request_that_is_not_sampled_stays_so_inside_its_frames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app, sink = make_app(monkeypatch, ALWAYS_OFF), MemorySink()
    with recording(sink) as recorder, app.tracer.start_as_current_span("request"):
        model = FakeModel(recorder)
        with exray.frame("a"), app.tracer.start_as_current_span("in frame"):
            model()

    assert len(sink.frames) == 1
    assert app.exporter.get_finished_spans() == ()


def test_the_trace_state_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app(monkeypatch)
    state = otel_trace.TraceState([("vendor", "1")])
    caller = otel_trace.SpanContext(1, 2, True, otel_trace.TraceFlags(1), state)
    context = otel_trace.set_span_in_context(otel_trace.NonRecordingSpan(caller))
    with (
        recording(MemorySink()),
        app.tracer.start_as_current_span("request", context),
        exray.frame("a"),
    ):
        inside = otel_trace.get_current_span().get_span_context()

    assert inside.trace_state == state


def test_a_span_that_is_left_in_another_context_logs_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    active = copy_context().run(ActiveSpan, bytes(7) + b"\1", Surroundings.here())

    active.leave()

    assert caplog.messages == []


def test_without_an_sdk_a_frame_counts_as_sampled_because_it_is_kept() -> None:
    assert Surroundings.here().flags == otel_trace.TraceFlags.SAMPLED
