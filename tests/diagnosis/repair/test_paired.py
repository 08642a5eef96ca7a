"""Answers before and after a change, input by input."""

from collections.abc import Sequence

import numpy as np
import pytest

from exray.diagnosis.repair.paired import Paired, pair
from exray.diagnosis.repair.rerun import Answer, Answers

OUTPUT = np.arange(1.0, 257.0)


def answers(best: Sequence[int | None], error: float = 0.0) -> Answers:
    """Return answers whose outputs are *error* times the reference's too large."""
    return {f"{i}": Answer(b, 256, OUTPUT * (1 + error)) for i, b in enumerate(best)}


def paired(before: Answers, after: Answers, targets: Answers | None = None) -> Paired:
    return pair(before, after, lambda _: 1, targets or {})


def test_mended_and_broken_answers_are_counted() -> None:
    found = paired(answers([1, 1, 0, 0, 0]), answers([1, 0, 1, 1, 0]))
    assert (found.judged, found.right_before, found.right_after) == (5, 2, 3)
    assert (found.mended, found.broken) == (2, 1)


def test_an_input_that_one_side_could_not_feed_does_not_count() -> None:
    assert paired(answers([0, 0]), answers([1])).judged == 1


def test_many_more_mended_than_broken_are_kept() -> None:
    found = paired(answers([0] * 8), answers([1] * 8))
    assert found.mcnemar_p == pytest.approx(2 / 2**8)
    assert found.is_kept


def test_few_mended_are_promising_and_not_kept() -> None:
    found = paired(answers([0] * 4 + [1] * 16), answers([1] * 20))
    assert not found.is_kept
    assert found.is_promising
    assert 5 <= found.inputs_missing <= 15  # six of six would do


def test_no_change_is_neither() -> None:
    found = paired(answers([0, 1]), answers([0, 1]))
    assert not found.is_kept
    assert not found.is_promising
    assert found.inputs_missing == 0


def test_outputs_that_come_nearer_are_kept_though_answers_are_the_same() -> None:
    target = answers([1] * 8)
    found = paired(answers([1] * 8, 0.5), answers([1] * 8, 0.1), target)
    assert (found.measured, found.nearer, found.farther) == (8, 8, 0)
    assert found.median_gain_db == pytest.approx(20 * np.log10(5), abs=0.01)
    assert found.is_kept


def test_outputs_that_come_nearer_do_not_make_up_for_worse_answers() -> None:
    target = answers([1] * 8)
    found = paired(answers([1] * 8, 0.5), answers([0] * 8, 0.1), target)
    assert found.outputs_nearer
    assert not found.is_kept


def test_a_gain_too_small_to_matter_is_not_kept() -> None:
    target = answers([1] * 8)
    assert not paired(answers([1] * 8, 0.100), answers([1] * 8, 0.095), target).is_kept


def test_outputs_that_stay_as_they_are_do_not_count_against_those_that_come_nearer() -> None:
    target = answers([1] * 24)
    before = {**answers([1] * 24, 0.1), **answers([1] * 8, 0.5)}
    found = paired(before, answers([1] * 24, 0.1), target)
    assert (found.measured, found.nearer, found.farther) == (24, 8, 0)
    assert found.is_kept


def test_outputs_of_another_size_are_not_compared() -> None:
    target = {name: Answer(1, 1000, OUTPUT) for name in answers([1] * 8)}
    assert paired(answers([1] * 8), answers([1] * 8), target).measured == 0


def test_a_folded_sketch_meets_a_whole_one() -> None:
    target = {"0": Answer(1, 256, OUTPUT.reshape(64, 4).sum(axis=1))}
    found = paired(answers([1], 0.5), answers([1], 0.05), target)
    assert found.median_gain_db == pytest.approx(20.0, abs=0.01)


def test_json_holds_intervals_and_no_infinity() -> None:
    document = paired(answers([0] * 8), answers([1] * 8), answers([1] * 8)).to_json()
    assert document["top1_after"] == 1.0
    assert document["ci95_before"] == [0.0, pytest.approx(0.3244, abs=1e-4)]
    assert document["median_gain_db"] == 0.0
