"""Spans that are filled together: those of one inference, or a frame with its stages.

A section's spans have the same form in frame after frame; the few that differ (a statistic
that does not exist, a layer without a time) get a template of their own.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from exray.schema.records import SKETCH_SIZE, WIDE_SKETCH_SIZE

from .scratch import Arena, Scratch
from .sketch_sizes import sketch_sizes
from .span_content import Attributes
from .template import HASH, Layout, Numbers, Template, integer_statistics, real_statistics
from .varints import SHORT_BITS
from .wire import Piece

Texts = Mapping[int, Attributes]
"""Attributes of tensors that only some have, by row number."""

OWN = -1
"""Carrier of a tensor that has a span of its own."""

MAX_TEMPLATES = 16
"""Templates kept; one of a network of a hundred layers takes 130 KB."""


@dataclass(frozen=True)
class Spans:
    """The numbers of one section's spans in some frames.

    Args:
        frames: The frames' trace ids, span ids and input keys.
        labels: What must be equal for two frames to have one form, shape (frames, any).
        ids: Of the spans that are not a tensor's, (frames, spans), uint64.
        parents: Of those spans or, where one has all others below it, of that one alone.
        starts: Nanoseconds, the same shape.
        ends: Nanoseconds, the same shape.
        tensors: Summaries, (frames, tensors), of dtype `TENSOR_ROW`.
        wide: For each frame its wide sketches by row number.
        texts: For each frame further attributes of its tensors, by row number.
        numbers: Further integers, (frames, any), int64.
        reals: Further doubles, (frames, any).
    """

    frames: "FrameKeys"
    labels: NDArray[np.int32]
    ids: NDArray[np.uint64]
    parents: NDArray[np.uint64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    tensors: NDArray[np.void]
    wide: Sequence[Mapping[int, NDArray[np.float32]]]
    texts: Sequence[Texts]
    numbers: NDArray[np.int64]
    reals: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Integer statistics of the tensors, (statistics, frames, tensors)."""
        return integer_statistics(self.tensors)

    @cached_property
    def statistics(self) -> NDArray[np.float64]:
        """Real statistics of the tensors, (frames, tensors, statistics)."""
        return real_statistics(self.tensors)

    def have_short_counts(self) -> NDArray[np.bool_]:
        """Tell in which frames no count has more than `SHORT_BITS` bits, shape (frames,)."""
        counts = self.counts[:HASH].view(np.uint64)
        short = counts < np.uint64(1 << SHORT_BITS)
        whole: NDArray[np.bool_] = np.logical_and.reduce(short, axis=(0, 2))
        return whole

    def take(self, index: NDArray[np.intp]) -> "Spans":
        """Return those of some frames."""
        positions: list[int] = index.tolist()
        return Spans(
            frames=self.frames.take(index),
            labels=self.labels[index],
            ids=self.ids[index],
            parents=self.parents[index],
            starts=self.starts[index],
            ends=self.ends[index],
            tensors=self.tensors[index],
            wide=[self.wide[i] for i in positions],
            texts=[self.texts[i] for i in positions],
            numbers=self.numbers[index],
            reals=self.reals[index],
        )


@dataclass(frozen=True, slots=True)
class FrameKeys:
    """What all spans of a frame share, of some frames.

    Args:
        trace_ids: (frames, 16), uint8.
        span_ids: (frames, 8), uint8.
        input_keys: (frames,), int64.
    """

    trace_ids: NDArray[np.uint8]
    span_ids: NDArray[np.uint8]
    input_keys: NDArray[np.int64]

    def take(self, index: NDArray[np.intp]) -> "FrameKeys":
        """Return those of some frames."""
        return FrameKeys(self.trace_ids[index], self.span_ids[index], self.input_keys[index])


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """What a section looks like in a frame, apart from its numbers.

    Args:
        labels: As in `Spans`, of one frame.
        carriers: For each tensor the span that carries it, or `OWN`.
        has_short_counts: Whether all counts are small.
        nulls: For each tensor which real statistics do not exist, (tensors, 6).
        gaps: Which values of the sketches do not exist, (tensors, 64).
        sizes: For each tensor the values of its sketch, 0 where it has none.
        wide: Rows that have a wide sketch.
        texts: Further attributes of tensors, by row number.
        own: Tensors that have a span of their own.
        kinds: The sizes of sketches that there are, but for wide ones.
    """

    labels: NDArray[np.int32]
    carriers: NDArray[np.intp]
    has_short_counts: bool
    nulls: NDArray[np.bool_]
    gaps: NDArray[np.bool_]
    sizes: NDArray[np.int64]
    wide: tuple[int, ...]
    texts: Texts
    own: NDArray[np.intp]
    kinds: tuple[int, ...]

    def sketch_of(self, row: int) -> tuple[int, int] | None:
        """Return the size of the sketch that a tensor shows, and its column; None for none.

        Those of 64 values are there for every tensor, others for those alone that show one.
        """
        if row in self.wide:
            return WIDE_SKETCH_SIZE, self.wide.index(row)
        size = int(self.sizes[row])
        if size in (0, SKETCH_SIZE):
            return (size, row) if size else None
        return size, int(np.count_nonzero(self.sizes[:row] == size))


def form_of(spans: Spans, frame: int) -> Form:
    """Return the form of one frame's section."""
    slots = {span_id: slot for slot, span_id in enumerate(spans.ids[frame].tolist())}
    rows = spans.tensors[frame]
    carriers = np.array([slots.pop(word, OWN) for word in rows["span_id"].tolist()], np.intp)
    sizes = sketch_sizes(rows["sketch"])
    return Form(
        labels=spans.labels[frame],
        carriers=carriers,
        has_short_counts=bool(spans.have_short_counts()[frame]),
        nulls=np.isnan(spans.statistics[frame]),
        gaps=np.isnan(rows["sketch"]),
        sizes=sizes,
        wide=_wide_rows(spans.wide[frame]),
        texts=spans.texts[frame],
        own=np.flatnonzero(carriers == OWN),
        kinds=tuple(size for size in np.unique(sizes).tolist() if size),
    )


def _wide_rows(wide: Mapping[int, NDArray[np.float32]]) -> tuple[int, ...]:
    """Return the rows whose wide sketch holds numbers: one that is withheld does not."""
    return tuple(sorted(row for row, values in wide.items() if not np.isnan(values).any()))


def _wide_values(
    wide: Sequence[Mapping[int, NDArray[np.float32]]], rows: Sequence[int]
) -> NDArray[np.float32]:
    """Return the wide sketches of *rows*, which all of *wide* have: (frames, rows, values)."""
    values = np.concatenate([of_frame[row] for of_frame in wide for row in rows])
    return values.reshape(len(wide), len(rows), -1)


def have_form(form: Form, spans: Spans) -> NDArray[np.bool_]:
    """Tell which frames have *form*, shape (frames,)."""
    same: NDArray[np.bool_] = (spans.labels == form.labels).all(axis=1)
    if not spans.tensors.shape[1]:
        return same
    same &= spans.have_short_counts() == form.has_short_counts
    same &= (np.isnan(spans.statistics) == form.nulls).all(axis=(1, 2))
    gaps = np.isnan(spans.tensors["sketch"])
    if gaps.any() or form.gaps.any():
        same &= (gaps == form.gaps).all(axis=(1, 2))
    tensor_ids = spans.tensors["span_id"]
    carried = np.flatnonzero(form.carriers != OWN)
    same &= (tensor_ids[:, carried] == spans.ids[:, form.carriers[carried]]).all(axis=1)
    for row in form.own.tolist():
        same &= (spans.ids != tensor_ids[:, row : row + 1]).all(axis=1)
    wanted = list(form.wide)
    for frame, wide in enumerate(spans.wide):
        if sorted(wide) != wanted:
            same[frame] &= _wide_rows(wide) == form.wide
    index: list[int] = np.flatnonzero(same).tolist()
    if wanted and index:
        values = _wide_values([spans.wide[frame] for frame in index], form.wide)
        same[index] = ~np.isnan(values).any(axis=(1, 2))
    if form.texts or any(spans.texts):
        same &= np.array([texts == form.texts for texts in spans.texts])
    return same


@dataclass(frozen=True, slots=True)
class _Known:
    """A form, its template, and what its key's identities refer to."""

    form: Form
    layout: Layout
    template: Template
    split: int
    alive: object


Build = Callable[[Form, Layout], tuple[Piece, int]]
"""Encodes a section of a form, with holes for its numbers, and says where it may be split."""

Encoded = tuple[NDArray[np.intp], NDArray[np.uint8], int]
"""Which frames, their bytes, shape (frames, bytes), and where each row may be split."""


class SectionEncoder:
    """Encodes sections, with a bounded number of templates kept.

    Args:
        arena: Where the encoded spans are written.
        scratch: Memory for what is in between.
    """

    def __init__(self, arena: Arena, scratch: Scratch) -> None:
        self._arena = arena
        self._scratch = scratch
        self._known: OrderedDict[Hashable, list[_Known]] = OrderedDict()

    def encode(self, key: Hashable, alive: object, spans: Spans, build: Build) -> Iterator[Encoded]:
        """Encode the sections of some frames.

        Args:
            key: What is equal for sections that *build* encodes alike, given their form.
            alive: What *key* names by identity, kept as long as the template.
            spans: The numbers.
            build: Encodes a form that is not known yet.
        """
        left = np.arange(len(spans))
        known = [*self._recent(key)]
        while len(left):
            template = known.pop(0) if known else self._learn(key, alive, spans, build)
            same = have_form(template.form, spans)
            if same.all():
                yield left, self._fill(template, spans), template.split
                return
            if same.any():
                chosen = spans.take(np.flatnonzero(same))
                yield left[same], self._fill(template, chosen), template.split
                left, spans = left[~same], spans.take(np.flatnonzero(~same))

    def _fill(self, known: _Known, spans: Spans) -> NDArray[np.uint8]:
        out = self._arena.take(len(spans), known.template.size_bytes)
        known.template.fill(_numbers(known, spans, self._scratch), out)
        return out

    def _learn(self, key: Hashable, alive: object, spans: Spans, build: Build) -> _Known:
        """Make a template for the first of *spans*."""
        form = form_of(spans, 0)
        layout = Layout(
            spans.ids.shape[1] + len(form.own),
            spans.tensors.shape[1],
            spans.numbers.shape[1],
            spans.reals.shape[1],
            has_short_counts=form.has_short_counts,
        )
        piece, split = build(form, layout)
        known = _Known(form, layout, Template(piece), split, alive)
        if not form.texts:  # the next frame has others
            self._remember(key, known)
        return known

    def _recent(self, key: Hashable) -> list[_Known]:
        if key in self._known:
            self._known.move_to_end(key)
        return self._known.get(key, [])

    def _remember(self, key: Hashable, known: _Known) -> None:
        self._known.setdefault(key, []).insert(0, known)
        self._known.move_to_end(key)
        while sum(map(len, self._known.values())) > MAX_TEMPLATES:
            oldest = next(iter(self._known))
            self._known[oldest].pop()
            if not self._known[oldest]:
                del self._known[oldest]


def _numbers(known: _Known, spans: Spans, scratch: Scratch) -> Numbers:
    form = known.form
    rows, frames = spans.tensors, spans.frames
    numbers = Numbers(known.layout, frames.trace_ids, frames.span_ids, scratch)
    for field, values in enumerate((spans.ids, spans.parents, spans.starts, spans.ends)):
        numbers.set_spans(field, 0, values)
    if len(form.own):
        own = rows[:, form.own]
        ends = own["start_ns"] + np.maximum(own["dur_ns"], 0)
        fields = (own["span_id"], own["parent_span_id"], own["start_ns"], ends)
        for field, values in enumerate(fields):
            numbers.set_spans(field, spans.ids.shape[1], values)
    numbers.set_integers(frames.input_keys, spans.counts, spans.numbers)
    numbers.set_reals(spans.statistics, spans.reals)
    for size in form.kinds:
        sketches = rows["sketch"]
        if size < SKETCH_SIZE:
            sketches = sketches[:, form.sizes == size, :size]
        numbers.set_sketches(sketches)
    if form.wide:
        numbers.set_sketches(_wide_values(spans.wide, form.wide))
    return numbers
