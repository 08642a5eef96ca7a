"""The largest statistic over layers: what it finds, and how often it is wrong."""

import numpy as np
import pytest

from exray.diagnosis.statistics import MaxTest, max_test_paired, max_test_unpaired

LAYERS = 60


def correlated(rng: np.random.Generator, frames: int, layers: int = LAYERS) -> np.ndarray:
    """Return numbers whose layers share most of a frame's luck, as real layers do."""
    return 1.5 * rng.normal(size=(frames, 1)) + rng.normal(size=(frames, layers))


def test_one_layer_that_loses_is_named_alone() -> None:
    losses = correlated(np.random.default_rng(1), 24)
    losses[:, 17] += 6.0
    assert np.flatnonzero(max_test_paired(losses).worse(3.0)).tolist() == [17]


def test_a_gain_is_no_loss() -> None:
    losses = correlated(np.random.default_rng(1), 24)
    losses[:, 17] -= 6.0
    assert not max_test_paired(losses).worse(0.0).any()


def test_a_loss_below_the_floor_is_let_be() -> None:
    losses = np.full((24, 3), 0.5) + np.random.default_rng(2).normal(0, 0.01, (24, 3))
    test = max_test_paired(losses)
    assert (test.p_values < 0.05).all()
    assert not test.worse(1.0).any()


@pytest.mark.parametrize("is_paired", [True, False])
def test_of_sound_builds_at_most_one_in_twenty_has_a_layer_called_worse(is_paired: bool) -> None:
    rng, alarms, builds = np.random.default_rng(3), 0, 300
    for _ in range(builds):
        if is_paired:
            test = max_test_paired(correlated(rng, 16), draws=400)
        else:
            test = max_test_unpaired(correlated(rng, 16), correlated(rng, 24), draws=400)
        alarms += bool(test.worse(0.0).any())
    assert alarms <= 0.05 * builds + 2.6 * np.sqrt(builds * 0.05 * 0.95)  # 99.5 % of such series


def test_testing_each_layer_by_itself_would_call_most_sound_builds_worse() -> None:
    rng = np.random.default_rng(3)
    alarms = 0
    for _ in range(100):
        losses = rng.normal(size=(16, LAYERS))
        alarms += any(max_test_paired(losses[:, [i]], 200).worse(0.0).any() for i in range(LAYERS))
    assert alarms > 60


def test_frames_need_not_be_the_same_to_see_a_layer_lose() -> None:
    rng = np.random.default_rng(4)
    before, after = 30 + correlated(rng, 40), 30 + correlated(rng, 30)
    after[:, 5] -= 8.0
    assert np.flatnonzero(max_test_unpaired(before, after).worse(3.0)).tolist() == [5]


def test_a_layer_that_was_not_measured_is_not_judged() -> None:
    losses = correlated(np.random.default_rng(5), 24)
    losses[:, 3] = np.nan
    losses[:12, 4] += 9.0
    losses[12:, 4] = np.nan
    test = max_test_paired(losses)
    assert (test.p_values[3], test.counts[3], test.counts[4]) == (1.0, 0, 12)
    assert np.flatnonzero(test.worse(3.0)).tolist() == [4]


def test_no_difference_at_all_is_no_loss() -> None:
    test = max_test_paired(np.zeros((10, 4)))
    assert not test.worse(0.0).any()


def test_no_frames_judge_nothing() -> None:
    for test in (
        max_test_paired(np.zeros((0, 4))),
        max_test_unpaired(np.zeros((0, 4)), np.zeros((3, 4))),
    ):
        assert isinstance(test, MaxTest)
        assert not test.worse(0.0).any()


def test_the_same_frames_have_the_same_verdict() -> None:
    losses = correlated(np.random.default_rng(6), 12)
    first, second = max_test_paired(losses), max_test_paired(losses)
    assert (first.p_values == second.p_values).all()
