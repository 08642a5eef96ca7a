"""What a task's metric came to on both sides, from playback to the diagnosis."""

from pathlib import Path

import numpy as np
import pytest

from exray.diagnosis.diagnose import diagnose
from exray.diagnosis.wording import task_lines
from exray.lake import Lake
from exray.playback.dataset import open_dataset
from exray.playback.pipeline import Pipeline, play
from exray.playback.result import PlaybackResult
from exray.playback.segmentation import Segmentation
from exray.playback.spec import spec_from_mapping
from exray.schema.errors import UsageError

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
Image = pytest.importorskip("PIL.Image")

FRAMES = 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of red, green and blue, whose masks number the colours, and a network that sees them."""
    made = np.random.default_rng(3).integers(0, 3, (FRAMES, 4, 4))
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for number, classes in enumerate(made):
        pixels = (np.eye(3)[classes] * 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
        Image.fromarray(classes.astype(np.uint8)).save(tmp_path / "masks" / f"{number}.png")
    given, told = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4, 4, 3])
        for name in ("given", "told")
    )
    relu = onnx.helper.make_node("Relu", ["given"], ["told"])
    graph = onnx.helper.make_graph([relu], "colours", [given], [told])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, tmp_path / "colours.onnx")
    return tmp_path


def run(folder: Path, build: str, role: str, **image: object) -> PlaybackResult:
    pipeline = Pipeline(
        model=folder / "colours.onnx",
        spec=spec_from_mapping({"image": {"values": "raw", **image}}),
        build=build,
        role=role,
        lake=folder / "lake",
    )
    task = Segmentation.open(folder / "masks")
    return play(pipeline, open_dataset(folder / "images"), None, task=task)


def test_a_network_that_sees_colours_is_right_and_one_fed_bgr_is_not(folder: Path) -> None:
    right = run(folder, "sound", "reference").task_result
    wrong = run(folder, "bgr", "edge", channels="bgr").task_result
    assert right is not None
    assert wrong is not None
    assert (right.metric, right.value, right.ci95, right.frames) == (
        "mIoU",
        1.0,
        (1.0, 1.0),
        FRAMES,
    )
    # Green alone stays: one class of three.
    assert wrong.value == pytest.approx(1 / 3)


def test_the_diagnosis_tells_both_sides_and_the_paired_test(folder: Path) -> None:
    run(folder, "sound", "reference")
    run(folder, "bgr", "edge", channels="bgr")
    found = diagnose(Lake.open(folder / "lake"), "bgr", "sound").comparison
    means = found.tasks["iou"]
    assert (means.frames, means.reference) == (FRAMES, 1.0)
    assert means.edge == pytest.approx(1 / 3)
    assert means.p == pytest.approx(2 / 2**FRAMES)
    (line,) = task_lines(found)
    assert line.startswith("Mean iou of 6 frames: edge 0.333, reference 1.000, difference -0.667")


def test_two_sides_that_agree_do_not_differ(folder: Path) -> None:
    """The counterpart: what is found above comes from the fault."""
    run(folder, "sound", "reference")
    run(folder, "again", "edge")
    means = diagnose(Lake.open(folder / "lake"), "again", "sound").comparison.tasks["iou"]
    assert (means.edge, means.difference_ci95, means.p) == (1.0, (0.0, 0.0), 1.0)


def test_a_crop_is_refused_where_masks_are_judged(folder: Path) -> None:
    with pytest.raises(UsageError, match="held against whole images"):
        run(folder, "cropped", "edge", crop={"central": 0.5})
