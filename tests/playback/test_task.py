"""How sure a task's metric is, and whether two sides differ."""

from statistics import NormalDist

import numpy as np
import pytest

from exray.playback.task import bootstrap, paired_means, sign_flip_p


def test_sign_flips_are_counted_exactly_for_few_frames() -> None:
    # Of 2^4 signs only all plus and all minus reach the sum of 1+2+3+4.
    assert sign_flip_p(np.array([1.0, 2.0, 3.0, 4.0])) == pytest.approx(2 / 16)


def test_differences_that_cancel_are_no_difference() -> None:
    assert sign_flip_p(np.array([0.2, -0.2, 0.1, -0.1])) == 1.0


def test_many_frames_that_all_lose_are_surely_worse() -> None:
    p = sign_flip_p(np.full(40, -0.1))
    assert 0 < p < 0.001


def test_signs_thrown_for_many_frames_tell_what_all_would() -> None:
    differences = np.random.default_rng(5).normal(0.3, 1.0, 60)
    spread = float(np.sqrt(np.square(differences).sum()))
    normal = 2 * (1 - NormalDist().cdf(abs(float(differences.sum())) / spread))
    assert sign_flip_p(differences) == pytest.approx(normal, rel=0.2)


def test_no_frames_no_means() -> None:
    assert paired_means([], []) is None


def test_means_are_those_of_the_frames() -> None:
    found = paired_means([0.5, 0.7], [0.5, 0.9])
    assert found is not None
    assert (found.edge, found.reference) == pytest.approx((0.6, 0.7))
    low, high = found.difference_ci95
    assert low <= -0.1 <= high
    assert found.p == 1.0  # signs of one difference alone say nothing


def test_the_interval_of_frames_that_agree_has_no_width() -> None:
    assert bootstrap(lambda chosen: 0.25, 10) == (0.25, 0.25)


def test_the_interval_of_a_mean_is_that_of_its_standard_error() -> None:
    values = np.arange(100) / 100
    low, high = bootstrap(lambda chosen: float(values[chosen].mean()), 100)
    reach = 1.96 * values.std() / 10
    assert low == pytest.approx(values.mean() - reach, abs=0.01)
    assert high == pytest.approx(values.mean() + reach, abs=0.01)
