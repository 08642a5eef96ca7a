from pathlib import Path

import pytest

from exray.instrumentation import recorder as recorder_module
from exray.instrumentation.config import Config, Level
from exray.instrumentation.guard import forget_logged
from exray.instrumentation.recorder import Recorder
from exray.schema.records import FrameRecord, Graph, Run
from exray.testing import MemorySink, TickingClock

from .builders import raising


def make_recorder(sink: MemorySink, level: Level = Level.SUMMARY) -> Recorder:
    config = Config(build="1.4.2", role="edge", lake=Path("lake"), level=level, auto=True)
    return Recorder(config, sink, TickingClock())


def make_frame(run: Run, name: str = "a") -> FrameRecord:
    return FrameRecord(
        run=run,
        trace_id=bytes(16),
        span_id=bytes(8),
        parent_span_id=None,
        input_id=name,
        input_key=0,
        frame_index=0,
        start_ns=0,
        dur_ns=0,
        level="summary",
    )


def test_a_run_has_the_configuration_and_the_environment() -> None:
    run = make_recorder(MemorySink()).open_run()

    assert (run.build, run.role, run.clock_ok) == ("1.4.2", "edge", True)
    assert run.exray_version
    assert run.started_ns >= 1_760_000_000 * 10**9


def test_every_run_has_an_id_of_its_own() -> None:
    recorder = make_recorder(MemorySink())

    assert recorder.open_run().run_id != recorder.open_run().run_id


def test_a_runs_preprocessing_is_what_was_declared_last() -> None:
    recorder = make_recorder(MemorySink())
    recorder.preprocess_json = "{}"

    assert recorder.open_run().preprocess_json == "{}"


def test_a_run_that_begins_is_announced_with_its_graph() -> None:
    sink = MemorySink()
    recorder = make_recorder(sink)
    run = recorder.open_run()

    recorder.begin_run(run, Graph("m", "ab", ()))

    assert (list(sink.runs), list(sink.graphs)) == ([run.run_id], ["ab"])


def test_frames_are_numbered_within_their_run() -> None:
    sink = MemorySink()
    recorder = make_recorder(sink)
    first, second = recorder.open_run(), recorder.open_run()

    for run in (first, second, first):
        recorder.close_frame(make_frame(run))

    assert [frame.frame_index for frame in sink.frames] == [0, 0, 1]


def test_a_frame_without_a_model_belongs_to_the_latest_run() -> None:
    sink = MemorySink()
    recorder = make_recorder(sink)
    run = recorder.open_run()
    recorder.begin_run(run, None)

    recorder.close_frame(make_frame(recorder.placeholder_run))

    assert sink.frames[0].run is run


def test_a_frame_before_any_model_waits_for_the_first_run() -> None:
    sink = MemorySink()
    recorder = make_recorder(sink)
    recorder.close_frame(make_frame(recorder.placeholder_run))
    assert sink.frames == []
    run = recorder.open_run()

    recorder.begin_run(run, None)

    assert sink.frames[0].run is run


def test_frames_that_no_model_ever_followed_are_written_at_the_end_with_a_run() -> None:
    sink = MemorySink()
    recorder = make_recorder(sink)
    recorder.preprocess_json = "{}"
    for name in ("a", "b"):
        recorder.close_frame(make_frame(recorder.placeholder_run, name))

    recorder.shutdown()

    (run,) = sink.runs.values()
    assert run.preprocess_json == "{}"
    assert [(f.run, f.input_id, f.frame_index) for f in sink.frames] == [
        (run, "a", 0),
        (run, "b", 1),
    ]


def test_frames_that_wait_are_bounded_and_the_loss_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    forget_logged()
    monkeypatch.setattr(recorder_module, "WAITING_FRAMES", 2)
    sink = MemorySink()
    recorder = make_recorder(sink)
    for _ in range(5):
        recorder.close_frame(make_frame(recorder.placeholder_run))

    recorder.begin_run(recorder.open_run(), None)

    assert len(sink.frames) == 2
    assert len(caplog.messages) == 1


def test_a_recorder_that_was_shut_down_is_closed_and_its_sink_too() -> None:
    sink = MemorySink()
    recorder = make_recorder(sink)

    recorder.shutdown()

    assert (recorder.open, sink.closed) == (False, True)


def test_the_sink_is_shut_down_even_if_it_takes_no_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = MemorySink()
    recorder = make_recorder(sink)
    recorder.close_frame(make_frame(recorder.placeholder_run))
    monkeypatch.setattr(MemorySink, "add_run", raising(OSError("full")))
    with pytest.raises(OSError, match="full"):
        recorder.shutdown()

    assert sink.closed


def test_a_forked_child_begins_anew() -> None:
    sink = MemorySink()
    recorder = make_recorder(sink)
    recorder.begin_run(recorder.open_run(), None)
    placeholder, generation = recorder.placeholder_run, recorder.generation

    recorder.restart()
    recorder.close_frame(make_frame(recorder.placeholder_run))

    assert recorder.generation is not generation
    assert recorder.placeholder_run.run_id != placeholder.run_id
    assert sink.frames == []  # the latest run was the parent's


def test_a_latency_recorder_summarises_nothing() -> None:
    assert not make_recorder(MemorySink(), Level.LATENCY).summarises
