"""Intervals of shares."""

import math
from collections.abc import Callable


def clopper_pearson(right: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a share (Clopper and Pearson 1934).

    >>> low, high = clopper_pearson(81, 263)
    >>> print(f"{low:.4f} {high:.4f}")
    0.2527 0.3676
    """
    tail = (1 - confidence) / 2
    low = 0.0 if right == 0 else _solved(lambda p: _at_least(right, count, p), tail)
    high = 1.0 if right == count else _solved(lambda p: _at_least(right + 1, count, p), 1 - tail)
    return low, high


def _at_least(least: int, count: int, share: float) -> float:
    """Return the probability of so many or more right of *count*."""
    terms = (
        math.exp(
            math.lgamma(count + 1)
            - math.lgamma(k + 1)
            - math.lgamma(count - k + 1)
            + k * math.log(share)
            + (count - k) * math.log1p(-share)
        )
        for k in range(least, count + 1)
    )
    return math.fsum(terms)


def _solved(rising: Callable[[float], float], wanted: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return (low + high) / 2
