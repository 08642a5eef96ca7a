"""Search single changes of a declared way to make a model input, and pairs of them."""

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from exray.playback.image import quantize
from exray.schema.errors import DataError
from exray.schema.quantization import dequantize
from exray.schema.sketch import fold, ones_sketch, sketch

from .deadline import Deadline
from .hypothesis import CAP_DB, PARSIMONY_DB, capped_db
from .image_search import BEAM, BUDGET_S, ENOUGH_DB, LEAST_DB, WORKERS
from .observed import Numbers, ObservedFrame

Plan = TypeVar("Plan")
"""A whole way to make the model input."""

FRAMES = 8
"""Frames that candidates are tried on: recordings and texts are small."""


SCREENING_FRAMES = 2
"""Frames that pairs of changes are tried on first."""

ONE_ID_OFF = 1.0
"""Squared distance of two lists of ids that are not the same, at least."""

NEARLY_DB = 25.0
"""Match of ids that are near, but not the same: too little to name anything by."""

SCREENED = 16
"""Pairs that are then tried on all."""


@dataclass(frozen=True, slots=True)
class Change(Generic[Plan]):
    """One thing that may be done otherwise.

    Args:
        part: What of the plan it changes; two changes of one part exclude each other.
        edge: What the edge then does, as a clause.
        reference: What the reference does.
        apply: Returns the plan with the change.
    """

    part: str
    edge: str
    reference: str
    apply: Callable[[Plan], Plan]


@dataclass(frozen=True, slots=True)
class Menu(Generic[Plan]):
    """A declared plan and what may be done otherwise.

    Args:
        declared: What the reference does.
        changes: Single changes.
        make: Returns the model input, real values of the input's element count; raises
            `DataError` where the plan cannot be followed.
        is_exact: Whether the values are names, such as token ids, that are equal or not.
        refine: Changes next to one that was found, nearer with each step.
    """

    declared: Plan
    changes: Sequence[Change[Plan]]
    make: Callable[[NDArray[Any], Plan], NDArray[Any]]
    is_exact: bool = False
    refine: Callable[[Change[Plan], int], Iterable[Change[Plan]]] = lambda change, step: ()


@dataclass(frozen=True, slots=True)
class Match:
    """How well a candidate matches.

    Args:
        as_is_db: Variance of what the edge saw against what is left of it.
        scaled_db: The same after the best gain and offset.
    """

    as_is_db: float = LEAST_DB
    scaled_db: float = LEAST_DB


@dataclass(frozen=True, slots=True)
class Choice(Generic[Plan]):
    """Some changes, and how well they match what the edge saw."""

    changes: tuple[Change[Plan], ...]
    match: Match

    @property
    def match_db(self) -> float:
        """How well it matches."""
        return self.match.as_is_db

    @property
    def parts(self) -> frozenset[str]:
        """What of the plan is changed."""
        return frozenset(change.part for change in self.changes)

    @property
    def score_db(self) -> float:
        """Its match less what its changes must explain to be believed in."""
        return self.match_db - PARSIMONY_DB * len(self.changes)


@dataclass(frozen=True, slots=True)
class MenuFound(Generic[Plan]):
    """What a search found.

    Args:
        best: The choice to believe.
        choices: All that were tried.
        frames: Frames on which they were.
        duration_s: Time taken, seconds.
    """

    best: Choice[Plan]
    choices: tuple[Choice[Plan], ...]
    frames: int
    duration_s: float

    def without(self, part: str) -> float:
        """Return the best match in dB among choices that leave a part as declared."""
        rest = (c.match_db for c in self.choices if part not in c.parts)
        return max(rest, default=LEAST_DB)


def search_menu(
    menu: Menu[Plan],
    frames: Sequence[ObservedFrame],
    raws: Sequence[NDArray[Any]],
    budget_s: float = BUDGET_S,
) -> MenuFound[Plan]:
    """Find which changes make what the edge saw.

    Args:
        menu: What may be done otherwise.
        frames: Paired frames, the most different first; at least one.
        raws: Their recorded inputs.
        budget_s: Seconds after which no further changes are tried.
    """
    deadline = Deadline(budget_s)
    search = _Search(menu, frames[:FRAMES], raws[:FRAMES], deadline)
    with ThreadPoolExecutor(WORKERS, "exray-candidates") as pool:
        search.run(lambda work, given: pool.map(work, given))
    return MenuFound(search.best(), tuple(search.found), len(search.frames), deadline.elapsed_s())


def match_of(
    edges: Sequence[ObservedFrame], made: Sequence[NDArray[Any]], *, is_exact: bool = False
) -> Match:
    """Return how well model inputs match those that the edges saw.

    Args:
        edges: Frames.
        made: A model input for each, real values.
        is_exact: Whether values that are near are as wrong as any.
    """
    if any(values.size != frame.edge.count for frame, values in zip(edges, made, strict=True)):
        return Match()
    sketches, ones, edge = (
        np.concatenate(parts)
        for parts in zip(
            *(_sketches(frame, values) for frame, values in zip(edges, made, strict=True)),
            strict=True,
        )
    )
    mean = float(edge @ ones) / float(ones @ ones)
    centred = max(float(np.square(edge - mean * ones).sum()), 1e-30)
    left = float(np.square(sketches - edge).sum())
    if not math.isfinite(left):
        return Match()
    columns: Numbers = np.stack([sketches, ones], axis=1)
    scale: Numbers = np.sqrt(np.maximum(np.square(columns).sum(axis=0), 1e-30))
    scaled: Numbers = columns / scale
    solution: Numbers = np.linalg.lstsq(scaled, edge, rcond=None)[0].astype(np.float64)
    unlike = float(np.square(scaled @ solution - edge).sum())
    matched = max(capped_db(left / centred), LEAST_DB)
    if is_exact:
        matched = CAP_DB if left < ONE_ID_OFF / 2 else min(matched, NEARLY_DB)
    return Match(matched, capped_db(unlike / centred))


def _sketches(frame: ObservedFrame, values: NDArray[Any]) -> tuple[Numbers, Numbers, Numbers]:
    """Return the sketches of a candidate, of ones, and of what the edge saw."""
    edge, size = frame.edge, len(frame.edge.sketch)
    real = values
    if edge.quantization is not None:
        real = dequantize(quantize(values, edge.quantization, edge.dtype), edge.quantization)
    made = fold(sketch(real, frame.family), size)
    return made, fold(ones_sketch(edge.count, frame.family), size), edge.sketch


Spread = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


@dataclass(slots=True)
class _Search(Generic[Plan]):
    menu: Menu[Plan]
    frames: Sequence[ObservedFrame]
    raws: Sequence[NDArray[Any]]
    deadline: Deadline
    found: list[Choice[Plan]] = field(default_factory=list[Any])

    def run(self, spread: Spread) -> None:
        """Try single changes, then two at once, then what lies between."""
        self._try([()], spread)
        self._try([(change,) for change in self.menu.changes], spread)
        self._refine(spread)
        for start in self._beam():
            if self.best().match_db < ENOUGH_DB:
                self._try(self._screened(self._wider(start), spread), spread)
        self._refine(spread)

    def best(self) -> Choice[Plan]:
        """Return the choice to believe so far."""
        return max(self.found, key=lambda choice: choice.score_db)

    def _beam(self) -> list[Choice[Plan]]:
        """Return the best single change of each part, by their shape: scales come second."""
        kinds: dict[frozenset[str], Choice[Plan]] = {}
        for choice in sorted(self.found, key=lambda c: -c.match.scaled_db):
            if choice.changes:
                kinds.setdefault(choice.parts, choice)
        return list(kinds.values())[:BEAM]

    def _screened(
        self, wanted: Sequence[tuple[Change[Plan], ...]], spread: Spread
    ) -> list[tuple[Change[Plan], ...]]:
        """Keep those that match best on the first frames alone."""
        few = slice(0, SCREENING_FRAMES)

        def work(changes: tuple[Change[Plan], ...]) -> float:
            return self._match(changes, self.frames[few], self.raws[few]).as_is_db

        scores = list(spread(work, wanted))
        order = sorted(range(len(wanted)), key=scores.__getitem__, reverse=True)
        return [wanted[i] for i in order[:SCREENED]]

    def _wider(self, start: Choice[Plan]) -> list[tuple[Change[Plan], ...]]:
        return [(*start.changes, c) for c in self.menu.changes if c.part not in start.parts]

    def _refine(self, spread: Spread) -> None:
        for step in range(6):
            best = self.best()
            if best.match_db >= ENOUGH_DB:
                return
            nearer = [
                (*(c for c in best.changes if c is not change), other)
                for change in best.changes
                for other in self.menu.refine(change, step)
            ]
            self._try(nearer, spread)

    def _try(self, wanted: Sequence[tuple[Change[Plan], ...]], spread: Spread) -> None:
        def work(changes: tuple[Change[Plan], ...]) -> Choice[Plan]:
            return Choice(changes, self._match(changes, self.frames, self.raws))

        self.found += spread(work, wanted)

    def _match(
        self,
        changes: tuple[Change[Plan], ...],
        frames: Sequence[ObservedFrame],
        raws: Sequence[NDArray[Any]],
    ) -> Match:
        if changes and self.deadline.is_past():
            return Match()
        plan = self.menu.declared
        for change in changes:
            plan = change.apply(plan)
        try:
            made = [self.menu.make(raw, plan) for raw in raws]
            return match_of(frames, made, is_exact=self.menu.is_exact)
        except DataError:  # too short a recording for this window
            return Match()
