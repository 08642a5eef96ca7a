"""Search the ways in which an edge may have preprocessed images, for the one that it did."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from exray.playback.image_spec import ImageSpec

from .basis import equations, image_input
from .confidence import LEAST_MATCH_DB
from .deadline import Deadline
from .geometry import Geometry, Turn, alternatives, changed_fields, geometry_from_spec, refined
from .hypothesis import Declared, Hypothesis, mistakes
from .image_frame import ImageFrame, Raw, tried
from .observed import ObservedFrame
from .palette import Palette
from .render import render
from .storage import storages
from .values import channel_maps, declared_channels, declared_values, value_maps

BUDGET_S = 12.0
"""Seconds after which no further candidates are made; proving the best takes a few more."""

WORKERS = 4
"""Candidates made at a time."""

SEARCH_SUMS = 512
"""Sums of sketches that tell candidates apart: two frames at 256 sums, eight at 64."""

PROOF_FRAMES = 6
"""Frames that the best candidates are tried on in the end."""

BEAM = 10
"""Single mistakes that a second one is tried with."""

ENOUGH_DB = 45.0
"""A match above which nothing further is wrong: a second mistake need not be looked for."""

LEAST_DB = -20.0
"""Match of a hypothesis that there is none of."""

PREFER_FRAMES = 2
"""Frames that single mistakes are told apart by at least; pairs of them by half of those first."""

KEPT_PAIRS = 24
"""Pairs of mistakes that are tried on all of those frames."""

ROUNDING_DB = 1.0
"""What rounding leaves may lie this far above its expectation."""

REFINEMENTS = 4
"""Times that the distance to the neighbours is halved."""

PROVEN = 6
"""Best hypotheses that are tried on all frames."""


def reference_match(
    spec: ImageSpec, frames: Sequence[ObservedFrame], load: Callable[[ObservedFrame], Raw]
) -> float:
    """Return how well the declared preprocessing makes what the reference saw, in dB.

    Args:
        spec: What the reference declares.
        frames: Paired frames; few are tried.
        load: Returns the recorded image of a frame.
    """
    target = image_input(frames[0].reference) if frames else None
    channels, values = declared_channels(spec), declared_values(spec)
    if target is None or target.channels != len(channels.mixture):
        return LEAST_DB
    tried_on = [replace(frame, edge=frame.reference) for frame in frames[:PREFER_FRAMES]]
    prepared = [ImageFrame.prepare(frame, target, load(frame)) for frame in tried_on]
    geometry = geometry_from_spec(spec, target.size)
    as_declared = Hypothesis(geometry, channels, values, frozenset())
    images = [render(frame.image, geometry) for frame in prepared]
    return tried(as_declared, storages(frames[0].reference)[0], prepared, images).match_db


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found.

    Args:
        declared: What the reference declares.
        best: The hypothesis to believe, which may be that nothing is wrong.
        rivals: All hypotheses tried, best first.
        frames: Frames on which *best* was tried.
        tried: Candidates that were made.
        duration_s: Time taken, seconds.
        is_complete: Whether the time sufficed for all candidates.
    """

    declared: Declared
    best: Hypothesis
    rivals: tuple[Hypothesis, ...]
    frames: int
    tried: int
    duration_s: float
    is_complete: bool

    def without(self, code: str) -> float:
        """Return the best match in dB among hypotheses that do without a mistake.

        One that says the same in other words, by numbers fitted to the same map, is none.
        """
        best = self.best
        others = (
            rival.match_db
            for rival in self.rivals
            if code not in rival.codes and not rival.says_as(best)
        )
        return max(others, default=LEAST_DB)


def search_image(
    spec: ImageSpec,
    frames: Sequence[ObservedFrame],
    load: Callable[[ObservedFrame], Raw],
    budget_s: float = BUDGET_S,
) -> Found | None:
    """Find how the edge made its model input.

    Args:
        spec: What the reference declares.
        frames: Paired frames, the most different first.
        load: Returns the recorded image of a frame.
        budget_s: Seconds after which no further candidates are made, see `Deadline`.

    Returns:
        What was found; None where the model input is no image of the declared channels.
    """
    deadline = Deadline(budget_s)
    target = image_input(frames[0].edge) if frames else None
    channels = declared_channels(spec)
    if target is None or target.channels != len(channels.mixture):
        return None
    same = [frame for frame in frames if frame.edge.shape == frames[0].edge.shape]
    prepared = [ImageFrame.prepare(f, target, load(f)) for f in same[:PROOF_FRAMES]]
    declared = Declared(geometry_from_spec(spec, target.size), channels, declared_values(spec))
    search = _Search(declared, Palette.make(declared), prepared, deadline)
    with ThreadPoolExecutor(WORKERS, "exray-candidates") as pool:
        search.run(lambda work, given: pool.map(work, given))
    best, rivals = search.ranked()
    return Found(
        declared=declared,
        best=best,
        rivals=rivals,
        frames=len(prepared),
        tried=search.tried,
        duration_s=deadline.elapsed_s(),
        is_complete=search.is_complete,
    )


Spread = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""Applies a function to many things, several at a time."""


@dataclass(slots=True)
class _Search:
    """A search under way.

    Args:
        declared: What the reference declares.
        palette: Ways to make numbers of colours.
        frames: All frames that candidates may be tried on.
        deadline: When to stop.
        tried: Candidates made so far.
        is_complete: Whether none was left out for want of time.
        found: What explains the edge best, by geometry, best first.
        stored: Hypotheses of another storage.
        proven: The best, tried on all frames.
    """

    declared: Declared
    palette: Palette
    frames: Sequence[ImageFrame]
    deadline: Deadline
    tried: int = 0
    is_complete: bool = True
    found: dict[Geometry, list[Hypothesis]] = field(
        default_factory=dict[Geometry, list[Hypothesis]]
    )
    stored: list[Hypothesis] = field(default_factory=list[Hypothesis])
    proven: list[Hypothesis] = field(default_factory=list[Hypothesis])

    def run(self, spread: Spread) -> None:
        """Try single mistakes, then two at once, then what lies between; prove the best."""
        base = self.declared.geometry
        self.found[base] = self._hypotheses(base, self._few)
        self._explain(alternatives(base, base), spread)
        self._refine(spread)
        self._store(spread)
        for start in self._beam():
            if not self._is_enough():
                self._explain_best(alternatives(base, start), spread)
        self._refine(spread)
        self._prove(spread)

    def ranked(self) -> tuple[Hypothesis, tuple[Hypothesis, ...]]:
        """Return the hypothesis to believe, and all, best first."""
        best = max(self.proven, key=_score_db)
        proven = {h.key for h in self.proven}
        rest = [h for h in self._all() if h.key not in proven]
        return best, tuple(sorted([*self.proven, *rest], key=lambda h: -h.match_db))

    @property
    def _few(self) -> Sequence[ImageFrame]:
        k = len(self.frames[0].observed.edge.sketch)
        return self.frames[: max(PREFER_FRAMES, SEARCH_SUMS // k)]

    def _hypotheses(self, geometry: Geometry, frames: Sequence[ImageFrame]) -> list[Hypothesis]:
        """Return what explains these frames with this geometry, best first."""
        columns = [frame.columns(geometry) for frame in frames]
        solved = equations([frame.observed for frame in frames], columns)
        return sorted(self.palette.explain(solved, geometry), key=_score_db, reverse=True)

    def _explain(self, geometries: Iterable[Geometry], spread: Spread) -> None:
        new = [g for g in dict.fromkeys(geometries) if g not in self.found]

        def work(geometry: Geometry) -> list[Hypothesis]:
            return [] if self._is_late() else self._hypotheses(geometry, self._few)

        for geometry, hypotheses in zip(new, spread(work, new), strict=True):
            if hypotheses:
                self.found[geometry] = hypotheses
                self.tried += 1

    def _explain_best(self, geometries: Iterable[Geometry], spread: Spread) -> None:
        """Explain the geometries that explain most of one frame, or of a part of the few."""
        new = [g for g in dict.fromkeys(geometries) if g not in self.found]
        part = self._few[: max(1, len(self._few) // 2)]

        def work(geometry: Geometry) -> float:
            return LEAST_DB if self._is_late() else self._hypotheses(geometry, part)[0].score_db

        scores = dict(zip(new, spread(work, new), strict=True))
        self.tried += len(new)
        self._explain(sorted(new, key=scores.__getitem__, reverse=True)[:KEPT_PAIRS], spread)

    def _refine(self, spread: Spread) -> None:
        """Look between the crops and qualities that the lists hold."""
        for step in range(REFINEMENTS):
            if self._is_enough():
                return
            for start in self._best_geometries(3):
                self._explain(refined(self.declared.geometry, start, step), spread)

    def _store(self, spread: Spread) -> None:
        """Try type mistakes and integers' ends, where nothing linear explains the edge.

        Where all values fall on a few steps, rounding leaves so much that anything is within
        it: then only numbers that are rounded as the edge's were can match.
        """
        if self._is_enough() and max(h.match_db for h in self._all()) >= LEAST_MATCH_DB:
            return
        declared = self.declared
        kinds = storages(self.frames[0].observed.edge)
        maps = channel_maps(self.frames[0].target.channels)
        orders = [declared.channels, *(c for c in maps if c.name in ("rgb", "bgr"))]
        wanted = [
            (channels, values, storage)
            for channels in {c.name: c for c in orders}.values()
            for values in value_maps(declared.values)
            for storage in (kinds if values.same(declared.values) else kinds[:1])
        ]

        def work(geometry: Geometry) -> list[Hypothesis]:
            if self._is_late():
                return []
            images = [render(frame.image, geometry) for frame in self._few]
            return [
                tried(
                    Hypothesis(
                        geometry,
                        channels,
                        values,
                        mistakes(declared, geometry, channels, values, storage.name),
                        storage.name,
                    ),
                    storage,
                    self._few,
                    images,
                )
                for channels, values, storage in wanted
            ]

        geometries = list(dict.fromkeys([declared.geometry, *self._best_geometries(3)]))
        self.stored = list(itertools.chain.from_iterable(spread(work, geometries)))
        self.tried += len(self.stored)

    def _prove(self, spread: Spread) -> None:
        """Try the best on all frames, pixel by pixel, and the best without each mistake."""
        kinds = {storage.name: storage for storage in storages(self.frames[0].observed.edge)}
        ranked = sorted(self._all(), key=_score_db, reverse=True)
        # On a few images the two may be one: odd sizes tell whether pixels are turned before.
        wanted = [ranked[0], *_retold(ranked[0]), *ranked[1:PROVEN]]
        for code in wanted[0].codes:
            wanted += itertools.islice((h for h in ranked if code not in h.codes), 1)

        def work(hypothesis: Hypothesis) -> Hypothesis:
            images = [render(frame.image, hypothesis.geometry) for frame in self.frames]
            return tried(hypothesis, kinds[hypothesis.storage], self.frames, images)

        self.proven = list(spread(work, {h.key: h for h in wanted}.values()))

    def _all(self) -> Iterable[Hypothesis]:
        yield from itertools.chain.from_iterable(self.found.values())
        yield from self.stored

    def _best_geometries(self, count: int) -> list[Geometry]:
        return sorted(self.found, key=lambda g: -self.found[g][0].score_db)[:count]

    def _beam(self) -> list[Geometry]:
        """Return the best single mistakes, of each kind at least one."""
        base = self.declared.geometry
        ranked = [g for g in self._best_geometries(len(self.found)) if g != base]
        kinds: dict[frozenset[str], Geometry] = {}
        for geometry in ranked:
            kinds.setdefault(frozenset(changed_fields(base, geometry)), geometry)
        return list(dict.fromkeys([*kinds.values(), *ranked]))[:BEAM]

    def _is_enough(self) -> bool:
        """Whether no more than rounding is left to explain."""
        best = max(self._all(), key=_score_db)
        return best.match_db >= min(ENOUGH_DB, best.limit_db - ROUNDING_DB)

    def _is_late(self) -> bool:
        late = self.deadline.is_past()
        self.is_complete &= not late
        return late


def _retold(hypothesis: Hypothesis) -> Iterable[Hypothesis]:
    """Yield the same mistakes with the turn on the other side of the resizing."""
    geometry = hypothesis.geometry
    turn, (height, width) = geometry.turn, geometry.size
    if turn != Turn() and (height == width or turn.quarters % 2 == 0):
        other = replace(geometry, turn=replace(turn, is_late=not turn.is_late))
        yield replace(hypothesis, geometry=other)


def _score_db(hypothesis: Hypothesis) -> float:
    return hypothesis.score_db
