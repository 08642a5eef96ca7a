"""What the native probe saw of an interpreter, as layers and tensors of its model file."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from exray.schema.identity import new_span_ids
from exray.schema.records import LAYER_ROW, LayerBlock, LayerSite, TensorSite

from .capture import Carrier, TensorRecorder
from .execution import layout_of
from .graph import TfliteGraph, TfliteOutput
from .probe import Layout, Recording, Rows
from .xnnpack_operators import match

DTYPES: Mapping[int, str] = {
    1: "float32",
    2: "int32",
    3: "uint8",
    4: "int64",
    5: "string",
    6: "bool",
    7: "int16",
    8: "complex64",
    9: "int8",
    10: "float16",
    11: "float64",
    12: "complex128",
    13: "uint64",
    14: "resource",
    15: "variant",
    16: "uint32",
    17: "uint16",
    18: "int4",
    19: "bfloat16",
    20: "int2",
}
"""Names of the values of TfliteType."""

DELEGATE_OPERATOR = 8
"""Event of an operator inside a delegate: tflite::Profiler::EventType."""

NO_LAYER = -1
"""Stands for a node, or an operator, that is not of one layer alone."""

Indices = NDArray[np.intp]
"""Positions in an array."""


class Select(Protocol):
    """Leaves a node out of what the probe summarises, or takes it in again."""

    def __call__(self, subgraph: int, node: int, *, selected: bool) -> None:
        """Set whether the outputs of *node* are summarised."""
        ...


@dataclass(frozen=True, slots=True)
class _Pattern:
    """How the rows of one recording turn into blocks; the same for all that ran the same.

    Args:
        sites: Of the layer block.
        site_of_row: Site of each of its rows.
        timed_ops: Operator of each of its first rows.
        timed_events: Event of each of the rows that follow; what comes after has no time.
        first_events: The first event of the same operator, for each of those.
        extra_events: Events of operators that the delegate added.
        events: How many there are of all kinds.
        kept: Tensors that belong to a layer.
        row_of_tensor: Layer row of each of those.
        further: Those among them that are not their layer's first output.
        tensor_sites: Site of each of those.
    """

    sites: Sequence[LayerSite]
    site_of_row: NDArray[np.int32]
    timed_ops: Indices
    timed_events: Indices
    first_events: Indices
    extra_events: Indices
    events: int
    kept: Indices
    row_of_tensor: Indices
    further: Indices
    tensor_sites: Sequence[TensorSite]


class ProbedLayers:
    """Turns the recordings of one interpreter into blocks.

    Args:
        graph: The model's graph, from its file.
        select: Tells the probe which nodes to summarise.
    """

    def __init__(self, graph: TfliteGraph, select: Select) -> None:
        self._graph = graph
        self._select = select
        self._lock = threading.Lock()
        self._places: _Places | None = None
        self._pattern_key: tuple[object, ...] = ()
        self._pattern: _Pattern | None = None

    def block(
        self, recording: Recording, recorder: TensorRecorder | None, inference: Carrier
    ) -> LayerBlock | None:
        """Return the layers that ran, and add the summaries of their outputs to *recorder*.

        Args:
            recording: What the probe saw.
            recorder: Takes the tensors; None where times alone were recorded.
            inference: The span above. The first operator starts with it: the probe has a
                clock of its own, and may have watched a repetition.
        """
        with self._lock:  # times wait for another thread, which exports them
            pattern = self._pattern_of(recording, recorder)
        if not len(pattern.site_of_row):
            return None
        rows = np.zeros(len(pattern.site_of_row), LAYER_ROW)
        rows["site"] = pattern.site_of_row
        rows["span_id"] = new_span_ids(len(rows))
        rows["start_ns"], rows["dur_ns"] = inference.start_ns, -1
        timed = slice(len(pattern.timed_ops))
        starts_ns = recording.ops["start_ns"] - recording.ops["start_ns"][0]
        rows["start_ns"][timed] += starts_ns[pattern.timed_ops]
        rows["dur_ns"][timed] = recording.ops["dur_ns"][pattern.timed_ops]
        if len(pattern.timed_events):
            _put_events(rows[len(pattern.timed_ops) :], starts_ns, recording.events, pattern)
        if recorder is not None and len(pattern.kept):
            tensors = recording.tensors[pattern.kept]
            _put_spans(tensors, rows[pattern.row_of_tensor], pattern.further, inference)
            recorder.add_rows(pattern.tensor_sites, tensors)
        return LayerBlock(pattern.sites, rows)

    def extra(self, recording: Recording) -> tuple[int, int]:
        """Return how many operators a delegate added of its own, and their time, ns.

        Known once a block was made.
        """
        pattern = self._pattern
        if pattern is None or pattern.events != len(recording.events):
            return 0, 0
        durs_us = recording.events["dur_us"][pattern.extra_events]
        return len(durs_us), int(durs_us.sum()) * 1000

    def _pattern_of(self, recording: Recording, recorder: TensorRecorder | None) -> _Pattern:
        key = (
            recording.layout,
            None if recorder is None else recorder.keeping,
            recording.ops["node"].tobytes(),
            recording.tensors["site"].tobytes(),
            len(recording.events),
        )
        pattern = self._pattern
        if pattern is None or key != self._pattern_key:
            if self._places is None or self._places.layout is not recording.layout:
                self._places = _Places(self._graph, recording.layout)
            if recorder is not None:
                for subgraph, node, layer in self._places.nodes():
                    self._select(subgraph, node, selected=recorder.takes_layer(layer))
            pattern = self._pattern = self._places.pattern(recording, recorder)
            self._pattern_key = key
        return pattern


def _put_events(rows: Rows, starts_ns: NDArray[np.int64], events: Rows, pattern: _Pattern) -> None:
    """Let the operators of a partition follow each other from its start on."""
    durs_ns = events["dur_us"] * 1000
    before_ns = np.cumsum(durs_ns) - durs_ns
    timed, first = pattern.timed_events, pattern.first_events
    inside = slice(len(timed))
    rows["start_ns"][inside] += starts_ns[events["op"][timed]] + before_ns[timed] - before_ns[first]
    rows["dur_ns"][inside] = durs_ns[timed]


def with_times(
    sites: Sequence[LayerSite], rows: Rows, timed: LayerBlock
) -> tuple[Sequence[LayerSite], Rows]:
    """Return rows of layers with the times that a block has of them.

    Args:
        sites: The layers, one for each row.
        rows: Dtype `LAYER_ROW`.
        timed: Layers, in any order, with their times.
    """
    found = {
        (site.subgraph_index, site.layer_index): (site, row)
        for site, row in ((timed.sites[int(row["site"])], row) for row in timed.rows)
        if row["dur_ns"] >= 0
    }
    result = list(sites)
    for number, site in enumerate(sites):
        same = found.get((site.subgraph_index, site.layer_index))
        if same is not None:
            result[number] = same[0]
            rows["start_ns"][number] = same[1]["start_ns"]
            rows["dur_ns"][number] = same[1]["dur_ns"]
    return result, rows


def _put_spans(tensors: Rows, layers: Rows, further: Indices, inference: Carrier) -> None:
    """Let each layer's span carry its first output, and children of it the others."""
    tensors["site"] = np.arange(len(tensors))
    tensors["span_id"], tensors["parent_span_id"] = layers["span_id"], inference.span_id
    tensors["start_ns"], tensors["dur_ns"] = layers["start_ns"], layers["dur_ns"]
    if len(further):
        tensors["parent_span_id"][further] = layers["span_id"][further]
        tensors["span_id"][further] = new_span_ids(len(further))
        tensors["dur_ns"][further] = 0


def _rows_of(rows: Rows) -> Iterator[np.void]:
    for number in range(len(rows)):
        row: np.void = rows[number]
        yield row


@dataclass(slots=True)
class _Claims:
    """Layers with the event, and its partition's first one, that tells their time; extras."""

    layers: list[int] = field(default_factory=list[int])
    numbers: list[int] = field(default_factory=list[int])
    first: list[int] = field(default_factory=list[int])
    extra: list[int] = field(default_factory=list[int])


class _Places:
    """Which layer each node and each slot of a layout is of."""

    def __init__(self, graph: TfliteGraph, layout: Layout) -> None:
        self.layout = layout
        self._written = graph.written
        ops = graph.graph.ops
        self._layer_of = {(op.subgraph_index, op.layer_index): i for i, op in enumerate(ops)}
        timings = ("probe", "none", "xnnpack")
        self._sites = tuple(
            LayerSite(op.layer_index, op.layer_name, op.op, op.subgraph_index, timing)
            for timing in timings
            for op in ops
        )
        self._untimed, self._from_events = len(ops), 2 * len(ops)
        """Where the sites begin of layers without a time, and of those that XNNPACK timed."""
        self._layer_of_node = {
            (int(node["subgraph"]), int(node["node"])): self._layer_of_row(node)
            for node in _rows_of(layout.nodes)
        }
        self._outputs = [self._output(slot) for slot in _rows_of(layout.slots)]

    def _layer_of_row(self, node: np.void) -> int:
        """Return the layer that a node executes, if it is one."""
        if node["replaced"] > 1:
            return NO_LAYER
        index = self.layout.replaced[node["first_replaced"]] if node["replaced"] else node["node"]
        return self._layer_of.get((int(node["subgraph"]), int(index)), NO_LAYER)

    def _output(self, slot: np.void) -> tuple[TfliteOutput | None, int]:
        """Return what the model file says of a slot's tensor, and the layer that writes it."""
        subgraph = int(slot["subgraph"])
        if not 0 <= subgraph < len(self._written):
            return None, NO_LAYER
        output = self._written[subgraph].get(int(slot["tensor"]))
        if output is None:
            return None, NO_LAYER
        return output, self._layer_of[subgraph, output.layer_index]

    def nodes(self) -> Iterator[tuple[int, int, LayerSite]]:
        """Yield subgraph and index of each node that is of one layer, and the layer."""
        for (subgraph, node), layer in self._layer_of_node.items():
            if layer != NO_LAYER:
                yield subgraph, node, self._sites[layer]

    def pattern(self, recording: Recording, recorder: TensorRecorder | None) -> _Pattern:
        """Return how a recording turns into blocks."""
        ops = zip(recording.ops["subgraph"].tolist(), recording.ops["node"].tolist(), strict=True)
        layers = [self._layer_of_node.get(op, NO_LAYER) for op in ops]
        timed_ops = [i for i, layer in enumerate(layers) if layer != NO_LAYER]
        row_of_op = {op: row for row, op in enumerate(timed_ops)}
        layer_of_row = [layers[op] for op in timed_ops]
        events = self._events(recording)
        row_of_layer = {layer: len(layer_of_row) + i for i, layer in enumerate(events.layers)}
        layer_of_row += [self._from_events + layer for layer in events.layers]
        timed_count = len(layer_of_row)
        untimed: dict[int, int] = {}
        kept: list[int] = []
        row_of_tensor: list[int] = []
        further: list[int] = []
        tensor_sites: list[TensorSite] = []
        slots: list[int] = recording.tensors["site"].tolist()
        writers: list[int] = recording.tensors["parent_span_id"].view(np.int64).tolist()
        for number, (slot, op) in enumerate(zip(slots, writers, strict=True)):
            output, layer = self._outputs[slot]
            if output is None or recorder is None or not recorder.takes_layer(self._sites[layer]):
                continue
            if 0 <= op < len(layers) and layers[op] == layer:
                row = row_of_op[op]
            elif layer in row_of_layer:
                row = row_of_layer[layer]
                layer += self._from_events
            else:  # of a delegate that took several operators at once
                layer += self._untimed
                row = untimed.setdefault(layer, timed_count + len(untimed))
            if output.position:
                further.append(len(kept))
            kept.append(number)
            row_of_tensor.append(row)
            tensor_sites.append(self._tensor_site(slot, output, self._sites[layer]))
        layer_of_row += untimed
        numbers = {layer: number for number, layer in enumerate(dict.fromkeys(layer_of_row))}
        return _Pattern(
            [self._sites[layer] for layer in numbers],
            np.array([numbers[layer] for layer in layer_of_row], np.int32),
            np.array(timed_ops, np.intp),
            np.array(events.numbers, np.intp),
            np.array(events.first, np.intp),
            np.array(events.extra, np.intp),
            len(recording.events),
            np.array(kept, np.intp),
            np.array(row_of_tensor, np.intp),
            np.array(further, np.intp),
            tensor_sites,
        )

    def _events(self, recording: Recording) -> "_Claims":
        """Return which layers the events of a recording are of."""
        claims = _Claims()
        nodes = {(int(n["subgraph"]), int(n["node"])): n for n in _rows_of(self.layout.nodes)}
        kinds = recording.events["type"]
        for op in _rows_of(recording.ops[recording.ops["events"] > 0]):
            subgraph = int(op["subgraph"])
            node = nodes.get((subgraph, int(op["node"])))
            if node is None or node["replaced"] < 2:
                continue
            first = int(op["first_event"])
            numbers = [
                number
                for number in range(first, first + int(op["events"]))
                if kinds[number] == DELEGATE_OPERATOR
            ]
            replaced = self.layout.replaced[node["first_replaced"] :][: node["replaced"]].tolist()
            layers = [self._layer_of.get((subgraph, index), NO_LAYER) for index in replaced]
            names = ["" if layer == NO_LAYER else self._sites[layer].op for layer in layers]
            tags = [
                bytes(recording.events["tag"][number]).decode("utf-8", "replace")
                for number in numbers
            ]
            for number, claim in zip(numbers, match(names, tags), strict=True):
                if claim < 0 or layers[claim] == NO_LAYER:
                    claims.extra.append(number)
                else:
                    claims.layers.append(layers[claim])
                    claims.numbers.append(number)
                    claims.first.append(numbers[0])
        return claims

    def _tensor_site(self, slot: int, output: TfliteOutput, layer: LayerSite) -> TensorSite:
        row, tensor = self.layout.slots[slot], output.tensor
        rank = int(row["rank"])
        shape = tuple(row["dims"][:rank].tolist()) if rank >= 0 else tensor.shape
        return TensorSite(
            "layer",
            tensor.name,
            output.position,
            DTYPES.get(int(row["type"]), tensor.dtype),
            shape,
            layout_of(shape),
            tensor.quantization,
            layer,
        )
