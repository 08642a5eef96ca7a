"""mIoU held against pixels counted by hand."""

from pathlib import Path

import numpy as np
import pytest

from exray.playback.segmentation import IGNORED, Segmentation, classes_of, shrunk
from exray.schema.errors import DataError, UsageError

Image = pytest.importorskip("PIL.Image")


def scores_of(classes: list[list[int]], count: int = 3) -> np.ndarray:
    scores: np.ndarray = np.eye(count, dtype=np.float32)[np.array(classes)][None]
    return scores


def write_mask(folder: Path, name: str, classes: list[list[int]]) -> None:
    Image.fromarray(np.array(classes, np.uint8)).save(folder / f"{name}.png")


def test_iou_is_the_mean_over_classes_that_either_side_has(tmp_path: Path) -> None:
    write_mask(tmp_path, "a", [[0, 0], [1, 1]])
    task = Segmentation.open(tmp_path)
    # Class 0: 2 in both of 3; class 1: 1 of 2; class 2: in neither.
    score = task.score("a", [scores_of([[0, 0], [0, 1]])], (2, 2))
    assert score == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_a_wrong_class_costs(tmp_path: Path) -> None:
    write_mask(tmp_path, "a", [[0, 0], [1, 1]])
    task = Segmentation.open(tmp_path)
    assert task.score("a", [scores_of([[0, 0], [1, 1]])], (2, 2)) == 1.0
    assert task.score("a", [scores_of([[2, 2], [2, 2]])], (2, 2)) == 0.0


def test_the_metric_pools_pixels_of_all_frames(tmp_path: Path) -> None:
    write_mask(tmp_path, "a", [[0, 0], [0, 1]])
    write_mask(tmp_path, "b", [[1, 1], [1, 1]])
    task = Segmentation.open(tmp_path)
    task.score("a", [scores_of([[0, 0], [0, 0]])], (2, 2))
    task.score("b", [scores_of([[1, 1], [1, 1]])], (2, 2))
    found = task.result()
    assert found is not None
    # Class 0: 3 of 4. Class 1: 4 of 5.
    assert found.value == pytest.approx((3 / 4 + 4 / 5) / 2)
    assert found.details["pixel_accuracy"] == pytest.approx(7 / 8)
    assert found.frames == 2
    assert found.ci95[0] < found.value <= found.ci95[1]


def test_pixels_to_leave_out_count_for_nothing(tmp_path: Path) -> None:
    write_mask(tmp_path, "a", [[0, IGNORED], [IGNORED, 1]])
    task = Segmentation.open(tmp_path)
    assert task.score("a", [scores_of([[0, 1], [0, 1]])], (2, 2)) == 1.0


def test_masks_are_found_by_the_names_of_their_images(tmp_path: Path) -> None:
    for name in "abc":
        write_mask(tmp_path, name, [[0]])
    task = Segmentation.open(tmp_path)
    ids = ["folder/a.jpg", "b.png", "x/c.jpg", "y/c.jpg", "d.jpg", ""]
    assert task.match(ids) == {"folder/a.jpg": "a", "b.png": "b"}
    assert [*task.truths] == ["a", "b", "c"]
    assert task.result() is None


def test_a_mask_that_leaves_all_pixels_out_judges_nothing(tmp_path: Path) -> None:
    write_mask(tmp_path, "a", [[IGNORED, IGNORED]])
    task = Segmentation.open(tmp_path)
    assert task.score("a", [scores_of([[0, 1]])], (1, 2)) is None
    assert task.result() is None


def test_a_mask_that_is_no_image_or_has_colours_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    Image.new("RGB", (2, 2)).save(tmp_path / "b.png")
    task = Segmentation.open(tmp_path)
    with pytest.raises(DataError, match=r"a\.png: not a readable image"):
        task.score("a", [scores_of([[0, 1]])], (1, 2))
    with pytest.raises(DataError, match=r"b\.png: got pixels of mode RGB, expected one number"):
        task.score("b", [scores_of([[0, 1]])], (1, 2))


def test_a_mask_of_other_classes_is_refused_by_name(tmp_path: Path) -> None:
    write_mask(tmp_path, "a", [[0, 7]])
    task = Segmentation.open(tmp_path)
    with pytest.raises(DataError, match=r"a\.png: holds class 7, the model's last is 2"):
        task.score("a", [scores_of([[0, 1]])], (1, 2))


def test_an_offset_moves_all_classes_but_the_ignored(tmp_path: Path) -> None:
    write_mask(tmp_path, "a", [[1, IGNORED]])
    task = Segmentation.open(tmp_path, label_offset=-1)
    assert task.score("a", [scores_of([[0, 2]])], (1, 2)) == 1.0


def test_a_folder_without_masks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no masks in it, expected a \.png for each image"):
        Segmentation.open(tmp_path)


def test_masks_shrink_to_the_pixels_of_their_centres() -> None:
    assert shrunk(np.arange(16).reshape(4, 4), (2, 2)).tolist() == [[5, 7], [13, 15]]


def test_an_output_that_is_no_map_is_refused() -> None:
    with pytest.raises(DataError, match=r"shape \(1, 10\) is no segmentation map"):
        classes_of(np.zeros((1, 10)))
