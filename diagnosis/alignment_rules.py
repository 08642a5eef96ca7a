"""The rules that decide, layer by layer, which reference layer has the same output."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .alignment_flow import Cone
from .alignment_layers import LayerMatch, Method, ModelLayers
from .alignment_names import EXACT, Names, score
from .alignment_sketches import ALONE_LIMIT, COMMON_INPUT, OTHER_INPUT, Nearest, nearest
from .alignment_structure import Fit, Structure


@dataclass(frozen=True, slots=True)
class _Choice:
    """The reference layer chosen for an edge layer, or why there is none."""

    position: int | None
    method: Method
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Hearing:
    """What the witnesses say about one edge layer; positions are reference roots.

    Args:
        fits: Layers that the structure allows, and how well.
        alike: Those that it proposes: none, the one, or several that it cannot tell apart.
        named: The layer that the name means, if the structure or the sketch allows it.
        is_exact: Whether the names are equal, not only alike.
        near: The nearest outputs.
    """

    fits: Mapping[int, Fit]
    alike: Sequence[int]
    named: int | None
    is_exact: bool
    near: Nearest

    @property
    def fitting(self) -> int | None:
        """The layer that the structure proves."""
        return self.alike[0] if len(self.alike) == 1 else None


class Rules:
    """One pass of the rules over two models.

    Args:
        edge: The edge model.
        reference: The reference model.
        distances: Shape ``(edge layers, reference layers)``, NaN where not measured.
        common_input: Whether they were measured on one model input.
        overlaps: Whether names that only overlap are believed.
    """

    def __init__(
        self,
        edge: ModelLayers,
        reference: ModelLayers,
        distances: NDArray[np.float64],
        *,
        common_input: bool,
        overlaps: bool = True,
    ) -> None:
        self._structure = Structure(edge, reference)
        self._edge, self._reference = edge.layers, reference.layers
        self._edge_root = self._structure.edge.root
        self._reference_root = self._structure.reference.root
        self._edge_names = Names([layer.name for layer in edge.layers])
        self._reference_names = Names([layer.name for layer in reference.layers])
        self._distances = distances
        self._common_input = common_input
        self._overlaps = overlaps
        self._named = self._contradicted = 0

    @property
    def misled(self) -> float:
        """Share of the overlapping names that the structure contradicts, 0 to 1."""
        # One alone may be a layer that was changed; a habit needs two.
        return self._contradicted / self._named if self._contradicted > 1 else 0.0

    def run(self) -> list[LayerMatch]:
        """Decide every edge layer, in topological order."""
        return [self._match(i, self._decide(i)) for i in range(len(self._edge))]

    def _match(self, i: int, choice: _Choice) -> LayerMatch:
        """Write a choice down with its distances, and remember it for the layers below."""
        j, index = choice.position, self._edge[i].index
        if j is None:
            return LayerMatch(index, None, "none", reason=choice.reason)
        root = self._reference_root[j]
        self._structure.match(self._edge_root[i], root)
        row = self._distances[i]
        others = [
            float(row[k])
            for k in self._comparable(i)
            if self._reference_root[k] != root and np.isfinite(row[k])
        ]
        return LayerMatch(
            edge_layer_index=index,
            reference_layer_index=self._reference[j].index,
            method=choice.method,
            distance=float(row[j]) if np.isfinite(row[j]) else None,
            runner_up=min(others, default=None),
        )

    def _decide(self, i: int) -> _Choice:
        root = self._edge_root[i]
        if (excluded := self._edge[i].excluded_reason) is not None:
            return _Choice(None, "none", excluded)
        if root != i and root in self._structure.image:
            return self._copied(i, self._structure.image[root])
        cone = self._structure.cone(i)
        options = [j for j in self._roots(i) if j not in self._structure.taken]
        heard = self._hear(i, cone, options)
        chosen = self._chosen(i, cone, heard, options)
        if chosen is None:
            return _Choice(None, "none", self._reason(i, cone, heard.alike))
        if chosen == heard.named:
            method: Method = "name" if heard.is_exact else "overlap"
        else:
            by_sketch = chosen != heard.fitting or self._is_sketched(heard.near, chosen)
            method = "sketch" if by_sketch else "structure"
        return _Choice(self._alias(i, chosen), method)

    def _hear(self, i: int, cone: Cone | None, options: Sequence[int]) -> _Hearing:
        """Ask names, structure and sketches about a layer that computes something."""
        fits = self._structure.fits(i, cone, options)
        alike = self._structure.alike(i, cone, fits)
        near = self._nearest(i, self._roots(i))
        named, value = self._best_name(i, options)
        if named is not None and not (
            (self._is_sketched(near, named) and self._is_proof(i, named))
            or self._allows(i, cone, named, value, fits)
        ):
            self._contradicted += value < EXACT and len(alike) == 1
            named = None
        return _Hearing(fits, alike, named, value == EXACT, near)

    def _chosen(
        self, i: int, cone: Cone | None, heard: _Hearing, options: Sequence[int]
    ) -> int | None:
        """Settle what the witnesses say: two outweigh the third, one suffices alone."""
        chosen = self._named_or_fitting(heard)
        if chosen is not None and heard.named == heard.fitting:
            return chosen
        if chosen is None and len(heard.alike) > 1:
            among = self._nearest(i, heard.alike)
            if among.is_decisive and len(among.ties) == 1:
                return among.ties[0]
        if not heard.near.is_decisive or chosen in heard.near.ties:
            return chosen
        nearer = [j for j in heard.near.ties if j in options]
        if chosen is None:
            ordered = self._structure.is_ordered
            nearer = [j for j in nearer if self._is_proof(i, j) and ordered(cone, j)]
        else:  # only within the neighbourhood: a twin branch, or past a clamp
            nearer = [j for j in nearer if j in heard.alike or heard.fits.get(j) is Fit.CLAMPED]
        return nearer[0] if nearer else chosen

    def _named_or_fitting(self, heard: _Hearing) -> int | None:
        """Settle between the layer that the name means and the one that fits."""
        named, fitting = heard.named, heard.fitting
        if named is None or fitting is None:
            return fitting if named is None else named
        # Below what fits, the name is of an activation that the edge leaves to its range.
        is_clamp = self._structure.reference.is_below(named, fitting)
        is_worse = heard.fits.get(named, Fit.UNKNOWN) > heard.fits[fitting]
        return fitting if is_worse and not is_clamp else named

    # Names.

    def _best_name(self, i: int, options: Sequence[int]) -> tuple[int | None, float]:
        """Return the one layer whose name fits best, or None."""
        best: dict[int, float] = {}
        wanted = set(options)
        for j in self._comparable(i):
            if (root := self._reference_root[j]) in wanted:
                best[root] = max(best.get(root, 0.0), self._name_score(i, j))
        top = max(best.values(), default=0.0)
        holders = [j for j, value in best.items() if value == top]
        if top <= 0 or len(holders) > 1:
            return None, 0.0
        self._named += top < EXACT
        return holders[0], top

    def _name_score(self, i: int, j: int) -> float:
        value = score(self._edge_names, i, self._reference_names, j)
        return value if value == EXACT or self._overlaps else 0.0

    def _allows(
        self, i: int, cone: Cone | None, j: int, value: float, fits: Mapping[int, Fit]
    ) -> bool:
        """Tell whether the structure allows what a name says."""
        if not self._structure.may_end_alike(i, j):
            return False
        if fits.get(j, Fit.UNKNOWN) <= Fit.FOLDED:
            return self._structure.is_same_end(i, cone, j)
        return j in fits or (value == EXACT and self._structure.is_ordered(cone, j))

    # Sketches.

    def _nearest(self, i: int, positions: Sequence[int]) -> Nearest:
        trust = COMMON_INPUT if self._common_input else OTHER_INPUT
        return nearest(self._distances[i], positions, trust)

    def _is_sketched(self, near: Nearest, j: int) -> bool:
        """Tell whether the sketches on one common input say that it is this layer."""
        return self._common_input and near.is_decisive and j in near.ties

    def _is_proof(self, i: int, j: int) -> bool:
        """Tell whether two outputs are so near that names or structure may be silent."""
        is_near = self._common_input and bool(self._distances[i, j] <= ALONE_LIMIT)
        return is_near and self._structure.may_end_alike(i, j)

    # Layers with the same values.

    def _copied(self, i: int, root: int) -> _Choice:
        """Choose for a layer that only copies or reshapes another's output."""
        j = self._alias(i, root)
        if j is None:
            reason = "a copy of the model input, which is no layer of the reference"
            return _Choice(None, "none", reason)
        value = self._name_score(i, j)
        if value > 0:
            return _Choice(j, "name" if value == EXACT else "overlap")
        by_sketch = self._is_sketched(self._nearest(i, self._roots(i)), root)
        return _Choice(j, "sketch" if by_sketch else "structure")

    def _alias(self, i: int, root: int) -> int | None:
        """Choose among the reference layers that have the same values."""
        layer, is_root = self._edge[i], self._edge_root[i] == i
        return min(
            (j for j in self._comparable(i) if self._reference_root[j] == root),
            key=lambda j: (
                -self._name_score(i, j),
                (self._reference_root[j] == j) != is_root,
                self._reference[j].shape != layer.shape,
                j,
            ),
            default=None,
        )

    def _comparable(self, i: int) -> list[int]:
        """Return the reference layers with as many elements."""
        count = self._edge[i].count
        return [
            j
            for j, layer in enumerate(self._reference)
            if layer.excluded_reason is None
            and (count is None or layer.count is None or count == layer.count)
        ]

    def _roots(self, i: int) -> list[int]:
        """Return those of them that compute something."""
        return [j for j in self._comparable(i) if self._reference_root[j] == j]

    def _reason(self, i: int, cone: Cone | None, alike: Sequence[int]) -> str:
        """Say why a layer has no counterpart."""
        if not self._comparable(i):
            return f"no reference layer has {self._edge[i].count} elements"
        if len(alike) > 1:
            names = ", ".join(repr(self._reference[j].name) for j in alike[:4])
            return f"{len(alike)} reference layers fit alike: {names}"
        holder = self._structure.holder(i, cone)
        if holder is not None:
            name = self._reference[holder].name.split(";")[0]
            return f"the reference computes it within {name!r}, and not as an output"
        return "no reference layer computes the same from the same inputs"
