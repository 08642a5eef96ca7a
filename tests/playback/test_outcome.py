"""Accuracy, intervals and the exact test against published values."""

from fractions import Fraction
from math import comb
from statistics import NormalDist

import pytest

from exray.playback.outcome import (
    Accuracy,
    accuracy_from_counts,
    mcnemar_exact,
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
