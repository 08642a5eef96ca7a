"""Every preprocessing fault of the data's README, played on real networks and diagnosed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray

from exray.diagnosis.candidates import find_preprocessing
from exray.diagnosis.candidates.judging import replayed_causes
from exray.diagnosis.candidates.observed import read_observed
from exray.diagnosis.candidates.render import through_jpeg
from exray.diagnosis.causes import Cause, Replay
from exray.diagnosis.diagnose import diagnose
from exray.lake import Lake
from exray.playback.dataset import open_dataset
from exray.playback.pipeline import Pipeline, play
from exray.playback.spec import spec_from_mapping
from exray.queries.engine import connect

pytestmark = pytest.mark.realdata

FRAMES = 2

Image = NDArray[Any]

CENTRE: dict[str, object] = {"crop": {"central": 0.875}, "values": {"range": [-1, 1]}}
WHOLE: dict[str, object] = {"resize": {"method": "area"}, "values": {"range": [0, 1]}}


@dataclass(frozen=True)
class Network:
    """A network, its declared preprocessing and its inputs, below the data."""

    model: str
    image: dict[str, object]
    inputs: str


V2 = Network("google-coral/tf2_mobilenet_v2_1.0_224_ptq.tflite", CENTRE, "ml-exray/val")
V1 = Network("derived/v1_025_float.tflite", CENTRE, "ml-exray/val")
V1_INT8 = Network("derived/v1_025_int8.tflite", CENTRE, "ml-exray/val")
VWW = Network("mlcommons-tiny/vww/vww_96_float.tflite", WHOLE, "coco-cc/images")
RESNET8 = Network(
    "mlcommons-tiny/ic/pretrainedResnet.tflite", {}, "cifar10/cifar10_test_0000_0499.npz"
)


class Bench:
    """A lake for each network: its reference and one edge for each fault, played together."""

    def __init__(self, data: Path, folder: Path) -> None:
        self.data = data
        self._folder = folder
        self._connections: dict[str, duckdb.DuckDBPyConnection] = {}

    def lake(self, network: Network) -> Path:
        """Return the lake of a network's runs."""
        return self._folder / network.model.replace("/", "_")

    def causes(self, row: str) -> list[Cause]:
        """Return what the recorded inputs tell of a row's edge."""
        network = ROWS[row][0]
        if network.model not in self._connections:
            self.play(network, "reference")
            for name, (other, image, _) in ROWS.items():
                if other is network:
                    self.play(network, name, None, **image)
            self._connections[network.model] = connect(Lake.open(self.lake(network)))
        frames = read_observed(self._connections[network.model], row, "reference")
        items = {i.input_id: i for i in open_dataset(self.data / network.inputs, limit=FRAMES)}
        spec = spec_from_mapping({"image": network.image})
        return replayed_causes(frames, spec, lambda frame: items[frame.input_id].load())

    def play(
        self, network: Network, build: str, inputs: Path | None = None, **image: object
    ) -> None:
        """Play a few inputs through the network."""
        pipeline = Pipeline(
            model=self.data / network.model,
            spec=spec_from_mapping({"image": network.image | image}),
            build=build,
            role="reference" if build == "reference" else "edge",
            lake=self.lake(network),
            layers="none",
        )
        dataset = open_dataset(inputs or self.data / network.inputs, limit=FRAMES)
        play(pipeline, dataset, None)


@pytest.fixture(scope="module")
def bench(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(data, tmp_path_factory.mktemp("preprocessing"))


def codes(causes: Iterable[Cause]) -> list[str]:
    return [cause.code.removeprefix("preprocessing.") for cause in causes]


ROWS: dict[str, tuple[Network, dict[str, object], str]] = {
    "V2 BGR": (V2, {"channels": "bgr"}, "channel_order"),
    "V2 [0,1]": (V2, {"values": {"range": [0, 1]}}, "value_range"),
    "V2 rotated": (V2, {"rotate": 90}, "orientation"),
    "V2 nearest": (V2, {"resize": {"method": "nearest"}}, "resize"),
    "V2 area": (V2, {"resize": {"method": "area"}}, "resize"),
    "V1 BGR": (V1, {"channels": "bgr"}, "channel_order"),
    "V1 [0,1]": (V1, {"values": {"range": [0, 1]}}, "value_range"),
    "V1 rotated": (V1, {"rotate": 90}, "orientation"),
    "V1 nearest": (V1, {"resize": {"method": "nearest"}}, "resize"),
    "V1 area": (V1, {"resize": {"method": "area"}}, "resize"),
    "V1 int8 [0,1]": (V1_INT8, {"values": {"range": [0, 1]}}, "value_range"),
    "VWW BGR": (VWW, {"channels": "bgr"}, "channel_order"),
    "VWW [-1,1]": (VWW, {"values": {"range": [-1, 1]}}, "value_range"),
    "VWW rotated": (VWW, {"rotate": 90}, "orientation"),
    "VWW bilinear": (VWW, {"resize": {"method": "bilinear"}}, "resize"),
    "ResNet8 BGR": (RESNET8, {"channels": "bgr"}, "channel_order"),
    "ResNet8 [0,1]": (RESNET8, {"values": {"range": [0, 1]}}, "value_range"),
    "ResNet8 rotated": (RESNET8, {"rotate": 90}, "orientation"),
}


@pytest.mark.parametrize("row", ROWS)
def test_fault_of_the_readme_is_the_only_one_named(bench: Bench, row: str) -> None:
    causes = bench.causes(row)
    assert codes(causes) == [ROWS[row][2]]
    duration_s = causes[0].evidence["search_s"]
    assert isinstance(duration_s, float)
    assert duration_s < 20


def test_diagnosis_names_jpeg_of_small_images_and_then_two_faults(
    bench: Bench, tmp_path: Path
) -> None:
    network = replace(RESNET8, model="mlcommons-tiny/ic/pretrainedResnet_quant.tflite")
    inputs = bench.data / network.inputs
    jpeg = changed_images(inputs, tmp_path, lambda image: through_jpeg(image, 75))
    bench.play(network, "reference")
    bench.play(network, "jpeg", jpeg)
    bench.play(network, "two", channels="bgr", rotate=90)
    found = {
        build: codes(
            diagnose(
                Lake.open(bench.lake(network)),
                build,
                "reference",
                replay=Replay(inputs=inputs),
                finders=(find_preprocessing,),
            ).failing
        )
        for build in ("jpeg", "two")
    }
    assert found["jpeg"] == ["compression"]
    assert set(found["two"]) == {"channel_order", "orientation"}


def changed_images(source: Path, folder: Path, change: Callable[[Image], Image]) -> Path:
    """Write an npz of the same inputs, changed."""
    target = folder / "changed.npz"
    images = np.stack([change(item.load()) for item in open_dataset(source, limit=FRAMES)])
    np.savez(target, images=images)
    return target
