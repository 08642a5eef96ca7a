"""A playback that a task judges: which inputs have a truth, and what the task is shown."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exray.instrumentation.config import Level
from exray.playback.dataset import Dataset, Item
from exray.playback.labels import match_keys
from exray.playback.pipeline import Pipeline, play
from exray.playback.task import TaskResult
from exray.schema.errors import UsageError

from .builders import Array, make_model


class Shapes:
    """A task that notes what it is shown."""

    metric = "shape"

    def __init__(self, *truths: str) -> None:
        self.truths = truths
        self.seen: dict[str, list[tuple[int, ...]]] = {}

    def match(self, input_ids: Sequence[str]) -> Mapping[str, str]:
        return match_keys(input_ids, self.truths)

    def score(self, truth: str, outputs: Sequence[Array], size: tuple[int, int]) -> float | None:
        self.seen[truth] = [size, *(output.shape for output in outputs)]
        return 0.5

    def result(self) -> TaskResult | None:
        return None


def inputs(shape: tuple[int, ...], *names: str) -> Dataset:
    values = np.zeros(shape, np.float32)
    return Dataset(Path("arrays"), [Item(name, lambda: values) for name in names])


def pipeline(folder: Path, model: Path) -> Pipeline:
    return Pipeline(
        model=model, spec=None, build="b", role="edge", lake=folder / "lake", level=Level.OFF
    )


def test_inputs_without_truth_are_played_and_named(tmp_path: Path) -> None:
    model, task = make_model(tmp_path / "m.tflite", shape=(1, 2, 3)), Shapes("a", "c")
    result = play(pipeline(tmp_path, model), inputs((2, 3), "x/a", "b"), None, task=task)
    assert (result.frames, result.judged, list(task.seen)) == (2, 1, ["a"])
    assert result.notes() == ["1 inputs without label (b); 1 labels without input (c)"]


def test_truths_of_other_inputs_are_refused_before_anything_runs(tmp_path: Path) -> None:
    model, task = make_model(tmp_path / "m.tflite", shape=(1, 2, 3)), Shapes("c")
    with pytest.raises(UsageError, match=r"none of the 1 truths is of an input of arrays: 1 inp"):
        play(pipeline(tmp_path, model), inputs((2, 3), "a"), None, task=task)
    assert task.seen == {}


def test_an_input_that_is_no_image_fails_and_is_judged_by_nobody(tmp_path: Path) -> None:
    model, task = make_model(tmp_path / "m.tflite", shape=(1, 6)), Shapes("a")
    result = play(pipeline(tmp_path, model), inputs((6,), "a", "b"), None, task=task)
    assert result.failures == {"a": "boxes and masks are of images; this input has shape (6,)"}
    assert "no metric, because no input that has a truth went through the model" in result.notes()


def test_a_task_sees_channels_last_whatever_the_model_computes_in(tmp_path: Path) -> None:
    onnx: Any = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    given, told = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, channels, 4, 6])
        for name, channels in (("given", 3), ("told", 7))
    )
    kernel = onnx.numpy_helper.from_array(np.zeros((7, 3, 1, 1), np.float32), "kernel")
    conv = onnx.helper.make_node("Conv", ["given", "kernel"], ["told"])
    graph = onnx.helper.make_graph([conv], "net", [given], [told], [kernel])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, tmp_path / "m.onnx")
    task = Shapes("a")
    play(pipeline(tmp_path, tmp_path / "m.onnx"), inputs((3, 4, 6), "a"), None, task=task)
    assert task.seen["a"][1:] == [(1, 4, 6, 7)]
