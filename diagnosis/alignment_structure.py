"""What the structure of two models says: which layers compute the same from the same."""

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum

from .alignment_flow import Cone, Flow
from .alignment_kinds import UNKNOWN
from .alignment_layers import MODEL_INPUT, ModelLayers

_SLACK = 8
"""Primitives that a reference cone may have beyond the edge's before it is out of reach."""

_SAME_COST = 0.02
"""Share by which the cost of one computation may differ between two graphs' counting."""


class Fit(IntEnum):
    """How well the structure allows a match; every fit reads the same tensors."""

    SAME = 0
    """The same primitives."""
    FOLDED = 1
    """The same, but for scales, shifts, paddings or clamps on the way."""
    CLAMPED = 2
    """The same, but for a clamp at the end, which a quantization range may do."""
    UNKNOWN = 3
    """Operators or wires that the graphs do not tell."""


class Structure:
    """Two models' value flows, and the tensors that are matched so far.

    Positions are those of roots: of layers that compute something.

    Args:
        edge: The edge model.
        reference: The reference model.
    """

    def __init__(self, edge: ModelLayers, reference: ModelLayers) -> None:
        self.edge, self.reference = Flow(edge.layers), Flow(reference.layers)
        if self.edge.has_relu != self.reference.has_relu:  # one side's ranges clamp
            self.edge = Flow(edge.layers, clamps_fold=True)
            self.reference = Flow(reference.layers, clamps_fold=True)
        self.image = {MODEL_INPUT: MODEL_INPUT}
        """Reference root by matched edge root."""
        self.taken = {MODEL_INPUT}
        """Reference roots that are matched."""
        self._is_wired = self.edge.is_wired and self.reference.is_wired
        self._is_one_net = self.edge.rest(MODEL_INPUT) == self.reference.rest(MODEL_INPUT)

    def match(self, i: int, j: int) -> None:
        """Note that two roots have the same output; the first word on a root stands."""
        self.image.setdefault(i, j)
        self.taken.add(j)

    def cone(self, i: int) -> Cone | None:
        """Collect what the edge computes from matched tensors up to a layer."""
        return self.edge.cone(i, self.image)

    def fits(self, i: int, cone: Cone | None, options: Iterable[int]) -> dict[int, Fit]:
        """Return the reference layers that the structure allows, and how well they fit."""
        return {j: fit for j in options if (fit := self._fit(i, cone, j)) is not None}

    def alike(self, i: int, cone: Cone | None, fits: Mapping[int, Fit]) -> list[int]:
        """Return the reference layers that fit best.

        Returns:
            None, the one that the structure proves, or several that it cannot tell apart.
        """
        for grade in (Fit.SAME, Fit.FOLDED):
            alike = [
                j
                for j, fit in fits.items()
                if fit is grade and self.is_same_end(i, cone, j) and self._costs_alike(cone, j)
            ]
            if alike:
                return self._told_by_rest(i, alike, fits)
        return []

    def is_same_end(self, i: int, cone: Cone | None, j: int) -> bool:
        """Match the end of a folded chain with the end, and its inside with its inside."""
        if self.edge.is_tail[i] or self.reference.is_tail[j]:
            return self.edge.is_tail[i] and self.reference.is_tail[j]
        other = self.reference.cone(j, self.taken)
        return cone is not None and other is not None and other.exact == cone.exact

    def may_end_alike(self, i: int, j: int) -> bool:
        """Tell whether both end in the same kind, but for a clamp or an unknown operator."""
        tails = (self.edge.tail[i], self.reference.tail[j])
        is_known = not any(tail.startswith(UNKNOWN) for tail in tails)
        return tails[0] == tails[1] or not is_known or self._may_clamp(i, j)

    def is_ordered(self, cone: Cone | None, j: int) -> bool:
        """Tell whether a reference layer comes after what the edge layer reads."""
        if not self._is_wired:
            return True
        return cone is not None and all(
            self.reference.is_below(j, self.image[p]) for p in cone.frontier
        )

    def holder(self, i: int, cone: Cone | None) -> int | None:
        """Return the reference layer in whose fusion an edge layer's output is hidden."""
        if self.edge.root[i] != i or cone is None:
            return None
        for j, kinds in enumerate(self.reference.kinds):
            if self.reference.root[j] == j and j not in self.taken and len(kinds) > 1:
                other = self._reached(cone, j)
                if other is not None and cone.full < other.full:
                    return j
        return None

    def _fit(self, i: int, cone: Cone | None, j: int) -> Fit | None:
        if not self._is_wired:
            return Fit.UNKNOWN
        if cone is None or (other := self._reached(cone, j)) is None:
            return None
        ends_same = self.edge.tail[i] == self.reference.tail[j]
        if cone.full == other.full and ends_same:
            return Fit.SAME
        if cone.heavy == other.heavy and (ends_same or self._may_clamp(i, j)):
            return Fit.FOLDED if ends_same else Fit.CLAMPED
        return None if cone.is_known and other.is_known else Fit.UNKNOWN

    def _reached(self, cone: Cone, j: int) -> Cone | None:
        """Return a reference layer's cone if it reads what the edge layer reads."""
        wanted = frozenset(self.image[p] for p in cone.frontier)
        limit = cone.full.total() + _SLACK
        other = self.reference.cone(j, self.taken, limit=limit, wanted=wanted)
        return other if other is not None and other.frontier == wanted else None

    def _may_clamp(self, i: int, j: int) -> bool:
        """Tell whether one ends in a ReLU that the other may leave to its range."""
        ours, theirs = self.edge.tail[i] == "relu", self.reference.tail[j] == "relu"
        if ours == theirs:
            return False
        return not (self.reference.is_clamped_next[j] if ours else self.edge.is_clamped_next[i])

    def _costs_alike(self, cone: Cone | None, j: int) -> bool:
        """Tell whether as many multiply-accumulates lead to both, where that is known."""
        other = self.reference.cone(j, self.taken)
        if cone is None or other is None or not cone.macs or not other.macs:
            return True
        return abs(cone.macs - other.macs) <= _SAME_COST * cone.macs

    def _told_by_rest(self, i: int, alike: list[int], fits: Mapping[int, Fit]) -> list[int]:
        """Tell layers apart by what is computed from them.

        Branches are told apart by it, and a layer without ReLU from one whose range clamps.
        """
        rest = self.edge.rest(i)
        clamped: Sequence[int] = [j for j, fit in fits.items() if fit is Fit.CLAMPED]
        for group in (alike, clamped):
            told = [j for j in group if self.reference.rest(j) == rest]
            if told:
                return told
        # Of one network in two cuts, a layer whose rest differs is on another branch.
        return [] if self._is_one_net else alike
