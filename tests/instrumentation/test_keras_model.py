"""Keras models from files of every kind, and from files that are none."""

import importlib
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exray.instrumentation.keras_model import load_keras
from exray.schema.errors import ModelError

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


def small_model(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential([keras.Input((4, 4, 3)), layers.DepthwiseConv2D(3), layers.Flatten()])


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_file_gives_the_model_that_was_saved(keras: Any, tmp_path: Path, name: str) -> None:
    saved = small_model(keras)
    saved.save(tmp_path / name)
    inputs = np.ones((1, 4, 4, 3), np.float32)
    loaded = load_keras(tmp_path / name)
    assert (loaded.predict_on_batch(inputs) == saved.predict_on_batch(inputs)).all()


def test_h5_with_the_old_key_groups_gives_keras_own_layer(keras: Any, tmp_path: Path) -> None:
    h5py: Any = importlib.import_module("h5py")
    saved = small_model(keras)
    saved.save(tmp_path / "old.h5")
    with h5py.File(tmp_path / "old.h5", "r+") as file:
        config = str(file.attrs["model_config"])
        file.attrs["model_config"] = config.replace('"depth_mult', '"groups": 1, "depth_mult')
    layer = load_keras(tmp_path / "old.h5").layers[0]
    assert type(layer) is keras.layers.DepthwiseConv2D
    assert (layer.get_weights()[0] == saved.layers[0].get_weights()[0]).all()


def test_h5_of_one_input_takes_it_plain_without_a_warning(keras: Any, tmp_path: Path) -> None:
    inputs = keras.Input((3,))
    keras.Model([inputs], [keras.layers.Dense(2)(inputs)]).save(tmp_path / "listed.h5")
    model = load_keras(tmp_path / "listed.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model(np.ones((1, 3), np.float32)).shape == (1, 2)


def test_saved_model_is_one_layer_between_its_inputs_and_outputs(
    keras: Any, tmp_path: Path
) -> None:
    exported = small_model(keras)
    exported.export(tmp_path / "served", verbose=False)
    model = load_keras(tmp_path / "served")
    inputs = np.ones((2, 4, 4, 3), np.float32)
    assert [type(layer).__name__ for layer in model.layers] == ["InputLayer", "SavedModel"]
    assert model.inputs[0].shape == (None, 4, 4, 3)
    assert model.outputs[0].shape == (None, 12)
    assert (model.predict_on_batch(inputs) == exported.predict_on_batch(inputs)).all()


def test_saved_model_of_many_inputs_names_inputs_and_outputs(keras: Any, tmp_path: Path) -> None:
    tensorflow: Any = importlib.import_module("tensorflow")
    left = tensorflow.TensorSpec([None, 3], tensorflow.float32, name="left")
    right = tensorflow.TensorSpec([None, 1], tensorflow.int32, name="right")

    def serve(left: Any, right: Any) -> dict[str, Any]:
        return {"sum": left + tensorflow.cast(right, tensorflow.float32), "right": right}

    module = tensorflow.Module()
    function = tensorflow.function(serve, input_signature=[left, right], autograph=False)
    tensorflow.saved_model.save(module, str(tmp_path), signatures=function)
    model = load_keras(tmp_path)
    outputs = model.predict_on_batch(
        {"left": np.ones((2, 3), np.float32), "right": np.array([[1], [2]], np.int32)}
    )
    assert {name: value.tolist() for name, value in outputs.items()} == {
        "sum": [[2.0] * 3, [3.0] * 3],
        "right": [[1], [2]],
    }


def test_missing_file_is_a_model_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.keras' does not exist\. Pass a \.keras"):
        load_keras(tmp_path / "gone.keras")


def test_other_suffix_is_a_model_error_that_lists_the_right_ones(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match=r"ends in '\.onnx', expected \.keras, \.h5"):
        load_keras(tmp_path / "m.onnx")


def test_folder_that_is_no_saved_model_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"folder without saved_model\.pb"):
        load_keras(tmp_path)


def test_damaged_saved_model_is_a_model_error(keras: Any, tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"no protobuf")
    with pytest.raises(ModelError, match="cannot be loaded by TensorFlow"):
        load_keras(tmp_path)


def test_truncated_keras_file_is_a_model_error(keras: Any, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    small_model(keras).save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"truncated or no \.keras file: its \d+ bytes"):
        load_keras(path)


def test_truncated_h5_file_is_a_model_error(keras: Any, tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    small_model(keras).save(path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ModelError, match=r"m\.h5' cannot be loaded by Keras .* file is whole"):
        load_keras(path)


def test_weights_only_file_is_a_model_error_that_says_so(keras: Any, tmp_path: Path) -> None:
    small_model(keras).save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ModelError, match="holds weights only: build the model in Python"):
        load_keras(tmp_path / "m.weights.h5")


def test_python_code_in_a_file_is_not_run(keras: Any, tmp_path: Path) -> None:
    double = eval("lambda x: 2 * x")  # an anonymous function is what Keras writes as code
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(double)])
    model.save(tmp_path / "m.keras")
    with pytest.raises(ModelError, match="runs Python code that came with the file"):
        load_keras(tmp_path / "m.keras")


def test_unknown_function_is_a_model_error_that_names_it(keras: Any, tmp_path: Path) -> None:
    def double(inputs: Any) -> Any:
        return 2 * inputs

    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(double)])
    model.save(tmp_path / "m.keras")
    with pytest.raises(ModelError, match=r"'double'.*with custom_objects"):
        load_keras(tmp_path / "m.keras")


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_unknown_layer_is_a_model_error_that_names_it(
    keras: Any, tmp_path: Path, name: str
) -> None:
    class Homemade(keras.layers.Layer):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            return inputs

    keras.Sequential([keras.Input((2,)), Homemade()]).save(tmp_path / name)
    with pytest.raises(ModelError, match=r"'Homemade'.*with custom_objects"):
        load_keras(tmp_path / name)


def test_without_keras_the_error_names_the_extra(tmp_path: Path) -> None:
    (tmp_path / "m.h5").write_bytes(b"")
    script = (
        "import sys; from exray.instrumentation.keras_model import load_keras\n"
        "assert 'keras' not in sys.modules and 'tensorflow' not in sys.modules\n"
        "sys.modules['keras'] = None\n"
        "load_keras(sys.argv[1])\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "m.h5")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].endswith(
        "loading a Keras model needs the extra 'keras', not installed here. "
        "pip install 'exray[keras]'"
    )


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("file", "layers"),
    [
        ("derived/mobilenet_v1_0.25_224.keras", 91),
        ("derived/mobilenet_v2_1.0_224_dequant.keras", 102),
        ("mlcommons-tiny/ic/pretrainedResnet.h5", 30),
        ("mlcommons-tiny/vww/vww_96.h5", 85),
        ("st-modelzoo/mobilenet_v1_0.25_224.h5", 91),
    ],
)
def test_real_files_load(keras: Any, data: Path, file: str, layers: int) -> None:
    assert len(load_keras(data / file).layers) == layers


@pytest.mark.realdata
def test_real_h5_computes_what_its_keras_twin_does(keras: Any, data: Path) -> None:
    old = load_keras(data / "st-modelzoo" / "mobilenet_v1_0.25_224.h5")
    new = load_keras(data / "derived" / "mobilenet_v1_0.25_224.keras")
    image = np.random.default_rng(3).uniform(-1, 1, (1, 224, 224, 3)).astype(np.float32)
    assert (old.predict_on_batch(image) == new.predict_on_batch(image)).all()
