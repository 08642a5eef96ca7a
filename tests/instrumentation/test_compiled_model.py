import gc
import logging
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exray
from exray.instrumentation import api
from exray.instrumentation.compiled_capi import Handle
from exray.instrumentation.compiled_trace import Profiler
from exray.instrumentation.guard import forget_logged
from exray.instrumentation.patching import untraced
from exray.instrumentation.xnnpack_operators import EXTRA_COUNT, EXTRA_NS
from exray.litert import CompiledModel, Environment, TensorBuffer
from exray.schema.errors import UsageError
from exray.schema.records import FrameRecord, InferenceRecord
from exray.testing import MemorySink, TickingClock, recording

from .builders import (
    FLOAT,
    INT8,
    SPLIT,
    TINY_LAYERS,
    make_input,
    make_interpreter,
    run,
    seen_tensors,
)
from .builders import litert as litert_runtime
from .compiled_builders import inputs_of, run_once, run_tiny, wheel

litert_runtime()

DEMO = Path(__file__).parents[2] / "playback" / "demo"

MODELS = [FLOAT, INT8, SPLIT, DEMO / "demo_float.tflite", DEMO / "demo_int8.tflite"]

# What the figures are of: coverage must be whole on these.
REAL = [
    "google-coral/tf2_mobilenet_v2_1.0_224_ptq.tflite",
    "google-coral/mobilenet_v1_0.25_128_quant.tflite",
    "derived/v1_025_float.tflite",
    "derived/v1_025_int8.tflite",
    "mlcommons-tiny/ic/pretrainedResnet.tflite",
    "mlcommons-tiny/ic/pretrainedResnet_quant.tflite",
    "mlcommons-tiny/vww/vww_96_float.tflite",
    "mlcommons-tiny/vww/vww_96_int8.tflite",
    "mlcommons-tiny/kws/kws_ref_model.tflite",
    "mlcommons-tiny/kws/kws_ref_model_float32.tflite",
]


@pytest.fixture(autouse=True)
def _log_anew() -> None:  # pyright: ignore[reportUnusedFunction] - autouse
    forget_logged()


def cpu_options(**settings: Any) -> Any:
    options = wheel()
    return options.Options(cpu_options=options.CpuOptions(**settings))


def recorded(path: Path, level: str = "summary", **options: Any) -> tuple[FrameRecord, MemorySink]:
    sink = MemorySink()
    with recording(sink, level=level):
        model = CompiledModel.from_file(str(path), **options)
        run_once(model, inputs_of(model))
    return sink.frames[0], sink


def inference_of(frame: FrameRecord) -> InferenceRecord:
    (inference,) = frame.inferences
    return inference


def durations(frame: FrameRecord) -> list[int]:
    layers = inference_of(frame).layers
    assert layers is not None
    dur_ns: list[int] = layers.rows["dur_ns"].tolist()
    return dur_ns


class CountedClock(TickingClock):
    """A clock on which every reading is a second after the last."""

    def __init__(self) -> None:
        super().__init__(step_ns=10**9)


# --- results ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
@pytest.mark.parametrize("level", [None, "latency", "summary"])
def test_outputs_are_bit_identical_to_those_of_litert_s_own_class(
    path: Path, level: str | None
) -> None:
    own = wheel().CompiledModel.from_file(str(path))
    values = inputs_of(own)
    expected = [output.tobytes() for output in run_once(own, values)]
    if level is None:
        outputs = run_once(CompiledModel.from_file(str(path)), values)
    else:
        with recording(MemorySink(), level=level):
            outputs = run_once(CompiledModel.from_file(str(path)), values)

    assert [output.tobytes() for output in outputs] == expected
    assert any(np.ptp(output.astype(np.float64)) > 0 for output in outputs)


@pytest.mark.realdata
@pytest.mark.parametrize("name", REAL)
def test_on_real_networks_outputs_are_equal_and_every_operator_has_its_time(
    data: Path, name: str
) -> None:
    own, sink = wheel().CompiledModel.from_file(str(data / name)), MemorySink()
    values = inputs_of(own)
    expected = [output.tobytes() for output in run_once(own, values)]
    with recording(sink):
        outputs = run_once(CompiledModel.from_file(str(data / name)), values)

    assert [output.tobytes() for output in outputs] == expected
    frame = sink.frames[0]
    (graph,) = sink.graphs.values()
    times = durations(frame)
    assert len(times) == len(graph.ops)
    assert min(times) >= 0
    assert 0 < sum(times) <= inference_of(frame).dur_ns


@pytest.mark.realdata
def test_outputs_whose_shape_the_file_does_not_say_are_those_of_an_interpreter(data: Path) -> None:
    """LiteRT's own class makes 4-byte buffers for these and writes past them: no measure."""
    path = data / "ml-exray" / "ssd_mobilenet_v1_coco_300.tflite"
    model = CompiledModel.from_file(str(path))
    (value,) = inputs_of(model)
    outputs = run_once(model, [value])
    interpreter = make_interpreter(path, num_threads=1)
    run(interpreter, value)

    expected = [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]
    assert [o.tobytes() for o in outputs] == [e.tobytes() for e in expected]


@pytest.mark.parametrize("mode", ["BUILTIN", "REFERENCE"])
def test_outputs_are_those_of_the_kernels_that_the_options_name(mode: str) -> None:
    options = cpu_options(num_threads=1, kernel_mode=wheel().CpuKernelMode[mode])
    own = wheel().CompiledModel.from_file(str(INT8), options=options)

    assert (
        run_tiny(INT8, np.int8, options=options).tobytes()
        == run_once(own, [make_input(dtype=np.int8)])[0].tobytes()
    )


def test_a_model_in_memory_gives_what_its_file_gives() -> None:
    model = CompiledModel.from_buffer(FLOAT.read_bytes())
    gc.collect()  # the bytes must live as long as the model

    assert run_once(model, [make_input()])[0].tobytes() == run_tiny().tobytes()


def test_it_is_told_of_as_litert_s_own_class_tells() -> None:
    ours = CompiledModel.from_file(str(INT8))
    own = wheel().CompiledModel.from_file(str(INT8))
    (key,) = own.get_signature_list()

    assert ours.get_signature_list() == own.get_signature_list()
    assert ours.get_signature_by_index(0) == own.get_signature_by_index(0)
    assert ours.get_num_signatures() == own.get_num_signatures()
    assert [ours.get_signature_index(k) for k in (key, "?")] == [0, -1]
    assert ours.get_input_tensor_details(key) == own.get_input_tensor_details(key)
    assert ours.get_output_tensor_details(key) == own.get_output_tensor_details(key)
    assert ours.get_input_buffer_requirements(0) == own.get_input_buffer_requirements(0)
    assert ours.get_output_buffer_requirements(0) == own.get_output_buffer_requirements(0)
    assert ours.is_fully_accelerated() == own.is_fully_accelerated()


def test_it_has_every_method_of_litert_s_own_class() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert public(wheel().CompiledModel) <= public(CompiledModel)
    # A capsule is what the other runtime's buffers are inside.
    assert public(wheel().TensorBuffer) - {"capsule"} <= public(TensorBuffer)


def test_a_signature_runs_by_the_names_of_its_buffers() -> None:
    model = CompiledModel.from_file(str(FLOAT))
    (key, names), *_ = model.get_signature_list().items()
    given = model.create_input_buffer_by_name(key, names["inputs"][0])
    taken = model.create_output_buffer_by_name(key, names["outputs"][0])
    given.write(make_input())
    model.run_by_name(key, {names["inputs"][0]: given}, {names["outputs"][0]: taken})

    assert taken.read(5, np.float32).tobytes() == run_tiny().tobytes()


def test_a_resized_input_gives_an_output_of_its_size() -> None:
    model = CompiledModel.from_file(str(SPLIT))
    shape = model.create_input_buffers(0)[0].shape
    model.resize_input_tensor(0, [2 * shape[0], *shape[1:]], strict=False)
    values = inputs_of(model)
    own = wheel().CompiledModel.from_file(str(SPLIT))
    own.resize_input_tensor(0, [2 * shape[0], *shape[1:]], strict=False)

    assert values[0].shape == (2 * shape[0], *shape[1:])
    expected = run_once(own, values)
    assert [o.tobytes() for o in run_once(model, values)] == [e.tobytes() for e in expected]


# --- recording --------------------------------------------------------------------------


def test_a_run_is_a_frame_with_every_layers_time() -> None:
    frame, sink = recorded(INT8)

    layers = inference_of(frame).layers
    assert layers is not None
    assert [site.op for site in layers.sites] == TINY_LAYERS
    assert {site.timing for site in layers.sites} == {"profiler"}
    assert min(durations(frame)) >= 0
    (graph,) = sink.graphs.values()
    assert [op.op for op in graph.ops] == TINY_LAYERS


def test_layers_begin_within_their_inference_in_order() -> None:
    frame, _ = recorded(DEMO / "demo_int8.tflite")
    inference = inference_of(frame)
    assert inference.layers is not None

    starts: list[int] = inference.layers.rows["start_ns"].tolist()
    assert starts == sorted(starts)
    assert inference.start_ns <= starts[0]
    assert starts[-1] <= inference.start_ns + inference.dur_ns


def test_at_level_latency_layers_have_their_times_too_and_no_tensor_is_kept() -> None:
    frame, _ = recorded(INT8, level="latency")

    assert len(durations(frame)) == len(TINY_LAYERS)
    assert seen_tensors(frame) == []
    assert frame.output_hash is not None


def test_inputs_and_outputs_are_those_that_an_interpreter_records() -> None:
    compiled, interpreted = MemorySink(), MemorySink()
    value = make_input(dtype=np.int8)
    with recording(compiled):
        run_once(CompiledModel.from_file(str(INT8)), [value])
    with recording(interpreted):
        run(make_interpreter(INT8), value)

    ours, theirs = compiled.frames[0], interpreted.frames[0]
    assert ours.input_id == theirs.input_id
    assert ours.output_hash == theirs.output_hash
    for role in ("input", "output"):
        (site, row), (other, expected) = *seen_tensors(ours, role), *seen_tensors(theirs, role)
        assert site == other
        assert (row["hash"], row["sum"]) == (expected["hash"], expected["sum"])
        assert row["sketch"].tobytes() == expected["sketch"].tobytes()


def test_the_run_says_which_runtime_kernels_and_threads() -> None:
    _, sink = recorded(FLOAT)
    (found,) = sink.runs.values()

    assert (found.runtime_name, found.kernels, found.threads) == ("litert-compiled", "xnnpack", 1)
    assert (found.model_name, found.model_format) == ("tiny_float", "tflite")
    assert found.init_ns is not None and found.init_ns > 0


@pytest.mark.parametrize(("mode", "kernels"), [("BUILTIN", "builtin"), ("REFERENCE", "reference")])
def test_operators_on_other_kernels_have_their_time_each_and_no_extras(
    mode: str, kernels: str
) -> None:
    options = cpu_options(num_threads=2, kernel_mode=wheel().CpuKernelMode[mode])
    frame, sink = recorded(DEMO / "demo_int8.tflite", options=options)
    (found,) = sink.runs.values()

    assert (found.kernels, found.threads) == (kernels, 2)
    assert min(durations(frame)) >= 0
    assert 0 < sum(durations(frame)) <= inference_of(frame).dur_ns
    assert frame.metrics == []


def test_events_that_no_operator_claims_are_counted_with_their_time() -> None:
    frame, _ = recorded(FLOAT)  # XNNPACK flattens the input of the last dense layer

    numbers = {metric.name: metric.value for metric in frame.metrics}
    assert numbers[EXTRA_COUNT] == 1
    assert numbers[EXTRA_NS] >= 0


def test_what_the_profiler_takes_of_a_run_is_no_part_of_the_inference() -> None:
    """By this clock the call takes a second, of which LiteRT's phases know milliseconds."""
    sink = MemorySink()
    with recording(sink, clock=CountedClock()):
        model = CompiledModel.from_file(str(FLOAT))
        run_once(model, inputs_of(model))

    dur_ns = inference_of(sink.frames[0]).dur_ns  # three readings lie in it
    assert 2 * 10**9 < dur_ns < 2 * 10**9 + 10**8


def test_runs_inside_a_frame_belong_to_it() -> None:
    sink = MemorySink()
    with recording(sink):
        model = CompiledModel.from_file(str(FLOAT))
        with exray.frame(input_id="a.png"):
            run_once(model, [make_input()])
            run_once(model, [make_input(1)])

    (frame,) = sink.frames
    assert (frame.input_id, len(frame.inferences)) == ("a.png", 2)
    assert all(inference.layers is not None for inference in frame.inferences)


def test_only_a_recorded_run_has_events(monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[Profiler] = []
    start = Profiler.start

    def counted_start(self: Profiler) -> None:
        starts.append(self)
        start(self)

    monkeypatch.setattr(Profiler, "start", counted_start)
    with recording(MemorySink()):
        model = CompiledModel.from_file(str(FLOAT))
        assert model._profiler is not None
        with untraced():
            run_once(model, [make_input()])
        assert (len(starts), model._profiler.count()) == (0, 0)
        run_once(model, [make_input()])
        counted = model._profiler.count()
        with untraced():
            run_once(model, [make_input()])

        assert len(starts) == 1
        assert model._profiler.count() == counted > 0
    run_once(model, [make_input()])
    assert model._profiler.count() == counted


def test_a_failed_run_leaves_the_profiler_off() -> None:
    sink = MemorySink()
    with recording(sink):
        model = CompiledModel.from_file(str(FLOAT))
        small = TensorBuffer.create_from_host_memory(np.zeros((1, 2), np.float32))
        with pytest.raises(RuntimeError, match="LiteRtRunCompiledModel failed"):
            model.run_by_index(0, [small], model.create_output_buffers(0))
        assert model._profiler is not None
        counted = model._profiler.count()
        with untraced():
            run_once(model, [make_input()])

    assert sink.frames[0].status == "error"
    assert inference_of(sink.frames[0]).layers is None
    assert model._profiler.count() == counted


def test_a_model_compiled_before_is_recorded_without_layers_and_the_log_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model, sink = CompiledModel.from_file(str(FLOAT)), MemorySink()
    with recording(sink), caplog.at_level(logging.WARNING, "exray"):
        run_once(model, [make_input()])
        run_once(model, [make_input()])

    first, second = sink.frames
    assert inference_of(first).layers is None
    assert len(seen_tensors(first, "output")) == len(seen_tensors(second, "output")) == 1
    (record,) = caplog.records
    assert "Compile it after" in record.message


def test_a_new_configuration_goes_on_in_a_new_run() -> None:
    first, second = MemorySink(), MemorySink()
    with recording(first, build="1"):
        model = CompiledModel.from_file(str(FLOAT))
        run_once(model, [make_input()])
    with recording(second, build="2"):
        run_once(model, [make_input()])

    (new,) = second.runs.values()
    assert new.build == "2"
    assert inference_of(second.frames[0]).layers is not None
    assert api.run_of(model) is new


def test_instrument_takes_one_that_is_traced_already() -> None:
    with recording(MemorySink(), auto=False):
        model = CompiledModel.from_file(str(FLOAT))
        assert exray.instrument(model) is model


def test_models_and_threads_do_not_mix() -> None:
    sink, paths = MemorySink(), [FLOAT, DEMO / "demo_float.tflite"]
    with recording(sink):
        models = [CompiledModel.from_file(str(path)) for path in paths]
        values = [inputs_of(model) for model in models]
        expected = [run_once(m, v)[0].tobytes() for m, v in zip(models, values, strict=True)]
        outputs: dict[int, set[bytes]] = {0: set(), 1: set()}

        def work(number: int) -> None:
            for _ in range(20):
                outputs[number % 2].add(
                    run_once(models[number % 2], values[number % 2])[0].tobytes()
                )

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert outputs == {0: {expected[0]}, 1: {expected[1]}}
    assert len(sink.frames) == 82
    by_name = {run.run_id: run.model_name for run in sink.runs.values()}
    layers = {"tiny_float": 5, "demo_float": 17}
    for frame in sink.frames:
        assert len(durations(frame)) == layers[by_name[frame.run.run_id]]
        assert min(durations(frame)) >= 0


# --- errors -----------------------------------------------------------------------------


def test_a_file_that_is_not_there_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match=r"code=500.*LiteRtCreateModelFromFile.*'nope.tflite'"):
        CompiledModel.from_file("nope.tflite")


def test_bytes_that_are_no_model_are_refused() -> None:
    with pytest.raises(RuntimeError, match=r"LiteRtCreateModelFromBuffer failed: \w+; model of 3"):
        CompiledModel.from_buffer(b"abc")


def test_what_is_asked_for_and_is_not_there_is_told() -> None:
    model = CompiledModel.from_file(str(FLOAT))

    with pytest.raises(RuntimeError, match=r"code=1000.*Signature index 7"):
        model.get_signature_by_index(7)
    with pytest.raises(RuntimeError, match=r"code=1000.*Input index 4"):
        model.get_input_buffer_requirements(4)
    with pytest.raises(RuntimeError, match=r"code=6.*Signature not found: x; .*'serving_default'"):
        model.create_input_buffer_by_name("x", "y")
    with pytest.raises(RuntimeError, match=r"code=6.*Output tensor not found: y"):
        model.create_output_buffer_by_name("serving_default", "y")
    with pytest.raises(RuntimeError, match=r"code=6.*missing some input"):
        model.run_by_name("serving_default", {}, {})


def test_buffers_of_another_number_dtype_size_or_runtime_are_refused() -> None:
    model = CompiledModel.from_file(str(FLOAT))
    given, taken = model.create_input_buffers(0), model.create_output_buffers(0)

    def host(shape: tuple[int, ...], dtype: Any) -> TensorBuffer:
        return TensorBuffer.create_from_host_memory(np.zeros(shape, dtype))

    with pytest.raises(RuntimeError, match="takes 1 input buffers, got 0"):
        model.run_by_index(0, [], taken)
    with pytest.raises(RuntimeError, match=r"needs 20 bytes, got a buffer float32 \[1, 2\] of 8"):
        model.run_by_index(0, given, [host((1, 2), np.float32)])
    with pytest.raises(RuntimeError, match=r"got a buffer int8 \[1, 5\]"):
        model.run_by_index(0, given, [host((1, 5), np.int8)])
    with pytest.raises(RuntimeError, match=r"LiteRtRunCompiledModel .*got float32 \[1, 2\]"):
        model.run_by_index(0, [host((1, 2), np.float32)], taken)
    other: Any = wheel().CompiledModel.from_file(str(FLOAT)).create_input_buffers(0)
    with pytest.raises(TypeError, match="ai_edge_litert"):
        model.run_by_index(0, other, taken)
    model.run_by_index(0, given, taken)  # none of it did any harm


def test_other_accelerators_and_environments_are_refused_with_what_to_use() -> None:
    gpu: Any = wheel().HardwareAccelerator.GPU
    with pytest.raises(UsageError, match=r"use ai_edge_litert\.compiled_model\.CompiledModel"):
        CompiledModel.from_file(str(FLOAT), hardware_accel=gpu)
    with pytest.raises(TypeError, match=r"exray\.litert\.Environment"):
        CompiledModel.from_file(str(FLOAT), environment=wheel().Environment.create())
    with pytest.raises(ValueError, match="not both"):
        CompiledModel.from_file(str(FLOAT), hardware_accel=1, options=cpu_options())


def test_a_closed_model_says_so() -> None:
    with CompiledModel.from_file(str(FLOAT)) as model:
        pass

    with pytest.raises(ValueError, match="closed"):
        model.get_num_signatures()


# --- lifetime ---------------------------------------------------------------------------


def test_models_share_an_environment_which_outlives_its_closing() -> None:
    with Environment.create() as environment:
        models = [CompiledModel.from_file(str(p), environment=environment) for p in (FLOAT, SPLIT)]

    assert [model.environment is environment for model in models] == [True, True]
    assert all(run_once(model, inputs_of(model)) for model in models)
    with pytest.raises(ValueError, match="no longer valid"):
        CompiledModel.from_file(str(FLOAT), environment=environment)


def test_fifty_models_come_and_go_and_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    living: list[weakref.ref[Handle]] = []
    make = Handle.__init__

    def remember(self: Handle, *arguments: Any) -> None:
        make(self, *arguments)
        living.append(weakref.ref(self))

    monkeypatch.setattr(Handle, "__init__", remember)
    expected = run_tiny(INT8, np.int8).tobytes()
    with recording(MemorySink()):
        for _ in range(50):
            assert run_tiny(INT8, np.int8).tobytes() == expected
    gc.collect()

    assert len(living) > 250  # environment, model, options, compiled model and buffers, each
    assert [handle for handle in living if handle() is not None] == []


def test_buffers_outlive_their_model() -> None:
    model = CompiledModel.from_file(str(FLOAT))
    buffers = model.create_input_buffers(0)
    buffers[0].write(make_input())
    model.close()
    del model
    gc.collect()

    assert buffers[0].array().tobytes() == make_input().tobytes()


@pytest.mark.parametrize("ending", ["", "thread", "fork"])
def test_the_process_ends_cleanly_with_models_alive(ending: str) -> None:
    script = f"""
import os, sys, threading, time
from pathlib import Path
import numpy as np
from exray.litert import CompiledModel
from exray.testing import MemorySink, TickingClock, recording
recording(MemorySink()).__enter__()
model = CompiledModel.from_file({str(DEMO / "demo_float.tflite")!r})
inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
model.run_by_index(0, inputs, outputs)
model.itself = model  # in a cycle
if {ending!r} == "thread":
    def work():
        while True:
            model.run_by_index(0, inputs, outputs)
    threading.Thread(target=work, daemon=True).start()
    time.sleep(0.2)
if {ending!r} == "fork":
    pid = os.fork()
    if pid == 0:
        del model, inputs, outputs
        import gc
        gc.collect()
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0
print("done")
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )

    assert (result.returncode, result.stdout) == (0, "done\n"), result.stderr[-2000:]
