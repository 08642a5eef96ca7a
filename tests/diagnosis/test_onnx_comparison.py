"""One network in ONNX, channels first, against the same in Keras and TFLite, channels last."""

import importlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exray.diagnosis.compare import compare
from exray.diagnosis.comparison import Comparison
from exray.instrumentation.keras_model import load_keras
from exray.lake import Lake
from exray.playback.dataset import open_dataset
from exray.playback.pipeline import Pipeline, play
from exray.playback.spec import spec_from_mapping

from .onnx_from_keras import onnx_from_keras

pytestmark = pytest.mark.keras

DEMO = Path(__file__).parents[2] / "playback" / "demo"
TWIN = Path(__file__).parents[1] / "data" / "demo" / "demo.keras"

FRAMES = 3

NHWC, NCHW = "nhwc", "nchw"


@pytest.fixture(name="onnx_file", scope="module")
def onnx_file_fixture(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Return what writes a Keras model as ONNX."""
    pytest.importorskip("tensorflow")
    pytest.importorskip("onnxruntime")
    importlib.import_module("keras")
    folder = tmp_path_factory.mktemp("onnx")

    def convert(source: Path) -> Path:
        path = folder / f"{source.stem}.onnx"
        if not path.exists():
            with warnings.catch_warnings():  # Keras and numpy 2 disagree on __array__
                warnings.simplefilter("ignore", DeprecationWarning)
                path.write_bytes(onnx_from_keras(load_keras(source)).SerializeToString())
        return path

    return convert


def record(model: Path, build: str, lake: Path, images: Path, **image: Any) -> None:
    """Play the first images through a model; its layout is that of its runtime."""
    layout = NCHW if model.suffix == ".onnx" else NHWC
    spec = spec_from_mapping({"image": {"values": {"range": [-1, 1]}, "layout": layout} | image})
    pipeline = Pipeline(model=model, spec=spec, build=build, role="edge", lake=lake)
    result = play(pipeline, open_dataset(images, limit=FRAMES), None)
    assert (result.frames, result.failures) == (FRAMES, {})
    assert result.plain_output_equal


def open_comparison(lake: Path, edge: str, reference: str) -> Comparison:
    return compare(Lake.open(lake), edge, reference)


def worst_db(comparison: Comparison) -> float:
    """Return the lowest SQNR of a layer that was measured."""
    return min(layer.sqnr_db for layer in comparison.layers if layer.sqnr_db is not None)


# --- the demo's network -----------------------------------------------------------------


@pytest.fixture(name="lake", scope="module")
def lake_fixture(
    onnx_file: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    lake = tmp_path_factory.mktemp("demo") / "lake"
    record(onnx_file(TWIN), "onnx", lake, DEMO / "images")
    record(TWIN, "keras", lake, DEMO / "images")
    record(DEMO / "demo_int8.tflite", "int8", lake, DEMO / "images")
    record(onnx_file(TWIN), "swapped", lake, DEMO / "images", channels="bgr")
    return lake


def test_every_layer_meets_its_keras_counterpart_and_says_the_same(lake: Path) -> None:
    found = open_comparison(lake, "onnx", "keras")
    assert found.coverage.layers_unaligned == ()
    assert found.coverage.layers_aligned == len(found.layers) - len(found.coverage.layers_excluded)
    assert all(layer.sqnr_db is not None for layer in found.layers if layer.reference_layer)
    assert worst_db(found) > 90
    assert found.input is not None
    assert (found.input.sqnr_db or 0) > 90


def test_the_stages_of_two_layouts_are_compared_value_by_value(lake: Path) -> None:
    found = open_comparison(lake, "onnx", "keras")
    (stage,) = [place for place in found.places if place.name == "preprocess"]
    assert (stage.sqnr_db or 0) > 90


def test_every_layer_of_an_int8_model_meets_its_onnx_counterpart(lake: Path) -> None:
    found = open_comparison(lake, "int8", "onnx")
    assert found.coverage.layers_unaligned == ()
    assert 10 < worst_db(found) < 60


def test_channels_swapped_before_the_model_are_seen_in_every_layer(lake: Path) -> None:
    found = open_comparison(lake, "swapped", "keras")
    assert found.coverage.layers_unaligned == ()
    assert found.input is not None
    assert (found.input.sqnr_db or 0) < 30
    assert worst_db(found) < 30


# --- real networks ----------------------------------------------------------------------


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("source", "inside", "twin"),
    [
        # Its last layer is one with its softmax in Keras.
        ("mlcommons-tiny/ic/pretrainedResnet.h5", {"dense/linear/Gemm"}, None),
        ("derived/mobilenet_v1_0.25_224.keras", set[str](), "derived/v1_025_int8.tflite"),
    ],
)
def test_real_networks_align_across_layouts(
    data: Path,
    onnx_file: Callable[[Path], Path],
    tmp_path: Path,
    source: str,
    inside: set[str],
    twin: str | None,
) -> None:
    images, lake = data / "ml-exray" / "val", tmp_path / "lake"
    record(onnx_file(data / source), "onnx", lake, images)
    record(data / source, "keras", lake, images)
    found = open_comparison(lake, "onnx", "keras")
    assert {layer.layer for layer in found.coverage.layers_unaligned} == inside
    assert all(layer.sqnr_db is not None for layer in found.layers if layer.reference_layer)
    assert worst_db(found) > 90
    if twin is not None:
        record(data / twin, "int8", lake, images)
        assert open_comparison(lake, "int8", "onnx").coverage.layers_unaligned == ()
