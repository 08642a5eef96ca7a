"""Nothing that fails inside exray reaches the application, wherever it fails."""

import logging
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from opentelemetry import trace as otel_trace

import exray
from exray.instrumentation import capture, frames, inference, litert, recorder
from exray.instrumentation.activation import ActiveSpan, Surroundings
from exray.instrumentation.capture import TensorRecorder
from exray.instrumentation.clock import Clock
from exray.instrumentation.guard import forget_logged
from exray.instrumentation.litert import LiteRTModel
from exray.instrumentation.preserve_warning import without_preserve_warning
from exray.instrumentation.recorder import Recorder
from exray.instrumentation.traced_model import TracedModel
from exray.schema import identity
from exray.testing import MemorySink, recording

from .builders import INT8, make_input, make_interpreter, raising, run, seen_tensors

PLACES: list[tuple[Any, str]] = [
    (MemorySink, "add_run"),
    (MemorySink, "add_graph"),
    (MemorySink, "add_frame"),
    (LiteRTModel, "describe"),
    (LiteRTModel, "details"),
    (LiteRTModel, "read"),
    (LiteRTModel, "read_inputs"),
    (LiteRTModel, "read_outputs"),
    (LiteRTModel, "show_inputs"),
    (LiteRTModel, "show_outputs"),
    (LiteRTModel, "hash_inputs"),
    (LiteRTModel, "hash_output"),
    (litert, "tensor_hash"),
    (LiteRTModel, "read_layers"),
    (TracedModel, "ensure_run"),
    (TracedModel, "share_sites"),
    (Recorder, "open_run"),
    (Recorder, "close_frame"),
    (TensorRecorder, "add"),
    (TensorRecorder, "block"),
    (capture, "summarize_into"),
    (capture, "new_span_ids"),
    (litert, "site_from_details"),
    (litert, "new_span_ids"),
    (litert, "model_file"),
    (inference, "tensor_hash"),
    (inference, "input_id_from_arrays"),
    (inference, "new_span_id"),
    (inference, "RecordingFrame"),
    (recorder, "new_run_id"),
    (recorder, "read_environment"),
    (frames, "input_key"),
    (frames, "best_classes"),
    (frames, "process_usage"),
    (frames, "FrameRecord"),
    (frames, "FrameTensors"),
    (Clock, "now_ns"),
    (Clock, "follow_suspend"),
    (Surroundings, "here"),
    (ActiveSpan, "__init__"),
    (otel_trace, "get_current_span"),
    (otel_trace, "get_tracer_provider"),
    (identity._Entropy, "take"),
    (time, "process_time_ns"),
]


def place_id(place: tuple[Any, str]) -> str:
    return f"{getattr(place[0], '__name__', place[0])}.{place[1]}"


def application(interpreter: Any) -> list[bytes]:
    """Run a frame with all that a frame can have, and two inferences outside any."""
    results: list[bytes] = []
    value = make_input(1, np.int8)
    with exray.frame("a", label=1) as frame:
        with exray.stage("decode") as stage:
            results.append(stage.output(value).tobytes())
        frame.raw(value)
        exray.record("light", 0.5)
        exray.record("gaze", [1.0, 2.0])
        output = run(interpreter, value)
        frame.prediction(output)
        results.append(output.tobytes())
    for seed in range(2):
        results.append(run(interpreter, make_input(seed, np.int8)).tobytes())
    with pytest.raises(ValueError, match="mine"), exray.frame("b"), exray.stage("decode"):
        raise ValueError("mine")
    return results


@pytest.fixture(scope="module")
def expected() -> list[bytes]:
    return application(make_interpreter(INT8))


@pytest.fixture(autouse=True)
def _in_an_application(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # pyright: ignore[reportUnusedFunction] - autouse
    monkeypatch.delenv("EXRAY_GUARD")
    forget_logged()
    yield
    forget_logged()


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def check_recorded_in_full(sink: MemorySink) -> None:
    named, first, second, failed = sink.frames[-4:]
    assert [f.status for f in (named, first, second, failed)] == ["unset"] * 3 + ["error"]
    assert [len(seen_tensors(f)) for f in (named, first, second)] == [10, 7, 7]
    assert {f.parent_span_id for f in (named, first, second, failed)} == {None}
    assert {f.run.run_id for f in (named, first, second)} <= set(sink.runs)


@pytest.mark.parametrize("place", PLACES, ids=place_id)
@pytest.mark.parametrize("error", [OSError("broken"), MemoryError()], ids=["OSError", "Memory"])
def test_the_application_gets_its_results_a_few_lines_are_logged_and_recording_goes_on(
    place: tuple[Any, str],
    error: Exception,
    expected: list[bytes],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = MemorySink()
    with recording(sink):
        early = make_interpreter(INT8)
        with monkeypatch.context() as broken:
            broken.setattr(*place, raising(error))
            late = make_interpreter(INT8)
            found = [application(early), application(late)]
            lines = warnings_of(caplog)
            found += [application(early), application(late)]

        assert found == [expected] * 4
        assert warnings_of(caplog) == lines  # once each, however often it fails
        assert len(lines) == len(set(lines)) <= 6
        assert all(line.startswith("exray") for line in lines)

        found = [application(early), application(late)]
        assert found == [expected] * 2
        if place != (litert, "model_file"):
            check_recorded_in_full(sink)


@pytest.mark.parametrize(
    "place",
    [
        (LiteRTModel, "hash_inputs"),
        (LiteRTModel, "hash_output"),
        (LiteRTModel, "read_times"),
        (LiteRTModel, "end"),
        (litert, "tensor_hash"),
        (litert, "input_id_from_arrays"),
        (TracedModel, "ensure_run"),
        (Recorder, "close_frame"),
    ],
    ids=place_id,
)
def test_a_failure_at_level_latency_keeps_no_view_that_would_stop_the_runtime(
    place: tuple[Any, str], expected: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with recording(MemorySink(), level="latency"):
        interpreter = make_interpreter(INT8)
        monkeypatch.setattr(*place, raising(OSError("broken")))
        assert [application(interpreter), application(interpreter)] == [expected] * 2


@pytest.mark.parametrize(
    "place",
    [
        (MemorySink, "add_run"),
        (MemorySink, "add_frame"),
        (LiteRTModel, "describe"),
        (LiteRTModel, "show_inputs"),
        (LiteRTModel, "hash_output"),
        (LiteRTModel, "show_outputs"),
        (LiteRTModel, "read_layers"),
        (capture, "summarize_into"),
        (frames, "best_classes"),
    ],
    ids=place_id,
)
def test_one_thing_that_fails_is_one_line_in_the_log(
    place: tuple[Any, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with recording(MemorySink()):
        interpreter = make_interpreter(INT8)
        monkeypatch.setattr(*place, raising(OSError("broken")))
        for _ in range(3):
            application(interpreter)
        lines = warnings_of(caplog)

    (line,) = lines
    assert "OSError: broken" in line


@pytest.mark.parametrize("method", ["flush", "shutdown"])
def test_a_sink_that_fails_at_the_end_does_not_reach_the_application(
    method: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(MemorySink, method, raising(OSError("full")))
    with recording(MemorySink()):
        assert exray.flush(1.0) is (method != "flush")
        exray.shutdown()

    (line,) = warnings_of(caplog)
    assert "OSError: full" in line


def test_what_else_of_a_frame_can_be_read_is_recorded_though_one_part_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LiteRTModel, "read_layers", raising(OSError("broken")))
    sink = MemorySink()
    with recording(sink):
        run(make_interpreter(INT8), make_input(dtype=np.int8))

    assert [site.role for site, _ in seen_tensors(sink.frames[0])] == ["input", "output"]


def test_a_model_whose_input_cannot_be_read_has_a_frame_under_its_own_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("read_inputs", "show_inputs", "hash_inputs"):
        monkeypatch.setattr(LiteRTModel, name, raising(OSError("broken")))
    sink = MemorySink()
    with recording(sink):
        run(make_interpreter(INT8), make_input(dtype=np.int8))

    (frame,) = sink.frames
    assert frame.input_id == frame.span_id.hex()
    assert [site.role for site, _ in seen_tensors(frame)] == ["layer"] * 5 + ["output"]


def test_a_clock_that_fails_does_not_reach_the_application(expected: list[bytes]) -> None:
    failing = False

    def tick() -> int:
        if failing:
            raise OSError("no clock")
        return time.perf_counter_ns()

    sink = MemorySink()
    with recording(sink, clock=Clock(monotonic_ns=tick)):
        interpreter = make_interpreter(INT8)
        failing = True
        assert application(interpreter) == expected
        failing = False
        assert application(interpreter) == expected

        check_recorded_in_full(sink)


def test_a_clock_that_fails_in_the_middle_leaves_no_frame_open(expected: list[bytes]) -> None:
    """Whichever of its readings is the one that fails."""
    sink, readings, limit = MemorySink(), 0, 10**9

    def tick() -> int:
        nonlocal readings
        readings += 1
        if readings == limit:
            raise OSError("no clock")
        return time.perf_counter_ns()

    with recording(sink, clock=Clock(monotonic_ns=tick)):
        interpreter = make_interpreter(INT8)
        readings = 0
        application(interpreter)
        whole = readings
        for number in range(1, whole + 1):
            readings, limit = 0, number
            assert application(interpreter) == expected
            assert frames.frame_in_progress() is None
            assert not otel_trace.get_current_span().get_span_context().is_valid
        limit = 10**9
        assert application(interpreter) == expected
        check_recorded_in_full(sink)

    assert whole > 20


def test_warnings_that_cannot_be_hidden_do_not_reach_the_application(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A filter list that refuses: the plain interpreter is made."""
    monkeypatch.setattr(without_preserve_warning, "__enter__", raising(AttributeError("filters")))
    sink = MemorySink()
    with recording(sink):
        run(make_interpreter(INT8), make_input(dtype=np.int8))

    assert [site.role for site, _ in seen_tensors(sink.frames[0])] == ["input", "output"]
