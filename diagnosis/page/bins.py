"""From buckets whose width grows with their distance from zero to bins of equal width."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .content import Bin, Distribution

BINS = 32
"""Bins of a drawing: wide enough to hold several buckets, or the steps of a quantized tensor
would beat against them."""

TAIL = 0.0005
"""Share of either side's elements that may lie beyond either end: an outlier alone would
squeeze all others into one bin."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Elements between two values, of an exponential histogram; zeros from 0 to 0."""

    lower: float
    upper: float
    edge_ratio: float
    reference_ratio: float


def distribution(name: str, buckets: Sequence[Bucket], count: int = BINS) -> Distribution:
    """Spread each bucket's elements evenly over the bins that it covers.

    Args:
        name: What the tensor is called.
        buckets: In any order.
        count: Bins wanted; none are made where all elements are zero.
    """
    zeros = [bucket for bucket in buckets if bucket.lower == bucket.upper]
    others = sorted(
        (bucket for bucket in buckets if bucket.lower < bucket.upper), key=lambda b: b.lower
    )
    bins = _bins(others, count) if others else ()
    edge_zero = sum(bucket.edge_ratio for bucket in zeros)
    reference_zero = sum(bucket.reference_ratio for bucket in zeros)
    return Distribution(
        name,
        bins,
        edge_zero,
        reference_zero,
        max(0.0, sum(b.edge_ratio for b in others) - sum(b.edge_ratio for b in bins)),
        max(0.0, sum(b.reference_ratio for b in others) - sum(b.reference_ratio for b in bins)),
    )


def _bins(buckets: Sequence[Bucket], count: int) -> tuple[Bin, ...]:
    low, high = _range(buckets)
    width = (high - low) / count
    edges = [low + width * i for i in range(count)] + [high]
    edge, reference = [0.0] * count, [0.0] * count
    for bucket in buckets:
        first = max(0, int((bucket.lower - low) // width))
        for i in range(first, count):
            if edges[i] >= bucket.upper:
                break
            covered = min(edges[i + 1], bucket.upper) - max(edges[i], bucket.lower)
            share = max(0.0, covered) / (bucket.upper - bucket.lower)
            edge[i] += bucket.edge_ratio * share
            reference[i] += bucket.reference_ratio * share
    return tuple(Bin(edges[i], edges[i + 1], edge[i], reference[i]) for i in range(count))


def _range(buckets: Sequence[Bucket]) -> tuple[float, float]:
    """Return from where to where the elements of both sides lie, but for their tails."""
    lows = [_first_beyond(buckets, side).lower for side in (_of_edge, _of_reference)]
    falling = buckets[::-1]
    highs = [_first_beyond(falling, side).upper for side in (_of_edge, _of_reference)]
    return min(lows), max(highs)


def _first_beyond(buckets: Sequence[Bucket], side: Callable[[Bucket], float]) -> Bucket:
    """Return the first bucket that is more than one side's tail."""
    seen = 0.0
    for bucket in buckets:
        seen += side(bucket)
        if seen > TAIL:
            return bucket
    return buckets[-1]


def _of_edge(bucket: Bucket) -> float:
    return bucket.edge_ratio


def _of_reference(bucket: Bucket) -> float:
    return bucket.reference_ratio
