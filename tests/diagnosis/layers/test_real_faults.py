"""Planted faults in real networks are named at their operator; what is sound passes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exray.diagnosis.causes import Cause, Replay
from exray.diagnosis.diagnose import diagnose
from exray.diagnosis.layers.find import find_layer_causes
from exray.lake import Lake
from exray.playback.dataset import open_dataset
from exray.playback.pipeline import Pipeline, play
from exray.playback.spec import load_spec

pytestmark = pytest.mark.realdata

FRAMES = 4

NETWORKS = {
    "resnet8": ("mlcommons-tiny/ic/pretrainedResnet.tflite", "image: {values: {range: [0, 255]}}"),
    "vww": (
        "mlcommons-tiny/vww/vww_96_float.tflite",
        "image: {resize: {method: area}, values: {range: [0, 1]}}",
    ),
    "v1": (
        "derived/v1_025_float.tflite",
        "image: {crop: {central: 0.875}, values: {range: [-1, 1]}}",
    ),
    "kws": ("mlcommons-tiny/kws/kws_ref_model_float32.tflite", ""),
}
"""Float file and preprocessing by the beginning of a faulty file's name."""

SOUND = {
    "resnet8": "mlcommons-tiny/ic/pretrainedResnet_quant.tflite",
    "vww": "mlcommons-tiny/vww/vww_96_int8.tflite",
    "v1": "derived/v1_025_int8.tflite",
    "kws": "mlcommons-tiny/kws/kws_ref_model.tflite",
}

INPUTS = {
    "resnet8": "cifar10/cifar10_test_0000_0499.npz",
    "vww": "coco-cc/images",
    "v1": "ml-exray/val",
}


class Bench:
    """Records each file once, and diagnoses it against its network's float file."""

    def __init__(self, data: Path, folder: Path) -> None:
        self._data, self._folder = data, folder
        self._recorded: set[Path] = set()

    def causes(self, network: str, file: Path, kernels: str = "xnnpack") -> tuple[Cause, ...]:
        """Return the causes of a file, replayed from files and from the lake alone."""
        reference = self._data / NETWORKS[network][0]
        self._record(network, reference, "reference", "xnnpack")
        self._record(network, file, "edge", kernels)
        spec = self._spec(network)
        replay = Replay(
            inputs=self._inputs(network),
            edge_model=file,
            reference_model=reference,
            preprocess=spec,
        )
        lake = Lake.open(self._folder / "lake")
        names = (f"{file.stem}.{kernels}", f"{reference.stem}.xnnpack")
        found = diagnose(lake, *names, replay=replay, finders=(find_layer_causes,)).causes
        from_lake = diagnose(lake, *names, finders=(find_layer_causes,)).causes
        assert bool(from_lake) == bool(found)
        return found

    def _record(self, network: str, file: Path, role: str, kernels: str) -> None:
        if (key := file.with_suffix(f".{kernels}")) in self._recorded:
            return
        self._recorded.add(key)
        spec = self._spec(network)
        pipeline = Pipeline(
            model=file,
            spec=load_spec(spec) if spec else None,
            build=f"{file.stem}.{kernels}",
            role=role,
            lake=self._folder / "lake",
            kernels=kernels,
        )
        play(pipeline, open_dataset(self._inputs(network), limit=FRAMES), None)

    def _spec(self, network: str) -> Path | None:
        text = NETWORKS[network][1]
        path = self._folder / f"{network}.yaml"
        path.write_text(text)
        return path if text else None

    def _inputs(self, network: str) -> Path:
        if network != "kws":
            return self._data / INPUTS[network]
        path = self._folder / "kws.npz"
        if not path.exists():
            stored = np.load(self._data / "energyrunner/kws01_0000_0499.npz")["mfcc"]
            real = (stored.astype(np.float32) - 83) * np.float32(0.5847029)
            np.savez(path, mfcc=real.reshape(-1, 49, 10, 1))
        return path


@pytest.fixture(scope="module")
def bench(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    pytest.importorskip("ai_edge_litert")
    return Bench(data, tmp_path_factory.mktemp("faults"))


def truth(data: Path) -> dict[str, dict[str, Any]]:
    rows = json.loads((data / "derived/faults/ground_truth_public.json").read_text())
    return {row["file"]: row for row in rows}


KINDS = {
    "resnet8_int8_bias0_c4.tflite": ("conversion.layer", "bias zeroed"),
    "resnet8_int8_scaleroll_c5.tflite": ("quantization.layer", "scales rotated"),
    "vww_int8_rot180_dw6.tflite": (
        "conversion.layer",
        "height and width flipped (turned by 180 degrees)",
    ),
    "kws_int8_bias0_c0.tflite": ("conversion.layer", "bias zeroed"),
}


@pytest.mark.parametrize("file", KINDS)
def test_a_planted_fault_is_named_at_its_operator(bench: Bench, data: Path, file: str) -> None:
    network = file.split("_")[0]
    cause = bench.causes(network, data / "derived/faults" / file)[0]
    assert cause.where.layer_index == truth(data)[file]["op_index"]
    assert (cause.code, cause.evidence["kind"]) == KINDS[file]


@pytest.mark.parametrize(
    "file", ["resnet8_float_f16weights.tflite", "v1_025_int8_norelu6_dw5.tflite"]
)
def test_a_benign_change_passes(bench: Bench, data: Path, file: str) -> None:
    assert bench.causes(file.split("_")[0], data / "derived/faults" / file) == ()


@pytest.mark.parametrize("network", SOUND)
def test_a_sound_network_passes(bench: Bench, data: Path, network: str) -> None:
    assert bench.causes(network, data / SOUND[network]) == ()


@pytest.mark.parametrize("network", ["kws"])
def test_other_kernels_pass(bench: Bench, data: Path, network: str) -> None:
    assert bench.causes(network, data / SOUND[network], "builtin") == ()


def test_weights_with_one_scale_for_all_channels(bench: Bench, data: Path) -> None:
    causes = bench.causes("v1", data / "derived/v1_025_int8_pertensor.tflite")
    assert {cause.code for cause in causes} == {"quantization.per_tensor"}
    assert any(cause.where.op == "DEPTHWISE_CONV_2D" for cause in causes)
