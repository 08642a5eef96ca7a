"""Exact intervals of shares."""

import pytest

from exray.diagnosis.statistics import clopper_pearson


@pytest.mark.parametrize(
    ("count", "total", "expected"),
    [
        (0, 10, (0.0, 0.3085)),  # 1 - 0.025 ** (1 / 10)
        (10, 10, (0.6915, 1.0)),
        (1, 200, (0.000127, 0.02754)),
        (0, 0, (0.0, 1.0)),
    ],
)
def test_the_interval_is_that_of_the_tables(
    count: int, total: int, expected: tuple[float, float]
) -> None:
    assert clopper_pearson(count, total) == pytest.approx(expected, abs=5e-5)
