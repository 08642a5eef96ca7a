"""Alignment of real networks: every operator finds its counterpart, whatever the input.

The truth is written down as a rule for each family, from how its names were made and
what each operator computes; it never looks at a distance.
"""

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from exray.diagnosis.alignment import (
    LayerMatch,
    ModelLayers,
    align,
    distances_from_sketches,
    layers_from_graph,
)
from exray.instrumentation.graph import graph_from_tflite
from exray.schema.sketch import fold, sketch

pytestmark = pytest.mark.realdata

FRAMES = 3

Image = NDArray[np.floating[Any]]
Rule = Callable[[str], str | None]

# Values that a network was trained on, and a wrong range, from bytes.
RANGES: Mapping[str, tuple[Callable[[Image], Image], Callable[[Image], Image]]] = {
    "cifar": (lambda x: x, lambda x: x / 255),
    "coco": (lambda x: x / 255, lambda x: x / 127.5 - 1),
    "imagenet": (lambda x: x / 127.5 - 1, lambda x: x / 255),
}
CONDITIONS = ("same", "bgr", "range", "rotated")


@dataclass(frozen=True)
class Seen:
    """A model's layers, and their sketches by condition, shape (frames, layers, 64)."""

    layers: ModelLayers
    sketches: Mapping[str, NDArray[np.float64]]


@pytest.fixture(scope="module")
def see(data: Path) -> Callable[[str, str], Seen]:
    """Return what looks at a model file with a kind of images, once for all tests."""
    known: dict[str, Seen] = {}

    def look(file: str, images: str) -> Seen:
        if file not in known:
            looks = tflite_seen if file.endswith(".tflite") else keras_seen
            known[file] = looks(data / file, conditions(data, images))
        return known[file]

    return look


def conditions(data: Path, images: str) -> dict[str, list[Image]]:
    right, wrong = RANGES[images]
    loaded = [np.asarray(image, np.float32) for image in load_images(data, images)]
    return {
        "same": [right(x) for x in loaded],
        "bgr": [right(x[..., ::-1].copy()) for x in loaded],
        "range": [wrong(x) for x in loaded],
        "rotated": [right(np.rot90(x).copy()) for x in loaded],
    }


def load_images(data: Path, images: str) -> list[NDArray[np.uint8]]:
    if images == "cifar":
        with np.load(next((data / "cifar10").glob("*.npz"))) as file:
            arrays = [file[name] for name in file.files]
        return list(next(array for array in arrays if array.ndim == 4)[:FRAMES])
    pillow = pytest.importorskip("PIL.Image")
    folder, side = ("ml-exray/val", 224) if images == "imagenet" else ("coco-cc/images", 96)
    files = sorted(p for p in (data / folder).rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    return [np.asarray(pillow.open(p).convert("RGB").resize((side, side))) for p in files[:FRAMES]]


def tflite_seen(path: Path, inputs: Mapping[str, list[Image]]) -> Seen:
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # preserved tensors warn at each construction
        interpreter = litert.Interpreter(
            str(path), num_threads=1, experimental_preserve_all_tensors=True
        )
    interpreter.allocate_tensors()
    graph = graph_from_tflite(path, model_name=path.stem, sha256="")
    names = {detail["name"]: detail for detail in interpreter.get_tensor_details()}
    details = [names.get(op.output_names[0]) for op in graph.ops if op.subgraph_index == 0]
    (given,) = interpreter.get_input_details()

    def outputs(x: Image) -> list[NDArray[Any] | None]:
        values = x[None]
        if given["dtype"] is not np.float32:
            scale, zero_point = given["quantization"]
            bounds = np.iinfo(given["dtype"])
            values = np.clip(np.rint(values / scale + zero_point), bounds.min, bounds.max)
        interpreter.set_tensor(given["index"], values.astype(given["dtype"]))
        interpreter.invoke()
        return [read(detail) for detail in details]

    def read(detail: dict[str, Any] | None) -> NDArray[Any] | None:
        if detail is None or detail["dtype"] not in (np.float32, np.int8, np.uint8):
            return None
        values: NDArray[Any] = interpreter.get_tensor(detail["index"])
        scale, zero_point = detail["quantization"]
        return (values.astype(np.float64) - zero_point) * scale if scale else values

    return Seen(layers_from_graph(graph), sketch_all(inputs, outputs, len(details)))


def keras_seen(path: Path, inputs: Mapping[str, list[Image]]) -> Seen:
    keras = pytest.importorskip("keras")
    from exray.instrumentation.keras_graph import keras_graph
    from exray.instrumentation.keras_model import load_keras

    model = load_keras(path)
    tapped = keras.Model(model.inputs, [layer.output for layer in model.layers])
    graph = keras_graph(model, model_name=path.stem, sha256="")
    same = {"same": inputs["same"]}  # the reference's pipeline has no bug
    return Seen(
        layers_from_graph(graph),
        sketch_all(same, lambda x: [np.asarray(v) for v in tapped([x[None]])], len(model.layers)),
    )


def sketch_all(
    inputs: Mapping[str, list[Image]],
    outputs: Callable[[Image], list[NDArray[Any] | None]],
    count: int,
) -> dict[str, NDArray[np.float64]]:
    found: dict[str, NDArray[np.float64]] = {}
    for condition, images in inputs.items():
        found[condition] = np.full((len(images), count, 64), np.nan)
        for frame, image in enumerate(images):
            for i, values in enumerate(outputs(image)):
                if values is not None:
                    found[condition][frame, i] = fold(sketch(values, frame), 64)
    return found


def distances(edge: Seen, reference: Seen, condition: str) -> NDArray[np.float64]:
    found = distances_from_sketches(edge.sketches[condition], reference.sketches["same"])
    ours = np.array([layer.count or -1 for layer in edge.layers.layers])
    theirs = np.array([layer.count or -2 for layer in reference.layers.layers])
    found[ours[:, None] != theirs[None, :]] = np.nan
    return found


def keras_name_in_tiny(name: str) -> str | None:
    """ResNet8 and VWW: ``model/LAYER/OP`` comes first, and Dense hides its logits."""
    if name.startswith("Identity"):
        return "dense"  # the softmax that Dense applies
    layer = name.split(";")[0].split("/")[1]
    return None if layer == "dense" else layer


def keras_name_in_v1(name: str) -> str | None:
    """V1: ``MODEL/LAYER_1/OP`` comes first; the output has an exporter's name."""
    if name.startswith("StatefulPartitionedCall"):
        return "predictions"
    return name.split("/")[1].removesuffix("_1")


def keras_name_in_v2(name: str) -> str | None:
    """V2: a convolution ends in relu6 where it has one, else in its normalization."""
    whole = {"tfl.quantize": "input_1", "Identity1": "Identity1", "Identity": "Identity1"}
    if name in whole:
        return whole[name]
    first = name.split(";")[0].removeprefix("MobileNetV2/")
    if first.startswith("top/"):
        return {
            "top/Reshape/Reshape": "top_Reshape_Reshape",
            "top/Conv2d_1x1_output/BiasAdd": "top_Conv2d_1x1_output",
            "top/SpatialSqueeze/Reshape": "top_SpatialSqueeze_Reshape",
        }[first]
    block = re.sub(r"/(relu6/Relu6|batch_norm/FusedBatchNormV3|add/add)$", "", first)
    ending = "_relu" if first.endswith("Relu6") else "_add_add" if first.endswith("add") else ""
    return block.replace("/", "_") + ending


TINY_IC, TINY_VWW = "mlcommons-tiny/ic/pretrainedResnet", "mlcommons-tiny/vww/vww_96"
V1, V2 = "derived/mobilenet_v1_0.25_224.keras", "derived/mobilenet_v2_1.0_224_dequant.keras"

# Edge file, reference file, images, the truth's rule.
TO_KERAS: tuple[tuple[str, str, str, Rule], ...] = (
    (f"{TINY_IC}_quant.tflite", f"{TINY_IC}.h5", "cifar", keras_name_in_tiny),
    (f"{TINY_IC}.tflite", f"{TINY_IC}.h5", "cifar", keras_name_in_tiny),
    (f"{TINY_VWW}_int8.tflite", f"{TINY_VWW}.h5", "coco", keras_name_in_tiny),
    (f"{TINY_VWW}_float.tflite", f"{TINY_VWW}.h5", "coco", keras_name_in_tiny),
    ("derived/v1_025_int8.tflite", V1, "imagenet", keras_name_in_v1),
    ("derived/v1_025_float.tflite", V1, "imagenet", keras_name_in_v1),
    ("google-coral/tf2_mobilenet_v2_1.0_224_ptq.tflite", V2, "imagenet", keras_name_in_v2),
    # Files with a planted fault keep the structure, and their truth.
    ("derived/v1_025_int8_pertensor.tflite", V1, "imagenet", keras_name_in_v1),
    ("derived/faults/v1_025_int8_norelu6_dw5.tflite", V1, "imagenet", keras_name_in_v1),
    ("derived/faults/resnet8_int8_bias0_c4.tflite", f"{TINY_IC}.h5", "cifar", keras_name_in_tiny),
    (
        "derived/faults/resnet8_int8_scaleroll_c5.tflite",
        f"{TINY_IC}.h5",
        "cifar",
        keras_name_in_tiny,
    ),
    ("derived/faults/vww_int8_rot180_dw6.tflite", f"{TINY_VWW}.h5", "coco", keras_name_in_tiny),
)
# Written by one converter from one graph: the same operators in the same order.
TO_TFLITE = (
    (f"{TINY_IC}_quant.tflite", f"{TINY_IC}.tflite", "cifar"),
    (f"{TINY_VWW}_int8.tflite", f"{TINY_VWW}_float.tflite", "coco"),
    ("derived/v1_025_int8.tflite", "derived/v1_025_float.tflite", "imagenet"),
    (
        "tflite-support/mobilenet_v1_0.25_224_quant.tflite",
        "tflite-support/mobilenet_v1_0.25_224_float.tflite",
        "imagenet",
    ),
)


def expected(edge: ModelLayers, reference: ModelLayers, rule: Rule) -> list[int | None]:
    index = {layer.name: layer.index for layer in reference.layers}
    names = [None if layer.excluded_reason else rule(layer.name) for layer in edge.layers]
    return [None if name is None else index[name] for name in names]


def nameless(model: ModelLayers, prefix: str) -> ModelLayers:
    """Take the names away, as if two training runs or converters shared none."""
    layers = [replace(layer, name=f"{prefix}{layer.index}") for layer in model.layers]
    return ModelLayers("", tuple(layers))


def mistakes(matches: list[LayerMatch], truth: list[int | None]) -> list[LayerMatch]:
    pairs = zip(matches, truth, strict=True)
    return [match for match, index in pairs if match.reference_layer_index != index]


@pytest.mark.keras
@pytest.mark.parametrize("named", [True, False], ids=["named", "nameless"])
@pytest.mark.parametrize(
    ("edge_file", "reference_file", "images", "rule"),
    TO_KERAS,
    ids=[Path(p[0]).stem for p in TO_KERAS],
)
def test_align_finds_every_keras_counterpart_whatever_the_edge_was_fed(
    see: Callable[[str, str], Seen],
    edge_file: str,
    reference_file: str,
    images: str,
    rule: Rule,
    named: bool,
) -> None:
    edge, reference = see(edge_file, images), see(reference_file, images)
    truth = expected(edge.layers, reference.layers, rule)
    models = (edge.layers, reference.layers)
    if not named:
        models = (nameless(edge.layers, "e"), nameless(reference.layers, "r"))
    found = {"no sketches": mistakes(align(*models), truth)}
    for condition in CONDITIONS:
        measured = distances(edge, reference, condition)
        matches = align(*models, measured, common_input=condition == "same")
        found[condition] = mistakes(matches, truth)
    assert found == {condition: [] for condition in found}


@pytest.mark.parametrize(
    ("edge_file", "reference_file", "images"), TO_TFLITE, ids=[Path(p[0]).stem for p in TO_TFLITE]
)
def test_align_finds_every_operator_of_the_float_twin_by_name(
    see: Callable[[str, str], Seen], edge_file: str, reference_file: str, images: str
) -> None:
    edge, reference = see(edge_file, images), see(reference_file, images)
    truth = [None if layer.excluded_reason else layer.index for layer in edge.layers.layers]
    found = {"no sketches": mistakes(align(edge.layers, reference.layers), truth)}
    for condition in CONDITIONS:
        measured = distances(edge, reference, condition)
        matches = align(edge.layers, reference.layers, measured, common_input=condition == "same")
        found[condition] = mistakes(matches, truth)
        assert {match.method for match in matches} <= {"name", "none"}
    assert found == {condition: [] for condition in found}


@pytest.mark.keras
def test_align_another_training_with_other_names_is_matched_up_to_its_classes(
    see: Callable[[str, str], Seen],
) -> None:
    edge = see("tflite-support/mobilenet_v1_0.25_224_quant.tflite", "imagenet")
    reference = see(V1, "imagenet")
    measured = distances(edge, reference, "same")
    matches = align(edge.layers, reference.layers, measured)

    def activation(i: int) -> str:
        if i == 27:
            return "global_average_pooling2d"
        kind, number = ("pw", i // 2) if i % 2 == 0 else ("dw", i // 2 + 1)
        return f"conv_{kind}_{number}_relu" if i else "conv1_relu"

    names = {layer.index: layer.name for layer in reference.layers.layers}
    found = [names.get(match.reference_layer_index or -1) for match in matches]
    assert found == [*[activation(i) for i in range(28)], None, None, None]
    assert {match.reason for match in matches[28:]} == {"no reference layer has 1001 elements"}


@pytest.mark.keras
def test_align_distances_of_counterparts_stand_out_on_a_common_input(
    see: Callable[[str, str], Seen],
) -> None:
    edge, reference = see(f"{TINY_IC}_quant.tflite", "cifar"), see(f"{TINY_IC}.h5", "cifar")
    measured = distances(edge, reference, "same")
    matched = [m for m in align(edge.layers, reference.layers, measured) if m.method != "none"]
    assert len(matched) == 15
    for match in matched:
        assert match.distance is not None
        assert match.runner_up is None or match.distance < 0.5 * match.runner_up


def test_align_networks_that_have_nothing_in_common_stay_apart(
    see: Callable[[str, str], Seen],
) -> None:
    edge, reference = see(f"{TINY_VWW}_int8.tflite", "coco"), see(f"{TINY_IC}.tflite", "cifar")
    assert {match.method for match in align(edge.layers, reference.layers)} == {"none"}
