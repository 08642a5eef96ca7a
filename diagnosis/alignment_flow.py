"""How values flow through a model: what stands between two tensors.

Fusion cuts one network into other layers, but what stands between two tensors that both
graphs have stays the same: the same products, joins and activations. The *cone* of a
layer is all that is computed from a set of known tensors up to it; two layers with the
same cone over the same tensors have the same output.
"""

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass

from .alignment_kinds import LIGHT, PRODUCT, UNKNOWN, primitives
from .alignment_layers import MODEL_INPUT, ModelLayer

REACH = 48
"""Primitives beyond which two tensors are too far apart for structure to prove anything."""


@dataclass(frozen=True, slots=True)
class Cone:
    """What is computed from known tensors up to one layer.

    Args:
        full: Primitives that no converter removes, with the activations.
        exact: The same with every scale, shift and padding.
        frontier: Positions of the known tensors; `MODEL_INPUT` for the model's own.
        macs: Multiply-accumulates in it; 0 where not all are known.
    """

    full: Counter[str]
    exact: Counter[str]
    frontier: frozenset[int]
    macs: int

    @property
    def heavy(self) -> Counter[str]:
        """Only what a converter cannot fold, drop or turn into a range."""
        return Counter({kind: n for kind, n in self.full.items() if kind not in LIGHT})

    @property
    def is_known(self) -> bool:
        """Whether the vocabulary has everything in it."""
        return not any(kind.startswith(UNKNOWN) for kind in self.full)


class Flow:
    """The value flow of one model; layers are named by their position in it.

    Args:
        layers: In topological order.
        clamps_fold: Whether ReLU counts as folded away, as where quantization ranges
            clamp instead (quantization-aware training leaves no ReLU in the file).
    """

    def __init__(self, layers: Sequence[ModelLayer], *, clamps_fold: bool = False) -> None:
        self.layers = tuple(layers)
        position = {layer.index: i for i, layer in enumerate(self.layers)}
        self.is_wired = any(layer.parents for layer in layers)
        """Whether the graph says which layer reads which; a traced one may not."""
        self.parents: list[tuple[int, ...]] = []
        self.kinds: list[tuple[str, ...]] = []
        self.lasting: list[tuple[str, ...]] = []
        self.root: list[int] = []
        self.tail: list[str] = []
        for layer in self.layers:
            parents = [position.get(index, MODEL_INPUT) for index in layer.parents]
            here = len(self.root)  # a layer called twice may also read what comes later
            able = [p for p in parents if p < here and not self._is_excluded(p)]
            self._add(layer, able, clamps_fold)
        self._set_consumers()
        self._rests: dict[int, Counter[str]] = {}

    def _add(self, layer: ModelLayer, parents: Sequence[int], clamps_fold: bool) -> None:
        sources = tuple(dict.fromkeys(self.root_of(p) for p in parents))
        kinds = primitives(layer.op, layer.activation, len(sources) if self.is_wired else 2)
        above = self.tail[sources[0]] if len(sources) == 1 and sources[0] >= 0 else ""
        if not self.is_wired:
            above = PRODUCT  # what normalizations follow as a rule
        lasting = _lasting(kinds, above, clamps_fold)
        # Without wires only the first layer, the input itself, is known to copy something.
        same_value = not kinds and len(sources) <= 1 and (self.is_wired or not self.root)
        self.root.append((sources or (MODEL_INPUT,))[0] if same_value else len(self.root))
        self.parents.append(sources)
        self.kinds.append(kinds)
        self.lasting.append(lasting)
        ends = [kind for kind in kinds if kind in lasting or kind == "pad"]
        self.tail.append(ends[-1] if ends else above)

    def _set_consumers(self) -> None:
        """Learn of each layer what is computed from it."""
        count = len(self.layers)
        self._below = [0] * count  # everything computed from it, one bit per layer
        self.is_tail = [True] * count
        """Whether no scale, shift or clamp after it folds into it."""
        self.is_clamped_next = [False] * count
        """Whether a ReLU of its own follows, so that none can be hidden in its range."""
        for i in reversed(range(count)):
            folds = len(self.lasting[i]) < sum(kind != "pad" for kind in self.kinds[i])
            for parent in self.parents[i]:
                if parent >= 0:
                    self._below[parent] |= self._below[i] | 1 << i
                    if folds and self.kinds[i][0] in LIGHT:
                        self.is_tail[parent] = False
                    if set(self.kinds[i]) <= {"affine", "relu"}:
                        clamps = "relu" in self.kinds[i] or self.is_clamped_next[i]
                        self.is_clamped_next[parent] |= clamps

    def _is_excluded(self, position: int) -> bool:
        return position >= 0 and self.layers[position].excluded_reason is not None

    @property
    def has_relu(self) -> bool:
        """Whether any layer clamps by an operator, not by its quantization range."""
        return any("relu" in kinds for kinds in self.kinds)

    def root_of(self, position: int) -> int:
        """Return the first layer that has the same values; `MODEL_INPUT` if the input has."""
        return MODEL_INPUT if position < 0 else self.root[position]

    def is_below(self, position: int, ancestor: int) -> bool:
        """Tell whether *position* is computed from *ancestor*."""
        return ancestor < 0 or bool(self._below[ancestor] >> position & 1)

    def rest(self, position: int) -> Counter[str]:
        """Count the lasting primitives computed from a layer on; of `MODEL_INPUT`, all."""
        if position not in self._rests:
            below = -1 if position < 0 else self._below[position]
            found: Counter[str] = Counter()
            for i in range(position + 1, len(self.layers)):
                if below >> i & 1 and not self._is_excluded(i):
                    found.update(self.lasting[i])
            self._rests[position] = found
        return self._rests[position]

    def cone(
        self,
        position: int,
        known: Container[int],
        *,
        limit: int = REACH,
        wanted: Container[int] | None = None,
    ) -> Cone | None:
        """Collect what is computed from known tensors up to a layer.

        Args:
            position: The layer; a root, see `root_of`.
            known: Positions of roots at which to stop; the model input always stops.
            limit: Give up above this many primitives, so that far layers cost little.
            wanted: Give up at a known tensor outside these; None wants all.

        Returns:
            The cone, or None if given up.
        """
        full: Counter[str] = Counter()
        exact: Counter[str] = Counter()
        frontier: set[int] = set()
        macs = size = 0
        is_costed = True
        seen = {position}
        stack = [position]
        while stack:
            i = stack.pop()
            full.update(self.lasting[i])
            exact.update(self.kinds[i])
            size += len(self.lasting[i])
            macs += self.layers[i].macs
            is_costed &= PRODUCT not in self.kinds[i] or self.layers[i].macs > 0
            if size > limit:
                return None
            for parent in self.parents[i]:
                if parent < 0 or parent in known:
                    if wanted is not None and parent not in wanted:
                        return None
                    frontier.add(parent)
                elif parent not in seen:
                    seen.add(parent)
                    stack.append(parent)
        return Cone(full, exact, frozenset(frontier), macs if is_costed else 0)


def _lasting(kinds: tuple[str, ...], above: str, clamps_fold: bool) -> tuple[str, ...]:
    """Return the primitives of a layer that every way of cutting the network keeps.

    Padding comes and goes. A scale or shift after a product becomes part of its weights,
    and after another scale or shift part of that: a normalization is both.

    Args:
        kinds: All its primitives.
        above: Kind in which its one input ends, empty for several.
        clamps_fold: Whether ReLU folds away too.
    """
    kept: list[str] = []
    for kind in kinds:
        last = kept[-1] if kept else above
        is_folded = kind == "affine" and last in (PRODUCT, "affine")
        if kind != "pad" and not is_folded and not (clamps_fold and kind == "relu"):
            kept.append(kind)
    return tuple(kept)
