"""Average precision of weighted frames: as pycocotools pools them, many times over.

A bootstrap wants the metric of some hundred draws of frames, and pycocotools sorts all
detections anew for each, which takes seconds for thousands of images. Sorted once, a draw
is two running sums: a frame that was drawn twice counts twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RECALLS = np.linspace(0.0, 1.0, 101)
"""Recalls at which precision is read, as in COCO."""

Match = Mapping[str, Any]
"""What pycocotools says of one frame and category."""


@dataclass(frozen=True, slots=True, eq=False)
class _Category:
    """Detections of one category in all frames, the surest first.

    Args:
        objects: Objects to be found in each frame, shape ``(frames,)``.
        frame: Frame of each detection.
        right: Whether it is, by threshold of overlap, shape ``(thresholds, detections)``.
        wrong: Whether it is; a detection of what counts for nothing is neither.
    """

    objects: NDArray[np.int64]
    frame: NDArray[np.int64]
    right: NDArray[np.bool_]
    wrong: NDArray[np.bool_]


class PooledMatches:
    """The matches of all frames.

    Args:
        matched: Of each frame what pycocotools says by category; None of a category that the
            frame neither has nor shows.
    """

    def __init__(self, matched: Sequence[Sequence[Match | None]]) -> None:
        self._categories = [
            _category(rows, len(matched)) for rows in zip(*matched, strict=True) if any(rows)
        ]

    def mean(self, weights: NDArray[np.int64]) -> float:
        """Return the mean over categories and thresholds; NaN where there is no object.

        Args:
            weights: How often each frame counts, shape ``(frames,)``.
        """
        means = [_mean(category, weights) for category in self._categories]
        there = [mean for mean in means if mean is not None]
        return float(np.mean(there)) if there else float("nan")


def _category(rows: Sequence[Match | None], frames: int) -> _Category:
    there = [(frame, row) for frame, row in enumerate(rows) if row is not None]
    objects: NDArray[np.int64] = np.zeros(frames, np.int64)
    for frame, row in there:
        objects[frame] = np.count_nonzero(np.asarray(row["gtIgnore"]) == 0)
    scores = np.concatenate([row["dtScores"] for _, row in there])
    order = np.argsort(-scores, kind="stable")
    is_matched = np.concatenate([row["dtMatches"] for _, row in there], axis=1)[:, order] > 0
    counts = ~np.concatenate([row["dtIgnore"] for _, row in there], axis=1)[:, order].astype(bool)
    frame_of = np.repeat([frame for frame, _ in there], [len(row["dtScores"]) for _, row in there])
    return _Category(objects, frame_of[order], is_matched & counts, ~is_matched & counts)


def _mean(category: _Category, weights: NDArray[np.int64]) -> float | None:
    objects = int((category.objects * weights).sum())
    if not objects:
        return None
    times = weights[category.frame]
    right = np.cumsum(category.right * times, axis=1)
    precision = right / np.maximum(1, right + np.cumsum(category.wrong * times, axis=1))
    # Precision at a recall is the best at this recall or a higher one; beyond the last, none.
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    best = np.pad(best, ((0, 0), (0, 1)))
    read = [
        row[np.searchsorted(found, RECALLS)]
        for row, found in zip(best, right / objects, strict=True)
    ]
    return float(np.mean(read))
