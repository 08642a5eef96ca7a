import importlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exray.playback import keras_runner
from exray.playback.runners import InputSpec, open_runner
from exray.schema.errors import DataError, MissingExtraError, ModelError
from exray.testing import MemorySink, recording

from .builders import make_arrays, run_exray

pytestmark = [
    pytest.mark.keras,
    # Keras 3.15 reads variables that it saves in a way that numpy 2 deprecates.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


# Any, here and below: Keras has no types.
@pytest.fixture(name="keras", scope="module")
def keras_fixture() -> Any:
    pytest.importorskip("tensorflow")
    return importlib.import_module("keras")


def saved(keras: Any, folder: Path, **input_options: Any) -> Path:
    """Save a model of one input that gives the mean of each channel."""
    inputs = keras.Input(**({"shape": (4, 4, 3)} | input_options))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    keras.Model(inputs, pooled).save(folder / "m.keras")
    return folder / "m.keras"


def test_the_free_batch_is_one(keras: Any, tmp_path: Path) -> None:
    runner = open_runner(saved(keras, tmp_path))
    assert runner.input == InputSpec((1, 4, 4, 3), np.dtype(np.float32))


def test_other_free_dimensions_stay_free_and_take_any_size(keras: Any, tmp_path: Path) -> None:
    runner = open_runner(saved(keras, tmp_path, shape=(None, None, 3)))
    assert runner.input.shape == (1, None, None, 3)
    for size in (2, 5):
        assert runner.run(np.ones((1, size, size, 3), np.float32)).tolist() == [[1, 1, 1]]


def test_the_command_line_shows_nothing_of_tensorflows_greeting(keras: Any, tmp_path: Path) -> None:
    model = saved(keras, tmp_path)
    make_arrays(tmp_path / "inputs.npz", np.ones((1, 4, 4, 3), np.float32))
    done = run_exray(
        *("run", model, "--inputs", tmp_path / "inputs.npz"),
        *("--build", "k", "--lake", tmp_path / "lake"),
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_import_that_fails_loses_nothing_of_what_was_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(purpose: str) -> None:
        os.write(2, b"the cause")
        raise MissingExtraError("keras", purpose)

    monkeypatch.setattr(keras_runner, "import_keras", fail)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    with pytest.raises(MissingExtraError):
        open_runner(tmp_path)
    assert capfd.readouterr().err == "the cause"


def test_a_folder_is_a_saved_model(keras: Any, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, use_bias=False)])
    model.export(tmp_path / "served", verbose=False)
    runner = open_runner(tmp_path / "served")
    value = np.ones((1, 4), np.float32)
    assert runner.input.shape == (1, 4)
    np.testing.assert_allclose(runner.run(value), model.get_weights()[0].sum(axis=0)[None])


@pytest.mark.parametrize("kind", ["list", "dict"])
def test_of_several_outputs_the_first_is_given(keras: Any, tmp_path: Path, kind: str) -> None:
    inputs = keras.Input((4,))
    doubled, tripled = keras.ops.multiply(inputs, 2), keras.ops.multiply(inputs, 3)
    outputs = [doubled, tripled] if kind == "list" else {"a": doubled, "b": tripled}
    keras.Model(inputs, outputs).save(tmp_path / "m.keras")
    assert open_runner(tmp_path / "m.keras").run(np.ones((1, 4), np.float32)).tolist() == [
        [2.0] * 4
    ]


def test_run_and_run_plain_give_the_same_bytes_and_only_run_is_recorded(
    keras: Any, tmp_path: Path
) -> None:
    sink, value = MemorySink(), np.ones((1, 4, 4, 3), np.float32)
    with recording(sink):
        runner = open_runner(saved(keras, tmp_path))
        run = runner.open_run()
        assert runner.run(value).tobytes() == runner.run_plain(value).tobytes()
    assert run is not None
    assert run.model_name == "m"
    assert run.init_ns is not None
    assert [frame.run for frame in sink.frames] == [run]


def test_at_level_off_nothing_is_logged_and_there_is_no_run(
    keras: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runner = open_runner(saved(keras, tmp_path))
    runner.run(np.ones((1, 4, 4, 3), np.float32))
    assert runner.open_run() is None
    assert caplog.messages == []


def test_an_input_that_keras_refuses_is_an_error_of_that_input(keras: Any, tmp_path: Path) -> None:
    runner = open_runner(saved(keras, tmp_path))
    with pytest.raises(
        DataError, match=r"cannot compute this input: Invalid input shape"
    ) as raised:
        runner.run(np.ones((1, 4), np.float32))
    assert "\n" not in str(raised.value)


def test_several_inputs_are_refused_by_their_names(keras: Any, tmp_path: Path) -> None:
    inputs = [keras.Input((4,), name=name) for name in ("left", "right")]
    keras.Model(inputs, keras.layers.Add()(inputs)).save(tmp_path / "m.keras")
    with pytest.raises(ModelError, match="has 2 inputs: left, right; playback feeds models with"):
        open_runner(tmp_path / "m.keras")


def test_a_model_that_declares_no_input_is_refused(keras: Any, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="not yet been built"):
        keras.Sequential([keras.layers.Dense(2)]).save(tmp_path / "m.keras")
    with pytest.raises(ModelError, match="has 0 inputs; playback feeds models with one"):
        open_runner(tmp_path / "m.keras")


@pytest.mark.parametrize("dtype", ["string", "bfloat16"])
def test_an_input_of_another_kind_than_integers_and_floats_is_refused(
    keras: Any, tmp_path: Path, dtype: str
) -> None:
    inputs = keras.Input((4,), dtype=dtype)
    keras.Model(inputs, keras.layers.Identity()(inputs)).save(tmp_path / "m.keras")
    with pytest.raises(ModelError, match=f"takes {dtype} as its input; playback feeds integers"):
        open_runner(tmp_path / "m.keras")


def test_a_truncated_model_is_refused(keras: Any, tmp_path: Path) -> None:
    model = saved(keras, tmp_path)
    model.write_bytes(model.read_bytes()[:500])
    with pytest.raises(ModelError, match=r"m\.keras' is truncated"):
        open_runner(model)
