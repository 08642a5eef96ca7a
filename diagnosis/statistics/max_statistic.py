"""Is any layer worse? One test over all layers, whose false alarms are bounded together.

Layers of one frame are correlated, so frames are what is resampled, all layers with them.
Each layer has Student's statistic; the largest over the layers is compared with the largest
that chance gives (Westfall and Young, Resampling-Based Multiple Testing, 1993, single step):
the probability that a sound build has any layer called worse is the level of the test,
however many layers there are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEVEL = 0.05
"""Share of sound builds in which any layer is called worse."""

DRAWS = 2000
"""Resamplings: the p of a borderline layer is known to 0.005."""

LEAST_SD = 0.05
"""Standard deviation, in dB, below which numbers of a layer are not taken to be. Losses that
hardly vary over a few frames are no proof that they would not over others."""

_SEED = 20260201
"""Same frames, same verdict."""


@dataclass(frozen=True, slots=True)
class MaxTest:
    """What the test says of each layer.

    Args:
        effects: Mean loss of each layer, shape ``(layers,)``, in the unit of the values;
            positive is worse. NaN where a layer has too few frames.
        p_values: Probability of a largest statistic as large as the layer's by chance,
            shape ``(layers,)``; 1 where a layer has too few frames.
        spreads: Standard deviation of one frame's loss, or of the difference of two frames,
            shape ``(layers,)``.
        critical: Statistic that the largest exceeds by chance in 5 % of sound builds.
        counts: Frames of each layer, shape ``(layers,)``; of two samples the smaller.
    """

    effects: Floats
    p_values: Floats
    spreads: Floats
    critical: float
    counts: Floats

    def worse(self, floor: float, level: float = LEVEL) -> NDArray[np.bool_]:
        """Return which layers are worse, and by at least *floor*."""
        return (self.p_values <= level) & (self.effects >= floor)


def max_test_paired(losses: Floats, draws: int = DRAWS) -> MaxTest:
    """Test whether any layer loses, of losses in the same frames.

    If nothing changed, a frame's losses are as likely as their negatives: whole frames
    have their signs thrown.

    Args:
        losses: Shape ``(frames, layers)``: how much worse a layer is in a frame than before;
            NaN where it was not measured.
        draws: Resamplings.
    """
    rng = np.random.default_rng(_SEED)
    seen = np.isfinite(losses)
    values, counts = np.where(seen, losses, 0.0), seen.sum(0).astype(np.float64)
    squares = np.square(values).sum(0)
    signs = rng.choice(np.array([-1.0, 1.0]), (draws, len(losses)))
    found = _student(values.sum(0), squares, counts)
    largest = _largest(_student(signs @ values, squares, counts))
    with np.errstate(invalid="ignore", divide="ignore"):
        effects = np.where(counts > 1, values.sum(0) / counts, np.nan)
    spreads = np.sqrt(_variance(values.sum(0), squares, counts))
    return _judged(found, largest, effects, spreads, counts)


def max_test_unpaired(before: Floats, after: Floats, draws: int = DRAWS) -> MaxTest:
    """Test whether any layer is lower in other frames than before.

    If nothing changed, it does not matter which frames are called before: they are dealt
    out anew, all layers of a frame together.

    Args:
        before: Shape ``(frames, layers)``: a measure of which more is better; NaN where it
            was not measured.
        after: Shape ``(other frames, layers)``, the same measure.
        draws: Resamplings.
    """
    rng = np.random.default_rng(_SEED)
    pooled = np.concatenate([before, after])
    is_before = np.arange(len(pooled)) < len(before)
    dealt = np.array([rng.permutation(is_before) for _ in range(draws)])
    found, effects, errors, counts = _welch(pooled, is_before[None])
    largest = _largest(_welch(pooled, dealt)[0])
    spreads = errors[0] * np.sqrt(counts[0])  # of a difference of two frames
    return _judged(found[0], largest, effects[0], spreads, counts[0])


def _judged(
    found: Floats, largest: Floats, effects: Floats, spreads: Floats, counts: Floats
) -> MaxTest:
    exceeded = (largest[:, None] >= found).sum(0)
    return MaxTest(
        effects=effects,
        # with the sample itself as one of the draws, the p of a sound build is never too low
        p_values=np.where(np.isfinite(effects), (1 + exceeded) / (1 + len(largest)), 1.0),
        spreads=spreads,
        critical=float(np.quantile(largest, 1 - LEVEL)) if len(largest) else 0.0,
        counts=counts,
    )


def _student(sums: Floats, squares: Floats, counts: Floats) -> Floats:
    """Return Student's statistic; -inf of fewer than two frames."""
    with np.errstate(invalid="ignore", divide="ignore"):
        deviation = np.maximum(np.sqrt(_variance(sums, squares, counts)), LEAST_SD)
        return np.where(counts > 1, sums / np.sqrt(counts) / deviation, -np.inf)


def _variance(sums: Floats, squares: Floats, counts: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.maximum(squares - np.square(sums) / counts, 0.0) / (counts - 1)


def _welch(pooled: Floats, is_before: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats, Floats]:
    """Return Welch's statistic, effect, standard error and smaller count, (deals, layers)."""
    seen = np.isfinite(pooled).astype(np.float64)
    # Centred, because squares of large numbers would cancel.
    with np.errstate(invalid="ignore"):
        centre = np.nansum(pooled, 0) / np.maximum(seen.sum(0), 1)
    values = np.where(seen > 0, pooled - centre, 0.0)
    squares = np.square(values)
    means: list[Floats] = []
    variances: list[Floats] = []
    counts: list[Floats] = []
    for chosen in (is_before.astype(np.float64), (~is_before).astype(np.float64)):
        count = chosen @ seen
        sums = chosen @ values
        with np.errstate(invalid="ignore", divide="ignore"):
            means.append(sums / count)
            spread = _variance(sums, chosen @ squares, count)
            variances.append(np.maximum(spread, LEAST_SD**2) / count)
        counts.append(count)
    fewest = np.minimum(*counts)
    effects = np.where(fewest > 1, means[0] - means[1], np.nan)
    errors = np.sqrt(variances[0] + variances[1])
    return np.where(fewest > 1, effects / errors, -np.inf), effects, errors, fewest


def _largest(statistics: Floats) -> Floats:
    """Return the largest statistic of each resampling; 0 where no layer has any."""
    largest = statistics.max(1, initial=-np.inf)
    return np.where(np.isfinite(largest), largest, 0.0)
