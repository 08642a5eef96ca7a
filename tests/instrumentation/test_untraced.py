"""Frames that are not sampled: nothing of them is recorded, nothing of the host is touched."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

import numpy as np
import pytest
from opentelemetry import trace as otel_trace

import exray
from exray.instrumentation.current import open_frame
from exray.instrumentation.execution import input_id_from_arrays
from exray.instrumentation.frames import RecordingFrame, frame_in_progress
from exray.instrumentation.guard import forget_logged
from exray.instrumentation.level import Level
from exray.instrumentation.recorder import UNTRACED_FRAMES, Recorder
from exray.instrumentation.sampling import Rates, randomness
from exray.instrumentation.untraced import UntracedFrame
from exray.schema.identity import input_key
from exray.testing import MemorySink, recording

from .builders import FakeModel, raising, seen_tensors
from .loads import name_between

UNTRACED, TIMED, SUMMARISED = name_between(0, 0.5), name_between(0.5, 0.75), name_between(0.75, 1)


@contextmanager
def sampling(
    sink: MemorySink, *, traced: float = 0.5, summarised: float = 0.25, by_turn: bool = False
) -> Generator[Recorder]:
    """Record at rates that stay as they are."""
    with recording(sink, sampling="budget") as recorder:
        recorder.sampler.rates = Rates(Level.SUMMARY, traced, summarised, by_turn=by_turn)
        yield recorder


def inputs_between(recorder: Recorder, low: float, high: float) -> FakeModel:
    """Return a model whose input, unnamed, has its randomness in [*low*, *high*)."""
    inputs = (np.array([number], np.float32) for number in range(10_000))
    value = next(
        value
        for value in inputs
        if low <= randomness(input_key(input_id_from_arrays([value]))) / 2**56 < high
    )
    return FakeModel(recorder, inputs=(value,))


def test_frames_get_the_level_that_their_input_chooses() -> None:
    sink = MemorySink()
    with sampling(sink) as recorder:
        model = FakeModel(recorder)
        for name in (UNTRACED, TIMED, SUMMARISED):
            with exray.frame(name) as frame:
                frame.raw(np.ones(4))
                model()

    assert [(f.input_id, f.level, f.sample_rate) for f in sink.frames] == [
        (TIMED, "latency", 0.25),
        (SUMMARISED, "summary", 0.25),
    ]
    assert [len(seen_tensors(frame)) for frame in sink.frames] == [0, 3]
    assert [(m.name, m.value) for m in sink.frames[0].metrics] == [(UNTRACED_FRAMES, 1)]
    assert sink.frames[1].metrics == []


def test_an_untraced_frame_takes_all_that_a_frame_takes_and_records_nothing() -> None:
    sink = MemorySink()
    value = [[1, 2]]
    with sampling(sink) as recorder:
        model = FakeModel(recorder)
        with exray.frame(UNTRACED, label=3) as frame, exray.stage("decode") as stage:
            assert isinstance(frame, UntracedFrame)
            assert frame.raw(value) is value
            assert frame.output(value) is value
            assert stage.output(value) is value
            frame.prediction(object())
            exray.record("light", 0.5)
            exray.record("grid", np.ones(3))
            assert model() is model.output
            assert frame_in_progress() is None
            assert open_frame() is frame
        assert open_frame() is None

    assert sink.frames == []
    assert sink.runs == {}


def test_the_applications_spans_stand_where_they_would_without_exray() -> None:
    with sampling(MemorySink()) as recorder:
        before = otel_trace.get_current_span().get_span_context()
        with exray.frame(UNTRACED):
            assert otel_trace.get_current_span().get_span_context() == before
        with exray.frame(SUMMARISED):
            assert otel_trace.get_current_span().get_span_context() != before
        FakeModel(recorder)()
        assert otel_trace.get_current_span().get_span_context() == before


def test_an_execution_outside_any_frame_chooses_by_its_inputs_bytes() -> None:
    sink = MemorySink()
    with sampling(sink) as recorder:
        models = [
            inputs_between(recorder, low, high) for low, high in ((0, 0.5), (0.5, 0.75), (0.75, 1))
        ]
        for model in models:
            model()
        untraced = recorder.sampler.take_untraced()

    assert [frame.level for frame in sink.frames] == ["latency", "summary"]
    assert sum(m.value for m in sink.frames[0].metrics) + untraced == 1


def test_what_an_unnamed_frame_saw_before_its_input_is_kept_or_dropped_with_it() -> None:
    sink = MemorySink()
    with sampling(sink) as recorder:
        for low, high in ((0, 0.5), (0.5, 0.75), (0.75, 1)):
            model = inputs_between(recorder, low, high)
            with exray.frame() as frame:
                assert isinstance(frame, RecordingFrame)
                frame.raw(np.ones(4))
                with exray.stage("decode") as stage:
                    stage.output(np.ones(5))
                assert frame.summarises
                model()
                with exray.stage("after"):
                    frame.output(np.ones(6))
                assert (frame.level, frame.summarises) == (
                    (Level.OFF, False) if high == 0.5 else (Level(1 + (high == 1)), high == 1)
                )

    timed, summarised = sink.frames
    assert [span.name for span in timed.spans] == ["decode", "after"]
    assert seen_tensors(timed) == []
    roles = [site.role for site, _ in seen_tensors(summarised)]
    assert roles == ["raw", "stage", "custom", "input", "output"]


def test_a_stage_around_the_execution_that_drops_the_frame_closes_quietly(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = MemorySink()
    with sampling(sink) as recorder:
        model = inputs_between(recorder, 0, 0.5)
        with exray.frame(), exray.stage("all"):
            model()

    assert sink.frames == []
    assert caplog.messages == []


def test_without_a_turn_no_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = MemorySink()
    with sampling(sink, traced=2.0**-40, summarised=2.0**-41, by_turn=True) as recorder:
        model = FakeModel(recorder)
        monkeypatch.setattr(model, "read_inputs", raising(AssertionError("read")))
        for _ in range(20):
            model()
            with exray.frame() as frame:
                assert isinstance(frame, UntracedFrame)
                model()
        assert recorder.sampler.take_untraced() == 40

    assert sink.frames == []


def test_a_frame_that_had_its_turn_is_traced_whatever_its_input() -> None:
    sink = MemorySink()
    with sampling(sink, traced=1.0, summarised=0.25, by_turn=True) as recorder:
        models = [inputs_between(recorder, low, high) for low, high in ((0, 0.5), (0.75, 1))]
        models[0]()
        with exray.frame():
            models[1]()

    assert [(f.level, f.sample_rate) for f in sink.frames] == [("latency", 0.75), ("summary", 0.25)]


def test_a_frame_in_an_untraced_one_is_logged_and_not_recorded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    forget_logged()
    sink = MemorySink()
    with sampling(sink) as recorder:
        with exray.frame(UNTRACED), exray.frame(SUMMARISED) as inner:
            inner.raw(np.ones(2))
        assert recorder.sampler.take_untraced() == 1

    assert sink.frames == []
    assert len(caplog.messages) == 1


def test_a_frame_in_a_recorded_one_records_with_it_whatever_its_own_name() -> None:
    sink = MemorySink()
    with (
        sampling(sink) as recorder,
        exray.frame(SUMMARISED),
        exray.frame(UNTRACED) as inner,
    ):
        inner.raw(np.ones(2))
        FakeModel(recorder)()

    (frame,) = sink.frames
    assert frame.input_id == SUMMARISED
    assert len(seen_tensors(frame, "raw")) == 1


def test_tasks_have_untraced_frames_of_their_own() -> None:
    sink = MemorySink()

    async def work(model: FakeModel, name: str) -> None:
        with exray.frame(name):
            await asyncio.sleep(0)
            model()
            await asyncio.sleep(0)

    async def main(model: FakeModel) -> None:
        names = (UNTRACED, SUMMARISED, UNTRACED, TIMED)
        await asyncio.gather(*(work(model, name) for name in names))

    with sampling(sink) as recorder:
        asyncio.run(main(FakeModel(recorder)))
        rest = recorder.sampler.take_untraced()

    assert [frame.input_id for frame in sink.frames] == [SUMMARISED, TIMED]
    assert sum(m.value for f in sink.frames for m in f.metrics) + rest == 2


# --- errors ---------------------------------------------------------------------------------


def test_an_untraced_frame_that_fails_is_recorded_with_its_time_and_the_error() -> None:
    sink = MemorySink()
    with sampling(sink) as recorder:
        FakeModel(recorder)
        with pytest.raises(OSError, match="camera"), exray.frame(UNTRACED, label=3):
            raise OSError("camera")
        with exray.frame(SUMMARISED):
            FakeModel(recorder)()

    failed, _ = sink.frames
    assert (failed.input_id, failed.label, failed.status) == (UNTRACED, "3", "error")
    assert (failed.level, failed.sample_rate) == ("latency", 0.75)
    assert failed.status_message == "OSError: camera"
    assert failed.dur_ns > 0
    assert failed.cpu_ns is None
    assert failed.run is sink.frames[1].run


@pytest.mark.parametrize("by_turn", [False, True])
def test_an_untraced_execution_that_fails_is_recorded_with_its_model_and_input(
    by_turn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = MemorySink()
    rates = 2.0**-40 if by_turn else 0.5
    with sampling(sink, traced=rates, summarised=rates / 2, by_turn=by_turn) as recorder:
        model = inputs_between(recorder, 0, 0.5)
        monkeypatch.setattr(
            FakeModel, "output", property(raising(RuntimeError("bad"))), raising=False
        )
        with pytest.raises(RuntimeError, match="bad"):
            model()

    (failed,) = sink.frames
    assert failed.status_message == "RuntimeError: bad"
    assert failed.inferences[0].run is failed.run
    assert failed.run.model_name == "fake"
    assert failed.input_id == input_id_from_arrays(model.inputs)


def test_a_broken_count_of_frames_does_not_reach_the_application(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    forget_logged()
    monkeypatch.delenv("EXRAY_GUARD")
    with sampling(MemorySink()) as recorder:
        model = FakeModel(recorder)
        monkeypatch.setattr(recorder.sampler, "add_frame", raising(OSError("broken")))
        for name in (UNTRACED, SUMMARISED):
            with exray.frame(name):
                assert model() is model.output

    assert caplog.messages
    assert all("exray could not close a frame" in message for message in caplog.messages)
