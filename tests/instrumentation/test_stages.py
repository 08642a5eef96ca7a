from contextlib import ExitStack

import numpy as np
import pytest

import exray
from exray.instrumentation.capture import span_id_int
from exray.instrumentation.frames import frame_in_progress
from exray.instrumentation.stages import RecordingStage
from exray.testing import MemorySink, TickingClock, recording

from .builders import FakeModel, raising, seen_tensors


def test_a_stage_is_a_span_below_its_frame() -> None:
    sink = MemorySink()
    with recording(sink, clock=TickingClock()), exray.frame("a"), exray.stage("decode"):
        pass

    (frame,) = sink.frames
    (stage,) = frame.spans
    assert (stage.name, stage.parent_span_id, stage.trace_id) == (
        "decode",
        frame.span_id,
        frame.trace_id,
    )
    assert (stage.status, stage.scope) == ("unset", "exray")
    assert frame.start_ns < stage.start_ns
    assert stage.start_ns + stage.dur_ns < frame.start_ns + frame.dur_ns


def test_a_stage_in_a_stage_is_its_child() -> None:
    sink = MemorySink()
    with recording(sink), exray.frame("a"), exray.stage("outer"), exray.stage("inner"):
        pass

    inner, outer = sink.frames[0].spans
    assert (inner.name, inner.parent_span_id) == ("inner", outer.span_id)


def test_its_output_goes_through_as_the_very_same_object() -> None:
    value = (1, 2, 3)
    with recording(MemorySink()), exray.frame("a"), exray.stage("decode") as stage:
        assert stage.output(value) is value


def test_its_first_output_is_carried_by_its_span_and_the_next_by_a_child() -> None:
    sink = MemorySink()
    with recording(sink), exray.frame("a"), exray.stage("decode") as stage:
        stage.output([1, 2])
        stage.output([3, 4])

    (frame,) = sink.frames
    (span,) = frame.spans
    own = span_id_int(span.span_id)
    (site, first), (_, second) = seen_tensors(frame, "stage")
    assert (site.name, site.index) == ("decode", 0)
    assert (first["span_id"], first["parent_span_id"]) == (own, span_id_int(frame.span_id))
    assert (first["start_ns"], first["dur_ns"]) == (span.start_ns, span.dur_ns)
    assert (second["parent_span_id"], second["dur_ns"]) == (own, 0)


def test_what_is_seen_is_summarised_after_the_stage_so_that_its_time_is_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sink, clock = MemorySink(), TickingClock(step_ns=0)

    def summarise_slowly(*_: object, **__: object) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        clock._now_ns += 10**9  # pyright: ignore[reportPrivateUsage]
        return np.zeros(256, np.float32)

    monkeypatch.setattr("exray.instrumentation.capture.summarize_into", summarise_slowly)
    with recording(sink, clock=clock), exray.frame("a") as frame:
        with exray.stage("outer"), exray.stage("inner") as stage:
            stage.output([1, 2])
        frame.prediction([1.0])

    (record,) = sink.frames
    assert [span.dur_ns for span in record.spans] == [0, 0]
    assert record.overhead_ns == record.dur_ns == 10**9


def test_the_same_name_may_come_again_in_a_frame() -> None:
    sink = MemorySink()
    with recording(sink), exray.frame("a"):
        for value in (1.0, 2.0):
            with exray.stage("crop") as stage:
                stage.output([value])

    assert [(site.index, row["sum"]) for site, row in seen_tensors(sink.frames[0])] == [
        (0, 1.0),
        (1, 2.0),
    ]


@pytest.mark.parametrize("error", [ValueError("bad image"), KeyboardInterrupt(), GeneratorExit()])
def test_what_the_applications_code_raises_is_recorded_and_raised_untouched(
    error: BaseException,
) -> None:
    sink = MemorySink()
    with (
        recording(sink),
        pytest.raises(type(error)) as caught,
        exray.frame("a"),
        exray.stage("decode"),
    ):
        raising(error)()

    assert caught.value is error
    assert caught.traceback[-1].name == "fail"
    (frame,) = sink.frames
    assert (frame.status, frame.spans[0].status) == ("error", "error")
    assert str(frame.spans[0].status_message).startswith(type(error).__name__)


def test_an_error_caught_inside_the_frame_is_the_stages_alone() -> None:
    sink = MemorySink()
    with (
        recording(sink),
        exray.frame("a"),
        pytest.raises(ValueError, match="bad"),
        exray.stage("decode"),
    ):
        raise ValueError("bad")

    (frame,) = sink.frames
    assert (frame.status, frame.spans[0].status) == ("unset", "error")


def test_a_stage_that_outlives_its_frame_is_not_recorded_and_leaves_nothing_active() -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        stages = ExitStack()
        with exray.frame("a"):
            stages.enter_context(exray.stage("decode"))
        stages.close()
        FakeModel(recorder)()

    first, second = sink.frames
    assert first.spans == []
    assert second.parent_span_id is None
    assert frame_in_progress() is None


def test_what_a_stage_saw_that_never_closed_is_recorded_with_the_frame() -> None:
    sink = MemorySink()
    with recording(sink), exray.frame("a"):
        stage = exray.stage("decode")
        stage.__enter__()
        stage.output([1, 2])

    ((_, row),) = seen_tensors(sink.frames[0])
    assert row["dur_ns"] == -1


def test_an_output_outside_the_block_is_logged_and_passed_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with recording(MemorySink()), exray.frame("a"):
        stage = exray.stage("decode")
        assert stage.output("x") == "x"

    assert "call it inside the with block" in caplog.messages[0]


def test_a_stage_may_be_entered_again() -> None:
    sink = MemorySink()
    with recording(sink), exray.frame("a"):
        stage = exray.stage("crop")
        for _ in range(2):
            with stage:
                stage.output([1])

    first, second = sink.frames[0].spans
    assert first.span_id != second.span_id
    assert [row["span_id"] for _, row in seen_tensors(sink.frames[0])] == [
        span_id_int(first.span_id),
        span_id_int(second.span_id),
    ]


def test_outside_a_frame_it_records_nothing_and_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = MemorySink()
    with recording(sink):
        for stage in (exray.stage("decode"), exray.stage("decode")):
            with stage:
                assert stage.output("x") == "x"
            assert not isinstance(stage, RecordingStage)

    assert sink.frames == []
    assert caplog.messages == ["exray.stage('decode') outside exray.frame() records nothing."]


def test_without_a_recorder_it_does_nothing() -> None:
    with exray.frame("a"), exray.stage("decode") as stage:
        assert stage.output("x") == "x"

    assert not isinstance(stage, RecordingStage)
