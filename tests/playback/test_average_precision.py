"""Average precision of weighted frames, held against pycocotools'."""

import numpy as np
import pytest

from exray.playback.average_precision import PooledMatches
from exray.playback.detection import Detection, TruthBox

pytest.importorskip("pycocotools")

FRAMES, CLASSES, FOUND = 12, 4, 9


@pytest.fixture(scope="module")
def task() -> Detection:
    """Frames of random objects, some of them crowds, found more or less in place."""
    rng = np.random.default_rng(7)
    truths: dict[str, list[TruthBox]] = {}
    for frame in range(FRAMES):
        truths[str(frame)] = [
            TruthBox(
                int(rng.integers(0, CLASSES)), (*rng.uniform(0, 60, 2), 40.0, 40.0), i % 5 == 4
            )
            for i in range(int(rng.integers(0, 7)))
        ]
    task = Detection(truths)
    for name, objects in truths.items():
        boxes = rng.uniform(0, 0.6, (1, FOUND, 4))
        classes = rng.integers(0, CLASSES, (1, FOUND))
        for i, truth in enumerate(objects):
            boxes[0, i, :2] = (np.array(truth.box[1::-1]) + rng.normal(0, 4, 2)) / 100
            classes[0, i] = truth.category
        boxes[..., 2:] = boxes[..., :2] + 0.4
        scores = rng.uniform(0.1, 0.9, (1, FOUND))
        task.score(name, [boxes, classes, scores, np.array([FOUND])], (100, 100))
    return task


def test_any_draw_of_frames_has_the_mean_that_pycocotools_gives_it(task: Detection) -> None:
    rng = np.random.default_rng(11)
    pooled = PooledMatches(task._matched)
    draws = [np.arange(FRAMES), *(rng.integers(0, FRAMES, FRAMES) for _ in range(20))]
    expected = [task._precision(draw.tolist())["ap"] for draw in draws]
    found = [pooled.mean(np.bincount(draw, minlength=FRAMES)) for draw in draws]
    assert found == pytest.approx(expected, abs=1e-9)
    assert 0.1 < min(expected) < max(expected) - 0.05  # there is something to differ in


def test_frames_without_objects_have_no_mean(task: Detection) -> None:
    empty = Detection({"a": []})
    empty.score("a", [np.zeros((1, 0, 4)), np.zeros((1, 0)), np.zeros((1, 0))], (10, 10))
    assert np.isnan(PooledMatches(empty._matched).mean(np.array([1])))
