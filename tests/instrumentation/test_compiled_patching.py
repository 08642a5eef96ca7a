import functools
import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exray
from exray.instrumentation import api
from exray.instrumentation.compiled_patching import BoundaryTracer, read_buffer
from exray.instrumentation.guard import forget_logged
from exray.instrumentation.patching import untraced
from exray.testing import MemorySink, recording

from .builders import FLOAT, INT8, make_input, make_interpreter, raising, run, seen_tensors
from .compiled_builders import inputs_of, run_once, wheel

module = wheel()

METHODS = ["from_file", "from_buffer", "run_by_index", "run_by_name"]
ORIGINALS: list[Any] = [vars(module.CompiledModel)[name] for name in METHODS]


@pytest.fixture(autouse=True)
def _log_anew() -> None:  # pyright: ignore[reportUnusedFunction] - autouse
    forget_logged()


def compiled(path: Path = FLOAT, **options: Any) -> Any:
    return module.CompiledModel.from_file(str(path), **options)


def test_the_class_is_patched_while_something_is_recorded_and_put_back_after() -> None:
    with recording(MemorySink()):
        now = [vars(module.CompiledModel)[name] for name in METHODS]
        assert not any(a is b for a, b in zip(now, ORIGINALS, strict=True))

    now = [vars(module.CompiledModel)[name] for name in METHODS]
    assert all(a is b for a, b in zip(now, ORIGINALS, strict=True))


def test_patched_methods_have_the_signatures_of_their_originals() -> None:
    expected = [inspect.signature(getattr(module.CompiledModel, name)) for name in METHODS]
    with recording(MemorySink()):
        patched = [inspect.signature(getattr(module.CompiledModel, name)) for name in METHODS]

    assert patched == expected


def test_a_factory_makes_a_model_of_the_class_it_is_called_on() -> None:
    subclass: Any = type("Own", (module.CompiledModel,), {})
    with recording(MemorySink()):
        assert type(subclass.from_file(str(FLOAT))) is subclass


def test_a_run_is_recorded_with_its_inputs_and_outputs_and_without_layers() -> None:
    sink, interpreted, value = MemorySink(), MemorySink(), make_input(dtype=np.int8)
    with recording(sink):
        outputs = run_once(compiled(INT8), [value])
    with recording(interpreted):
        run(make_interpreter(INT8), value)

    (frame,), (expected,) = sink.frames, interpreted.frames
    (inference,) = frame.inferences
    assert inference.layers is None
    assert inference.dur_ns > 0
    assert frame.input_id == expected.input_id
    assert frame.output_hash == expected.output_hash
    for role in ("input", "output"):
        (site, row), (other, same) = *seen_tensors(frame, role), *seen_tensors(expected, role)
        assert site == other
        assert row["hash"] == same["hash"]
    assert outputs[0].tobytes() == run_once(compiled(INT8), [value])[0].tobytes()


@pytest.mark.parametrize("from_buffer", [False, True])
def test_the_run_says_which_model_and_how_it_is_run(from_buffer: bool) -> None:
    options = module.Options(
        cpu_options=module.CpuOptions(num_threads=2, kernel_mode=module.CpuKernelMode.BUILTIN)
    )
    sink = MemorySink()
    with recording(sink):
        if from_buffer:
            model = module.CompiledModel.from_buffer(FLOAT.read_bytes(), options=options)
        else:
            model = compiled(options=options)
        run_once(model, [make_input()])

    (found,) = sink.runs.values()
    assert (found.runtime_name, found.kernels, found.threads) == ("litert-compiled", "builtin", 2)
    assert found.model_name == (f"model-{found.model_sha256[:8]}" if from_buffer else "tiny_float")
    assert found.model_sha256 in sink.graphs
    assert found.init_ns is not None and found.init_ns > 0


def test_the_log_says_once_how_to_get_operators(caplog: pytest.LogCaptureFixture) -> None:
    with recording(MemorySink()), caplog.at_level(logging.WARNING, "exray"):
        compiled()
        compiled()

    (record,) = caplog.records
    assert "exray.litert.CompiledModel" in record.message


def test_a_run_by_name_is_recorded_like_one_by_index() -> None:
    sink = MemorySink()
    with recording(sink):
        model = compiled()
        run_once(model, [make_input()])
        (key, names), *_ = model.get_signature_list().items()
        given, taken = model.create_input_buffers(0), model.create_output_buffers(0)
        given[0].write(make_input())
        model.run_by_name(
            key,
            dict(zip(names["inputs"], given, strict=True)),
            output_map=dict(zip(names["outputs"], taken, strict=True)),
        )

    by_index, by_name = sink.frames
    assert by_name.input_id == by_index.input_id
    assert by_name.output_hash == by_index.output_hash
    sites = [[site for site, _ in seen_tensors(frame)] for frame in sink.frames]
    assert sites[0] == sites[1]


def test_what_a_run_raises_is_litert_s_own_and_untouched() -> None:
    sink = MemorySink()
    plain = compiled()
    with recording(sink):
        model = compiled()
        calls: list[Callable[[Any], None]] = [
            lambda m: m.run_by_index(0, [], m.create_output_buffers(0)),
            lambda m: m.run_by_name("x", {}, {}),
            lambda m: m.run_by_name("serving_default", {}, {}),
            lambda m: m.run_by_index(0, m.create_input_buffers(0)),
        ]
        for call in calls:
            with untraced(), pytest.raises((RuntimeError, TypeError)) as expected:
                call(plain)
            with pytest.raises(expected.type) as found:
                call(model)
            assert str(found.value) == str(expected.value)


def test_an_index_that_is_not_there_is_not_asked_for() -> None:
    """LiteRT ends the process where its names are asked for."""
    with recording(MemorySink()) as recorder:
        model = compiled()
        tracer = BoundaryTracer(recorder, content=FLOAT)
        assert tracer.signature(model, 5) is None
        with pytest.raises(RuntimeError, match="code=1000"):
            model.run_by_index(5, model.create_input_buffers(0), model.create_output_buffers(0))


def test_trouble_in_exray_does_not_reach_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXRAY_GUARD")
    monkeypatch.setattr(BoundaryTracer, "signature", raising(KeyError("exray")))
    expected = run_once(compiled(), [make_input()])[0].tobytes()
    with recording(MemorySink()):
        assert run_once(compiled(), [make_input()])[0].tobytes() == expected


def test_untraced_and_unconfigured_it_is_left_alone() -> None:
    sink = MemorySink()
    with recording(sink), untraced():
        model = compiled()
        run_once(model, [make_input()])
    with recording(sink):
        run_once(model, [make_input()])
    with recording(sink, auto=False):
        run_once(compiled(), [make_input()])

    assert sink.frames == []


def test_instrument_traces_one_that_exists_already() -> None:
    model, sink = compiled(), MemorySink()
    with recording(sink, auto=False):
        assert exray.instrument(model, path=FLOAT) is model
        assert exray.instrument(model) is model
        run_once(model, [make_input()])

        (found,) = sink.runs.values()
        assert found.model_name == "tiny_float"
        assert api.run_of(model) is found


def test_without_its_file_a_model_is_known_by_its_names() -> None:
    model, sink = compiled(), MemorySink()
    with recording(sink, auto=False):
        exray.instrument(model)
        run_once(model, [make_input()])

    (found,) = sink.runs.values()
    assert (found.model_name, len(found.model_sha256)) == ("unknown", 64)
    assert [site.name for site, _ in seen_tensors(sink.frames[0])] == ["keras_tensor", "output_0"]


@pytest.mark.realdata
def test_the_model_is_not_asked_for_shapes_which_would_break_its_next_run(data: Path) -> None:
    path = data / "google-coral" / "mobilenet_v1_0.25_128_quant.tflite"
    asked: list[str] = []
    with recording(MemorySink()):
        model = compiled(path)
        values = inputs_of(model)
        for name in ("get_input_tensor_details", "get_output_tensor_details"):
            setattr(model, name, functools.partial(asked.append, name))
        run_once(model, values)

    assert asked == []


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.uint8, np.int32, np.bool_])
def test_a_buffer_is_read_in_its_own_shape_and_dtype(dtype: Any) -> None:
    values = np.array([[0, 1, 3], [7, 9, 1]]).astype(dtype)
    if np.dtype(dtype).name not in module.TensorBuffer._DTYPE_STRINGS.values():
        pytest.skip("an older LiteRT makes no buffer of this dtype")
    memory = np.zeros(values.nbytes + 64, np.uint8)
    aligned = memory[-memory.ctypes.data % 64 :][: values.nbytes].view(dtype)
    aligned[:] = values.reshape(-1)
    read = read_buffer(module.TensorBuffer.create_from_host_memory(aligned))

    assert read.dtype == values.dtype
    assert read.tobytes() == values.tobytes()
