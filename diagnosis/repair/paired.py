"""Two sets of answers to the same inputs, held against each other input by input."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from exray.playback.outcome import accuracy_from_counts, mcnemar_exact

from .rerun import Answer, Answers

ALPHA = 0.05
"""Probability of keeping a change that changes nothing, at most, for each of the two tests."""

NEARER_DB = 1.0
"""Median gain against the reference below which a change is not worth keeping."""

_LEAST_SHARE = 1e-14


@dataclass(frozen=True, slots=True)
class Paired:
    """What a change does to answers.

    Args:
        judged: Inputs with a label that both answer.
        right_before: Those answered rightly before.
        right_after: Those answered rightly after.
        mended: Those right after alone.
        broken: Those right before alone.
        mcnemar_p: Probability of mended and broken as uneven, were both equally good.
        measured: Inputs whose output can be held against the reference's.
        nearer: Those whose output is nearer to the reference's after.
        farther: Those whose output was nearer before.
        sign_p: Probability of nearer and farther as uneven, were both equally near.
        median_gain_db: Median gain in dB of the output against the reference's, where it
            changed at all: a saturated softmax puts out the same whatever its input.
    """

    judged: int
    right_before: int
    right_after: int
    mended: int
    broken: int
    mcnemar_p: float
    measured: int
    nearer: int
    farther: int
    sign_p: float
    median_gain_db: float | None

    @property
    def answers_better(self) -> bool:
        """Whether answers are better beyond chance."""
        return self.mended > self.broken and self.mcnemar_p <= ALPHA

    @property
    def outputs_nearer(self) -> bool:
        """Whether outputs come nearer to the reference's, beyond chance and worth it."""
        gain = self.median_gain_db or 0.0
        return self.nearer > self.farther and self.sign_p <= ALPHA and gain >= NEARER_DB

    @property
    def answers_worse(self) -> bool:
        """Whether answers are worse beyond chance."""
        return self.broken > self.mended and self.mcnemar_p <= ALPHA

    @property
    def is_kept(self) -> bool:
        """Whether the change is to be kept."""
        return not self.answers_worse and (self.answers_better or self.outputs_nearer)

    @property
    def is_promising(self) -> bool:
        """Whether it may be a gain that so few inputs cannot prove."""
        gain = self.median_gain_db or 0.0
        return self.mended > self.broken or (self.mended == self.broken and gain >= NEARER_DB)

    @property
    def rank(self) -> tuple[int, int]:
        """What orders changes, the best highest: right answers gained, then dB."""
        return self.mended - self.broken, round(self.median_gain_db or 0.0)

    @property
    def inputs_missing(self) -> int:
        """Labelled inputs beyond those judged that it would take, were more of them alike."""
        if not self.judged or self.mended <= self.broken:
            return 0
        factor = 1.0
        while factor < 64:
            factor *= 1.1
            mended, broken = (round(n * factor) for n in (self.mended, self.broken))
            if mcnemar_exact(mended, broken) <= ALPHA:
                return math.ceil(self.judged * (factor - 1))
        return math.ceil(self.judged * 63)

    def to_json(self) -> dict[str, object]:
        """Return it as JSON, with 95 % intervals of both accuracies."""
        document: dict[str, object] = dict(asdict(self))
        for name, right in (("before", self.right_before), ("after", self.right_after)):
            accuracy = accuracy_from_counts(right, self.judged)
            document[f"top1_{name}"] = accuracy.value
            document[f"ci95_{name}"] = list(accuracy.ci95) if self.judged else None
        return document


def pair(
    before: Answers,
    after: Answers,
    label_of: Callable[[str], int | None],
    targets: Answers,
) -> Paired:
    """Hold two sets of answers against each other.

    Args:
        before: Answers by input id.
        after: Answers after the change.
        label_of: Returns an input's label, None where it has none.
        targets: The reference's outputs by input id.
    """
    right: list[tuple[bool, bool]] = []
    gains_db: list[float] = []
    for input_id, first in before.items():
        second = after.get(input_id)
        if second is None:
            continue
        label = label_of(input_id)
        if label is not None:
            right.append((first.best == label, second.best == label))
        gain_db = _gain_db(first, second, targets.get(input_id))
        if gain_db is not None:
            gains_db.append(gain_db)
    mended = sum(after_right and not before_right for before_right, after_right in right)
    broken = sum(before_right and not after_right for before_right, after_right in right)
    nearer, farther = sum(g > 0 for g in gains_db), sum(g < 0 for g in gains_db)
    return Paired(
        judged=len(right),
        right_before=sum(first for first, _ in right),
        right_after=sum(second for _, second in right),
        mended=mended,
        broken=broken,
        mcnemar_p=mcnemar_exact(mended, broken),
        measured=len(gains_db),
        nearer=nearer,
        farther=farther,
        sign_p=mcnemar_exact(nearer, farther),
        median_gain_db=median([g for g in gains_db if g] or [0.0]) if gains_db else None,
    )


def _gain_db(before: Answer, after: Answer, target: Answer | None) -> float | None:
    shares = [_share(answer, target) for answer in (before, after)]
    if shares[0] is None or shares[1] is None:
        return None
    return 10 * math.log10(shares[0] / shares[1])


def _share(answer: Answer, target: Answer | None) -> float | None:
    """Return squared distance over squared reference, None where the two cannot be compared."""
    if target is None or answer.count != target.count:
        return None
    return distance(answer.sketch, target.sketch)


def distance(ours: NDArray[np.float64] | None, theirs: NDArray[np.float64] | None) -> float | None:
    """Return the squared distance of two sketched tensors over the second one's square.

    Args:
        ours: Sketch of 256 sums, or folded.
        theirs: The same of the other tensor.

    Returns:
        None where one is not known, or the second tensor is all zeros.
    """
    if ours is None or theirs is None:
        return None
    sums = min(len(ours), len(theirs))
    first, second = (_folded(sketch, sums) for sketch in (ours, theirs))
    energy = float(np.square(second).sum())
    if not energy:
        return None
    share = float(np.square(first - second).sum()) / energy
    # what is not finite is as far as can be
    return max(share, _LEAST_SHARE) if np.isfinite(share) else 1 / _LEAST_SHARE


def _folded(sketch: NDArray[np.float64], sums: int) -> NDArray[np.float64]:
    """Fold a sketch, which may have been folded before, to so many sums."""
    folded: NDArray[np.float64] = sketch.reshape(sums, -1).sum(axis=1)
    return folded
