"""Networks and lakes that the benchmarks of the diagnosis share: needs EXRAY_TEST_DATA."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from exray.diagnosis.causes import Replay
from exray.diagnosis.conclusion import Diagnosis
from exray.diagnosis.diagnose import diagnose_scene, make_scene
from exray.lake import Lake
from exray.playback.dataset import open_dataset
from exray.playback.pipeline import Pipeline, play
from exray.playback.spec import PreprocessSpec, spec_from_mapping
from exray.queries.engine import connect_tables, show_lake
from exray.queries.interrupt import Watch

TINY = "mlcommons-tiny"
CENTRAL: dict[str, object] = {"crop": {"central": 0.875}, "values": {"range": [-1, 1]}}
AREA: dict[str, object] = {
    "resize": {"size": [96, 96], "method": "area"},
    "values": {"range": [0, 1]},
}


@dataclass(frozen=True)
class Network:
    """A network in int8 and float, what it is fed, and how."""

    name: str
    edge: str
    reference: str
    inputs: str
    image: dict[str, object] | None

    @property
    def spec(self) -> PreprocessSpec | None:
        """Its preprocessing."""
        return spec_from_mapping({"image": self.image}) if self.image else None


NETWORKS = (
    Network(
        "kws",
        f"{TINY}/kws/kws_ref_model.tflite",
        f"{TINY}/kws/kws_ref_model_float32.tflite",
        "energyrunner/kws01_0000_0499.npz",
        None,
    ),
    Network(
        "resnet8",
        f"{TINY}/ic/pretrainedResnet_quant.tflite",
        f"{TINY}/ic/pretrainedResnet.tflite",
        "cifar10/cifar10_test_0000_0499.npz",
        {"values": "raw"},
    ),
    Network(
        "vww",
        f"{TINY}/vww/vww_96_int8.tflite",
        f"{TINY}/vww/vww_96_float.tflite",
        "coco-cc/images",
        AREA,
    ),
    Network(
        "v1",
        "derived/v1_025_int8.tflite",
        "derived/v1_025_float.tflite",
        "ml-exray/val",
        CENTRAL,
    ),
)


def data_folder() -> Path:
    """Return the folder of real networks, or leave where there is none."""
    folder = os.environ.get("EXRAY_TEST_DATA", "")
    if not Path(folder or "none").is_dir():
        print("EXRAY_TEST_DATA is not set: nothing to measure on")
        sys.exit(0)
    return Path(folder)


def part_of(network: Network, data: Path, folder: Path, part: slice, *, is_float: bool) -> Path:
    """Return some of a network's inputs as a file or folder of their own."""
    inputs = data / network.inputs
    name = f"{network.name}-{part.start}-{part.stop}-{'float' if is_float else 'int8'}"
    if inputs.suffix != ".npz":
        made = folder / name
        made.mkdir(exist_ok=True)
        for file in sorted(inputs.iterdir())[part]:
            if not (made / file.name).exists():
                (made / file.name).symlink_to(file)
        return made
    stored = np.load(inputs)
    values = stored["mfcc" if "mfcc" in stored else stored.files[0]][part]
    if network.name == "kws" and is_float:
        values = (values.astype(np.float32) - 83) * np.float32(0.5847029)
    files = [f"{i:04d}" for i in range(part.start, part.start + len(values))]
    made = folder / f"{name}.npz"
    np.savez(made, inputs=values, files=np.array(files))
    return made


def record(
    network: Network,
    data: Path,
    folder: Path,
    part: slice,
    build: str,
    *,
    role: str = "edge",
    threads: int | None = None,
) -> None:
    """Play some inputs through the edge's or the reference's file."""
    is_float = role == "reference"
    pipeline = Pipeline(
        model=data / (network.reference if is_float else network.edge),
        spec=network.spec,
        build=build,
        role=role,
        lake=folder / "lakes" / network.name,
        kernels="xnnpack",
        threads=threads,
    )
    inputs = part_of(network, data, folder, part, is_float=is_float)
    play(pipeline, open_dataset(str(inputs)), None)


class Diagnoser:
    """Diagnoses builds of lakes, with the SQL library loaded once."""

    def __init__(self) -> None:
        self._connection = connect_tables({})

    def diagnose(self, lake: Path, edge: str, baseline: str | None = None) -> Diagnosis:
        """Diagnose a build against the build "reference"."""
        opened = Lake.open(lake)
        show_lake(self._connection, opened)
        chosen: dict[str, str | None] = {"model": None, "device": None, "kernels": None}
        builds = (edge, "reference", baseline)
        scene = make_scene(opened, self._connection, Watch(), builds, chosen, Replay())
        return diagnose_scene(scene)
