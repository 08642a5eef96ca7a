"""How far apart layer outputs are, by their sketches."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_TIE_RATIO, _TIE_FLOOR = 1.02, 1e-3
"""Outputs within 2 % of the nearest distance, or 1e-3, hold the same values."""


@dataclass(frozen=True, slots=True)
class Trust:
    """When the nearest output counts as evidence.

    Args:
        distance_limit: Largest distance that says anything; unrelated outputs are at 1.
        ratio_limit: How many times farther the next output must be.
    """

    distance_limit: float
    ratio_limit: float


# On one input a sound int8 layer is at 0.01-0.4, its next nearest 1.25-30 times as far.
COMMON_INPUT = Trust(distance_limit=0.7, ratio_limit=1.25)
# On inputs that differ (channels swapped, another range) the true one is still mostly
# nearest, at 0.1-0.7, but ratios shrink to 1.1.
OTHER_INPUT = Trust(distance_limit=0.5, ratio_limit=1.6)

ALONE_LIMIT = 0.5
"""Largest distance that is proof without name or structure: a softmax is at 0.7 from its input."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest outputs to one edge layer.

    Args:
        ties: Positions of those at the least distance, all with the same values.
        is_decisive: Whether they are near, and all others clearly farther.
    """

    ties: tuple[int, ...]
    is_decisive: bool


def distances_from_sketches(
    edge_sketches: NDArray[np.floating], reference_sketches: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Measure every edge layer against every reference layer.

    Args:
        edge_sketches: Shape ``(frames, edge layers, k)``; NaN where a layer has no sketch.
        reference_sketches: Shape ``(frames, reference layers, k)``; the same frames in the
            same order, hence the same sketch families.

    Returns:
        Shape ``(edge layers, reference layers)``: ``sqrt(mean(|Se - Sr|^2 / |Sr|^2))``
        over the frames where both have a sketch, dimensionless. NaN where no frame has
        both, or where only the reference is all zero. The caller sets pairs with
        different element counts to NaN.

    Raises:
        ValueError: The arrays disagree in frames or sketch size.
    """
    edge = np.asarray(edge_sketches, np.float64)
    reference = np.asarray(reference_sketches, np.float64)
    if edge.ndim != 3 or reference.ndim != 3 or edge.shape[::2] != reference.shape[::2]:
        msg = (
            f"sketches of shapes {edge.shape} and {reference.shape} cannot be compared;"
            " expected (frames, layers, k) with the same frames and the same k."
        )
        raise ValueError(msg)
    power = np.square(reference).sum(axis=2)
    distances = np.full((edge.shape[1], reference.shape[1]), np.nan)
    # One edge layer at a time: differences, since a product of sketches loses what is near.
    for i in range(edge.shape[1]):
        gap = np.square(edge[:, i, None, :] - reference).sum(axis=2)
        ratio = np.divide(gap, power, out=np.full_like(gap, np.nan), where=power > 0)
        ratio[gap == 0] = 0.0
        seen = np.isfinite(ratio)
        frames = seen.sum(axis=0)
        total = np.where(seen, ratio, 0.0).sum(axis=0)
        np.divide(total, frames, out=distances[i], where=frames > 0)
    np.sqrt(distances, out=distances)
    return distances


def nearest(row: NDArray[np.float64], candidates: Sequence[int], trust: Trust) -> Nearest:
    """Find the reference outputs nearest to one edge layer.

    Args:
        row: Distances to every reference layer, NaN where not comparable.
        candidates: Positions that may be matched.
        trust: When that counts as evidence.

    Returns:
        The nearest, none if nothing is comparable.
    """
    measured = [j for j in candidates if np.isfinite(row[j])]
    if not measured:
        return Nearest((), False)
    least = min(row[j] for j in measured)
    bound = max(least * _TIE_RATIO, least + _TIE_FLOOR)
    ties = tuple(j for j in measured if row[j] <= bound)
    others = min((row[j] for j in measured if row[j] > bound), default=np.inf)
    is_near = least <= trust.distance_limit and others >= trust.ratio_limit * least
    return Nearest(ties, bool(is_near))
