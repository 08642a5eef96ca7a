"""Comparisons of real networks: every layer aligned, and its SQNR that of the whole tensors.

The exact values are worked out here from every element of every layer, by the runtimes
themselves and without exray's summaries.
"""

import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from exray.diagnosis.compare import compare
from exray.diagnosis.comparison import Comparison, LayerDifference
from exray.diagnosis.verdict import judge
from exray.instrumentation.graph import graph_from_tflite
from exray.instrumentation.keras_model import load_keras
from exray.lake import Lake
from exray.playback.dataset import Dataset, open_dataset
from exray.playback.feed import fit, prepare
from exray.playback.pipeline import Pipeline, play
from exray.playback.runners import open_runner
from exray.playback.spec import PreprocessSpec, spec_from_mapping

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.keras,
    # Keras 3.15 reads variables that it saves in a way that numpy 2 deprecates.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

FRAMES = 16

TOLERANCE_DB = 1.0
"""How far an SQNR from sketches may be from that of the tensors, on the same frames."""

SHAPE_ARITHMETIC = {"SHAPE", "STRIDED_SLICE", "PACK"}
"""Operators that compute no activations."""

Array = NDArray[np.float64]


def make_spec(channels: str = "rgb") -> PreprocessSpec:
    """Return what these networks were trained with, but for the order of channels."""
    image = {"crop": {"central": 0.875}, "values": {"range": [-1, 1]}, "channels": channels}
    return spec_from_mapping({"image": image})


@dataclass(frozen=True)
class Pair:
    """An int8 network and the float one that it was made from, recorded in one lake."""

    edge_file: Path
    reference_file: Path
    dataset: Dataset
    lake: Path

    def record(self, build: str, channels: str = "rgb") -> None:
        """Play all frames through one of the two."""
        is_reference = build == "reference"
        pipeline = Pipeline(
            model=self.reference_file if is_reference else self.edge_file,
            spec=make_spec(channels),
            build=build,
            role="reference" if is_reference else "edge",
            lake=self.lake,
        )
        play(pipeline, self.dataset, None)

    def compare(self, build: str = "edge") -> Comparison:
        """Compare a build with the reference."""
        return compare(Lake.open(self.lake), build, "reference")

    def exact_db(self, layers: list[LayerDifference]) -> list[float]:
        """Return the SQNR of whole layers over the same frames, from all their elements."""
        edge, reference = tflite_layers(self.edge_file), keras_layers(self.reference_file)
        shares: list[list[float]] = []
        for item in self.dataset:
            image = item.load()
            ours, theirs = edge(image), reference(image)
            pairs = [(ours(x.layer_index), theirs(x.reference_layer_index or 0)) for x in layers]
            shares.append([share_of_error(a, b) for a, b in pairs])
        nsr: Array = np.mean(shares, axis=0)
        return [float(value) for value in -10 * np.log10(nsr)]


def share_of_error(edge: Array, reference: Array) -> float:
    error = np.square(edge.ravel() - reference.ravel()).sum()
    return float(error / np.square(reference).sum())


def tflite_layers(path: Path) -> Callable[[Any], Callable[[int], Array]]:
    """Return what runs a .tflite file on an image and then gives a layer's real values."""
    litert = importlib.import_module("ai_edge_litert.interpreter")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # preserved tensors warn at each construction
        interpreter = litert.Interpreter(str(path), experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    graph = graph_from_tflite(path, model_name=path.stem, sha256="")
    details = {detail["name"]: detail for detail in interpreter.get_tensor_details()}
    outputs = {op.layer_index: details[op.output_names[0]] for op in graph.ops}
    target, spec = open_runner(path).input, make_spec()
    (given,) = interpreter.get_input_details()

    def read(layer_index: int) -> Array:
        detail = outputs[layer_index]
        values = np.asarray(interpreter.get_tensor(detail["index"]), np.float64)
        scale, zero_point = detail["quantization"]
        return (values - zero_point) * scale if scale else values

    def run(image: Any) -> Callable[[int], Array]:
        interpreter.set_tensor(given["index"], fit(prepare(image, spec, target), target))
        interpreter.invoke()
        return read

    return run


def keras_layers(path: Path) -> Callable[[Any], Callable[[int], Array]]:
    """Return the same of a functional Keras model."""
    keras: Any = importlib.import_module("keras")
    model = load_keras(path)
    tapped = keras.Model(model.inputs, [layer.output for layer in model.layers])
    target, spec = open_runner(path).input, make_spec()

    def run(image: Any) -> Callable[[int], Array]:
        outputs = tapped([prepare(image, spec, target)])
        return lambda layer_index: np.asarray(outputs[layer_index], np.float64)

    return run


def make_pair(data: Path, lake: Path, edge: str, reference: str) -> Pair:
    pytest.importorskip("tensorflow")
    pytest.importorskip("ai_edge_litert")
    dataset = open_dataset(data / "ml-exray" / "val", limit=FRAMES)
    pair = Pair(data / edge, data / reference, dataset, lake)
    pair.record("edge")
    pair.record("reference")
    return pair


@pytest.fixture(scope="module")
def v1(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(
        data,
        tmp_path_factory.mktemp("v1") / "lake",
        "derived/v1_025_int8.tflite",
        "derived/mobilenet_v1_0.25_224.keras",
    )


@pytest.fixture(scope="module")
def v2(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(
        data,
        tmp_path_factory.mktemp("v2") / "lake",
        "google-coral/tf2_mobilenet_v2_1.0_224_ptq.tflite",
        "derived/mobilenet_v2_1.0_224_dequant.keras",
    )


@pytest.fixture(params=["v1", "v2"])
def pair(request: pytest.FixtureRequest) -> Pair:
    found: Pair = request.getfixturevalue(request.param)
    return found


def test_every_operator_that_computes_activations_is_aligned(pair: Pair) -> None:
    coverage = pair.compare().coverage
    assert coverage.layers_unaligned == ()
    assert {layer.op for layer in coverage.layers_excluded} <= SHAPE_ARITHMETIC
    assert coverage.frames_measured == FRAMES


def test_every_aligned_layer_has_an_sqnr(pair: Pair) -> None:
    layers = pair.compare().layers
    assert [x.layer for x in layers if x.sqnr_db is None and x.op not in SHAPE_ARITHMETIC] == []
    assert [x.layer_index for x in layers] == list(range(len(layers)))


def test_sqnr_is_that_of_the_whole_tensors(pair: Pair) -> None:
    layers = [layer for layer in pair.compare().layers if layer.sqnr_db is not None]
    exact = pair.exact_db(layers)
    apart = {
        layer.layer: (layer.sqnr_db, value)
        for layer, value in zip(layers, exact, strict=True)
        if abs((layer.sqnr_db or 0.0) - value) > TOLERANCE_DB
    }
    assert apart == {}


def test_the_model_inputs_are_the_same_but_for_rounding(pair: Pair) -> None:
    assert "get the same model input" in judge(pair.compare()).sentence


def test_swapped_channels_part_before_the_model(v2: Pair) -> None:
    v2.record("bgr", "bgr")
    comparison = v2.compare("bgr")
    finding = judge(comparison)
    assert comparison.input is not None
    assert comparison.input.sqnr_db is not None
    assert comparison.input.sqnr_db < 25
    assert "part before the model: the raw inputs are the same" in finding.sentence
    assert comparison.coverage.layers_unaligned == ()
