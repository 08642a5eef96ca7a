import gc
import weakref
from collections.abc import Callable

import numpy as np
import pytest
import xxhash

import exray
from exray.instrumentation.capture import Carrier, span_id_int
from exray.instrumentation.guard import forget_logged
from exray.instrumentation.inference import Inference, trace_call
from exray.instrumentation.recorder import Recorder
from exray.schema.identity import input_key, sketch_family, tensor_hash
from exray.schema.records import LAYER_ROW, SKETCH_SIZE, LayerBlock, MetricRecord, Quantization
from exray.schema.sketch import fold, sketch
from exray.testing import MemorySink, TickingClock, recording

from .builders import FakeModel, raising, seen_tensors


def test_what_the_call_returns_is_passed_on_untouched() -> None:
    result = object()
    with recording(MemorySink()) as recorder:
        model = FakeModel(recorder)

        assert trace_call(model, model, lambda: result) is result


def test_outside_any_frame_it_is_a_frame_of_its_own_named_by_the_models_input() -> None:
    sink, value = MemorySink(), np.arange(3, dtype=np.float32)
    with recording(sink) as recorder:
        FakeModel(recorder)(value)

    (frame,) = sink.frames
    assert frame.input_id == xxhash.xxh3_64_hexdigest(value.tobytes())
    assert frame.input_key == input_key(frame.input_id)


def test_the_same_input_has_the_same_id_and_another_another() -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        model = FakeModel(recorder)
        for value in (1.0, 1.0, 2.0):
            model(np.full(3, value, np.float32))

    first, second, third = (frame.input_id for frame in sink.frames)
    assert first == second != third


def test_inside_a_frame_it_belongs_to_that() -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        model = FakeModel(recorder)
        with exray.frame(input_id="a"):
            model()
            model()

    (frame,) = sink.frames
    assert (frame.input_id, len(frame.inferences)) == ("a", 2)


def test_a_frame_without_a_name_has_its_first_models_input_for_one() -> None:
    sink, value = MemorySink(), np.arange(3, dtype=np.float32)
    with recording(sink) as recorder:
        model = FakeModel(recorder)
        with exray.frame():
            model(value)
            model(value + 1)

    assert sink.frames[0].input_id == xxhash.xxh3_64_hexdigest(value.tobytes())


def test_a_model_without_inputs_names_its_frame_by_the_frames_own_id() -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        FakeModel(recorder, inputs=())()

    assert sink.frames[0].input_id == sink.frames[0].span_id.hex()


def test_start_and_duration_are_those_of_the_call_alone() -> None:
    sink, clock = MemorySink(), TickingClock(step_ns=0)
    with recording(sink, clock=clock) as recorder:
        model = FakeModel(recorder)

        def call() -> None:
            clock._now_ns += 500  # pyright: ignore[reportPrivateUsage] # time passes in it

        trace_call(model, model, call)

    (inference,) = sink.frames[0].inferences
    assert (inference.start_ns, inference.dur_ns) == (1_760_000_000 * 10**9, 500)


def test_what_recording_takes_of_the_frame_is_told_and_is_no_part_of_the_inference() -> None:
    sink = MemorySink()
    with recording(sink, clock=TickingClock(step_ns=1000)) as recorder:
        FakeModel(recorder)()

    (frame,) = sink.frames
    (inference,) = frame.inferences
    assert inference.dur_ns == 1000  # one reading before the call, one after
    assert frame.overhead_ns is not None
    assert 0 < frame.overhead_ns <= frame.dur_ns - inference.dur_ns


def test_the_output_is_known_by_its_hash_at_level_latency_too() -> None:
    sink, output = MemorySink(), np.array([1, 2], np.int8)
    with recording(sink, level="latency") as recorder:
        FakeModel(recorder, output)()

    (frame,) = sink.frames
    assert frame.output_hash == tensor_hash(output)
    assert seen_tensors(frame) == []


def test_at_level_latency_a_named_frame_reads_no_input(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = MemorySink()
    monkeypatch.setattr(FakeModel, "read_inputs", raising(AssertionError("was read")))
    with recording(sink, level="latency") as recorder:
        model = FakeModel(recorder)
        with exray.frame(input_id="a"):
            model()

    assert len(sink.frames[0].inferences) == 1


def test_inputs_and_outputs_are_summarised_in_the_family_of_the_frames_input() -> None:
    sink, value = MemorySink(), np.arange(3, dtype=np.float32)
    with recording(sink) as recorder:
        model = FakeModel(recorder, output=value * 2)
        with exray.frame(input_id="dog"):
            model(value)

    (frame,) = sink.frames
    family = sketch_family(input_key("dog"))
    for role, expected in (("input", value), ("output", value * 2)):
        ((_, row),) = seen_tensors(frame, role)
        folded = fold(sketch(expected, family), SKETCH_SIZE).astype(np.float32)
        np.testing.assert_array_equal(row["sketch"], folded)


def test_the_inference_carries_its_first_input_and_children_the_others_and_the_outputs() -> None:
    sink = MemorySink()
    inputs = (np.zeros(3, np.float32), np.ones(2, np.float32))
    with recording(sink) as recorder:
        FakeModel(recorder, inputs=inputs)()

    (frame,) = sink.frames
    (inference,) = frame.inferences
    own = span_id_int(inference.span_id)
    (_, first), (_, second) = seen_tensors(frame, "input")
    ((_, output),) = seen_tensors(frame, "output")
    assert (first["span_id"], first["parent_span_id"]) == (own, span_id_int(frame.span_id))
    assert first["dur_ns"] == inference.dur_ns
    assert (second["parent_span_id"], second["dur_ns"]) == (own, 0)
    assert (output["parent_span_id"], output["dur_ns"]) == (own, 0)
    assert output["start_ns"] == inference.start_ns + inference.dur_ns


def test_the_last_inference_says_how_a_prediction_is_dequantized() -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        first = FakeModel(recorder, np.zeros(2, np.int8), Quantization((9.0,), (9,)))
        last = FakeModel(recorder, np.array([0, 64], np.int8), Quantization((1 / 64,), (0,)))
        with exray.frame("a") as frame:
            first()
            frame.prediction(last())

    assert sink.frames[0].prediction_ids == (1, 0)
    assert sink.frames[0].prediction_scores == (1.0, 0.0)


@pytest.mark.parametrize(
    "error", [ValueError("bad shape"), KeyboardInterrupt(), GeneratorExit(), SystemExit(3)]
)
def test_what_the_call_raises_is_passed_on_untouched_and_makes_an_error_frame(
    error: BaseException,
) -> None:
    sink = MemorySink()
    call: Callable[[], None] = raising(error)
    with recording(sink) as recorder:
        model = FakeModel(recorder)
        with pytest.raises(type(error)) as caught:
            trace_call(model, model, call)
        model()

    assert caught.value is error
    assert caught.traceback[-1].name == "fail"
    assert error.__context__ is None
    assert [frame.status for frame in sink.frames] == ["error", "unset"]
    assert sink.frames[0].inferences[0].tensors is None


def test_a_failed_call_inside_a_frame_that_catches_it_is_recorded_with_that_frame() -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        model = FakeModel(recorder)
        with exray.frame("a"):
            with pytest.raises(ValueError, match="bad"):
                trace_call(model, model, raising(ValueError("bad")))
            model()

    (frame,) = sink.frames
    assert (frame.status, len(frame.inferences)) == ("unset", 2)


def test_an_interrupt_while_exray_reads_leaves_no_frame_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        model = FakeModel(recorder)
        for method in ("read_inputs", "read_outputs"):
            with monkeypatch.context() as broken:
                broken.setattr(FakeModel, method, raising(KeyboardInterrupt()))
                with pytest.raises(KeyboardInterrupt):
                    model()
        model(np.full(3, 7, np.float32))

    assert sink.frames[-1].input_id == xxhash.xxh3_64_hexdigest(np.full(3, 7, np.float32).tobytes())
    assert sink.frames[-1].parent_span_id is None


def test_a_run_begins_with_its_models_first_invocation() -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        model = FakeModel(recorder)
        assert sink.runs == {}
        model()
        model()

    (run,) = sink.runs.values()
    assert (run.model_name, model.run) == ("fake", run)
    assert run.started_ns <= sink.frames[0].start_ns


def test_each_model_has_a_run_of_its_own_and_a_frame_that_of_its_first() -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        first, second = FakeModel(recorder), FakeModel(recorder)
        with exray.frame("a"):
            first()
            second()

    (frame,) = sink.frames
    assert len(sink.runs) == 2
    assert frame.run is first.run
    assert [inference.run for inference in frame.inferences] == [first.run, second.run]


def test_a_model_that_cannot_be_described_is_recorded_without_a_description(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("EXRAY_GUARD")
    forget_logged()
    monkeypatch.setattr(FakeModel, "describe", raising(OSError("gone")))
    sink = MemorySink()
    with recording(sink) as recorder:
        FakeModel(recorder)()

    assert [run.model_name for run in sink.runs.values()] == [""]
    assert len(sink.frames) == 1


def test_a_run_that_the_sink_refused_is_announced_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXRAY_GUARD")
    sink = MemorySink()
    with recording(sink) as recorder:
        model = FakeModel(recorder)
        with monkeypatch.context() as broken:
            broken.setattr(MemorySink, "add_run", raising(OSError("full")))
            model()
        assert sink.runs == {}
        model()

    assert list(sink.runs) == [sink.frames[0].run.run_id] == [sink.frames[1].run.run_id]


def test_with_another_recorder_a_model_goes_on_in_another_run() -> None:
    first, second = MemorySink(), MemorySink()
    with recording(first) as recorder:
        model = FakeModel(recorder)
        model()
    with recording(second) as recorder:
        model.rebind(recorder)
        model()

    assert len(first.frames) == len(second.frames) == 1
    assert first.frames[0].run.run_id != second.frames[0].run.run_id


def test_an_execution_that_is_over_already_is_recorded_with_its_own_time() -> None:
    sink, clock = MemorySink(), TickingClock()
    with recording(sink, clock=clock) as recorder:
        start_ns = clock.monotonic_ns()
        model = FakeModel(recorder)
        inference = Inference(model, model)
        inference.begin(start_ns)
        inference.end(start_ns, 500, None)

    (frame,) = sink.frames
    assert frame.start_ns == frame.inferences[0].start_ns == start_ns + clock.offset_ns
    assert frame.inferences[0].dur_ns == 500


def test_an_execution_leaves_no_cycles_behind() -> None:
    """What a frame held goes with its last reference, without waiting for the collector."""
    with recording(MemorySink()) as recorder:
        model = FakeModel(recorder)
        model()
        gc.collect()
        gc.disable()
        try:
            with exray.frame("a") as frame:
                model()
                frame.prediction(model.output)
            gone = weakref.ref(frame)
            del frame
            assert gone() is None
        finally:
            gc.enable()


class TimedModel(FakeModel):
    """A model whose runtime reports the time of its layers."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self.prepared = 0
        self.carrier: Carrier | None = None

    def begin(self, family: int, *, summarises: bool) -> None:
        """Count how often it was told to."""
        self.prepared += 1

    def end(self) -> int:
        """Return what reporting took."""
        return 700

    def read_times(self, inference: Carrier) -> LayerBlock | None:
        """Return no layers, but a block."""
        self.carrier = inference
        return LayerBlock((), np.zeros(0, LAYER_ROW))

    def read_metrics(self) -> list[MetricRecord]:
        """Return one number."""
        return [MetricRecord(name="fake", value=2.0, time_ns=1)]


def test_an_execution_is_told_that_it_will_be_recorded_before_it_runs() -> None:
    with recording(MemorySink()) as recorder:
        model = TimedModel(recorder)

        assert trace_call(model, model, lambda: model.prepared) == 1


def test_at_level_latency_the_layers_times_are_read_alone() -> None:
    sink, clock = MemorySink(), TickingClock()
    with recording(sink, level="latency", clock=clock) as recorder:
        model = TimedModel(recorder)
        model()

    (inference,) = sink.frames[0].inferences
    assert inference.layers is not None
    assert inference.tensors is None
    assert model.carrier is not None
    assert (model.carrier.start_ns, model.carrier.dur_ns) == (inference.start_ns, inference.dur_ns)
    assert model.carrier.span_id == span_id_int(inference.span_id)


def test_what_else_an_execution_measured_is_recorded_with_its_frame() -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        TimedModel(recorder)()

    (frame,) = sink.frames
    assert [(m.name, m.value) for m in frame.metrics] == [("fake", 2.0)]


def test_what_reporting_took_of_the_call_is_overhead_and_no_part_of_the_inference() -> None:
    sink = MemorySink()
    with recording(sink, clock=TickingClock()) as recorder:
        TimedModel(recorder)()
        FakeModel(recorder)()

    timed, plain = sink.frames
    assert timed.overhead_ns is not None and plain.overhead_ns is not None
    assert timed.overhead_ns - plain.overhead_ns == 700
    assert plain.inferences[0].dur_ns - timed.inferences[0].dur_ns == 700
