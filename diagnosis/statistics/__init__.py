"""Tests that hold over all layers at once, how many frames they take, and intervals."""

from .blocks import TimeChange, time_change
from .frames import frames_to_see
from .max_statistic import MaxTest, max_test_paired, max_test_unpaired
from .proportions import clopper_pearson

__all__ = [
    "MaxTest",
    "TimeChange",
    "clopper_pearson",
    "frames_to_see",
    "max_test_paired",
    "max_test_unpaired",
    "time_change",
]
