"""Calls that the probe alone records: the same frames as in Python, and none lost or doubled."""

import gc
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opentelemetry.context import Context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.sdk.trace import TracerProvider

import exray
from exray.exporters import ExportResult, RecordBatch
from exray.exporters.buffer import RecordBuffer
from exray.instrumentation import api
from exray.instrumentation.execution import input_id_from_arrays
from exray.instrumentation.guard import forget_logged
from exray.instrumentation.level import Level
from exray.instrumentation.litert import LiteRTModel
from exray.instrumentation.litert_patching import litert_model_of
from exray.instrumentation.patching import untraced
from exray.instrumentation.probe_rows import CALL_WORDS, RECORD_CALL
from exray.instrumentation.sampling import Rates
from exray.instrumentation.timed_frames import FRAMES_TOGETHER
from exray.schema.identity import input_key, tensor_hash
from exray.schema.records import FrameRecord
from exray.testing import MemorySink, recording

from .builders import FLOAT, INT8, SPLIT, Array, litert, make_input, make_interpreter, needs_native
from .builders import run as run_once

pytestmark = needs_native

BUILTIN = "BUILTIN_WITHOUT_DEFAULT_DELEGATES"


class Collector:
    """Exporter into memory, by way of a buffer."""

    def __init__(self) -> None:
        self.frames: list[FrameRecord] = []

    def export(self, batch: RecordBatch) -> ExportResult:
        """Keep the frames."""
        self.frames += batch.frames
        return ExportResult.SUCCESS

    def shutdown(self) -> None:
        """Do nothing."""


def kernels(name: str) -> dict[str, Any]:
    return {"experimental_op_resolver_type": litert().OpResolverType[name], "num_threads": 1}


def is_timed(interpreter: object) -> bool:
    model = litert_model_of(interpreter)
    return model is not None and model.timed_calls is not None


def what_it_says(frame: FrameRecord) -> tuple[object, ...]:
    (inference,) = frame.inferences
    layers = inference.layers
    assert layers is not None
    sites = [layers.sites[site] for site in layers.rows["site"].tolist()]
    return (
        (frame.input_id, frame.input_key, frame.level, frame.sample_rate, frame.status),
        (frame.output_hash, frame.parent_span_id, inference.run is frame.run),
        (frame.cpu_ns is not None, frame.memory_peak_bytes is not None),
        [(site.layer_index, site.layer_name, site.op, site.timing) for site in sites],
    )


def recorded(
    model: Path, values: Sequence[Sequence[Array]], sink: MemorySink, **options: Any
) -> tuple[list[bytes], bool]:
    """Return the first outputs, and whether the probe alone recorded the last of them."""
    outputs: list[bytes] = []
    with recording(sink, level="latency"):
        interpreter = make_interpreter(model, **options)
        for arrays in values:
            for detail, array in zip(interpreter.get_input_details(), arrays, strict=True):
                interpreter.set_tensor(detail["index"], array)
            interpreter.invoke()
            output = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
            outputs.append(output.tobytes())
        return outputs, is_timed(interpreter)


@pytest.mark.parametrize("resolver", ["AUTO", BUILTIN, "BUILTIN_REF"])
@pytest.mark.parametrize("model", [FLOAT, INT8, SPLIT], ids=["float", "int8", "split"])
def test_frames_say_what_those_say_that_python_records(
    model: Path, resolver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    details = make_interpreter(model).get_input_details()
    values = [
        [(100 * rng.random(detail["shape"])).astype(detail["dtype"]) for detail in details]
        for _ in range(4)
    ]
    by_probe, by_python = MemorySink(), MemorySink()

    outputs, was_timed = recorded(model, values, by_probe, **kernels(resolver))
    monkeypatch.setattr(LiteRTModel, "_timed_calls", lambda *_: None)
    others, was_other_timed = recorded(model, values, by_python, **kernels(resolver))

    assert (was_timed, was_other_timed) == (True, False)
    assert outputs == others
    assert [what_it_says(f) for f in by_probe.frames] == [what_it_says(f) for f in by_python.frames]
    assert [frame.input_id for frame in by_probe.frames] == [
        input_id_from_arrays(arrays) for arrays in values
    ]
    assert [frame.frame_index for frame in by_probe.frames] == [0, 1, 2, 3]


def test_the_output_is_hashed_as_it_stands() -> None:
    sink = MemorySink()
    with recording(sink, level="latency"):
        interpreter = make_interpreter()
        hashes = [tensor_hash(run_once(interpreter, make_input(seed))) for seed in range(3)]

    assert len(set(hashes)) == 3
    assert [frame.output_hash for frame in sink.frames] == hashes


def test_its_parts_lie_within_it() -> None:
    sink = MemorySink()
    with recording(sink, level="latency"):
        interpreter = make_interpreter()
        for seed in range(3):
            run_once(interpreter, make_input(seed))
        assert is_timed(interpreter)

    frame = sink.frames[-1]
    (inference,) = frame.inferences
    assert inference.layers is not None and frame.overhead_ns is not None
    rows = inference.layers.rows
    assert 0 < frame.overhead_ns == frame.dur_ns - inference.dur_ns
    assert frame.start_ns <= inference.start_ns
    assert (rows["start_ns"] + rows["dur_ns"] <= frame.start_ns + frame.dur_ns).all()
    assert sink.frames[-2].start_ns + sink.frames[-2].dur_ns <= frame.start_ns


def test_frames_stand_below_the_applications_open_span() -> None:
    sink = MemorySink()
    with recording(sink, level="latency"):
        interpreter = make_interpreter()
        interpreter.invoke()
        with TracerProvider().get_tracer("app").start_as_current_span("request") as span:
            interpreter.invoke()
        interpreter.invoke()
        assert is_timed(interpreter)

    below, root = sink.frames[1:]
    context = span.get_span_context()
    assert below.trace_id == context.trace_id.to_bytes(16, "big")
    assert below.parent_span_id == context.span_id.to_bytes(8, "big")
    assert root.parent_span_id is None and root.trace_id != below.trace_id


def test_calls_inside_a_frame_are_that_ones_and_the_next_is_numbered_on() -> None:
    exported = Collector()
    with recording(RecordBuffer(exported), level="latency"):
        interpreter = make_interpreter()
        for _ in range(3):
            interpreter.invoke()
        with exray.frame(input_id="named"):
            interpreter.invoke()
            interpreter.invoke()
        interpreter.invoke()

    by_number = {frame.frame_index: frame for frame in exported.frames}
    assert sorted(by_number) == [0, 1, 2, 3, 4]
    assert [len(by_number[number].inferences) for number in range(5)] == [1, 1, 1, 2, 1]
    assert by_number[3].input_id == "named"


def test_what_is_untraced_leaves_nothing() -> None:
    sink = MemorySink()
    with recording(sink, level="latency"):
        interpreter = make_interpreter()
        interpreter.invoke()
        interpreter.invoke()
        with untraced():
            interpreter.invoke()
        model = litert_model_of(interpreter)
    interpreter.invoke()

    assert len(sink.frames) == 2
    assert model is not None and model.timed_calls is not None
    assert not model.timed_calls.holds_for(api.current_recorder())


# --- buffers ------------------------------------------------------------------------------


def test_many_frames_reach_an_exporter_each_once_with_its_layers() -> None:
    exported, count = Collector(), 3 * FRAMES_TOGETHER + 5
    with recording(RecordBuffer(exported), level="latency"):
        interpreter = make_interpreter()
        ids: list[str] = []
        for seed in range(count):
            value = make_input(seed)
            ids.append(input_id_from_arrays([value]))
            run_once(interpreter, value)

    assert [frame.input_id for frame in exported.frames] == ids
    assert [frame.frame_index for frame in exported.frames] == list(range(count))
    assert all(frame.inferences[0].layers is not None for frame in exported.frames)
    assert [frame.start_ns for frame in exported.frames] == sorted(
        frame.start_ns for frame in exported.frames
    )


def test_a_frame_is_there_after_a_flush() -> None:
    exported = Collector()
    with recording(RecordBuffer(exported), level="latency"):
        interpreter = make_interpreter()
        for number in range(1, 6):
            interpreter.invoke()
            assert exray.flush()
            assert len(exported.frames) == number


def test_frames_that_come_while_another_thread_flushes_are_exported_once() -> None:
    exported, done = Collector(), threading.Event()
    count = 3000

    def flush() -> None:
        while not done.is_set():
            exray.flush()

    with recording(RecordBuffer(exported), level="latency"):
        interpreter = make_interpreter()
        thread = threading.Thread(target=flush)
        thread.start()
        for _ in range(count):
            interpreter.invoke()
        done.set()
        thread.join()

    numbers = Counter(frame.frame_index for frame in exported.frames)
    assert numbers == Counter(range(count))


def test_what_another_call_left_is_of_no_frame() -> None:
    """As one that a signal's handler ended as it returned: the probe has it, no frame does."""
    exported = Collector()
    with recording(RecordBuffer(exported), level="latency"):
        interpreter = make_interpreter()
        values = [make_input(seed) for seed in range(4)]
        hashes = [tensor_hash(run_once(interpreter, value)) for value in values]
        model = litert_model_of(interpreter)
        assert model is not None and model.timed_calls is not None
        model.timed_calls._words[0] = RECORD_CALL
        with untraced():
            run_once(interpreter, make_input(9))
        hashes += [tensor_hash(run_once(interpreter, value)) for value in values]

    ids = [input_id_from_arrays([value]) for value in values]
    assert [frame.input_id for frame in exported.frames] == ids + ids
    assert [frame.output_hash for frame in exported.frames] == hashes
    assert [frame.frame_index for frame in exported.frames] == list(range(8))


def test_a_frame_that_the_probe_did_not_see_costs_no_other() -> None:
    exported = Collector()
    with recording(RecordBuffer(exported), level="latency"):
        interpreter = make_interpreter()
        for seed in range(3):
            run_once(interpreter, make_input(seed))
        model = litert_model_of(interpreter)
        assert model is not None and model.timed_calls is not None
        words = model.timed_calls._words
        model.timed_calls._words = memoryview(bytearray(CALL_WORDS.itemsize)).cast("q")
        run_once(interpreter, make_input(3))
        model.timed_calls._words = words
        for seed in (4, 5):
            run_once(interpreter, make_input(seed))

    ids = [input_id_from_arrays([make_input(seed)]) for seed in (0, 1, 2, 4, 5)]
    assert [frame.input_id for frame in exported.frames] == ids


def test_frames_whose_interpreter_is_gone_are_exported() -> None:
    exported = Collector()
    with recording(RecordBuffer(exported), level="latency"):
        for seed in range(3):
            interpreter = make_interpreter()
            for _ in range(3):
                run_once(interpreter, make_input(seed))
            del interpreter
            gc.collect()

    ids = [input_id_from_arrays([make_input(seed)]) for seed in range(3) for _ in range(3)]
    assert [frame.input_id for frame in exported.frames] == ids


def test_a_frame_that_cannot_be_made_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXRAY_GUARD")
    exported = Collector()
    with recording(RecordBuffer(exported), level="latency") as recorder:
        interpreter = make_interpreter()
        for _ in range(5):
            interpreter.invoke()
        complete = recorder.complete

        def fail_once(frame: FrameRecord, number: int, untraced: int) -> FrameRecord:
            if number == 3:
                raise ZeroDivisionError
            return complete(frame, number, untraced)

        monkeypatch.setattr(recorder, "complete", fail_once)

    assert [frame.frame_index for frame in exported.frames] == [0, 1, 2, 4]


def test_names_and_hashes_are_keyed_as_in_every_frame() -> None:
    exported = Collector()
    secret = "0123456789abcdef"
    with recording(RecordBuffer(exported), level="latency", privacy="closed", fleet_secret=secret):
        interpreter = make_interpreter()
        for _ in range(3):
            run_once(interpreter, make_input())

    first, *others = exported.frames
    assert first.input_id.startswith("keyed-")
    for frame in others:
        assert (frame.input_id, frame.input_key) == (first.input_id, input_key(first.input_id))
        assert frame.output_hash == first.output_hash


# --- what goes wrong ----------------------------------------------------------------------


def refusal(interpreter: Any) -> str:
    with pytest.raises(RuntimeError) as raised:
        interpreter.invoke()
    return str(raised.value)


def test_an_error_of_the_runtime_is_passed_on_and_recorded() -> None:
    plain = make_interpreter(**kernels(BUILTIN))
    plain.resize_tensor_input(plain.get_input_details()[0]["index"], (2, 8, 8, 3))
    sink = MemorySink()
    with recording(sink, level="latency"):
        interpreter = make_interpreter(**kernels(BUILTIN))
        run_once(interpreter, make_input())
        run_once(interpreter, make_input())
        assert is_timed(interpreter)
        interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], (2, 8, 8, 3))
        assert refusal(interpreter) == refusal(plain)
        interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], (1, 8, 8, 3))
        interpreter.allocate_tensors()
        run_once(interpreter, make_input(1))
        run_once(interpreter, make_input(1))
        assert is_timed(interpreter)

    assert [frame.status for frame in sink.frames] == ["unset", "unset", "error", "unset", "unset"]
    expected = input_id_from_arrays([make_input(1)])
    assert [frame.input_id for frame in sink.frames[3:]] == [expected, expected]
    assert what_it_says(sink.frames[3]) == what_it_says(sink.frames[4])


def test_a_call_that_the_probe_does_not_see_is_the_last_of_its_kind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    forget_logged()
    sink = MemorySink()
    with recording(sink, level="latency"):
        interpreter = make_interpreter()
        interpreter.invoke()
        model = litert_model_of(interpreter)
        assert model is not None and model.timed_calls is not None
        nobodys = memoryview(bytearray(CALL_WORDS.itemsize)).cast("q")
        model.timed_calls._words = nobodys
        interpreter.invoke()
        interpreter.invoke()

    assert len(sink.frames) == 2
    assert sink.frames[1].inferences[0].layers is not None
    assert sum("did not see a call" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize("is_read", [True, False], ids=["the span", "the context"])
def test_a_failure_of_exrays_costs_the_application_nothing(
    is_read: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EXRAY_GUARD")

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    with recording(MemorySink(), level="latency"):
        interpreter = make_interpreter()
        expected = run_once(interpreter, make_input()).tobytes()
        model = litert_model_of(interpreter)
        assert model is not None and model.timed_calls is not None
        with TracerProvider().get_tracer("app").start_as_current_span("request"):
            if is_read:
                monkeypatch.setattr("exray.instrumentation.timed_call._open_span", fail)
            else:
                monkeypatch.setattr(model.timed_calls, "_read_context", fail)
            assert run_once(interpreter, make_input()).tobytes() == expected


def test_the_context_is_read_from_another_variable_where_the_application_brings_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A runtime context of its own, which may keep it anywhere, is asked as ever."""

    class Elsewhere(ContextVarsRuntimeContext):
        def __init__(self) -> None:
            self.stack = [Context()]

        def attach(self, context: Context) -> Any:
            self.stack.append(context)

        def get_current(self) -> Context:
            return self.stack[-1]

        def detach(self, token: Any) -> None:
            self.stack.pop()

    monkeypatch.setattr("opentelemetry.context._RUNTIME_CONTEXT", Elsewhere())
    sink = MemorySink()
    with recording(sink, level="latency"):
        interpreter = make_interpreter()
        interpreter.invoke()
        with TracerProvider().get_tracer("app").start_as_current_span("request") as span:
            interpreter.invoke()
        assert is_timed(interpreter)

    assert sink.frames[1].parent_span_id == span.get_span_context().span_id.to_bytes(8, "big")


def test_calls_go_untraced_while_their_runtime_is_not_traced() -> None:
    """Also through a wrapper of the application's, which keeps the patched method."""
    sink = MemorySink()
    with recording(sink, level="latency"):
        interpreter = make_interpreter()
        interpreter.invoke()
        kept = type(interpreter).invoke
        kept(interpreter)
        api.trace_runtimes(frozenset({"onnx"}))
        kept(interpreter)
        api.trace_runtimes(api.RUNTIMES)
        for _ in range(3):
            interpreter.invoke()
        assert is_timed(interpreter)

    assert [frame.frame_index for frame in sink.frames] == [0, 1, 2, 3, 4]


# --- a budget -----------------------------------------------------------------------------


def test_a_frame_that_was_chosen_before_it_ran_has_its_rate() -> None:
    sink = MemorySink()
    with recording(sink, sampling="budget") as recorder:
        interpreter = make_interpreter(**kernels(BUILTIN))
        ids: list[str] = []
        for seed in range(4):
            recorder.sampler.rates = Rates(Level.SUMMARY, 1.0, 2**-40)
            value = make_input(seed)
            ids.append(input_id_from_arrays([value]))
            run_once(interpreter, value)
        assert is_timed(interpreter)

    assert [frame.input_id for frame in sink.frames] == ids
    assert {frame.sample_rate for frame in sink.frames} == {1.0 - 2**-40}
    assert all(frame.inferences[0].layers is not None for frame in sink.frames)
    assert all(frame.inferences[0].tensors is None for frame in sink.frames)


def test_frames_that_are_summarised_alternate_with_those_that_are_not() -> None:
    exported = Collector()
    with recording(RecordBuffer(exported), sampling="budget") as recorder:
        interpreter = make_interpreter(**kernels(BUILTIN))
        for number in range(12):
            recorder.sampler.rates = Rates(Level.SUMMARY, 1.0, 1.0 if number % 3 == 2 else 2**-40)
            run_once(interpreter, make_input(number))

    levels = [frame.level for frame in exported.frames]
    assert levels == ["latency", "latency", "summary"] * 4
    assert [frame.frame_index for frame in exported.frames] == list(range(12))
    assert {tuple(site.layer_name for site in _sites(frame)) for frame in exported.frames} == {
        tuple(site.layer_name for site in _sites(exported.frames[0]))
    }


def _sites(frame: FrameRecord) -> Sequence[Any]:
    layers = frame.inferences[0].layers
    assert layers is not None
    return [layers.sites[site] for site in layers.rows["site"].tolist()]
