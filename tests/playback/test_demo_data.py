"""The demo's files are complete, small, and score what ``examples/README.md`` says."""

import csv
import re
from collections import Counter
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
import yaml
from PIL import Image

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

ROOT = Path(__file__).parents[2]
DEMO = Path(str(files("exray.playback").joinpath("demo")))
TWIN = ROOT / "tests" / "data" / "demo" / "demo.keras"
SIZE_PX = 64
SHIPPED_COUNT = 48
# Kernels differ from CPU to CPU in the last bits; an image on the edge of two classes may flip.
MAX_FLIPS = 2


def test_total_size_stays_under_a_third_of_a_megabyte() -> None:
    sizes_bytes = [path.stat().st_size for path in DEMO.rglob("*") if path.is_file()]
    assert sum(sizes_bytes) < 333_000


def test_folder_holds_nothing_but_the_demo() -> None:
    names = {path.name for path in DEMO.iterdir()}
    assert names == {
        "demo_float.tflite",
        "demo_int8.tflite",
        "edge.yaml",
        "images",
        "labels.csv",
        "reference.yaml",
    }


def test_labels_name_every_image_once_in_order() -> None:
    images = sorted(path.name for path in (DEMO / "images").iterdir())
    assert [row["file"] for row in read_labels()] == images
    assert len(images) == SHIPPED_COUNT


def test_every_class_has_as_many_images() -> None:
    counts = Counter((int(row["label"]), row["name"]) for row in read_labels())
    assert {label for label, _ in counts} == set(range(8))
    assert set(counts.values()) == {SHIPPED_COUNT // 8}


def test_images_are_rgb_and_larger_than_the_model_input() -> None:
    for path in (DEMO / "images").iterdir():
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "RGB", (96, 96))


def test_edge_spec_differs_from_reference_in_its_channels_alone() -> None:
    reference = yaml.safe_load((DEMO / "reference.yaml").read_text("utf-8"))
    edge = yaml.safe_load((DEMO / "edge.yaml").read_text("utf-8"))
    assert (reference["image"].pop("channels"), edge["image"].pop("channels")) == ("rgb", "bgr")
    assert edge == reference


@pytest.mark.parametrize("model", ["float", "int8"])
@pytest.mark.parametrize(
    "preprocessing",
    ["correct", "bgr", "rotated by 90", "flipped", "nearest", "range [0, 1]"],
)
def test_model_scores_as_documented(preprocessing: str, model: Literal["float", "int8"]) -> None:
    right = measured_right(preprocessing, model)
    assert abs(right - documented_right(preprocessing, model)) <= MAX_FLIPS


def test_int8_and_float_part_on_at_most_one_image() -> None:
    images = PREPROCESSES["correct"](read_images())
    tops = [run_tflite(model, images).argmax(axis=1) for model in ("float", "int8")]
    assert int((tops[0] != tops[1]).sum()) <= 1


@pytest.mark.parametrize("model", ["float", "int8"])
def test_planted_bug_costs_twenty_points(model: Literal["float", "int8"]) -> None:
    lost = measured_right("correct", model) - measured_right("bgr", model)
    assert lost / SHIPPED_COUNT > 0.2


def test_int8_model_is_integer_throughout() -> None:
    interpreter = open_interpreter("int8")
    dtypes = {detail["dtype"] for detail in interpreter.get_tensor_details()}
    assert dtypes <= {np.int8, np.int32}  # int32: biases and the axes of the mean


@pytest.mark.parametrize("model", ["float", "int8"])
def test_preserved_tensors_leave_outputs_identical(model: Literal["float", "int8"]) -> None:
    images = scale(resize_bilinear(read_images()))
    with pytest.warns(UserWarning, match="preserve_all_tensors"):
        preserved = open_interpreter(model, experimental_preserve_all_tensors=True)
    expected = invoke_each(open_interpreter(model), images)
    np.testing.assert_array_equal(invoke_each(preserved, images), expected)


@pytest.mark.keras
def test_twin_agrees_with_the_float_model() -> None:
    keras: Any = pytest.importorskip("keras")
    images = scale(resize_bilinear(read_images()))
    twin: Floats = np.asarray(keras.models.load_model(TWIN, compile=False)(images))
    np.testing.assert_allclose(twin, run_tflite("float", images), atol=1e-4)


def read_labels() -> list[dict[str, str]]:
    """Return the rows of ``labels.csv``."""
    with (DEMO / "labels.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def true_labels() -> npt.NDArray[np.int64]:
    """Return the class of every image, in the order of ``labels.csv``."""
    return np.array([int(row["label"]) for row in read_labels()])


def read_images() -> Pixels:
    """Return all images in the order of ``labels.csv``, shape ``(48, 96, 96, 3)``."""
    paths = [DEMO / "images" / row["file"] for row in read_labels()]
    return np.stack([np.asarray(Image.open(path), dtype=np.uint8) for path in paths])


def measured_right(preprocessing: str, model: Literal["float", "int8"]) -> int:
    """Return how many shipped images a model gets right behind one preprocessing."""
    tops = run_tflite(model, PREPROCESSES[preprocessing](read_images())).argmax(axis=1)
    return int((tops == true_labels()).sum())


def documented_right(preprocessing: str, model: Literal["float", "int8"]) -> int:
    """Return how many shipped images the table in ``examples/README.md`` calls right."""
    text = (ROOT / "examples" / "README.md").read_text("utf-8")
    row = re.search(
        rf"^\| {re.escape(preprocessing)} \| (\d+) of 48 \| (\d+) of 48 ", text, re.MULTILINE
    )
    assert row, f"examples/README.md has no row {preprocessing!r}: paste the script's table there"
    return int(row[1] if model == "float" else row[2])


def resize_bilinear(images: Pixels) -> Floats:
    """Resize to the model input with half-pixel centres and without antialias."""
    count_px = images.shape[1]
    at = (np.arange(SIZE_PX) + 0.5) * count_px / SIZE_PX - 0.5
    low = np.floor(at).astype(int)
    high, part = np.minimum(low + 1, count_px - 1), (at - low).astype(np.float32)
    rows = (
        images[:, low] + (images[:, high].astype(np.float32) - images[:, low]) * part[:, None, None]
    )
    resized: Floats = rows[:, :, low] + (rows[:, :, high] - rows[:, :, low]) * part[:, None]
    return resized


def resize_nearest(images: Pixels) -> Floats:
    """Resize to the model input by the pixel under each centre."""
    at = ((np.arange(SIZE_PX) + 0.5) * images.shape[1] / SIZE_PX).astype(int)
    return images[:, at][:, :, at].astype(np.float32)


def scale(images: Floats) -> Floats:
    """Map 0..255 to -1..1."""
    return images / np.float32(127.5) - np.float32(1)


PREPROCESSES: dict[str, Callable[[Pixels], Floats]] = {
    "correct": lambda images: scale(resize_bilinear(images)),
    "bgr": lambda images: scale(resize_bilinear(images[..., ::-1])),
    "rotated by 90": lambda images: scale(resize_bilinear(np.rot90(images, axes=(1, 2)))),
    "flipped": lambda images: scale(resize_bilinear(images[:, :, ::-1])),
    "nearest": lambda images: scale(resize_nearest(images)),
    "range [0, 1]": lambda images: resize_bilinear(images) / np.float32(255),
}


def open_interpreter(model: Literal["float", "int8"], **options: bool) -> Any:
    """Return an allocated interpreter of one of the two shipped models."""
    litert: Any = pytest.importorskip("ai_edge_litert.interpreter")
    path = str(DEMO / f"demo_{model}.tflite")
    interpreter = litert.Interpreter(model_path=path, num_threads=1, **options)
    interpreter.allocate_tensors()
    return interpreter


def invoke_each(interpreter: Any, images: Floats) -> npt.NDArray[Any]:
    """Return the raw output of every image; integers if the model's output is integer."""
    source = interpreter.get_input_details()[0]
    output_index = interpreter.get_output_details()[0]["index"]
    step, zero_point = source["quantization"]
    fed: npt.NDArray[Any] = images
    if step:
        fed = np.round(images / np.float32(step) + np.float32(zero_point)).clip(-128, 127)
    outputs: list[npt.NDArray[Any]] = []
    for image in fed.astype(source["dtype"]):
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(output_index)[0])
    return np.stack(outputs)


def run_tflite(model: Literal["float", "int8"], images: Floats) -> npt.NDArray[Any]:
    """Return the raw outputs of a shipped model, shape ``(count, 8)``."""
    return invoke_each(open_interpreter(model), images)
