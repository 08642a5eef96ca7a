"""What alignment reads and writes: the layers of a model, and the match of each.

Alignment sees no tensors and no files. A model is its layers with names, operators,
shapes and parents; `layers_from_graph` makes them from the graph that every run records.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

from exray.schema.records import Graph, GraphOp

MODEL_INPUT = -1
"""Parent index that means the model input."""

Method = Literal["same_model", "name", "overlap", "sketch", "structure", "none"]
"""What a match rests on, strongest first; ``none`` is no match, with the reason beside it.

``same_model``: the same file. ``name``: the same tensor name. ``overlap``: names share
their telling part. ``sketch``: the nearest output. ``structure``: the same operators on
the same inputs, with no other evidence.
"""


@dataclass(frozen=True, slots=True)
class ModelLayer:
    """One layer, as alignment sees it.

    Args:
        index: The layer's index in its model, ``layer_index``.
        name: Name of its first output; TFLite joins fused names with ``;``.
        op: Operator as the runtime names it, such as ``CONV_2D`` or ``BatchNormalization``.
        count: Elements of the first output for one input; None where unknown.
        shape: Shape of the first output, unknown dimensions as 1.
        parents: Layer indices that write its inputs; `MODEL_INPUT` is the model's own.
        activation: Function fused into it, such as ``RELU6``; empty for none, None for
            unknown.
        macs: Multiply-accumulates; 0 where it has none or they are unknown.
        excluded_reason: Why it computes no activations, else None.
    """

    index: int
    name: str
    op: str
    count: int | None = None
    shape: tuple[int, ...] = ()
    parents: tuple[int, ...] = ()
    activation: str | None = ""
    macs: int = 0
    excluded_reason: str | None = None


@dataclass(frozen=True, slots=True)
class ModelLayers:
    """A model's layers in topological order.

    Args:
        model_sha256: Hash of the model file; empty where there is none.
        layers: Every layer, excluded ones too.
    """

    model_sha256: str
    layers: tuple[ModelLayer, ...]


@dataclass(frozen=True, slots=True)
class LayerMatch:
    """Which reference layer has the same output as an edge layer, and why.

    Args:
        edge_layer_index: The edge layer.
        reference_layer_index: Its counterpart, None where it has none.
        method: What the match rests on.
        distance: Normalised sketch distance of the pair, None where not measured.
        runner_up: Distance of the next nearest reference layer with another output.
        reason: Why there is no counterpart; None where there is one.
    """

    edge_layer_index: int
    reference_layer_index: int | None
    method: Method
    distance: float | None = None
    runner_up: float | None = None
    reason: str | None = None


def layers_from_graph(graph: Graph) -> ModelLayers:
    """Take the layers of a graph's primary subgraph.

    Args:
        graph: A model's operators, from a TFLite file or from Keras.

    Returns:
        One layer per operator, by layer index.
    """
    ops = sorted((op for op in graph.ops if op.subgraph_index == 0), key=lambda op: op.layer_index)
    return ModelLayers(graph.model_sha256, tuple(_layer(op) for op in ops))


def _layer(op: GraphOp) -> ModelLayer:
    shape = _shape(op.output_shapes[0]) if op.output_shapes else None
    return ModelLayer(
        index=op.layer_index,
        name=op.output_names[0] if op.output_names else op.layer_name,
        op=op.op,
        count=None if shape is None else prod(shape),
        shape=shape or (),
        parents=op.parents,
        activation=_activation(op.op, op.attributes),
        macs=op.macs,
        excluded_reason=op.excluded_reason,
    )


def _shape(text: str) -> tuple[int, ...] | None:
    """Read a shape such as ``1,112,112,32``; an unknown batch is 1, any other unknown None.

    >>> _shape("None,8,8,3")
    (1, 8, 8, 3)
    """
    parts = [part.strip() for part in text.strip("()[] ").split(",") if part.strip()]
    known = [int(part) if part.isdecimal() else None for part in parts]
    if known and known[0] is None:  # one input is one row, whatever the batch
        known[0] = 1
    sizes = tuple(size for size in known if size is not None)
    return sizes if len(sizes) == len(known) else None


def _activation(op: str, attributes: Mapping[str, object]) -> str | None:
    """Return the fused activation; None where the operator has one that nobody told."""
    for key in ("fused_activation", "activation"):
        if key in attributes:
            return str(attributes[key] or "")
    return None if op == "Activation" else ""
