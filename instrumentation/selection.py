"""Which layers of a model are summarised, and at which level.

A selector is a glob pattern on layer names (``conv*``), one on operators (``op:CONV_2D``,
in any case), an index (``7``) or a range of indices, both ends included (``0-5``). With
``=LEVEL`` behind it, it gives its layers that level, else they have the frame's::

    layers=["*", "block_3*=distribution", "op:RESHAPE=latency"]

The last selector that matches a layer decides; a layer that none matches keeps its time
alone. Model inputs, outputs and what stands outside the model are not selected: they have
the frame's level.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import cast

import numpy as np
from numpy.typing import NDArray

from exray.schema.errors import UsageError
from exray.schema.records import Graph, LayerSite

from .guard import log_once
from .level import Level

NAMES_SHOWN = 20
"""Layer names that a message lists: some models have thousands."""

_RANGE = re.compile(r"(\d+)(?:-(\d+))?")


@dataclass(frozen=True, slots=True)
class LayerSelector:
    """One selector.

    Args:
        text: As it was given, for messages.
        pattern: Glob pattern on the name, or on the operator with *on_op*.
        on_op: Whether the pattern is of operators; then it is in lower case.
        indices: First and last index, in place of a pattern.
        level: What its layers are kept at; None for the frame's level.
    """

    text: str
    pattern: str = ""
    on_op: bool = False
    indices: tuple[int, int] | None = None
    level: Level | None = None

    @classmethod
    def parse(cls, text: object) -> "LayerSelector":
        """Return the selector that *text* says.

        Raises:
            UsageError: It says none.
        """
        if not isinstance(text, str) or not text.strip():
            msg = (
                f"layer selector {text!r} is none; expected a pattern such as 'conv*', "
                "'op:CONV_2D' or '0-5', with or without '=LEVEL'"
            )
            raise UsageError(msg)
        pattern, equals, level_name = text.strip().partition("=")
        pattern = pattern.strip()
        level = _parse_level(text, level_name.strip()) if equals else None
        found = _RANGE.fullmatch(pattern)
        if found:
            first, last = int(found[1]), int(found[2] or found[1])
            if first > last:
                msg = f"layer selector {text!r} runs backwards; write '{last}-{first}'"
                raise UsageError(msg)
            return cls(text, indices=(first, last), level=level)
        if pattern.startswith("op:"):
            return cls(text, pattern.removeprefix("op:").lower(), on_op=True, level=level)
        return cls(text, pattern, level=level)

    def matches(self, index: int, name: str, op: str, subgraph_index: int = 0) -> bool:
        """Tell whether it selects a layer; indices are those of the primary subgraph."""
        if self.indices is not None:
            return subgraph_index == 0 and self.indices[0] <= index <= self.indices[1]
        if self.on_op:
            return fnmatchcase(op.lower(), self.pattern)
        return name == self.pattern or fnmatchcase(name, self.pattern)


def _parse_level(text: str, name: str) -> Level:
    level = Level.parse(name)
    if level == Level.OFF:
        msg = f"layer selector {text!r}: a layer cannot be off; 'latency' keeps its time alone"
        raise UsageError(msg)
    return level


@dataclass(frozen=True, slots=True)
class LayerSelection:
    """The selectors of one configuration.

    Args:
        selectors: In the order given; None for every layer at the frame's level.
    """

    selectors: tuple[LayerSelector, ...] | None = None
    _known: dict[tuple[Level, LayerSite], Level] = field(
        default_factory=dict[tuple[Level, LayerSite], Level], compare=False, repr=False
    )

    @classmethod
    def parse(cls, layers: object) -> "LayerSelection":
        """Return the selection of a setting.

        Args:
            layers: Selectors, in a list or joined with commas; ``none`` and an empty list
                select no layer, ``all`` and None every one.

        Raises:
            UsageError: It is neither, or one of them is no selector.
        """
        if layers is None or layers == "all":
            return cls()
        if layers == "none":
            return cls(())
        if isinstance(layers, str):
            return cls(tuple(LayerSelector.parse(part) for part in layers.split(",")))
        if isinstance(layers, Sequence):
            given = cast("Sequence[object]", layers)
            return cls(tuple(LayerSelector.parse(part) for part in given))
        msg = f"layers {layers!r} are no selectors; expected a list such as ['conv*', '0-5']"
        raise UsageError(msg)

    @property
    def selects_any(self) -> bool:
        """Whether any layer of any model can be summarised."""
        return self.selectors is None or any(
            selector.level is None or selector.level >= Level.SUMMARY for selector in self.selectors
        )

    def capped(self, most: Level) -> "LayerSelection":
        """Return the same with no layer above a level."""
        if self.selectors is None:
            return self
        return LayerSelection(
            tuple(
                replace(s, level=None if s.level is None else min(s.level, most))
                for s in self.selectors
            )
        )

    def highest(self, level: Level) -> Level:
        """Return the highest level of a layer, in frames of *level*."""
        if self.selectors is None or level < Level.SUMMARY:
            return level
        levels = (level if s.level is None else s.level for s in self.selectors)
        return max(levels, default=Level.LATENCY)

    def level_of(self, layer: LayerSite, level: Level) -> Level:
        """Return the level of one layer, in frames of *level*; below summary it keeps its time."""
        if self.selectors is None or level < Level.SUMMARY:
            return level
        key = (level, layer)
        known = self._known.get(key)
        if known is None:
            if len(self._known) > _MOST_KNOWN:  # layers made anew for each input
                self._known.clear()
            place = (layer.layer_index, layer.layer_name, layer.op, layer.subgraph_index)
            known = self._known[key] = self._decide(*place, level)
        return known

    def _decide(self, index: int, name: str, op: str, subgraph_index: int, level: Level) -> Level:
        for selector in reversed(self.selectors or ()):
            if selector.matches(index, name, op, subgraph_index):
                return level if selector.level is None else selector.level
        return Level.LATENCY


_MOST_KNOWN = 100_000

EVERY_LAYER = LayerSelection()
"""Every layer at the frame's level."""


def layer_levels(graph: Graph, selection: LayerSelection, level: Level) -> NDArray[np.int8]:
    """Return each layer's level, in frames of *level*.

    Args:
        graph: The model's operators.
        selection: Which of them are wanted.
        level: Level of the frame.

    Returns:
        Shape (layers,), int8, by layer index of the primary subgraph.
    """
    ops = [op for op in graph.ops if op.subgraph_index == 0]
    levels = np.full(max((op.layer_index for op in ops), default=-1) + 1, Level.LATENCY, np.int8)
    for op in ops:
        site = LayerSite(op.layer_index, op.layer_name, op.op)
        levels[op.layer_index] = selection.level_of(site, level)
    return levels


def selected_layers(
    graph: Graph, selection: LayerSelection, level: Level = Level.SUMMARY
) -> NDArray[np.bool_]:
    """Tell which layers are summarised, in frames of *level*.

    Args:
        graph: The model's operators.
        selection: Which of them are wanted.
        level: Level of the frame.

    Returns:
        Shape (layers,), bool, by layer index of the primary subgraph.
    """
    selected: NDArray[np.bool_] = layer_levels(graph, selection, level) >= Level.SUMMARY
    return selected


def report_unmatched(graph: Graph, selection: LayerSelection) -> None:
    """Log once each selector that matches no layer of a model, with the names there are."""
    for selector in selection.selectors or ():
        if any(
            selector.matches(op.layer_index, op.layer_name, op.op, op.subgraph_index)
            for op in graph.ops
        ):
            continue
        names = [f"{op.layer_index} {op.layer_name} ({op.op})" for op in graph.ops]
        more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
        log_once(
            f"layers {selector.text} {graph.model_sha256}",
            f"layer selector {selector.text!r} matches no layer of model {graph.model_name!r}; "
            f"layers there: {', '.join(names[:NAMES_SHOWN])}{more}.",
        )
