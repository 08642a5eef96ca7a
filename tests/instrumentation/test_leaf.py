"""Calls that are a frame of their own and keep only their times: recorded like any other."""

from collections.abc import Callable

import numpy as np
import pytest
from opentelemetry.sdk.trace import TracerProvider

from exray.instrumentation.execution import input_id_from_arrays
from exray.instrumentation.inference import trace_call
from exray.instrumentation.level import Level
from exray.instrumentation.recorder import Recorder
from exray.instrumentation.sampling import Rates
from exray.schema.identity import input_key, tensor_hash
from exray.schema.records import FrameRecord, TensorSite
from exray.testing import MemorySink, recording

from .builders import Array, FakeModel, raising


class Leaf(FakeModel):
    """A model in whose call nothing of the application's runs, unless *during* is told to."""

    is_leaf = True

    def __init__(self, recorder: Recorder, during: Callable[[], object] = lambda: None) -> None:
        super().__init__(recorder)
        self.during = during
        self.ended = 0

    def hash_inputs(self) -> str | None:
        """Tell it without copies."""
        return input_id_from_arrays(self.inputs)

    def hash_output(self) -> tuple[TensorSite, int] | None:
        """Tell it without copies."""
        return self.read_outputs()[0][0], tensor_hash(self.output)

    def end(self) -> int:
        """Count it."""
        self.ended += 1
        return 0

    def __call__(self, *inputs: Array) -> Array:
        """Run once, traced."""

        def call() -> Array:
            self.during()
            return self.output

        return trace_call(self, self, call)


def only(sink: MemorySink) -> FrameRecord:
    (frame,) = sink.frames
    return frame


def what_it_says(frame: FrameRecord) -> tuple[object, ...]:
    (inference,) = frame.inferences
    return (
        frame.input_id,
        frame.input_key,
        frame.level,
        frame.sample_rate,
        frame.status,
        frame.output_hash,
        frame.parent_span_id,
        frame.run is inference.run,
        inference.run.model_name,
        frame.cpu_ns is not None,
        frame.memory_peak_bytes is not None,
        frame.overhead_ns is not None,
    )


def test_it_says_what_a_frame_of_any_other_model_says() -> None:
    found: list[tuple[object, ...]] = []
    for kind in (FakeModel, Leaf):
        sink = MemorySink()
        with recording(sink, level="latency") as recorder:
            kind(recorder)()
        found.append(what_it_says(only(sink)))

    assert found[0] == found[1]
    assert found[0][2] == "latency"


def test_its_parts_lie_within_it() -> None:
    sink = MemorySink()
    with recording(sink, level="latency") as recorder:
        Leaf(recorder)()

    frame = only(sink)
    (inference,) = frame.inferences
    assert frame.overhead_ns is not None
    assert frame.start_ns <= inference.start_ns
    assert inference.start_ns + inference.dur_ns <= frame.start_ns + frame.dur_ns
    assert frame.overhead_ns + inference.dur_ns == frame.dur_ns


def test_it_stands_below_the_applications_open_span() -> None:
    sink = MemorySink()
    with recording(sink, level="latency") as recorder:
        tracer = TracerProvider().get_tracer("app")
        with tracer.start_as_current_span("request") as span:
            Leaf(recorder)()
        context = span.get_span_context()

    frame = only(sink)
    assert frame.trace_id == context.trace_id.to_bytes(16, "big")
    assert frame.parent_span_id == context.span_id.to_bytes(8, "big")


def test_what_its_model_raises_is_passed_on_and_recorded() -> None:
    sink = MemorySink()
    with recording(sink, level="latency") as recorder:
        model = Leaf(recorder, raising(RuntimeError("no memory")))
        with pytest.raises(RuntimeError, match="no memory"):
            model()

    frame = only(sink)
    assert (frame.status, frame.level) == ("error", "latency")
    assert "no memory" in (frame.status_message or "")
    assert frame.input_id == input_id_from_arrays(model.inputs)
    assert model.ended == 1


def test_one_whose_recorder_is_shut_down_meanwhile_is_not_recorded() -> None:
    sink = MemorySink()
    with recording(sink, level="latency") as recorder:
        Leaf(recorder, recorder.shutdown)()

    assert sink.frames == []


@pytest.mark.parametrize("name", ["hash_output", "hash_inputs", "read_times", "begin", "end"])
def test_a_failure_of_exrays_costs_the_application_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EXRAY_GUARD")
    with recording(MemorySink(), level="latency") as recorder:
        model = Leaf(recorder)
        monkeypatch.setattr(model, name, raising(ZeroDivisionError()))
        assert model() is model.output


def test_one_that_is_summarised_is_a_frame_with_tensors() -> None:
    sink = MemorySink()
    with recording(sink, level="summary") as recorder:
        Leaf(recorder)()

    frame = only(sink)
    assert (frame.level, frame.input_key) == ("summary", input_key(frame.input_id))
    assert frame.inferences[0].tensors is not None


def test_one_that_is_not_chosen_is_counted_and_nothing_else() -> None:
    sink = MemorySink()
    with recording(sink, sampling="budget") as recorder:
        recorder.sampler.rates = Rates(Level.SUMMARY, 2**-40, 2**-41)
        model = Leaf(recorder)
        model.inputs = (np.zeros(3, np.float32),)
        model()
        assert recorder.sampler.take_untraced() == 1

    assert sink.frames == []
