"""A range that clips or wastes is told from one that merely is not the best."""

import numpy as np
import pytest

from exray.diagnosis.layers.ranges import RangeFit, fit_range
from exray.schema.records import Quantization

VALUES = np.abs(np.random.default_rng(3).normal(size=(1, 8, 8, 16)))
BEST = float(VALUES.max()) / 255


def fit(factor: float, zero_point: int = -128) -> RangeFit:
    """The range whose step is *factor* times the best one."""
    found = fit_range(Quantization((BEST * factor,), (zero_point,)), "int8", [VALUES])
    assert found is not None
    return found


@pytest.mark.parametrize("factor", [0.9, 1.0, 2.0, 2.5])
def test_a_range_as_sound_networks_have_it(factor: float) -> None:
    assert not fit(factor).is_broken


def test_a_wasted_range() -> None:
    wasted = fit(8.0)
    assert wasted.is_broken
    assert not wasted.is_clipped
    assert wasted.steps_ratio == pytest.approx(8.0)


def test_a_clipped_range() -> None:
    clipped = fit(0.2)
    assert clipped.is_broken
    assert clipped.is_clipped
    assert clipped.covered_ratio == pytest.approx(0.2)


def test_a_moved_zero_point_clips_against_the_baseline() -> None:
    moved = fit(1.0, zero_point=20)
    assert moved.is_clipped
    assert moved.is_worse(fit(1.0))
    assert not fit(1.0).is_worse(moved)


def test_another_calibration_is_not_worse() -> None:
    assert not fit(1.8).is_worse(fit(1.0))


def test_values_that_are_all_zero_say_nothing() -> None:
    assert fit_range(Quantization((1.0,), (0,)), "int8", [np.zeros((2, 2))]) is None
