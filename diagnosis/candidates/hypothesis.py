"""A way in which the edge may have made its model input, and how well it explains it."""

import math
from dataclasses import dataclass

from .geometry import Geometry, changed_fields
from .storage import DECLARED
from .values import Channels, Values

CAP_DB = 60.0
"""What is left is not told apart below this: float rounding, other decoders' last bits."""

PARSIMONY_DB = 3.0
"""What one more mistake must explain to be believed in."""

FITTED_DB = 3.0
"""The same for a gain and an offset that were fitted and are met nowhere else."""


VALUE_CODES = frozenset({"value_range", "mean_std", "normalised_twice"})
"""Mistakes in the numbers alone."""


def capped_db(share: float) -> float:
    """Return a share in dB below all of it, no more than `CAP_DB`."""
    return min(-10 * math.log10(max(share, 1e-14)), CAP_DB)


@dataclass(frozen=True, slots=True)
class Declared:
    """What the reference declares."""

    geometry: Geometry
    channels: Channels
    values: Values


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A whole way to make the model input.

    Args:
        geometry: Which pixel goes where.
        channels: Which colours the channels hold.
        values: Which numbers stand for them.
        codes: What it has that the reference does not declare, as `mistakes` tells it.
        storage: How the numbers are stored.
        unexplained: Share of the edge's variance that it leaves, at least what rounding does.
        rounding: The share that rounding to the edge's integers is expected to leave.
    """

    geometry: Geometry
    channels: Channels
    values: Values
    codes: frozenset[str]
    storage: str = DECLARED
    unexplained: float = math.inf
    rounding: float = 0.0

    @property
    def match_db(self) -> float:
        """How well it matches: variance of the edge's input against what is left of it."""
        return capped_db(self.unexplained)

    @property
    def limit_db(self) -> float:
        """How well the right one is expected to match, if its rounding is not retraced."""
        return capped_db(self.rounding)

    @property
    def score_db(self) -> float:
        """Its match less what its mistakes must explain to be believed in."""
        return self.match_db - PARSIMONY_DB * len(self.codes) - FITTED_DB * self.values.fitted

    @property
    def key(self) -> tuple[object, ...]:
        """What tells it from others."""
        return (self.geometry, self.channels.name, self.values.name, self.storage)

    def says_as(self, other: "Hypothesis") -> bool:
        """Whether both make nearly the same numbers in the same places, however they put it."""
        return (
            self.codes - VALUE_CODES == other.codes - VALUE_CODES
            and self.channels.name == other.channels.name
            and self.storage == other.storage
            and self.values.near(other.values)
        )


def mistakes(
    declared: Declared,
    geometry: Geometry,
    channels: Channels,
    values: Values,
    storage: str = DECLARED,
) -> frozenset[str]:
    """Return what differs from what the reference declares: codes behind ``preprocessing.``."""
    codes: set[str] = set(changed_fields(declared.geometry, geometry))
    if channels.name != declared.channels.name:
        codes.add("channel_order")
    if not values.same(declared.values):
        codes.add(values.code)
    if storage != DECLARED:
        codes.add("dtype")
    return frozenset(codes)
