"""Metrics of tasks other than classification: what a task is, and how sure its metric is."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

RESAMPLED = 400
"""Sets of frames, drawn with replacement, behind an interval: its ends move by a few percent
of its width from seed to seed."""

SIGNS_THROWN = 10_000
"""Random signs behind a paired test where all of them would be too many."""

SIGNS_AT_ONCE = 500
"""Of them in memory at a time: 40 MB for 5000 frames."""

EXACT_FRAMES = 13
"""Frames up to which all signs are gone through: 2^13 are fewer than `SIGNS_THROWN`."""

_SEED = 20261127

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class TaskResult:
    """A task's metric over all frames that have a truth.

    Args:
        metric: Its name, such as ``mAP``.
        value: 0 to 1.
        ci95: Bootstrap interval by frame, 95 %.
        frames: Frames judged.
        details: Further numbers by name.
    """

    metric: str
    value: float
    ci95: tuple[float, float]
    frames: int
    details: Mapping[str, float]


class Task(Protocol):
    """Judges a model's outputs against a truth, frame by frame."""

    metric: str
    """What is recorded of each frame."""

    @property
    def truths(self) -> Collection[str]:
        """Keys under which there is a truth."""
        ...

    def match(self, input_ids: Sequence[str]) -> Mapping[str, str]:
        """Return the key of each input's truth; what has none is left out."""
        ...

    def score(self, truth: str, outputs: Sequence[Array], size: tuple[int, int]) -> float | None:
        """Judge the outputs for one input.

        Args:
            truth: Key of its truth.
            outputs: All of the model's, in real units and canonical layout, in the file's order.
            size: Height and width of the recorded image.

        Returns:
            The frame's own score, 0 to 1; None where there is nothing to be found.

        Raises:
            DataError: The outputs are none of this task.
        """
        ...

    def result(self) -> TaskResult | None:
        """Return the metric over all frames so far; None before the first."""
        ...


PREFIX = "task."
"""What names of scores that are recorded with frames begin with."""


def bootstrap(
    metric: Callable[[NDArray[np.int64]], float], count: int, resampled: int = RESAMPLED
) -> tuple[float, float]:
    """Return the 95 % percentile interval of a metric, frames drawn with replacement.

    Args:
        metric: Gives the metric of frames, by their positions; NaN where it has none.
        count: Frames there are.
        resampled: How often to draw.
    """
    rng = np.random.default_rng(_SEED)
    drawn = np.array([metric(rng.integers(0, count, count)) for _ in range(resampled)])
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class PairedMeans:
    """A metric of each frame, on both sides of a comparison.

    Args:
        edge: Mean of the edge.
        reference: Mean of the reference.
        difference_ci95: Bootstrap interval of edge minus reference, by frame.
        p: Probability of a difference at least as large where signs are thrown at random.
        frames: Frames that both judged.
    """

    edge: float
    reference: float
    difference_ci95: tuple[float, float]
    p: float
    frames: int


def paired_means(edge: Sequence[float], reference: Sequence[float]) -> PairedMeans | None:
    """Compare two sides' metrics of the same frames; None of no frames.

    >>> found = paired_means([0.5, 0.2, 0.4], [0.6, 0.5, 0.6])
    >>> f"{found.edge:.3f} {found.reference:.3f} {found.p:.2f}"
    '0.367 0.567 0.25'
    """
    if not edge:
        return None
    ours, theirs = np.asarray(edge, np.float64), np.asarray(reference, np.float64)
    apart = ours - theirs
    return PairedMeans(
        float(ours.mean()),
        float(theirs.mean()),
        bootstrap(lambda chosen: float(apart[chosen].mean()), len(apart)),
        sign_flip_p(apart),
        len(apart),
    )


def sign_flip_p(differences: NDArray[np.float64]) -> float:
    """Return the two-sided p of a mean of zero: signs are exchangeable between equals."""
    count = len(differences)
    least = abs(float(differences.sum())) * (1 - 1e-12) - 1e-15
    if count <= EXACT_FRAMES:
        numbers: NDArray[np.int64] = np.arange(2**count, dtype=np.int64)
        bits: NDArray[np.int64] = (numbers[:, None] >> np.arange(count, dtype=np.int64)) & 1
        return _as_far(bits, differences, least) / len(bits)
    rng = np.random.default_rng(_SEED)
    found = sum(
        _as_far(rng.integers(0, 2, (SIGNS_AT_ONCE, count)), differences, least)
        for _ in range(0, SIGNS_THROWN, SIGNS_AT_ONCE)
    )
    return (found + 1) / (SIGNS_THROWN + 1)  # the signs as they are count too


def _as_far(bits: NDArray[np.int64], differences: NDArray[np.float64], least: float) -> int:
    """Count the rows of signs with which differences add up to as much."""
    return int(np.count_nonzero(np.abs((2 * bits - 1) @ differences) >= least))
