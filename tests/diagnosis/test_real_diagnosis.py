"""What passes and what does not, on real networks: sound pairs, benign twins, planted faults."""

import importlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from exray.diagnosis.conclusion import Diagnosis
from exray.diagnosis.diagnose import diagnose_scene
from exray.lake import Lake
from exray.playback.dataset import open_dataset
from exray.playback.pipeline import Pipeline, play
from exray.playback.spec import spec_from_mapping

from .scenes import open_scene

pytestmark = pytest.mark.realdata

FRAMES = 8
TINY = "mlcommons-tiny"
CENTRAL: dict[str, object] = {"crop": {"central": 0.875}, "values": {"range": [-1, 1]}}
AREA: dict[str, object] = {
    "resize": {"size": [96, 96], "method": "area"},
    "values": {"range": [0, 1]},
}
KWS_SCALE, KWS_ZERO_POINT = 0.5847029, 83
"""Quantization of the keyword network's input."""


@dataclass(frozen=True)
class Network:
    """Files of one network, and what it is fed."""

    files: dict[str, str]
    inputs: str
    image: dict[str, object] | None


NETWORKS = {
    "v1": Network(
        {
            "float": "derived/v1_025_float.tflite",
            "int8": "derived/v1_025_int8.tflite",
            "pertensor": "derived/v1_025_int8_pertensor.tflite",
        },
        "ml-exray/val",
        CENTRAL,
    ),
    "v2": Network(
        {"int8": "google-coral/tf2_mobilenet_v2_1.0_224_ptq.tflite"}, "ml-exray/val", CENTRAL
    ),
    "resnet8": Network(
        {
            "float": f"{TINY}/ic/pretrainedResnet.tflite",
            "int8": f"{TINY}/ic/pretrainedResnet_quant.tflite",
            "f16": "derived/faults/resnet8_float_f16weights.tflite",
            "scaleroll": "derived/faults/resnet8_int8_scaleroll_c5.tflite",
        },
        "cifar10/cifar10_test_0000_0499.npz",
        {"values": "raw"},
    ),
    "vww": Network(
        {
            "float": f"{TINY}/vww/vww_96_float.tflite",
            "int8": f"{TINY}/vww/vww_96_int8.tflite",
            "rot180": "derived/faults/vww_int8_rot180_dw6.tflite",
        },
        "coco-cc/images",
        AREA,
    ),
    "kws": Network(
        {
            "float": f"{TINY}/kws/kws_ref_model_float32.tflite",
            "int8": f"{TINY}/kws/kws_ref_model.tflite",
        },
        "energyrunner/kws01_0000_0499.npz",
        None,
    ),
}


@dataclass
class Bench:
    """Records builds when they are asked for, each once: ``int8.builtin`` is int8 on builtin."""

    data: Path
    folder: Path
    recorded: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def diagnose(self, network: str, edge: str, reference: str, baseline: str = "") -> Diagnosis:
        """Diagnose two builds of a network."""
        for build in filter(None, (edge, reference, baseline)):
            self._record(network, build)
        lake = Lake.open(self.folder / network)
        return diagnose_scene(open_scene(lake, edge, reference, baseline or None))

    def _record(self, network: str, build: str) -> None:
        if (network, build) in self.recorded:
            return
        self.recorded.add((network, build))
        chosen = NETWORKS[network]
        name, kernels = build.split(".")
        inputs = self.data / chosen.inputs
        if network == "kws":
            inputs = self._features(inputs, name == "float")
        pipeline = Pipeline(
            model=self.data / chosen.files[name],
            spec=spec_from_mapping({"image": chosen.image}) if chosen.image else None,
            build=build,
            role="reference" if name == "float" else "edge",
            lake=self.folder / network,
            kernels=kernels,
        )
        play(pipeline, open_dataset(inputs, limit=FRAMES), None)

    def _features(self, stored: Path, is_float: bool) -> Path:
        features = np.load(stored)["mfcc"][:FRAMES]
        if is_float:
            features = (features.astype(np.float32) - KWS_ZERO_POINT) * np.float32(KWS_SCALE)
        path = self.folder / f"kws_{'float' if is_float else 'int8'}.npz"
        np.savez(path, inputs=features)
        return path


@pytest.fixture(scope="module")
def bench(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    importlib.import_module("ai_edge_litert.interpreter")
    return Bench(data, tmp_path_factory.mktemp("networks"))


@pytest.mark.parametrize(
    ("network", "builds"),
    [
        ("v1", ("int8.xnnpack", "float.xnnpack")),
        ("v1", ("int8.builtin", "float.xnnpack", "int8.xnnpack")),
        ("v2", ("int8.xnnpack", "int8.builtin")),
        ("resnet8", ("f16.xnnpack", "float.xnnpack")),
        ("vww", ("int8.xnnpack", "float.xnnpack")),
        ("kws", ("int8.xnnpack", "float.xnnpack")),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_sound_pairs_and_benign_twins_pass(
    bench: Bench, network: str, builds: tuple[str, ...]
) -> None:
    diagnosis = bench.diagnose(network, *builds)
    told = (diagnosis.status, diagnosis.failing, diagnosis.entry, diagnosis.failures)
    assert told == ("pass", (), None, ())


@pytest.mark.parametrize(
    ("network", "builds", "layer_index"),
    [
        ("resnet8", ("scaleroll.xnnpack", "float.xnnpack"), 6),
        ("vww", ("rot180.xnnpack", "float.xnnpack", "int8.builtin"), 13),
        ("v1", ("pertensor.xnnpack", "float.xnnpack"), 0),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else str(value),
)
def test_planted_faults_do_not_and_the_first_place_named_is_theirs(
    bench: Bench, network: str, builds: tuple[str, ...], layer_index: int
) -> None:
    diagnosis = bench.diagnose(network, *builds)
    assert diagnosis.status in ("fail", "unexplained")
    named = diagnosis.failing[0].where if diagnosis.failing else None
    if named is None and diagnosis.entry is not None:
        named = diagnosis.entry.where
    assert named is not None
    is_whole_model = named.layer_index is None and network == "v1"  # per-tensor is everywhere
    assert named.layer_index == layer_index or is_whole_model


def test_weights_of_one_scale_are_named_from_the_lake_alone(bench: Bench) -> None:
    diagnosis = bench.diagnose("v1", "pertensor.xnnpack", "float.xnnpack")
    assert diagnosis.failing[0].code == "quantization.per_tensor"
