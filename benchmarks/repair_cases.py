"""Edges with one fault each, for the repair benchmark: preprocessing, files, labels."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from fault_makers import FAULTS, Op

from exray.diagnosis.layers.tflite_model import TfliteModel

TINY = "mlcommons-tiny"
CENTRAL: dict[str, Any] = {"crop": {"central": 0.875}, "values": {"range": [-1, 1]}}
AREA: dict[str, Any] = {"resize": {"method": "area"}, "values": {"range": [0, 1]}}


@dataclass(frozen=True)
class Network:
    """A network with its sound edge, its reference, and labelled inputs.

    Args:
        reference: File of the reference.
        sound: File of an edge without fault.
        inputs: Folder or npz.
        image: Declared preprocessing of both; None for arrays.
        labels: CSV of the labels; None where the npz has them.
        offset: Added to the labels.
    """

    name: str
    reference: Path
    sound: Path
    inputs: Path
    image: dict[str, Any] | None = None
    labels: str | None = None
    offset: int = 0


@dataclass(frozen=True)
class Case:
    """An edge with a fault.

    Args:
        group: Under which the table counts it.
        name: What is wrong.
        image: What the edge does to images.
        model: The edge's file.
        shift: Added to the labels that the user passes.
        is_benign: Whether nothing is wrong.
    """

    group: str
    name: str
    network: Network
    image: dict[str, Any] | None
    model: Path
    shift: int = 0
    is_benign: bool = False
    causes: tuple[str, ...] = field(default_factory=tuple)


def networks(data: Path, folder: Path) -> dict[str, Network]:
    """Return the networks by name; inputs that have to be put together go to *folder*."""
    pictures, labels = _pictures(data, folder)
    kws = folder / "kws.npz"
    if not kws.exists():
        stored = np.load(data / "energyrunner/kws01_0000_0499.npz")
        real = (stored["mfcc"].astype(np.float32) - 83) * np.float32(0.5847029)
        np.savez(kws, inputs=real.reshape(-1, 49, 10, 1), labels=stored["labels"])
    coco, cifar = data / "coco-cc/images", data / "cifar10/cifar10_test_0000_0499.npz"
    of_coco = str(data / "coco-cc/vww_labels_public.csv")
    ic, vww, kws_files = data / TINY / "ic", data / TINY / "vww", data / TINY / "kws"
    v1, v1_int8 = data / "derived/v1_025_float.tflite", data / "derived/v1_025_int8.tflite"
    v2 = data / "derived/mobilenet_v2_1.0_224_dequant.keras"
    v2_uint8 = data / "google-coral/tf2_mobilenet_v2_1.0_224_ptq.tflite"
    resnet, resnet_int8 = ic / "pretrainedResnet.tflite", ic / "pretrainedResnet_quant.tflite"
    person, person_int8 = vww / "vww_96_float.tflite", vww / "vww_96_int8.tflite"
    words, words_int8 = (
        kws_files / "kws_ref_model_float32.tflite",
        kws_files / "kws_ref_model.tflite",
    )
    found = (
        Network("V2 uint8", v2, v2_uint8, pictures, CENTRAL, labels, 1),
        Network("V1 float", v1, v1, pictures, CENTRAL, labels),
        Network("V1 int8", v1, v1_int8, pictures, CENTRAL, labels),
        Network("VWW float", person, person, coco, AREA, of_coco),
        Network("VWW int8", person, person_int8, coco, AREA, of_coco),
        Network("ResNet8 float", resnet, resnet, cifar, {}),
        Network("ResNet8 int8", resnet, resnet_int8, cifar, {}),
        Network("KWS int8", words, words_int8, kws),
    )
    return {network.name: network for network in found}


def _pictures(data: Path, folder: Path) -> tuple[Path, str]:
    """Return both sets of ImageNet images as one, and their labels."""
    made, labels = folder / "pictures", folder / "pictures.csv"
    if not made.exists():
        made.mkdir()
        rows = [("file", "label")]
        for images, names in (
            (data / "ml-exray/val", data / "ml-exray/val_labels_public.csv"),
            (
                data / "imagenet-sample-images/images",
                data / "imagenet-sample-images/labels_public.csv",
            ),
        ):
            with names.open(newline="") as file:
                for row in csv.DictReader(file):
                    (made / row["file"]).symlink_to(images / row["file"])
                    rows.append((row["file"], row["class_index_1000"]))
        with labels.open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    return made, str(labels)


def preprocessing_cases(known: dict[str, Network]) -> Iterator[Case]:
    """Yield the rows of the data's table of preprocessing bugs."""
    for network in known.values():
        if network.image is None:
            continue
        declared = network.image
        own = declared.get("values", {"range": [0, 255]})["range"]
        changes: list[tuple[str, dict[str, Any]]] = [
            ("BGR", {"channels": "bgr"}),
            ("rotated by 90", {"rotate": 90}),
        ]
        ranges = [[-1, 1]] if own == [0, 1] else [[0, 1]]
        changes += [(f"values {low} to {high}", {"values": {"range": [low, high]}})
                    for low, high in ranges]  # fmt: skip
        if "ResNet8" not in network.name:
            used = declared.get("resize", {}).get("method", "bilinear")
            methods = ["bilinear"] if used == "area" else ["nearest", "area"]
            changes += [(f"resize {name}", {"resize": {"method": name}}) for name in methods]
        for name, change in changes:
            yield Case("preprocessing", name, network, declared | change, network.sound)


def file_cases(known: dict[str, Network], data: Path) -> Iterator[Case]:
    """Yield the faulty files that come with the data, and its benign ones."""
    faults = data / "derived/faults"
    named = (
        ("ResNet8 int8", "resnet8_int8_bias0_c4", "bias zeroed, layer 5"),
        ("ResNet8 int8", "resnet8_int8_scaleroll_c5", "scales rotated, layer 6"),
        ("VWW int8", "vww_int8_rot180_dw6", "kernel turned by 180, layer 13"),
        ("KWS int8", "kws_int8_bias0_c0", "bias zeroed, layer 0"),
        ("ResNet8 float", "resnet8_float_f16weights", "half precision (benign)"),
        ("V1 int8", "v1_025_int8_norelu6_dw5", "no RELU6, layer 11 (benign)"),
    )
    for network, file, name in named:
        yield Case(
            "model files",
            name,
            known[network],
            known[network].image,
            faults / f"{file}.tflite",
            is_benign="benign" in name,
        )
    v1 = known["V1 int8"]
    per_tensor = data / "derived/v1_025_int8_pertensor.tflite"
    yield Case("model files", "per-tensor weights", v1, v1.image, per_tensor)


def label_cases(known: dict[str, Network]) -> Iterator[Case]:
    """Yield classes that are off by one: 1000 against 1001 of them."""
    v2, v1 = known["V2 uint8"], known["V1 float"]
    yield Case("labels", "1001 classes read as 1000", v2, v2.image, v2.sound, shift=-1)
    yield Case("labels", "1000 classes read as 1001", v1, v1.image, v1.sound, shift=1)


def planted_cases(known: dict[str, Network], folder: Path, each: int, seed: int) -> Iterator[Case]:
    """Yield faults planted into single operators: so many of each kind in each network.

    Whether one costs accuracy is found out by the benchmark; those that do not are no cases.
    """
    for position, name in enumerate(("ResNet8 int8", "VWW int8", "KWS int8", "V1 int8")):
        network = known[name]
        model = TfliteModel.load(network.sound)
        for number, fault in enumerate(FAULTS):
            rng = np.random.default_rng([seed, position, number])
            planted = 0
            for layer in rng.permutation(len(model.ops)):
                objects = model.edited()
                if planted == each:
                    break
                if not fault.edit(Op(model, objects, int(layer)), rng):
                    continue
                planted += 1
                file = folder / f"{name}-{fault.name}-{layer}.tflite".replace(" ", "_")
                file.write_bytes(model.pack(objects))
                yield Case("planted", f"{fault.name}, layer {layer}", network, network.image, file)


def with_labels(case: Case) -> Network:
    """Return a case's network with the labels as the user passes them."""
    return replace(case.network, offset=case.network.offset + case.shift)
