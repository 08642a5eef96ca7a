"""Networks of the fault bench: what they are, what they are fed, and which are held out.

The split: thresholds of the diagnosis and the map of its confidence were chosen on networks
that `SEEN` names; `HELD_OUT` ones are made by `fault_training.py` and took no part in that.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fault_training import MAKERS, inputs_of

from exray.diagnosis.layers.reference_tensors import TfliteTensors
from exray.diagnosis.layers.tflite_model import TfliteModel
from exray.playback.dataset import open_dataset
from exray.playback.feed import prepare
from exray.playback.spec import spec_from_mapping

FRAMES = 8
"""Inputs of each run: the least with which losses are told from chance is 6."""

_CENTRE = {"crop": {"central": 0.875}, "values": {"range": [-1, 1]}}
_TINY = "mlcommons-tiny"


@dataclass(frozen=True, slots=True)
class Network:
    """A float file and the int8 file made from it.

    Args:
        name: What tables call it.
        float_file: Below the data; empty for those trained here.
        int8_file: Likewise.
        inputs: Folder of images, or an npz, below the data.
        image: How images are prepared.
    """

    name: str
    float_file: str = ""
    int8_file: str = ""
    inputs: str = ""
    image: dict[str, Any] | None = None

    @property
    def is_held_out(self) -> bool:
        """Whether nothing was chosen by its results."""
        return not self.float_file

    @property
    def precisions(self) -> tuple[str, ...]:
        """Which files there are."""
        return ("int8", "float")


SEEN = (
    Network(
        "resnet8",
        f"{_TINY}/ic/pretrainedResnet.tflite",
        f"{_TINY}/ic/pretrainedResnet_quant.tflite",
        "cifar10/cifar10_test_0000_0499.npz",
        {"values": "raw"},
    ),
    Network(
        "vww",
        f"{_TINY}/vww/vww_96_float.tflite",
        f"{_TINY}/vww/vww_96_int8.tflite",
        "coco-cc/images",
        {"resize": {"method": "area"}, "values": {"range": [0, 1]}},
    ),
    Network(
        "kws",
        f"{_TINY}/kws/kws_ref_model_float32.tflite",
        f"{_TINY}/kws/kws_ref_model.tflite",
        "energyrunner/kws01_0000_0499.npz",
    ),
    Network(
        "v1",
        "derived/v1_025_float.tflite",
        "derived/v1_025_int8.tflite",
        "ml-exray/val",
        _CENTRE,
    ),
)
HELD_OUT = tuple(Network(name) for name in MAKERS)
NETWORKS = (*HELD_OUT, *SEEN)


@dataclass(frozen=True, slots=True)
class Files:
    """A network's files, and its inputs as the model sees them."""

    float_file: Path
    int8_file: Path
    inputs: Path


def files_of(network: Network, data: Path, folder: Path) -> Files:
    """Return a network's files; trains it and prepares its inputs where that is to be done.

    Inputs are prepared once, to an npz of model inputs: faults inside the network do not
    depend on how images are read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = Files(
        data / network.float_file if network.float_file else folder / "float.tflite",
        data / network.int8_file if network.int8_file else folder / "int8.tflite",
        folder / "inputs.npz",
    )
    if network.is_held_out and not files.int8_file.exists():
        train(network.name, data, folder)
    if not files.inputs.exists():
        np.savez(files.inputs, inputs=_prepared(network, data, files.float_file, folder))
    return files


def twin_of(network: Network, data: Path, folder: Path, seed: int) -> Files:
    """Return the files of a network trained again, from other weights and in another order."""
    twin = folder / f"twin-{seed}"
    if not (twin / "int8.tflite").exists():
        train(network.name, data, twin, seed)
    return Files(twin / "float.tflite", twin / "int8.tflite", folder / "inputs.npz")


def train(name: str, data: Path, folder: Path, seed: int = 1, *options: str) -> None:
    """Train a network in a process of its own: its runtime would stay in this one."""
    maker = Path(__file__).with_name("fault_training.py")
    command = [sys.executable, str(maker), str(data), str(folder), name, str(seed), *options]
    subprocess.run(command, check=True, capture_output=True)


def _prepared(network: Network, data: Path, float_file: Path, folder: Path) -> np.ndarray[Any, Any]:
    if network.is_held_out:
        return inputs_of(network.name, data, folder)[0][:FRAMES]
    if network.image is None:
        stored = np.load(data / network.inputs)["mfcc"][:FRAMES]
        real = (stored.astype(np.float32) - 83) * np.float32(0.5847029)
        return real.reshape(-1, 49, 10, 1)
    target = TfliteTensors(TfliteModel.load(float_file)).input
    spec = spec_from_mapping({"image": network.image})
    items = open_dataset(data / network.inputs, limit=FRAMES)
    return np.stack([prepare(item.load(), spec, target)[0] for item in items])
