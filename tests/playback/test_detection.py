"""mAP held against boxes counted by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from exray.playback.detection import Detection, TruthBox, detections
from exray.schema.errors import DataError, UsageError

pytest.importorskip("pycocotools")

SIZE = (100, 200)
"""Height and width of the image."""

Found = tuple[tuple[float, float, float, float], int, float]
"""Top, left, bottom, right; class; score."""


def outputs_of(*found: Found) -> list[np.ndarray]:
    boxes = np.array([[box for box, _, _ in found]], np.float32).reshape(1, -1, 4)
    classes = np.array([[label for _, label, _ in found]], np.float32)
    scores = np.array([[score for _, _, score in found]], np.float32)
    return [boxes, classes, scores, np.array([len(found)], np.float32)]


CAT = TruthBox(17, (20, 10, 100, 50))
CAT_FOUND: Found = ((0.1, 0.1, 0.6, 0.6), 16, 0.9)
"""The same box, as a model that counts COCO's ids from 0 gives it."""


def test_a_box_in_its_place_is_right() -> None:
    task = Detection({"a.jpg": [CAT]}, label_offset=-1)
    assert task.score("a.jpg", outputs_of(CAT_FOUND), SIZE) == pytest.approx(1.0)


def test_a_box_of_another_class_is_wrong() -> None:
    task = Detection({"a.jpg": [CAT]}, label_offset=0)
    assert task.score("a.jpg", outputs_of(CAT_FOUND), SIZE) == 0.0


def test_a_box_that_overlaps_in_part_counts_up_to_there() -> None:
    # Shifted by 16 of 100: IoU 84/116 = 0.72, right at 0.50 to 0.70, 5 of 10 steps.
    truth = TruthBox(1, (0, 0, 100, 10))
    task = Detection({"a.jpg": [truth]}, label_offset=-1)
    shifted: Found = ((0.0, 0.08, 0.1, 0.58), 0, 0.9)
    assert task.score("a.jpg", outputs_of(shifted), SIZE) == pytest.approx(0.5)


def test_a_false_box_above_the_right_one_halves_the_precision() -> None:
    task = Detection({"a.jpg": [CAT]}, label_offset=-1)
    false: Found = ((0.7, 0.7, 0.9, 0.9), 16, 0.95)
    assert task.score("a.jpg", outputs_of(false, CAT_FOUND), SIZE) == pytest.approx(0.5)
    assert task.score("a.jpg", outputs_of((*false[:2], 0.1), CAT_FOUND), SIZE) == pytest.approx(1)


def test_the_metric_pools_boxes_of_all_images() -> None:
    task = Detection({"a.jpg": [CAT], "b.jpg": [CAT]}, label_offset=-1)
    task.score("a.jpg", outputs_of(CAT_FOUND), SIZE)
    task.score("b.jpg", outputs_of(), SIZE)
    found = task.result()
    assert found is not None
    # Recall ends at 1/2: 51 of COCO's 101 recall steps have precision 1.
    assert found.value == pytest.approx(51 / 101)
    assert found.details["ap50"] == pytest.approx(51 / 101)
    assert found.frames == 2
    assert found.ci95 == pytest.approx((0.0, 1.0))


def test_images_go_by_their_file_names_in_the_annotations() -> None:
    task = Detection({"a.jpg": [CAT], "train/b.jpg": [], "c.jpg": []})
    ids = ["folder/a.jpg", "train/b.jpg", "x/c.jpg", "y/c.jpg", "d.jpg"]
    assert task.match(ids) == {"folder/a.jpg": "a.jpg", "train/b.jpg": "train/b.jpg"}
    assert [*task.truths] == ["a.jpg", "train/b.jpg", "c.jpg"]
    assert task.result() is None


def test_an_image_of_nothing_has_no_score_but_its_false_boxes_count() -> None:
    task = Detection({"a.jpg": [CAT], "empty.jpg": []}, label_offset=-1)
    task.score("a.jpg", outputs_of(CAT_FOUND), SIZE)
    assert task.score("empty.jpg", outputs_of((*CAT_FOUND[:2], 0.99)), SIZE) is None
    found = task.result()
    assert found is not None
    assert found.value == pytest.approx(0.5)


def test_scores_before_classes_are_told_by_whole_numbers() -> None:
    boxes, classes, scores, count = outputs_of(CAT_FOUND)
    assert detections([scores, boxes, count, classes], SIZE) == detections(
        [boxes, classes, scores, count], SIZE
    )


def test_outputs_that_are_no_detections_are_refused() -> None:
    with pytest.raises(DataError, match=r"outputs of shapes \(1, 10\) are no detections"):
        detections([np.zeros((1, 10))], SIZE)


def test_annotations_are_read_in_cocos_form(tmp_path: Path) -> None:
    file = tmp_path / "instances.json"
    row = {"image_id": 3, "category_id": 17, "bbox": [20, 10, 100, 50], "iscrowd": 0}
    file.write_text(json.dumps({"images": [{"id": 3, "file_name": "a.jpg"}], "annotations": [row]}))
    task = Detection.open(file, label_offset=-1)
    assert task.score("a.jpg", outputs_of(CAT_FOUND), SIZE) == pytest.approx(1.0)


def test_annotations_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.json: cannot be read: No such file"):
        Detection.open(tmp_path / "nowhere.json")


def test_another_json_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "labels.json"
    file.write_text("[]")
    with pytest.raises(UsageError, match="no annotations in COCO's form"):
        Detection.open(file)
