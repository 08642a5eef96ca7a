import asyncio
import threading
from collections.abc import AsyncGenerator, Generator
from contextvars import copy_context
from typing import Any

import numpy as np
import pytest

import exray
from exray.instrumentation.capture import span_id_int
from exray.instrumentation.frames import RecordingFrame, frame_in_progress
from exray.instrumentation.guard import forget_logged
from exray.schema.identity import input_key, sketch_family
from exray.schema.records import SKETCH_SIZE
from exray.schema.sketch import fold, sketch
from exray.testing import MemorySink, TickingClock, recording

from .builders import FakeModel, raising, seen_tensors


def names(sink: MemorySink) -> list[str]:
    return [frame.input_id for frame in sink.frames]


# --- what a frame records -------------------------------------------------------------------


def test_a_frame_has_what_the_application_says_of_it() -> None:
    sink = MemorySink()
    with recording(sink, clock=TickingClock()) as recorder:
        model = FakeModel(recorder)
        with exray.frame(input_id="cat.png", label=np.int64(3)):
            model()

    (frame,) = sink.frames
    assert (frame.input_id, frame.label, frame.level, frame.status) == (
        "cat.png",
        "3",
        "summary",
        "unset",
    )
    assert frame.input_key == input_key("cat.png")
    assert frame.dur_ns > 0
    assert frame.cpu_ns is not None
    assert frame.memory_peak_bytes is not None
    assert frame.memory_peak_bytes > 1_000_000


def test_frames_of_a_run_are_numbered() -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        model = FakeModel(recorder)
        for name in "abc":
            with exray.frame(name):
                model()

    assert [(f.input_id, f.frame_index) for f in sink.frames] == [("a", 0), ("b", 1), ("c", 2)]


def test_a_frame_without_a_model_is_recorded_under_its_own_id() -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        FakeModel(recorder)()
        with exray.frame(label="x"):
            pass

    frame = sink.frames[1]
    assert frame.input_id == frame.span_id.hex()
    assert frame.run is sink.frames[0].run


def test_what_is_seen_goes_through_as_the_very_same_object() -> None:
    value = [[1, 2], [3, 4]]
    with recording(MemorySink()), exray.frame("a") as frame:
        assert frame.raw(value) is value
        assert frame.output(value) is value


def test_the_first_raw_input_is_carried_by_the_frame_and_the_next_by_a_child() -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        model = FakeModel(recorder)
        with exray.frame("a") as frame:
            frame.raw(np.ones(4, np.uint8))
            frame.raw(np.ones(5, np.uint8))
            model()

    (record,) = sink.frames
    own = span_id_int(record.span_id)
    (first_site, first), (second_site, second) = seen_tensors(record, "raw")
    assert (first["span_id"], first["parent_span_id"], first["dur_ns"]) == (own, 0, record.dur_ns)
    assert (second["parent_span_id"], second["dur_ns"]) == (own, 0)
    assert (first_site.index, second_site.index) == (0, 1)


def test_a_tensor_seen_before_the_input_is_known_is_summarised_in_its_family_later() -> None:
    sink = MemorySink()
    value = np.arange(12, dtype=np.float32)
    with recording(sink) as recorder:
        model = FakeModel(recorder)
        with exray.frame() as frame:
            seen = value.copy()
            frame.raw(seen)
            seen[:] = -1  # as an application does that reuses its buffer
            model(value)

    (record,) = sink.frames
    ((_, row),) = seen_tensors(record, "raw")
    family = sketch_family(input_key(record.input_id))
    folded = fold(sketch(value, family), SKETCH_SIZE).astype(np.float32)
    np.testing.assert_array_equal(row["sketch"], folded)


def test_a_frame_keeps_the_first_name_it_gets() -> None:
    with recording(MemorySink()) as recorder:
        frame = RecordingFrame(recorder, None)
        frame.name_input("first")
        frame.name_input("second")

    assert (frame.input_id, frame.family) == ("first", sketch_family(input_key("first")))


def test_at_level_latency_no_tensor_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = MemorySink()
    with recording(sink, level="latency") as recorder:
        model = FakeModel(recorder)
        with exray.frame("a") as frame:
            frame.raw(object())
            model()

    assert seen_tensors(sink.frames[0]) == []


def test_a_prediction_is_recorded_at_level_latency_too() -> None:
    sink = MemorySink()
    with recording(sink, level="latency") as recorder:
        model = FakeModel(recorder)
        with exray.frame("a") as frame:
            model()
            frame.prediction([0.25, 0.75])

    assert sink.frames[0].prediction_ids == (1, 0)


# --- exray.record ---------------------------------------------------------------------------


@pytest.mark.parametrize("value", [2, 2.0, True, np.float32(2), np.array(2)])
def test_a_recorded_number_is_a_metric_of_the_frame(value: Any) -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        model = FakeModel(recorder)
        with exray.frame("a"):
            exray.record("light", value)
            model()

    (metric,) = sink.frames[0].metrics
    assert (metric.name, metric.value) == ("light", float(value))
    assert metric.time_ns >= sink.frames[0].start_ns


def test_a_recorded_array_is_a_custom_tensor_of_the_frame() -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        model = FakeModel(recorder)
        with exray.frame("a"):
            exray.record("gaze", [1.0, 2.0])
            exray.record("gaze", [3.0])
            model()

    (first, row), (second, _) = seen_tensors(sink.frames[0], "custom")
    assert [(site.name, site.index) for site in (first, second)] == [("gaze", 0), ("gaze", 1)]
    assert row["sum"] == 3.0


def test_what_is_neither_number_nor_array_is_refused_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("EXRAY_GUARD")
    with recording(MemorySink()), exray.frame("a"):
        exray.record("note", "dark")

    assert "'note' is a str; expected a number or an array of numbers" in caplog.messages[0]


def test_a_value_recorded_outside_a_frame_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with recording(MemorySink()):
        exray.record("light", 1)
        exray.record("light", 2)

    assert caplog.messages == ["exray.record('light') outside exray.frame() records nothing."]


# --- errors of the application --------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [ValueError("bad image"), KeyboardInterrupt(), GeneratorExit(), SystemExit(2)]
)
def test_what_the_applications_code_raises_is_recorded_and_raised_untouched(
    error: BaseException,
) -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        with pytest.raises(type(error)) as caught, exray.frame("a"):
            raising(error)()
        FakeModel(recorder)()

    assert caught.value is error
    assert caught.traceback[-1].name == "fail"
    assert error.__context__ is None
    frame = sink.frames[0]
    assert frame.status == "error"
    assert frame.status_message is not None
    assert frame.status_message.startswith(type(error).__name__)


def test_an_error_that_cannot_be_printed_is_recorded_by_its_type() -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    sink = MemorySink()
    with recording(sink), pytest.raises(SilentError), exray.frame("a"):
        raise SilentError

    assert sink.frames[0].status_message == "SilentError"


# --- frames in frames -----------------------------------------------------------------------


def test_a_frame_inside_a_frame_is_recorded_with_the_outer_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        model = FakeModel(recorder)
        for _ in range(2):
            with exray.frame("outer"):
                with exray.frame("inner") as inner:
                    with exray.stage("decode"):
                        pass
                    model()
                    inner.raw(np.ones(3))
                    inner.prediction([0.0, 1.0])
                model()

    assert names(sink) == ["outer", "outer"]
    for frame in sink.frames:
        assert (len(frame.inferences), len(frame.spans)) == (2, 1)
        assert frame.prediction_ids == (1, 0)
        assert len(seen_tensors(frame, "raw")) == 1
    assert len(caplog.messages) == 1
    assert "'inner' was opened inside frame 'outer'" in caplog.messages[0]


def test_an_error_that_the_outer_frame_catches_is_not_its_own() -> None:
    sink = MemorySink()
    with (
        recording(sink),
        exray.frame("outer"),
        pytest.raises(ValueError, match="bad"),
        exray.frame("inner"),
    ):
        raise ValueError("bad")

    assert [(frame.input_id, frame.status) for frame in sink.frames] == [("outer", "unset")]


def test_a_frame_entered_inside_itself_closes_with_the_outer_block() -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        model = FakeModel(recorder)
        with exray.frame("a") as frame:
            with frame:
                model()
            model()

    assert [(f.input_id, len(f.inferences)) for f in sink.frames] == [("a", 2)]


def test_a_frame_that_is_entered_again_records_nothing_more_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = MemorySink()
    with recording(sink):
        frame = exray.frame("a")
        for _ in range(3):
            with frame:
                pass

    assert names(sink) == ["a"]
    assert len(caplog.messages) == 1
    assert "entered a second time" in caplog.messages[0]


def test_what_is_said_to_a_closed_frame_is_logged_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        with exray.frame("a") as frame:
            FakeModel(recorder)()
        frame.prediction([0.0, 1.0])
        frame.prediction([0.0, 1.0])

    assert sink.frames[0].prediction_ids is None
    (message,) = caplog.messages
    assert "call it inside the with block" in message


# --- threads, tasks, generators -------------------------------------------------------------


def test_two_threads_with_frames_at_once_do_not_mix() -> None:
    sink, both_open = MemorySink(), threading.Barrier(2, timeout=10)

    def work(name: str, model: FakeModel) -> None:
        with exray.frame(name):
            both_open.wait()
            with exray.stage(f"stage of {name}"):
                both_open.wait()
                model()
                both_open.wait()

    with recording(sink) as recorder:
        threads = [threading.Thread(target=work, args=(name, FakeModel(recorder))) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted((f.input_id, len(f.inferences), f.spans[0].name) for f in sink.frames) == [
        ("a", 1, "stage of a"),
        ("b", 1, "stage of b"),
    ]
    assert sink.frames[0].trace_id != sink.frames[1].trace_id


def test_interleaved_tasks_do_not_mix() -> None:
    sink = MemorySink()

    async def work(name: str, model: FakeModel) -> None:
        with exray.frame(name) as frame:
            await asyncio.sleep(0)
            with exray.stage(f"stage of {name}"):
                await asyncio.sleep(0)
                model()
            await asyncio.sleep(0)
            frame.prediction([0.0, 1.0])

    async def serve(models: list[FakeModel]) -> None:
        await asyncio.gather(*(work(str(i), model) for i, model in enumerate(models)))

    with recording(sink) as recorder:
        asyncio.run(serve([FakeModel(recorder) for _ in range(5)]))

    assert sorted((f.input_id, len(f.inferences), f.spans[0].name) for f in sink.frames) == [
        (str(i), 1, f"stage of {i}") for i in range(5)
    ]
    assert {f.parent_span_id for f in sink.frames} == {None}


def test_a_model_on_another_thread_of_a_task_belongs_to_the_tasks_frame() -> None:
    sink = MemorySink()

    async def work(model: FakeModel) -> None:
        with exray.frame("a"):
            await asyncio.gather(*(asyncio.to_thread(model) for _ in range(4)))

    with recording(sink) as recorder:
        asyncio.run(work(FakeModel(recorder)))

    assert [(f.input_id, len(f.inferences)) for f in sink.frames] == [("a", 4)]


def test_a_task_that_outlives_the_frame_it_was_started_in_opens_its_own() -> None:
    sink = MemorySink()

    async def later(model: FakeModel, closed: asyncio.Event) -> None:
        await closed.wait()
        model()
        with exray.frame("b"):
            model()

    async def serve(model: FakeModel) -> None:
        closed = asyncio.Event()
        with exray.frame("a"):
            task = asyncio.create_task(later(model, closed))
        closed.set()
        await task

    with recording(sink) as recorder:
        asyncio.run(serve(FakeModel(recorder)))

    assert [len(frame.inferences) for frame in sink.frames] == [0, 1, 1]
    assert names(sink)[::2] == ["a", "b"]


def test_a_generator_may_be_closed_in_another_context(caplog: pytest.LogCaptureFixture) -> None:
    sink = MemorySink()

    def inputs() -> Generator[int]:
        with exray.frame("a"), exray.stage("decode"):
            yield 1

    with recording(sink) as recorder:
        generator = inputs()
        copy_context().run(next, generator)
        generator.close()
        FakeModel(recorder)()

    assert sink.frames[0].status == "error"  # GeneratorExit went through it
    assert caplog.messages == []
    assert frame_in_progress() is None


def test_an_asynchronous_generator_may_be_finalized_by_another_task(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = MemorySink()

    async def inputs() -> AsyncGenerator[int]:
        with exray.frame("a"):
            yield 1

    async def serve() -> None:
        generator = inputs()
        await asyncio.create_task(_next(generator))
        await generator.aclose()

    async def _next(generator: AsyncGenerator[int]) -> int:
        return await anext(generator)

    with recording(sink) as recorder:
        asyncio.run(serve())
        FakeModel(recorder)()

    assert len(sink.frames) == 2
    assert caplog.messages == []


def test_a_frame_that_is_open_when_exray_is_shut_down_closes_quietly(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        model = FakeModel(recorder)
        with exray.frame("a") as frame:
            exray.shutdown()
            frame.prediction([1.0])
            assert model() is model.output

    assert sink.frames == []
    assert frame_in_progress() is None
    assert all("shut down" in message for message in caplog.messages)


def test_a_model_inside_a_frame_of_an_earlier_configuration_opens_its_own() -> None:
    first, second = MemorySink(), MemorySink()
    with recording(first), exray.frame("a"), recording(second) as recorder:
        FakeModel(recorder)()

    assert names(first) == []
    assert len(second.frames) == 1


def test_a_wall_clock_that_is_set_inside_a_frame_does_not_change_its_duration() -> None:
    sink, clock = MemorySink(), TickingClock()
    with recording(sink, clock=clock), exray.frame("a"):
        clock.wall_ns = lambda: 0

    assert 0 < sink.frames[0].dur_ns < 10**6


def test_a_frame_without_a_recorder_does_nothing() -> None:
    with exray.frame("a", label=1) as frame:
        value = [1]
        assert frame.raw(value) is value
        assert frame.output(value) is value
        frame.prediction(value)

    assert not isinstance(frame, RecordingFrame)


@pytest.fixture(autouse=True)
def _log_anew() -> None:  # pyright: ignore[reportUnusedFunction] - autouse
    forget_logged()
