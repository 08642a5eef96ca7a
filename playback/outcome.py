"""Accuracy and its uncertainty, and the test of two runs over the same inputs."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from exray.schema.errors import DataError

CONFIDENCE = 0.95
"""Share of repetitions in which an interval holds the true value."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A share of right answers.

    Args:
        correct: Inputs answered rightly.
        count: Inputs that have a label.
    """

    correct: int
    count: int

    @property
    def value(self) -> float | None:
        """The share, 0 to 1; None of no inputs."""
        return self.correct / self.count if self.count else None

    @property
    def ci95(self) -> tuple[float, float]:
        """Wilson's interval of the share, 95 %."""
        return wilson_interval(self.correct, self.count)


def accuracy_from_counts(correct: int, count: int) -> Accuracy:
    """Return the accuracy of so many right answers of so many inputs.

    Raises:
        DataError: The counts contradict each other.
    """
    if not 0 <= correct <= count:
        msg = f"got {correct} right of {count} inputs, expected 0 up to the number of inputs"
        raise DataError(msg)
    return Accuracy(correct, count)


def wilson_interval(
    correct: int, count: int, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Return Wilson's score interval of a share, which never leaves 0 to 1.

    Args:
        correct: Right answers.
        count: Answers; of none the share may be anything.
        confidence: Share of repetitions in which the interval holds the true value.

    >>> low, high = wilson_interval(81, 263)
    >>> print(f"{low:.4f} {high:.4f}")
    0.2553 0.3662
    """
    if count == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = correct / count
    middle = share + z * z / (2 * count)
    reach = z * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    scale = 1 + z * z / count
    # The ends are exact at no and at all right answers, where rounding would miss them.
    low = (middle - reach) / scale if correct else 0.0
    high = (middle + reach) / scale if correct < count else 1.0
    return low, high


def mcnemar_exact(edge_only: int, reference_only: int) -> float:
    """Return the two-sided p of McNemar's exact test: a fair coin, thrown once per flip.

    Args:
        edge_only: Inputs right on the edge alone.
        reference_only: Inputs right in the reference alone.

    >>> print(f"{mcnemar_exact(1, 9):.4f}")
    0.0215
    """
    flips, fewer = edge_only + reference_only, min(edge_only, reference_only)
    if flips == 0:
        return 1.0
    # Logarithms of the binomial coefficients: they overflow from about 1030 flips on.
    steps = np.arange(fewer, dtype=np.float64)
    logs = np.concatenate([[0.0], np.cumsum(np.log((flips - steps) / (steps + 1)))])
    largest = float(logs[-1])
    tail = math.log(float(np.exp(logs - largest).sum())) + largest - (flips - 1) * math.log(2)
    return min(1.0, math.exp(tail))
