"""Whether an operator's output range fits what the reference computes there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from exray.schema.records import Quantization

from .parameters import Reals
from .replay import mean_db, share_of_error

OWN_RANGE = frozenset(
    {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "SUB", "MUL", "MEAN", "QUANTIZE"}
)
"""Operators whose output range the calibration chose; others inherit or have a fixed one."""

WASTED_STEPS = 3.2
"""Step over the ideal one from which a range is wasted: 2.4 was seen in sound networks."""

BROKEN_DB, LOST_DB = 12.0, 10.0
"""A range that keeps less than the first, and by the second less than it could, is broken:
sound networks clip down to 14.8 dB."""

CLIPPED_DB = 3.0
"""Error by which what lies outside outweighs the step's rounding."""

WORSE_DB, NOTABLE_DB = 6.0, 32.0
"""A range that keeps less than the baseline's by the first, and less than the second, is
another one: calibrations of equal worth are nearer to each other."""


@dataclass(frozen=True, slots=True)
class RangeFit:
    """How an output range holds the reference's values.

    Args:
        kept_db: SQNR of the reference's values stored with the edge's scale and zero point.
        rounding_db: The same with the edge's step and no ends, so that nothing is clipped.
        ideal_db: The same with the best scale for these values.
        steps_ratio: The edge's step over the best one.
        covered_ratio: Share of the values' range that the edge's integers reach.
        clipped_ratio: Share of the values outside.
    """

    kept_db: float
    rounding_db: float
    ideal_db: float
    steps_ratio: float
    covered_ratio: float
    clipped_ratio: float

    @property
    def is_clipped(self) -> bool:
        """Whether the values outside do more harm than the step does."""
        return self.rounding_db - self.kept_db > CLIPPED_DB

    @property
    def is_broken(self) -> bool:
        """Whether it fits badly beyond what sound networks show."""
        lost_db = self.ideal_db - self.kept_db
        is_wasted = self.steps_ratio > WASTED_STEPS and not self.is_clipped
        return lost_db > LOST_DB and (is_wasted or self.kept_db < BROKEN_DB)

    def is_worse(self, before: "RangeFit") -> bool:
        """Whether it fits worse than a previous build's range does the same values."""
        return before.kept_db - self.kept_db > WORSE_DB and self.kept_db < NOTABLE_DB


def fit_range(quantization: Quantization, dtype: str, outputs: Sequence[Reals]) -> RangeFit | None:
    """Hold an output's quantization against the values that it should store.

    Args:
        quantization: The edge's, one scale.
        dtype: Its integers.
        outputs: The reference's values, a tensor for each input.

    Returns:
        None where the values are all zero or none.
    """
    low = min([0.0, *(float(values.min()) for values in outputs)])
    high = max([0.0, *(float(values.max()) for values in outputs)])
    limits = np.iinfo(np.dtype(dtype).name)
    if not outputs or high <= low or not np.isfinite(high - low):
        return None
    step, zero = quantization.scales[0], quantization.zero_points[0]
    first, last = step * (int(limits.min) - zero), step * (int(limits.max) - zero)
    best = (high - low) / (int(limits.max) - int(limits.min))

    def kept(by: float, start: float, end: float) -> float:
        return mean_db(
            [share_of_error(np.clip(np.rint(x / by) * by, start, end), x) for x in outputs]
        )

    margin = step / 2
    outside = sum(int(((x < first - margin) | (x > last + margin)).sum()) for x in outputs)
    return RangeFit(
        kept_db=kept(step, first, last),
        rounding_db=kept(step, -np.inf, np.inf),
        ideal_db=kept(best, low, high),
        steps_ratio=step / best,
        covered_ratio=max(0.0, min(last, high) - max(first, low)) / (high - low),
        clipped_ratio=outside / sum(x.size for x in outputs),
    )
