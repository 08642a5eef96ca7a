"""Profiler events of a compiled model, brought to the operators of its graph.

They are not one to one. An operator on LiteRT's own kernels reports itself, by its index in
the file. What XNNPACK took over it reports by its own operators, numbered anew in each
partition: it adds some (a conversion before a dynamically quantized convolution, a clamp
after an addition) and drops some (a reshape that moves nothing). So they are matched within
each partition by order and kind; an event that no operator claims is an extra.

Source: ``litert/c/litert_profiler_event.h`` and ``tflite/core/api/profiler.h`` of
github.com/google-ai-edge/LiteRT, 2.1.6 to 2.3.0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exray.schema.identity import new_span_ids
from exray.schema.records import LAYER_ROW, LayerBlock, LayerSite

from .xnnpack_operators import match

EVENT = np.dtype(
    [
        ("tag", np.uint64),  # const char*, owned by the profiler
        ("type", np.int32),
        ("start_us", np.uint64),
        ("elapsed_us", np.uint64),
        ("memory", np.uint64, 6),  # two tflite::profiling::memory::MemoryUsage
        ("metadata", np.int64),
        ("subgraph", np.int64),  # event_metadata2
        ("source", np.int32),
    ],
    align=True,
)
"""``ProfiledEventData`` of litert_profiler_event.h."""

assert EVENT.itemsize == 104

PHASE, OPERATOR, DELEGATE_OPERATOR, TELEMETRY = 1, 2, 8, 16
"""Event types: a phase of the run; an operator on LiteRT's kernels; one inside a delegate;
from the last on, telemetry, whose durations mean nothing."""

INVOKE = "Invoke"
"""Tag of the phase in which a subgraph runs, and of the telemetry that ends it."""

EXTRA, IGNORED = -1, -2
"""Stand for a layer: an event of the delegate that no operator claims; one that is none."""


@dataclass(frozen=True, slots=True)
class EventPlan:
    """Which layer each event of a run belongs to.

    Every run of a model reports the same events, so one plan serves all.

    Args:
        layers: Layer index, `EXTRA` or `IGNORED` by event, shape (events,), int32.
        keys: What tells one event from another, the same shape, int64.
        phases: Which of them are phases of the run itself, the same shape, bool.
        sites: The layers, with ``timing`` ``none`` where no event says how long one took.
        delegated: Whether a delegate ran some of it.
    """

    layers: NDArray[np.int32]
    keys: NDArray[np.int64]
    phases: NDArray[np.bool_]
    sites: Sequence[LayerSite]
    delegated: bool

    def fits(self, events: NDArray[np.void]) -> bool:
        """Whether *events*, of dtype `EVENT`, are those of the run that it was made for."""
        return np.array_equal(self.keys, _keys(events))

    def extra_ns(self, events: NDArray[np.void]) -> NDArray[np.int64]:
        """Return the durations of the extra events."""
        extras: NDArray[np.int64] = _durations_ns(events)[self.layers == EXTRA]
        return extras

    def phases_ns(self, events: NDArray[np.void]) -> int:
        """Return how long the run took by its own account; the rest is the profiler's."""
        return int(_durations_ns(events)[self.phases].sum())

    def layer_block(self, events: NDArray[np.void], start_ns: int, end_ns: int) -> LayerBlock:
        """Return the layers' executions; one without an event has no duration.

        An operator inside the delegate has no start of its own: it begins where the event
        before it ends.

        Args:
            events: Of one run, shape (events,), dtype `EVENT`.
            start_ns: When that run began.
            end_ns: When it ended: no layer begins after it.
        """
        rows = np.zeros(len(self.sites), LAYER_ROW)
        rows["site"] = np.arange(len(rows))
        rows["span_id"] = new_span_ids(len(rows))
        rows["start_ns"], rows["dur_ns"] = start_ns, -1
        at = np.flatnonzero(self.layers >= 0)
        rows["dur_ns"][self.layers[at]] = _durations_ns(events)[at]
        starts = np.minimum(start_ns + _offsets_us(events)[at] * 1000, end_ns)
        rows["start_ns"][self.layers[at]] = starts
        return LayerBlock(self.sites, rows)


def _durations_ns(events: NDArray[np.void]) -> NDArray[np.int64]:
    elapsed_us: NDArray[np.int64] = events["elapsed_us"].astype(np.int64)
    durations_ns: NDArray[np.int64] = elapsed_us * 1000
    return durations_ns


def _keys(events: NDArray[np.void]) -> NDArray[np.int64]:
    kinds: NDArray[np.int64] = events["type"].astype(np.int64)
    metadata: NDArray[np.int64] = events["metadata"]
    return np.where(kinds < TELEMETRY, kinds + TELEMETRY * metadata, -kinds)


def _offsets_us(events: NDArray[np.void]) -> NDArray[np.int64]:
    """Return when each event began after the first did, microseconds."""
    inside = events["type"] == DELEGATE_OPERATOR
    elapsed: NDArray[np.int64] = np.where(inside, events["elapsed_us"], 0).astype(np.int64)
    before = np.cumsum(elapsed) - elapsed  # of the delegate's operators so far
    known = np.flatnonzero((events["type"] < TELEMETRY) & ~inside)
    if not len(known):
        return before
    starts: NDArray[np.int64] = events["start_us"].astype(np.int64)
    nearest = known[np.maximum(np.searchsorted(known, np.arange(len(events)), "right") - 1, 0)]
    ends = starts + np.where(events["type"] == OPERATOR, _durations_ns(events) // 1000, 0)
    after = ends[nearest] + before - before[nearest]
    offsets: NDArray[np.int64] = np.where(inside, after, starts) - starts[known[0]]
    return offsets


def plan_events(
    events: NDArray[np.void],
    tags: Sequence[str],
    layers: Sequence[LayerSite],
    sources: Sequence[Sequence[int]],
) -> EventPlan:
    """Find the layer of each event of a run of the primary subgraph.

    What an operator on LiteRT's kernels does not report, the delegate ran.

    Args:
        events: Shape (events,), dtype `EVENT`.
        tags: Their tags.
        layers: The operators of the primary subgraph.
        sources: The layers that each reads.
    """
    found = np.full(len(events), IGNORED, np.int32)
    phases = np.zeros(len(events), np.bool_)
    groups: list[list[int]] = []  # events of each partition
    depth, previous = 0, -1
    for number, (kind, tag) in enumerate(zip(events["type"].tolist(), tags, strict=True)):
        if tag == INVOKE:  # a subgraph that an operator calls reports within that operator
            depth += (kind == PHASE) - (kind > TELEMETRY)
        phases[number] = kind == PHASE and depth == (tag == INVOKE)
        if depth != 1:
            continue
        metadata = int(events["metadata"][number])
        if kind == OPERATOR and 0 <= metadata < len(layers):
            found[number] = metadata
        elif kind == DELEGATE_OPERATOR:
            if previous != number - 1 or metadata == 0:
                groups.append([])
            groups[-1].append(number)
            previous = number
    reporting = {int(layer) for layer in found[found >= 0]}
    delegated = frozenset(range(len(layers))) - reporting if groups else frozenset[int]()
    for group, partition in _pair(groups, _partitions(sources, delegated)):
        claims = match([layers[i].op for i in partition], [tags[n] for n in group])
        found[group] = [partition[claim] if claim >= 0 else EXTRA for claim in claims]
    timed = {int(layer) for layer in found[found >= 0]}
    sites = tuple(
        LayerSite(
            site.layer_index,
            site.layer_name,
            site.op,
            site.subgraph_index,
            "profiler" if index in timed else "none",
        )
        for index, site in enumerate(layers)
    )
    return EventPlan(found, _keys(events), phases, sites, bool(groups))


def _pair(
    groups: list[list[int]], partitions: list[list[int]]
) -> list[tuple[list[int], list[int]]]:
    """Return the events of each partition with its operators; all at once if they do not fit."""
    if len(groups) == len(partitions):
        return list(zip(groups, partitions, strict=True))
    return [([n for group in groups for n in group], [op for ops in partitions for op in ops])]


def _partitions(sources: Sequence[Sequence[int]], delegated: frozenset[int]) -> list[list[int]]:
    """Return the operators of each partition that a delegate took, in the order they run.

    As ``PartitionGraphIntoIndependentNodeSubsets`` of ``tflite/graph_info.cc`` does: a
    subset is of the kind of its first operator that is ready, and takes all of that kind
    that are or become so.
    """
    waiting, done = list(range(len(sources))), set[int]()
    partitions: list[list[int]] = []
    while waiting:
        subset: list[int] = []
        taken_before = -1
        while taken_before != len(subset):
            taken_before = len(subset)
            for op in waiting:
                same_kind = not subset or (op in delegated) == (subset[0] in delegated)
                if op not in done and same_kind and done.issuperset(sources[op]):
                    subset.append(op)
                    done.add(op)
        if not subset:
            break  # no order satisfies the graph: the file is not one that runs
        waiting = [op for op in waiting if op not in done]
        if subset[0] in delegated:
            partitions.append(subset)
    return partitions
