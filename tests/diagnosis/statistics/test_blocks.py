"""Times compared by blocks."""

import numpy as np
import pytest

from exray.diagnosis.statistics import time_change


def blocks(
    rng: np.random.Generator, count: int, typical_ms: float, drift: float = 0.05
) -> list[np.ndarray]:
    """Return blocks whose level wanders: what is near in time is alike."""
    return [
        typical_ms * np.exp(rng.normal(0, drift)) * np.exp(rng.normal(0, 0.02, 30))
        for _ in range(count)
    ]


def test_a_third_slower_is_slower() -> None:
    rng = np.random.default_rng(1)
    change = time_change(blocks(rng, 12, 3.0), blocks(rng, 12, 4.0))
    assert change is not None
    assert change.ratio == pytest.approx(4 / 3, rel=0.1)
    assert change.is_slower(1.1)


def test_of_equal_builds_few_are_called_slower() -> None:
    rng, alarms = np.random.default_rng(2), 0
    for _ in range(200):
        change = time_change(blocks(rng, 8, 3.0), blocks(rng, 8, 3.0), draws=400)
        assert change is not None
        alarms += change.ci95[0] > 1.0
    assert alarms <= 15  # 2.5 % is the level


def test_single_executions_as_blocks_would_call_equal_builds_slower() -> None:
    rng, alarms = np.random.default_rng(2), 0
    for _ in range(50):
        before, after = (
            [np.array([t]) for block in blocks(rng, 8, 3.0) for t in block] for _ in range(2)
        )
        change = time_change(before, after, draws=200)
        assert change is not None
        alarms += change.ci95[0] > 1.0
    assert alarms > 10


def test_few_blocks_say_nothing() -> None:
    rng = np.random.default_rng(3)
    assert time_change(blocks(rng, 3, 1.0), blocks(rng, 9, 9.0)) is None


def test_a_hot_device_is_compared_with_a_hot_one() -> None:
    rng = np.random.default_rng(4)
    before = blocks(rng, 6, 3.0) + blocks(rng, 6, 6.0)
    after = blocks(rng, 2, 3.0) + blocks(rng, 10, 6.0)
    mixed = time_change(before, after)
    apart = time_change(before, after, ["cool"] * 6 + ["hot"] * 6, ["cool"] * 2 + ["hot"] * 10)
    assert mixed is not None
    assert apart is not None
    assert mixed.ratio > 1.2
    assert apart.ratio == pytest.approx(1.0, abs=0.06)
    assert (apart.strata, apart.blocks) == (1, 6)
