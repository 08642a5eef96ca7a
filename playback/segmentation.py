"""Mean intersection over union of segmentation maps."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.schema.errors import DataError, UsageError

from .decode import decode_mask
from .labels import match_keys
from .task import Array, TaskResult, bootstrap

IGNORED = 255
"""Class of a mask's pixels that count for nothing, as in PASCAL VOC."""

Counts = NDArray[np.int64]
"""Pixels in both, in the truth and in the answer by class, shape ``(3, classes)``."""


class Segmentation:
    """Judges segmentation maps against masks, at the size of the model's output.

    Args:
        masks: Mask file by the name of its input without folders and suffix: an image whose
            pixels are class indices, `IGNORED` for none.
        label_offset: Added to each class of a mask but `IGNORED`.
    """

    metric = "iou"

    def __init__(self, masks: Mapping[str, Path], label_offset: int = 0) -> None:
        self._masks, self._offset = masks, label_offset
        self._counts: list[Counts] = []

    @classmethod
    def open(cls, folder: Path, label_offset: int = 0) -> "Segmentation":
        """Find the masks of a folder.

        Raises:
            UsageError: There are none.
        """
        masks = {
            path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() == ".png"
        }
        if not masks:
            msg = f"truth {folder}: no masks in it, expected a .png for each image"
            raise UsageError(msg)
        return cls(masks, label_offset)

    @property
    def truths(self) -> Collection[str]:
        """Names of the masks; see `Task`."""
        return self._masks.keys()

    def match(self, input_ids: Sequence[str]) -> Mapping[str, str]:
        """Return each input's mask, found by its name without suffix; see `Task`."""
        paths = {input_id: PurePosixPath(input_id) for input_id in input_ids}
        stems = {input_id: str(path.parent / path.stem) for input_id, path in paths.items()}
        found = match_keys([*stems.values()], self._masks)
        return {input_id: found[stem] for input_id, stem in stems.items() if stem in found}

    def score(self, truth: str, outputs: Sequence[Array], size: tuple[int, int]) -> float | None:
        """Judge one map; see `Task`."""
        path = self._masks[truth]
        answer, classes = classes_of(outputs[0])
        mask = shrunk(decode_mask(path), answer.shape)
        if self._offset:
            mask = np.where(mask == IGNORED, IGNORED, mask + self._offset)
        wrong = mask[(mask != IGNORED) & ((mask < 0) | (mask >= classes))]
        if wrong.size:
            msg = (
                f"mask {path}: holds class {int(wrong[0])}, the model's last is {classes - 1}. "
                "Write class indices of the model, 255 for pixels to leave out, or pass "
                "--label-offset."
            )
            raise DataError(msg)
        if (mask == IGNORED).all():
            return None
        counts = count(answer, mask, classes)
        self._counts.append(counts)
        return mean_iou(counts)

    def result(self) -> TaskResult | None:
        """Return mIoU over the pixels of all frames; see `Task`."""
        if not self._counts:
            return None
        counts = np.stack(self._counts)

        def pooled(chosen: NDArray[np.int64]) -> float:
            return mean_iou(counts[chosen].sum(0))

        total = counts.sum(0)
        details = {
            "frame_iou": float(np.nanmean([mean_iou(each) for each in counts])),
            "pixel_accuracy": float(total[0].sum() / max(1, total[1].sum())),
        }
        ci95 = bootstrap(pooled, len(counts))
        return TaskResult("mIoU", mean_iou(total), ci95, len(counts), details)


def classes_of(output: Array) -> tuple[NDArray[np.int64], int]:
    """Return the class of each pixel and the number of classes.

    Args:
        output: Scores, shape ``(1, height, width, classes)``, or classes themselves, shape
            ``(1, height, width)`` or ``(1, height, width, 1)``.

    Raises:
        DataError: It is no such map.
    """
    values = np.asarray(output)
    if values.ndim == 4 and values.shape[-1] > 1 and values.shape[0] == 1:
        return values[0].argmax(-1).astype(np.int64), values.shape[-1]
    if values.ndim not in (3, 4) or values.size != np.prod(values.shape[1:3]):
        msg = f"an output of shape {values.shape} is no segmentation map of one input"
        raise DataError(msg)
    return np.rint(values.reshape(values.shape[1:3])).astype(np.int64), IGNORED


def shrunk(mask: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return a mask at another size, each pixel that of its centre."""
    rows, columns = (
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)
        for new, old in zip(shape, mask.shape, strict=True)
    )
    return mask[np.ix_(rows, columns)].astype(np.int64)


def count(answer: NDArray[np.int64], truth: NDArray[np.int64], classes: int) -> Counts:
    """Count the pixels of each class in both, in the truth and in the answer."""
    seen = truth != IGNORED
    ours, theirs = answer[seen], truth[seen]
    return np.stack(
        [
            np.bincount(theirs[ours == theirs], minlength=classes)[:classes],
            np.bincount(theirs, minlength=classes)[:classes],
            np.bincount(np.clip(ours, 0, classes - 1), minlength=classes)[:classes],
        ]
    ).astype(np.int64)


def mean_iou(counts: Counts) -> float:
    """Return the mean over classes that either side has; NaN of none.

    >>> mean_iou(np.array([[3, 0], [4, 1], [4, 1]]))
    0.3
    """
    both, truth, answer = counts
    union = truth + answer - both
    there = union > 0
    return float((both[there] / union[there]).mean()) if there.any() else float("nan")
