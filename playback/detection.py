"""Mean average precision of detections, COCO style: matched and pooled by pycocotools."""

import contextlib
import importlib
import io
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.schema.errors import DataError, MissingExtraError, UsageError

from .average_precision import PooledMatches
from .labels import match_keys
from .task import Array, TaskResult, bootstrap

MOST = 100
"""Detections of one image that count, as in COCO."""

Box = tuple[float, float, float, float]
"""Left, top, width, height in pixels of the recorded image."""


@dataclass(frozen=True, slots=True)
class TruthBox:
    """One object of an image."""

    category: int
    box: Box
    is_crowd: bool = False


class Detection:
    """Judges boxes against those of a COCO annotation file.

    Args:
        boxes: Objects by the file name of their image; an empty list says that there are none.
        label_offset: Added to each category id: the class index of the model, such as -1
            for models that count COCO's ids from 0.
    """

    metric = "ap"

    def __init__(self, boxes: Mapping[str, Sequence[TruthBox]], label_offset: int = 0) -> None:
        self._boxes, self._offset = boxes, label_offset
        self._categories = sorted({box.category for of in boxes.values() for box in of})
        self._matched: list[list[dict[str, Any] | None]] = []
        """What pycocotools says of each frame, a row for each category."""

    @classmethod
    def open(cls, path: Path, label_offset: int = 0) -> "Detection":
        """Read ``instances_*.json``: images, annotations, categories.

        Raises:
            UsageError: It is no such file.
            MissingExtraError: pycocotools is not installed.
        """
        _evaluator()
        try:
            read = json.loads(path.read_text("utf-8"))
            names = {int(image["id"]): str(image["file_name"]) for image in read["images"]}
            boxes: dict[str, list[TruthBox]] = {name: [] for name in names.values()}
            for row in read["annotations"]:
                left, top, width, height = (float(x) for x in row["bbox"])
                of = boxes[names[int(row["image_id"])]]
                is_crowd = bool(row.get("iscrowd", 0))
                box = TruthBox(int(row["category_id"]), (left, top, width, height), is_crowd)
                of.append(box)
        except OSError as error:
            msg = (
                f"truth {path}: cannot be read: {error.strerror}. Name a file of COCO's annotations"
            )
            raise UsageError(msg) from error
        except (ValueError, KeyError, TypeError) as error:
            told = f"{type(error).__name__}: {error}"
            msg = (
                f"truth {path}: no annotations in COCO's form ({told}). Expected images "
                "(id, file_name) and annotations (image_id, category_id, bbox)."
            )
            raise UsageError(msg) from error
        return cls(boxes, label_offset)

    @property
    def truths(self) -> Collection[str]:
        """File names of the images; see `Task`."""
        return self._boxes.keys()

    def match(self, input_ids: Sequence[str]) -> Mapping[str, str]:
        """Return the file name that each input goes by; see `Task`."""
        return match_keys(input_ids, self._boxes)

    def score(self, truth: str, outputs: Sequence[Array], size: tuple[int, int]) -> float | None:
        """Judge one image's boxes; see `Task`."""
        self._matched.append(self._match(self._boxes[truth], detections(outputs, size)))
        value = self._precision([len(self._matched) - 1])["ap"]
        return None if np.isnan(value) else value

    def result(self) -> TaskResult | None:
        """Return mAP over all images; see `Task`."""
        if not self._matched:
            return None
        count = len(self._matched)
        every = self._precision(range(count))
        if np.isnan(every["ap"]):
            return None
        pooled = PooledMatches(self._matched)
        ci95 = bootstrap(lambda chosen: pooled.mean(np.bincount(chosen, minlength=count)), count)
        return TaskResult("mAP", every.pop("ap"), ci95, count, every)

    def _match(
        self, truth: Sequence[TruthBox], found: Sequence[tuple[int, Box, float]]
    ) -> list[dict[str, Any] | None]:
        coco, evaluator = _evaluator()
        image = {"id": 1}
        rows = [
            {
                "id": i + 1,
                "image_id": 1,
                "category_id": box.category,
                "bbox": list(box.box),
                "area": box.box[2] * box.box[3],
                "iscrowd": int(box.is_crowd),
            }
            for i, box in enumerate(truth)
        ]
        ours = [
            {
                "id": i + 1,
                "image_id": 1,
                "category_id": label - self._offset,
                "bbox": list(box),
                "area": box[2] * box[3],
                "score": score,
                "iscrowd": 0,
            }
            for i, (label, box, score) in enumerate(found)
        ]
        categories = [{"id": category} for category in self._categories]
        with contextlib.redirect_stdout(io.StringIO()):  # it tells of its progress
            sides: list[Any] = []
            for annotations in (rows, ours):
                side = coco()
                side.dataset = {
                    "images": [image],
                    "annotations": annotations,
                    "categories": categories,
                }
                side.createIndex()
                sides.append(side)
            judged = evaluator(*sides, "bbox")
            self._set(judged, 1)
            judged.evaluate()
        return list(judged.evalImgs)

    def _set(self, judged: Any, images: int) -> None:
        judged.params.imgIds = list(range(1, images + 1))
        judged.params.catIds = self._categories
        judged.params.areaRng, judged.params.areaRngLbl = [[0, 1e10]], ["all"]
        judged.params.maxDets = [MOST]

    def _precision(self, chosen: Sequence[int]) -> dict[str, float]:
        """Pool frames, as pycocotools does."""
        _, evaluator = _evaluator()
        with contextlib.redirect_stdout(io.StringIO()):
            judged = evaluator(iouType="bbox")
            self._set(judged, len(chosen))
            judged._paramsEval = judged.params
            judged.evalImgs = [
                self._matched[frame][row]
                for row in range(len(self._categories))
                for frame in chosen
            ]
            judged.accumulate()
        precision: NDArray[np.float64] = judged.eval["precision"]
        steps: NDArray[np.float64] = judged.params.iouThrs

        def mean(part: NDArray[np.float64]) -> float:
            there = part[part > -1]
            return float(there.mean()) if there.size else float("nan")

        at = {f"ap{round(100 * t)}": mean(precision[np.isclose(steps, t)]) for t in (0.5, 0.75)}
        return {"ap": mean(precision), **at}


def detections(outputs: Sequence[Array], size: tuple[int, int]) -> list[tuple[int, Box, float]]:
    """Read the outputs of TFLite's detection post-processing: class, box and score each.

    Args:
        outputs: Boxes ``(1, n, 4)`` as top, left, bottom, right, 0 to 1; classes and scores,
            ``(1, n)``; how many count, ``(1,)``. Classes come before scores unless theirs
            are the only whole numbers.
        size: Height and width of the recorded image, all of which the model saw.

    Raises:
        DataError: They are not.
    """
    boxes = [x for x in outputs if x.ndim == 3 and x.shape[-1] == 4]
    rows = [x for x in outputs if x.ndim == 2 and boxes and x.shape == boxes[0].shape[:2]]
    counts = [x for x in outputs if x.size == 1 and not any(x is row for row in rows)]
    if len(boxes) != 1 or len(rows) != 2:
        shapes = ", ".join(str(x.shape) for x in outputs)
        msg = (
            f"outputs of shapes {shapes} are no detections: expected boxes (1, n, 4), classes "
            "and scores (1, n), and their count, as TFLite_Detection_PostProcess gives them"
        )
        raise DataError(msg)
    whole = [bool((row == np.rint(row)).all()) for row in rows]
    classes, scores = rows if whole[0] or not whole[1] else reversed(rows)
    kept = int(counts[0].ravel()[0]) if counts else boxes[0].shape[1]
    height, width = size
    found: list[tuple[int, Box, float]] = []
    for (top, left, bottom, right), label, score in zip(
        boxes[0][0][:kept].tolist(), classes[0].tolist(), scores[0].tolist(), strict=False
    ):
        box = (left * width, top * height, (right - left) * width, (bottom - top) * height)
        found.append((round(label), box, float(score)))
    return found


def _evaluator() -> tuple[Any, Any]:
    """Return pycocotools' COCO and COCOeval, which have no types."""
    try:
        coco: Any = importlib.import_module("pycocotools.coco")
        judge: Any = importlib.import_module("pycocotools.cocoeval")
    except ImportError as error:
        raise MissingExtraError("detection", "mAP of detections") from error
    return coco.COCO, judge.COCOeval
