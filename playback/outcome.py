"""Accuracy and its uncertainty: of one run, and between two over the same inputs."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

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


@dataclass(frozen=True, slots=True)
class Flips:
    """How the answers of an edge and a reference run differ over the same labelled inputs.

    Args:
        both_right: Inputs that both answer rightly.
        edge_only: Right on the edge alone.
        reference_only: Right in the reference alone.
        both_wrong: Inputs that neither answers rightly.
        changed: Inputs whose answer differs, right or wrong.
    """

    both_right: int
    edge_only: int
    reference_only: int
    both_wrong: int
    changed: int

    @property
    def flips(self) -> int:
        """Inputs that one answers rightly and the other wrongly."""
        return self.edge_only + self.reference_only

    @property
    def edge(self) -> Accuracy:
        """Accuracy of the edge run over these inputs."""
        return Accuracy(self.both_right + self.edge_only, self._count)

    @property
    def reference(self) -> Accuracy:
        """Accuracy of the reference run over these inputs."""
        return Accuracy(self.both_right + self.reference_only, self._count)

    @property
    def mcnemar_p(self) -> float:
        """Probability of flips at least as one-sided as these between equals."""
        return mcnemar_exact(self.edge_only, self.reference_only)

    @property
    def _count(self) -> int:
        return self.both_right + self.edge_only + self.reference_only + self.both_wrong


def top_classes(scores: ArrayLike, k: int) -> NDArray[np.int64]:
    """Return the classes with the highest scores, best first.

    Of equal scores the lower class comes first, and what is not a number comes last.

    Args:
        scores: Shape ``(..., classes)``, any real dtype.
        k: How many; more than there are classes means all.

    Returns:
        Shape ``(..., min(k, classes))``, int64.
    """
    # Negating unsigned integers would wrap around.
    values = np.asarray(scores, np.float64)
    return np.argsort(-values, axis=-1, kind="stable")[..., :k].astype(np.int64)


def accuracy_from_top(top: NDArray[np.integer[Any]], labels: ArrayLike) -> Accuracy:
    """Count the inputs whose label is among their top classes.

    Args:
        top: Classes of each input, shape ``(inputs, k)``.
        labels: True classes, shape ``(inputs,)``, integers.

    Raises:
        DataError: The numbers of inputs differ.
    """
    truth = np.asarray(labels)
    if truth.shape != top.shape[:1]:
        msg = f"got {len(top)} inputs and labels of shape {truth.shape}, expected one for each"
        raise DataError(msg)
    return Accuracy(int((top == truth[:, None]).any(axis=1).sum()), len(top))


def accuracy_from_counts(correct: int, count: int) -> Accuracy:
    """Return the accuracy of so many right answers of so many inputs.

    Raises:
        DataError: The counts contradict each other.
    """
    if not 0 <= correct <= count:
        msg = f"got {correct} right of {count} inputs, expected 0 up to the number of inputs"
        raise DataError(msg)
    return Accuracy(correct, count)


def flips_from_top1(edge: ArrayLike, reference: ArrayLike, labels: ArrayLike) -> Flips:
    """Compare the answers of two runs over the same inputs.

    Args:
        edge: Best class of each input on the edge, shape ``(inputs,)``, integers.
        reference: The same of the reference.
        labels: True classes, shape ``(inputs,)``, integers.

    Raises:
        DataError: The numbers of inputs differ.
    """
    ours, theirs, truth = (np.asarray(values) for values in (edge, reference, labels))
    if not ours.shape == theirs.shape == truth.shape:
        msg = (
            f"got shapes {ours.shape} of edge, {theirs.shape} of reference and {truth.shape} of"
            " labels, expected the same inputs in each"
        )
        raise DataError(msg)
    right, reference_right = ours == truth, theirs == truth
    return Flips(
        both_right=int((right & reference_right).sum()),
        edge_only=int((right & ~reference_right).sum()),
        reference_only=int((~right & reference_right).sum()),
        both_wrong=int((~right & ~reference_right).sum()),
        changed=int((ours != theirs).sum()),
    )


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
