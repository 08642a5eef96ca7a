"""Accuracy, intervals and the exact test against published values."""

from fractions import Fraction
from math import comb, inf, nan
from statistics import NormalDist

import numpy as np
import pytest

from exray.playback.outcome import (
    Accuracy,
    accuracy_from_counts,
    accuracy_from_top,
    flips_from_top1,
    mcnemar_exact,
    top_classes,
    wilson_interval,
)
from exray.schema.errors import DataError


def exact_p(fewer: int, more: int) -> Fraction:
    flips = fewer + more
    tail = sum(comb(flips, k) for k in range(min(fewer, more) + 1))
    return min(Fraction(1), Fraction(2 * tail, 2**flips))


@pytest.mark.parametrize(
    ("correct", "count", "low", "high"),
    # Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_equals_published_values(
    correct: int, count: int, low: float, high: float
) -> None:
    assert wilson_interval(correct, count) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("count", [1, 3, 60, 1000, 10**9])
def test_wilson_interval_stays_within_0_and_1(count: int) -> None:
    assert wilson_interval(0, count)[0] == 0.0
    assert wilson_interval(count, count)[1] == 1.0


def test_wilson_interval_is_symmetric() -> None:
    low, high = wilson_interval(7, 60)
    assert wilson_interval(53, 60) == pytest.approx((1 - high, 1 - low))


def test_wilson_interval_of_nothing_is_everything() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_wilson_interval_widens_with_confidence() -> None:
    narrow, wide = wilson_interval(45, 60, 0.5), wilson_interval(45, 60, 0.99)
    assert wide[0] < narrow[0] < 0.75 < narrow[1] < wide[1]


@pytest.mark.parametrize(
    ("edge_only", "reference_only", "p"),
    # VassarStats' calculator, as the tests of statsmodels quote it.
    [
        (121, 59, 0.000004),
        (70, 59, 0.378688),
        (80, 59, 0.089452),
        (30, 60, 0.00206),
        (10, 30, 0.002221),
        (10, 10, 1.0),
    ],
)
def test_mcnemar_equals_published_values(edge_only: int, reference_only: int, p: float) -> None:
    assert mcnemar_exact(edge_only, reference_only) == pytest.approx(p, abs=5e-7)


def test_mcnemar_equals_exact_fractions() -> None:
    for edge_only in range(0, 40, 3):
        for reference_only in range(0, 60, 7):
            expected = float(exact_p(edge_only, reference_only))
            assert mcnemar_exact(edge_only, reference_only) == pytest.approx(expected, rel=1e-12)


def test_mcnemar_without_flips_is_one() -> None:
    assert mcnemar_exact(0, 0) == 1.0


def test_mcnemar_is_never_above_one() -> None:
    assert mcnemar_exact(500, 500) == 1.0
    assert mcnemar_exact(1, 0) == 1.0


def test_mcnemar_of_many_flips_nears_the_normal_distribution() -> None:
    """Their binomial coefficients are far beyond what a float holds."""
    edge_only, reference_only = 499_000, 501_000
    z = (reference_only - edge_only - 1) / (edge_only + reference_only) ** 0.5
    expected = 2 * NormalDist().cdf(-z)
    assert mcnemar_exact(edge_only, reference_only) == pytest.approx(expected, rel=1e-4)


def test_mcnemar_of_overwhelming_flips_is_zero_not_an_error() -> None:
    assert mcnemar_exact(0, 10_000) == 0.0


def test_top_classes_are_ordered_best_first() -> None:
    scores = np.array([[0.1, 0.7, 0.2], [0.5, 0.1, 0.4]])
    np.testing.assert_array_equal(top_classes(scores, 2), [[1, 2], [0, 2]])


def test_top_classes_of_one_input_need_no_batch() -> None:
    np.testing.assert_array_equal(top_classes([0.1, 0.7, 0.2], 1), [1])


def test_lower_class_wins_between_equal_scores() -> None:
    np.testing.assert_array_equal(top_classes([1, 5, 5, 5], 3), [1, 2, 3])


def test_unsigned_scores_do_not_wrap() -> None:
    scores = np.array([0, 255, 128], np.uint8)
    np.testing.assert_array_equal(top_classes(scores, 3), [1, 2, 0])


def test_what_is_no_number_comes_last() -> None:
    np.testing.assert_array_equal(top_classes([nan, -inf, 2.0], 3), [2, 1, 0])


def test_more_than_there_are_means_all_classes() -> None:
    assert top_classes(np.zeros((4, 3)), 5).shape == (4, 3)


def test_accuracy_counts_labels_among_the_top_classes() -> None:
    top = np.array([[1, 2], [0, 2], [2, 1]])
    assert accuracy_from_top(top, [2, 0, 0]) == Accuracy(2, 3)
    assert accuracy_from_top(top[:, :1], [2, 0, 0]) == Accuracy(1, 3)


def test_accuracy_has_its_share_and_interval() -> None:
    accuracy = accuracy_from_counts(81, 263)
    assert accuracy.value == 81 / 263
    assert accuracy.ci95 == wilson_interval(81, 263)


def test_accuracy_of_nothing_has_no_share() -> None:
    assert Accuracy(0, 0).value is None


@pytest.mark.parametrize(("correct", "count"), [(-1, 3), (4, 3)])
def test_contradicting_counts_are_refused(correct: int, count: int) -> None:
    with pytest.raises(DataError, match=f"got {correct} right of {count} inputs"):
        accuracy_from_counts(correct, count)


def test_labels_of_other_length_are_refused() -> None:
    with pytest.raises(DataError, match=r"got 3 inputs and labels of shape \(2,\)"):
        accuracy_from_top(np.zeros((3, 1), np.int64), [0, 1])


def test_flips_count_each_outcome() -> None:
    labels = [0, 0, 0, 0, 0, 0]
    edge = [0, 0, 1, 1, 2, 0]
    reference = [0, 1, 0, 1, 1, 0]
    flips = flips_from_top1(edge, reference, labels)
    assert (flips.both_right, flips.edge_only, flips.reference_only) == (2, 1, 1)
    assert (flips.both_wrong, flips.changed, flips.flips) == (2, 3, 2)
    assert (flips.edge, flips.reference) == (Accuracy(3, 6), Accuracy(3, 6))
    assert flips.mcnemar_p == 1.0


def test_flips_of_no_inputs_are_none() -> None:
    flips = flips_from_top1([], [], [])
    assert (flips.flips, flips.changed, flips.mcnemar_p) == (0, 0, 1.0)


def test_flips_need_the_same_inputs() -> None:
    with pytest.raises(DataError, match="expected the same inputs in each"):
        flips_from_top1([0, 1], [0], [0, 1])
