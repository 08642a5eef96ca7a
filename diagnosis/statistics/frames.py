"""How many frames it takes to see a loss: too few are said as such, never as pass."""

import math

import numpy as np

from .max_statistic import MaxTest

FEWEST = 6
"""Frames below which signs thrown at random look one-sided too often (1 of 2^5)."""

POWER_Z = 0.8416
"""Normal quantile of 80 %: a loss of the size in question is seen four times of five."""


def frames_to_see(test: MaxTest, loss: float) -> int:
    """Return the frames that it takes to see *loss* at any layer in four builds of five.

    n = ((c + z) s / loss)^2 of the layer whose values vary most, c the critical value of
    the largest statistic (Lehr's formula for one mean; that the difference of two frames varies
    more is in `MaxTest.spreads`).

    Args:
        test: The test made with the frames at hand.
        loss: Smallest loss that must not go unseen, in the unit of the test's values.
    """
    spreads = test.spreads[np.isfinite(test.spreads) & (test.counts > 1)]
    if not spreads.size:
        return FEWEST
    reach = (max(test.critical, 0.0) + POWER_Z) * float(spreads.max()) / loss
    return max(FEWEST, math.ceil(reach * reach))
