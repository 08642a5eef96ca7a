"""All ways to make numbers of an image's colours, tried at once on sketches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .basis import COLOURS, Equations
from .geometry import Geometry, changed_fields
from .hypothesis import Declared, Hypothesis, mistakes
from .observed import Numbers
from .values import Channels, Values, channel_maps, mapping, value_maps

KEPT = 2
"""Best ways kept of each combination of mistakes: the second one tells how sure the first is."""


@dataclass(frozen=True, slots=True)
class Palette:
    """The named ways to make numbers of colours.

    Args:
        declared: What the reference declares.
        pairs: Channels and values of each.
        codes: What is wrong with each.
        mappings: As rows for `Equations.residuals`, shape (pairs, n).
        frames: Rows that fitted values of each channel map are mixtures of, by map.
    """

    declared: Declared
    pairs: Sequence[tuple[Channels, Values]]
    codes: Sequence[frozenset[str]]
    mappings: Numbers
    frames: Sequence[tuple[Channels, Numbers]]

    @classmethod
    def make(cls, declared: Declared) -> "Palette":
        """Return the ways that are met in place of what is declared."""
        maps = channel_maps(len(declared.channels.mixture))
        values = value_maps(declared.values)
        pairs = [(channels, value) for channels in maps for value in values]
        mappings = np.array([mapping(*pair) for pair in pairs])
        codes = [mistakes(declared, declared.geometry, *pair) for pair in pairs]
        return cls(declared, pairs, codes, mappings, [(c, _frame(c)) for c in maps])

    def explain(self, solved: Equations, geometry: Geometry) -> list[Hypothesis]:
        """Return the best ways of each combination of mistakes, with this geometry."""
        fitted = list(self._fitted(solved))
        rows = np.array([mapping(*pair) for pair in fitted])
        left = solved.residuals(np.concatenate([self.mappings, rows]))
        least = solved.rounding / solved.centred
        kept: dict[frozenset[str], int] = {}
        found: list[Hypothesis] = []
        pairs: list[tuple[Channels, Values]] = [*self.pairs, *fitted]
        wrong = [*self.codes, *(self._fitted_codes(*pair) for pair in fitted)]
        misplaced = frozenset[str](changed_fields(self.declared.geometry, geometry))
        order: list[int] = np.argsort(left, kind="stable").tolist()
        for i in order:
            channels, values = pairs[i]
            codes = misplaced | wrong[i]
            kept[codes] = kept.get(codes, 0) + 1
            if kept[codes] <= KEPT:
                share = max(float(left[i]), least)
                made = Hypothesis(geometry, channels, values, codes, rounding=least)
                found.append(replace(made, unexplained=share))
        return found

    def _fitted_codes(self, channels: Channels, values: Values) -> frozenset[str]:
        order = {"channel_order"} if channels.name != self.declared.channels.name else set[str]()
        return frozenset({values.code} | order)

    def _fitted(self, solved: Equations) -> Iterator[tuple[Channels, Values]]:
        """Yield the best gain and offset: one for all channels, and one for each."""
        for channels, each in self.frames:
            count = len(channels.mixture)
            common = np.stack([each[:count].sum(axis=0), each[count:].sum(axis=0)])
            yield channels, _values(solved, channels, common, self.declared.values)
            if count > 1:
                yield channels, _values(solved, channels, each, None)


def _frame(channels: Channels) -> Numbers:
    """Return the rows for a gain and for an offset of each channel."""
    count = len(channels.mixture)
    rows = np.zeros((2 * count, count * COLOURS + count))
    for channel in range(count):
        start = channel * COLOURS
        rows[channel, start : start + COLOURS] = channels.mixture[channel]
    rows[count:, count * COLOURS :] = np.eye(count)
    return rows


def _values(
    solved: Equations, channels: Channels, frame: Numbers, declared: Values | None
) -> Values:
    solution = solved.solved(frame)
    count, mixture = len(channels.mixture), channels.mixture
    colours = solution[: count * COLOURS].reshape(count, COLOURS)
    gain = (colours * mixture).sum(axis=1) / np.square(mixture).sum(axis=1)
    offset = solution[count * COLOURS :]
    if declared is None:
        return Values("fitted by channel", "mean_std", gain, offset, fitted=count)
    return Values("fitted", declared.code, gain, offset, fitted=1)
