"""How many frames it takes."""

import numpy as np

from exray.diagnosis.statistics import frames_to_see, max_test_paired, max_test_unpaired


def test_twice_the_spread_takes_four_times_the_frames() -> None:
    losses = np.random.default_rng(1).normal(size=(200, 10))
    once, twice = (frames_to_see(max_test_paired(k * losses), 1.0) for k in (3, 6))
    assert 3.8 < twice / once < 4.2


def test_few_frames_are_never_enough() -> None:
    assert frames_to_see(max_test_paired(np.zeros((3, 4))), 3.0) == 6
    assert frames_to_see(max_test_paired(np.zeros((0, 4))), 3.0) == 6


def test_so_many_frames_see_the_loss_four_times_of_five() -> None:
    rng, seen, builds, loss = np.random.default_rng(2), 0, 60, 1.5
    needed = frames_to_see(max_test_paired(rng.normal(0, 2, (400, 8))), loss)
    for _ in range(builds):
        losses = rng.normal(0, 2, (needed, 8))
        losses[:, 3] += loss
        seen += bool(max_test_paired(losses, 400).p_values[3] <= 0.05)
    assert 0.65 * builds < seen


def test_two_samples_take_twice_the_frames_of_one() -> None:
    rng = np.random.default_rng(3)
    paired = max_test_paired(rng.normal(size=(400, 5)))
    unpaired = max_test_unpaired(rng.normal(size=(400, 5)), rng.normal(size=(400, 5)))
    assert 1.6 < frames_to_see(unpaired, 0.2) / frames_to_see(paired, 0.2) < 2.5
