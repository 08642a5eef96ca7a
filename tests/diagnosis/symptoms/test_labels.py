"""Classes that carry other numbers."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from exray.diagnosis.causes import Cause
from exray.diagnosis.symptoms import find_labels
from exray.diagnosis.symptoms.labels import constant_shift

from ..lakes import Recording, make_graph
from .scenes import causes

CLASSES = (3, 700, 12, 44, 999, 3, 81, 205)


def found(path: Path, edge: Sequence[int], labels: Sequence[int] | None = None) -> list[Cause]:
    ours = Recording(make_graph("aa", ["stem"]), "e")
    theirs = Recording(make_graph("bb", ["stem"]), "r", "reference")
    for i, (best, other) in enumerate(zip(edge, CLASSES, strict=True)):
        label = None if labels is None else labels[i]
        ours.add(f"{i}", prediction=best, label=label)
        theirs.add(f"{i}", prediction=other, label=label)
    return causes(path, find_labels, ours, theirs)


def test_a_background_class_more_is_a_shift_of_one(tmp_path: Path) -> None:
    (cause,) = found(tmp_path, [c + 1 for c in CLASSES])
    assert (cause.code, cause.evidence["shift"]) == ("labels.shifted", 1)
    assert cause.what == "classes of 'e' are those of r +1"
    assert cause.confidence > 0.9


def test_one_background_class_less_is_found_though_some_answers_differ(tmp_path: Path) -> None:
    edge = [c - 1 for c in CLASSES]
    edge[0], edge[1] = 500, 501
    (cause,) = found(tmp_path, edge)
    assert cause.evidence["shift"] == -1


def test_labels_that_both_miss_by_one_are_shifted_themselves(tmp_path: Path) -> None:
    (cause,) = found(tmp_path, list(CLASSES), [c - 1 for c in CLASSES])
    assert "the labels +1" in cause.what


def test_answers_that_agree_or_differ_at_random_are_no_shift(tmp_path: Path) -> None:
    assert found(tmp_path / "same", list(CLASSES)) == []
    assert found(tmp_path / "random", [5, 2, 900, 1, 0, 77, 34, 8]) == []


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"shift": 1, "frames": 4, "frames_ratio": 1.0, "classes": 4}],  # few frames
        [{"shift": 1, "frames": 40, "frames_ratio": 1.0, "classes": 1}],  # always one answer
        [
            {"shift": 1, "frames": 30, "frames_ratio": 0.6, "classes": 9},
            {"shift": 0, "frames": 20, "frames_ratio": 0.4, "classes": 9},
        ],
    ],
)
def test_a_shift_needs_frames_classes_and_agreement(rows: list[dict[str, float]]) -> None:
    assert constant_shift(list(rows)) is None


@pytest.mark.parametrize(
    ("classes", "same", "shift"), [(60, 0.02, 1), (5, 0.02, None), (60, 0.2, None)]
)
def test_a_network_that_is_often_wrong_shows_the_shift_of_its_labels(
    classes: int, same: float, shift: int | None
) -> None:
    ratios = {1: 0.5, 0: same, -7: 0.04}
    rows = [
        {"shift": by, "frames": round(80 * ratio), "frames_ratio": ratio, "classes": classes}
        for by, ratio in ratios.items()
    ]
    rows.append({"shift": 400, "frames": 80 - sum(int(r["frames"]) for r in rows)})
    rows[-1] |= {"frames_ratio": rows[-1]["frames"] / 80, "classes": classes}
    found = constant_shift(list(rows), is_label=True)
    assert (found and found[0]) == shift
    assert constant_shift(list(rows)) is None
