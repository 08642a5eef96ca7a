import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from exray.playback.limits import MAX_THREADS
from exray.playback.runners import InputSpec, open_runner, plan_runner
from exray.schema.errors import DataError, MissingExtraError, ModelError, UsageError
from exray.schema.records import Quantization
from exray.testing import MemorySink, recording

from .builders import FLOAT, INT8, SCALE, TWO_INPUTS, ZERO_POINT, make_model

# --- what a model takes -------------------------------------------------------------------


def test_a_float_model_takes_reals_of_its_shape() -> None:
    assert open_runner(FLOAT).input == InputSpec((1, 8, 8, 3), np.dtype(np.float32))


def test_an_int8_model_takes_integers_by_its_own_scale_and_zero_point(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m.tflite", dtype="INT8", quantized=True, op="DEQUANTIZE")
    expected = Quantization((SCALE,), (ZERO_POINT,))
    assert open_runner(model).input == InputSpec((1, 4, 4, 3), np.dtype(np.int8), expected)


def test_a_free_batch_is_one_and_other_free_dimensions_stay_free(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m.tflite", signature=(-1, -1, -1, 3))
    assert open_runner(model).input.shape == (1, None, None, 3)


def test_free_dimensions_take_the_size_of_each_input(tmp_path: Path) -> None:
    runner = open_runner(make_model(tmp_path / "m.tflite", signature=(-1, -1, -1, 3)))
    for shape in ((1, 7, 5, 3), (1, 2, 2, 3), (1, 2, 2, 3)):
        value = -np.ones(shape, np.float32)
        np.testing.assert_array_equal(runner.run(value), -value)
        np.testing.assert_array_equal(runner.run_plain(value), -value)


# --- running ------------------------------------------------------------------------------


def test_run_and_run_plain_give_the_same_bytes() -> None:
    runner = open_runner(INT8)
    value = np.arange(192, dtype=np.int8).reshape(1, 8, 8, 3)
    assert runner.run(value).tobytes() == runner.run_plain(value).tobytes()


def test_only_run_is_recorded() -> None:
    sink, value = MemorySink(), np.zeros((1, 8, 8, 3), np.float32)
    with recording(sink):
        runner = open_runner(FLOAT)
        runner.run(value)
        runner.run_plain(value)
    assert len(sink.frames) == 1


def test_the_run_is_known_before_the_model_ran() -> None:
    sink = MemorySink()
    with recording(sink):
        run = open_runner(FLOAT).open_run()
    assert run is not None
    assert run.model_name == "tiny_float"
    assert list(sink.runs.values()) == [run]


def test_there_is_no_run_while_nothing_is_recorded() -> None:
    runner = open_runner(FLOAT)
    runner.run(np.zeros((1, 8, 8, 3), np.float32))
    assert runner.open_run() is None


@pytest.mark.parametrize("kernels", ["xnnpack", "builtin", "reference"])
def test_kernels_are_those_asked_for_and_recorded(kernels: str) -> None:
    with recording(MemorySink()):
        run = open_runner(FLOAT, kernels=kernels).open_run()
    assert run is not None
    assert run.kernels == kernels


def test_threads_are_recorded() -> None:
    with recording(MemorySink()):
        run = open_runner(FLOAT, threads=2).open_run()
    assert run is not None
    assert run.threads == 2


def test_an_input_that_the_runtime_refuses_is_an_error_of_that_input() -> None:
    runner = open_runner(FLOAT)
    with pytest.raises(DataError, match=r"cannot compute this input: .*FLOAT64.*FLOAT32"):
        runner.run(np.zeros((1, 8, 8, 3)))


# --- models that cannot be used -----------------------------------------------------------


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model '.*no\.tflite' does not exist"):
        plan_runner(tmp_path / "no.tflite")


@pytest.mark.parametrize("kept", [0, 3, 100, 1000])
def test_a_truncated_model_is_refused_before_it_is_loaded(tmp_path: Path, kept: int) -> None:
    model = tmp_path / "cut.tflite"
    model.write_bytes(FLOAT.read_bytes()[:kept])
    with pytest.raises(ModelError, match="cut"):
        plan_runner(model)


def test_another_ending_is_refused_with_those_expected(tmp_path: Path) -> None:
    model = tmp_path / "model.pb"
    model.write_bytes(b"")
    with pytest.raises(ModelError, match=r"'\.pb'; expected \.tflite, \.onnx, \.keras, \.h5"):
        plan_runner(model)


def test_an_ending_in_capitals_is_as_good(tmp_path: Path) -> None:
    model = tmp_path / "MODEL.TFLITE"
    model.write_bytes(FLOAT.read_bytes())
    assert open_runner(model).input.shape == (1, 8, 8, 3)


@pytest.mark.parametrize("kernels", ["xnnpack", "builtin", "reference"])
def test_a_custom_operator_that_the_runtime_lacks_is_named(tmp_path: Path, kernels: str) -> None:
    model = make_model(tmp_path / "m.tflite", custom_code="NotThere")
    with pytest.raises(
        ModelError, match=r"m\.tflite' is refused .*NotThere.*does not have this op"
    ):
        open_runner(model, kernels=kernels)


def test_a_version_of_an_operator_that_the_runtime_lacks_is_named(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m.tflite", version=99)
    with pytest.raises(ModelError, match=r"'ABS' version '99'.*does not have this operator"):
        open_runner(model)


def test_an_operator_that_is_wrongly_connected_is_refused_in_one_line(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m.tflite", op="CONV_2D")
    with pytest.raises(ModelError, match="CONV_2D") as raised:
        open_runner(model)
    assert "\n" not in str(raised.value)


def test_several_inputs_are_refused_by_their_names() -> None:
    with pytest.raises(ModelError, match=r"has 2 inputs: \S+, \S+; playback feeds models with one"):
        open_runner(TWO_INPUTS)


def test_an_input_of_another_kind_than_integers_and_floats_is_refused(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m.tflite", dtype="COMPLEX64", op="REAL")
    with pytest.raises(ModelError, match="playback feeds integers and floats"):
        open_runner(model)


# --- options ------------------------------------------------------------------------------


def test_unknown_kernels_are_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="'gpu' are unknown; expected one of xnnpack, builtin, re"):
        plan_runner(FLOAT, kernels="gpu")


@pytest.mark.parametrize("threads", [0, MAX_THREADS + 1])
def test_threads_beyond_reason_are_refused(threads: int) -> None:
    with pytest.raises(UsageError, match=f"got {threads}, expected 1 to {MAX_THREADS}"):
        plan_runner(FLOAT, threads=threads)


@pytest.mark.parametrize(("option", "value"), [("kernels", "builtin"), ("threads", 2)])
def test_options_of_tflite_are_refused_for_a_keras_model(
    tmp_path: Path, option: str, value: object
) -> None:
    model = tmp_path / "m.keras"
    model.write_bytes(b"")
    options = {option: value}
    with pytest.raises(UsageError, match=rf"--{option} {value} is for \.tflite models; leave it"):
        plan_runner(model, **options)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - one of each


# --- runtimes -----------------------------------------------------------------------------


def test_without_any_runtime_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    load = plan_runner(FLOAT)
    for name in ("ai_edge_litert.interpreter", "tensorflow.lite.python.interpreter"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'exray\[litert\]'"):
        load()


@pytest.mark.keras
def test_without_litert_tensorflow_runs_the_model_and_says_nothing_of_it() -> None:
    code = (
        "import sys, pathlib, numpy; sys.modules['ai_edge_litert'] = None;"
        "from exray.playback.runners import open_runner;"
        "runner = open_runner(pathlib.Path(sys.argv[1]));"
        "print(runner.run(numpy.zeros((1, 8, 8, 3), 'float32')).shape)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code, FLOAT],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        check=False,
    )
    assert done.stdout == "(1, 5)\n", done.stderr
