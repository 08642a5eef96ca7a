"""Boxes and masks of real networks, held against their annotations."""

import json
from pathlib import Path

import pytest

from exray.instrumentation.config import Level
from exray.playback.dataset import open_dataset
from exray.playback.detection import Detection, TruthBox
from exray.playback.pipeline import Pipeline, play
from exray.playback.spec import spec_from_mapping
from exray.playback.task import TaskResult

pytestmark = pytest.mark.realdata

IMAGES = 16
CLASSES = {
    "person": 1,
    "car": 3,
    "bus": 6,
    "train": 7,
    "bird": 16,
    "cat": 17,
    "dog": 18,
    "horse": 19,
    "sheep": 20,
    "elephant": 22,
    "bear": 23,
    "zebra": 24,
    "giraffe": 25,
}
"""Some of COCO's categories."""


def detect(data: Path, lake: Path, **image: object) -> TaskResult:
    pytest.importorskip("pycocotools")
    pytest.importorskip("ai_edge_litert")
    rows = json.loads((data / "coco-cc/annotations_public.json").read_text())
    boxes = {
        str(row["file"]): [
            TruthBox(
                CLASSES[box["cls"]],
                (
                    box["xmin"] * row["width"],
                    box["ymin"] * row["height"],
                    (box["xmax"] - box["xmin"]) * row["width"],
                    (box["ymax"] - box["ymin"]) * row["height"],
                ),
            )
            for box in row["boxes"]
            if box["cls"] in CLASSES
        ]
        for row in rows
    }
    pipeline = Pipeline(
        model=data / "ml-exray/ssd_mobilenet_v1_coco_300.tflite",
        spec=spec_from_mapping({"image": {"values": {"range": [-1, 1]}, **image}}),
        build="ssd",
        role="edge",
        lake=lake,
        level=Level.OFF,
    )
    images = open_dataset(data / "coco-cc/images", limit=IMAGES)
    found = play(pipeline, images, None, task=Detection(boxes, label_offset=-1)).task_result
    assert found is not None
    return found


def test_a_detector_finds_what_is_annotated_and_little_upside_down(
    data: Path, tmp_path: Path
) -> None:
    right = detect(data, tmp_path)
    wrong = detect(data, tmp_path, rotate=180)
    assert right.frames == IMAGES
    assert right.details["ap50"] > 0.4
    assert wrong.value < 0.25 * right.value
