"""Did times change? A bootstrap of blocks, for times close together are alike.

A device heats up, other programs come and go: executions next to each other say little
more than one. So blocks of executions are resampled, never single ones (Künsch, Annals of
Statistics 17, 1989), and a block is compared with blocks of its own stratum alone, such as
one temperature and one frequency. Where runs of the two builds take turns, a block is a
run; where there is one run each, it is a stretch of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DRAWS = 2000
FEWEST_BLOCKS = 4
"""Blocks of each side below which nothing is said: resampling fewer gives no spread."""

_SEED = 20260201


@dataclass(frozen=True, slots=True)
class TimeChange:
    """How the time of one thing changed.

    Args:
        ratio: Typical time after / before, dimensionless.
        ci95: Bootstrap interval of *ratio*, 95 %.
        blocks: Blocks of the side that has fewer.
        strata: Strata that both sides have.
    """

    ratio: float
    ci95: tuple[float, float]
    blocks: int
    strata: int

    def is_slower(self, floor: float) -> bool:
        """Whether it is slower by more than *floor*, such as 1.1, beyond what chance does."""
        return self.ratio >= floor and self.ci95[0] > 1.0


def time_change(
    before: Sequence[Floats],
    after: Sequence[Floats],
    strata_before: Sequence[str] = (),
    strata_after: Sequence[str] = (),
    draws: int = DRAWS,
) -> TimeChange | None:
    """Compare the times of two builds, block by block.

    The time of a block is its median, that of a side the geometric mean of its blocks'; of
    strata that both sides have, the mean logarithm of the ratios.

    Args:
        before: One array of times a block, in one unit.
        after: The same of the other side.
        strata_before: One name a block; none where nothing is known.
        strata_after: The same of the other side.
        draws: Resamplings.

    Returns:
        None where no stratum has enough blocks on both sides.
    """
    sides = (
        _by_stratum(before, strata_before or [""] * len(before)),
        _by_stratum(after, strata_after or [""] * len(after)),
    )
    common = [
        (sides[0][name], sides[1][name])
        for name in sides[0]
        if name in sides[1] and min(len(sides[0][name]), len(sides[1][name])) >= FEWEST_BLOCKS
    ]
    if not common:
        return None
    rng = np.random.default_rng(_SEED)
    logs = [float(theirs.mean() - ours.mean()) for ours, theirs in common]
    drawn = np.mean([_resampled(b, rng, draws) - _resampled(a, rng, draws) for a, b in common], 0)
    # The bootstrap of a mean is too narrow by sqrt((n - 1) / n): widened around the estimate.
    fewest = min(min(len(a), len(b)) for a, b in common)
    centre = float(np.mean(logs))
    wide = centre + (drawn - drawn.mean()) * np.sqrt(fewest / (fewest - 1))
    low, high = np.quantile(wide, [0.025, 0.975])
    return TimeChange(
        float(np.exp(centre)), (float(np.exp(low)), float(np.exp(high))), fewest, len(common)
    )


def _by_stratum(blocks: Sequence[Floats], strata: Sequence[str]) -> dict[str, Floats]:
    """Return the logarithms of the blocks' medians by stratum."""
    medians: dict[str, list[float]] = {}
    for block, stratum in zip(blocks, strata, strict=True):
        if block.size and (typical := float(np.median(block))) > 0:
            medians.setdefault(stratum, []).append(float(np.log(typical)))
    return {name: np.array(values) for name, values in medians.items()}


def _resampled(values: Floats, rng: np.random.Generator, draws: int) -> Floats:
    chosen: Floats = rng.choice(values, (draws, len(values))).mean(1)
    return chosen
