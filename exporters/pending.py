"""Records that wait for export: collected, cut into batches, bounded in size."""

import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from exray.schema.records import (
    FrameRecord,
    Graph,
    LaterFrames,
    LayerBlock,
    MetricRecord,
    Run,
    SpanRecord,
    TensorBlock,
)

from .typing import RecordBatch

logger = logging.getLogger(__name__)

FRAME_BYTES = 1000
"""Python objects of a frame or an inference, roughly, besides its blocks."""

LATER_BYTES = 4000
"""Layers that are not made yet: a probe's records, of a network of some fifty operators."""

SPAN_BYTES = 500
"""A span or a metric, without its JSON."""


@dataclass(slots=True)
class _Open:
    """The batch that still grows."""

    runs: dict[bytes, Run] = field(default_factory=dict[bytes, Run])
    graphs: list[Graph] = field(default_factory=list[Graph])
    frames: list[FrameRecord | LaterFrames] = field(default_factory=list[FrameRecord | LaterFrames])
    spans: list[SpanRecord] = field(default_factory=list[SpanRecord])
    metrics: list[MetricRecord] = field(default_factory=list[MetricRecord])
    size_bytes: int = 0
    since_s: float | None = None


@dataclass(slots=True, eq=False)
class SealedBatch:
    """A batch that awaits its export; ``number`` counts them."""

    number: int
    parts: _Open
    _batch: RecordBatch | None = None

    def batch(self) -> RecordBatch:
        """Return the same batch every time; the first makes the records that come later.

        Not under the owner's lock: to make them takes long.
        """
        if self._batch is None:
            parts = self.parts
            self._batch = RecordBatch(
                tuple(parts.runs.values()),
                tuple(parts.graphs),
                tuple(_made(parts.frames)),
                tuple(parts.spans),
                tuple(parts.metrics),
            )
        return self._batch


class PendingRecords:
    """Records in the order they came, cut into batches of at least *max_bytes*.

    Where more than *keep_bytes* wait, the oldest batch loses its frames, spans and metrics.
    Runs and graphs move on to the next one, because frames without their run say nothing.
    Not safe for threads: the owner locks.

    Args:
        max_bytes: Estimated size at which a batch is cut.
        keep_bytes: Most that is kept, but never less than two batches.
    """

    def __init__(self, max_bytes: int, keep_bytes: int = 0) -> None:
        self.keep_bytes = max(keep_bytes, 2 * max_bytes)
        self.dropped_frames = 0
        self.dropped_spans = 0
        self.dropped_metrics = 0
        self.sealed_count = 0
        self._max_bytes = max_bytes
        self._open = _Open()
        self._sealed: deque[SealedBatch] = deque()
        self._in_flight: SealedBatch | None = None
        self._known_graphs: set[str] = set()

    @property
    def size_bytes(self) -> int:
        """Estimated size of all that waits."""
        return self._open.size_bytes + sum(sealed.parts.size_bytes for sealed in self._sealed)

    @property
    def dropped(self) -> int:
        """Records of any kind that were lost."""
        return self.dropped_frames + self.dropped_spans + self.dropped_metrics

    @property
    def has_sealed(self) -> bool:
        """Whether a batch is ready."""
        return bool(self._sealed)

    @property
    def open_since_s(self) -> float | None:
        """Monotonic time of the open batch's first record, None if it is empty."""
        return self._open.since_s

    def add_run(self, run: Run) -> None:
        """Add *run*, or what has been learned of it since."""
        self._open.runs[run.run_id] = run
        self._grow(SPAN_BYTES)

    def add_graph(self, graph: Graph) -> None:
        """Add *graph*, unless its model has been added before."""
        if graph.model_sha256 not in self._known_graphs:
            self._known_graphs.add(graph.model_sha256)
            self._open.graphs.append(graph)
            self._grow(SPAN_BYTES * len(graph.ops))

    def add_frame(self, frame: FrameRecord) -> None:
        """Add *frame*."""
        self._open.frames.append(frame)
        self._grow(frame_bytes(frame))

    def add_frames_later(self, frames: LaterFrames) -> None:
        """Add frames whose records `SealedBatch.batch` makes."""
        self._open.frames.append(frames)
        self._grow(frames.size_bytes)

    def add_span(self, span: SpanRecord) -> None:
        """Add *span*."""
        self._open.spans.append(span)
        self._grow(span_bytes(span))

    def add_metrics(self, metrics: Sequence[MetricRecord]) -> None:
        """Add *metrics* outside any frame."""
        if metrics:
            self._open.metrics += metrics
            self._grow(SPAN_BYTES * len(metrics))

    def seal(self) -> None:
        """Cut the open batch, if there is anything in it."""
        done = self._open
        if done.since_s is None:
            return
        self.sealed_count += 1
        self._sealed.append(SealedBatch(self.sealed_count, done))
        self._open = _Open()

    def take(self) -> SealedBatch | None:
        """Return the oldest batch, which stays here until `finish`; None if none is ready."""
        self._in_flight = self._sealed[0] if self._sealed else None
        return self._in_flight

    def finish(self, *, exported: bool) -> None:
        """Forget the batch taken last, or put it back."""
        if exported and self._sealed and self._sealed[0] is self._in_flight:
            self._sealed.popleft()
        self._in_flight = None

    def is_settled(self, number: int) -> bool:
        """Tell whether all batches up to the one that was cut as *number* are gone."""
        return not self._sealed or self._sealed[0].number > number

    def unexported(self) -> int:
        """Return how many frames, spans and metrics wait."""
        waiting = [self._open, *(sealed.parts for sealed in self._sealed)]
        return sum(_count(w.frames) + len(w.spans) + len(w.metrics) for w in waiting)

    def _grow(self, size_bytes: int) -> None:
        if self._open.since_s is None:
            self._open.since_s = time.monotonic()
        self._open.size_bytes += size_bytes
        if self._open.size_bytes >= self._max_bytes:
            self.seal()
            while self.size_bytes > self.keep_bytes and self._drop_oldest():
                pass

    def _drop_oldest(self) -> bool:
        """Drop the oldest batch that nobody is exporting; False if there is none."""
        droppable = (s for s in self._sealed if s is not self._in_flight)
        sealed = next(droppable, None)
        if sealed is None:
            return False
        self._sealed.remove(sealed)
        parts = sealed.parts
        self.dropped_frames += _count(parts.frames)
        self.dropped_spans += len(parts.spans)
        self.dropped_metrics += len(parts.metrics)
        if parts.runs or parts.graphs:
            self._open.runs = parts.runs | self._open.runs
            self._open.graphs = [*parts.graphs, *self._open.graphs]
            self._open.since_s = self._open.since_s or time.monotonic()
        return True


def _made(frames: Sequence[FrameRecord | LaterFrames]) -> Iterator[FrameRecord]:
    """Yield the records of frames; some that cannot be made must not hold up the others."""
    for some in frames:
        if isinstance(some, FrameRecord):
            yield some
            continue
        try:
            records = some()
        except Exception:  # whatever a bad value makes numpy raise
            logger.warning("exray: up to %d frames are lost", len(some), exc_info=True)
        else:
            yield from records


def _count(frames: Sequence[FrameRecord | LaterFrames]) -> int:
    return sum(1 if isinstance(some, FrameRecord) else len(some) for some in frames)


def frame_bytes(frame: FrameRecord) -> int:
    """Return roughly what *frame* takes in memory."""
    blocks: list[LayerBlock | TensorBlock | None] = [*frame.tensors]
    later = 0
    for inference in frame.inferences:
        later += inference.has_layers_later
        blocks += [None if inference.has_layers_later else inference.layers, inference.tensors]
    return (
        FRAME_BYTES * (1 + len(frame.inferences))
        + LATER_BYTES * later
        + sum(_block_bytes(block) for block in blocks if block is not None)
        + sum(span_bytes(span) for span in frame.spans)
        + SPAN_BYTES * len(frame.metrics)
    )


def span_bytes(span: SpanRecord) -> int:
    """Return roughly what *span* takes in memory."""
    return SPAN_BYTES + len(span.attributes_json or "") + len(span.events_json or "")


def _block_bytes(block: LayerBlock | TensorBlock) -> int:
    size_bytes = block.rows.nbytes
    if isinstance(block, TensorBlock):
        size_bytes += sum(values.nbytes for values in block.wide_sketches.values())
        size_bytes += sum(len(text) for text in block.histograms.values())
        size_bytes += sum(len(text) for text in block.channels.values())
        size_bytes += sum(len(content) for content in block.contents.values())
    return size_bytes
