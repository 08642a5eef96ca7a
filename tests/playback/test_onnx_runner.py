import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from exray.playback.feed import prepare
from exray.playback.runners import InputSpec, open_runner, plan_runner
from exray.schema.errors import DataError, MissingExtraError, ModelError, UsageError
from exray.schema.records import Quantization
from exray.testing import MemorySink, recording

from .builders import make_arrays, run_exray

onnx: Any = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def saved(folder: Path, shape: tuple[object, ...] = ("N", 3, 4, 4), dtype: str = "FLOAT") -> Path:
    """Save a model that gives the mean of each channel of an image, times one."""
    helper = onnx.helper
    kind = onnx.TensorProto.DataType.Value(dtype)
    weights = np.eye(3, dtype=helper.tensor_dtype_to_np_dtype(kind)).reshape(3, 3, 1, 1)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["c"]),
            helper.make_node("GlobalAveragePool", ["c"], ["g"]),
            helper.make_node("Flatten", ["g"], ["y"]),
        ],
        "mean",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, [shape[0], 3])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=9)
    onnx.save_model(model, folder / "m.onnx")
    return folder / "m.onnx"


def test_the_input_is_the_files_with_its_layout(tmp_path: Path) -> None:
    expected = InputSpec((1, 3, 4, 4), np.dtype(np.float32), None, "nchw")
    assert open_runner(saved(tmp_path)).input == expected


def test_a_quantized_input_tells_its_scale(tmp_path: Path) -> None:
    helper = onnx.helper
    graph = helper.make_graph(
        [helper.make_node("DequantizeLinear", ["x", "s", "z"], ["y"])],
        "q",
        [helper.make_tensor_value_info("x", onnx.TensorProto.INT8, [1, 4])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 4])],
        [
            onnx.numpy_helper.from_array(np.array(0.5, np.float32), "s"),
            onnx.numpy_helper.from_array(np.array(-3, np.int8), "z"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save_model(model, tmp_path / "q.onnx")
    spec = open_runner(tmp_path / "q.onnx").input
    assert (spec.dtype, spec.quantization) == (np.dtype(np.int8), Quantization((0.5,), (-3,)))


def test_free_dimensions_take_any_size(tmp_path: Path) -> None:
    runner = open_runner(saved(tmp_path, ("N", 3, "H", "W")))
    assert runner.input.shape == (1, 3, None, None)
    for size in (2, 5):
        assert runner.run(np.ones((1, 3, size, size), np.float32)).tolist() == [[1, 1, 1]]


def test_an_image_is_fed_channels_first_without_being_told(tmp_path: Path) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    image[..., 2] = 255
    runner = open_runner(saved(tmp_path))
    means = runner.run(prepare(image, None, runner.input))
    np.testing.assert_allclose(means, [[0, 0, means.max()]])
    assert means.max() == 255


def test_run_is_recorded_and_run_plain_is_not(tmp_path: Path) -> None:
    sink, value = MemorySink(), np.ones((1, 3, 4, 4), np.float32)
    with recording(sink):
        runner = open_runner(saved(tmp_path), threads=1)
        run = runner.open_run()
        assert run is not None
        assert (run.model_name, run.threads) == ("m", 1)
        assert runner.run(value).tobytes() == runner.run_plain(value).tobytes()
    assert len(sink.frames) == 1
    assert open_runner(saved(tmp_path)).open_run() is None


def test_an_input_that_the_runtime_refuses_is_an_error_of_that_input(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot compute this input: .*double"):
        open_runner(saved(tmp_path)).run(np.ones((1, 3, 4, 4)))


def test_a_damaged_file_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ModelError, match=r"m\.onnx' is truncated or no ONNX model"):
        plan_runner(path)


def test_a_model_that_the_runtime_refuses_is_named(tmp_path: Path) -> None:
    model = onnx.load(saved(tmp_path))
    model.graph.node[0].op_type = "NotThere"
    onnx.save_model(model, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"m\.onnx' is refused by onnxruntime: .*NotThere"):
        open_runner(tmp_path / "m.onnx")


def test_kernels_of_tflite_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--kernels builtin is for \.tflite models"):
        plan_runner(saved(tmp_path), kernels="builtin")


def test_without_the_runtime_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = plan_runner(saved(tmp_path))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'exray\[onnx\]'"):
        load()


def test_the_command_line_runs_images_by_a_spec(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for value in (0, 255):
        Image.new("RGB", (8, 6), (value, 0, 0)).save(images / f"{value}.png")
    spec = tmp_path / "spec.yaml"
    spec.write_text("image: {layout: nchw, values: {range: [0, 1]}}\n")
    done = run_exray(
        *("run", saved(tmp_path), "--inputs", images, "--preprocess", spec),
        *("--build", "o", "--lake", tmp_path / "lake", "--json"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    printed = json.loads(done.stdout)
    assert (printed["frames"], printed["plain_output_equal"]) == (2, True)


def test_the_command_line_runs_arrays(tmp_path: Path) -> None:
    make_arrays(tmp_path / "inputs.npz", np.ones((2, 3, 4, 4), np.float32))
    done = run_exray(
        *("run", saved(tmp_path), "--inputs", tmp_path / "inputs.npz"),
        *("--build", "o", "--lake", tmp_path / "lake", "--json"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["frames"] == 2
