"""Find, for each layer of an edge model, the reference layer that has the same output.

Three witnesses are heard: the names, the structure (the same operators on tensors that
are matched already) and the sketches (the nearest output on one common model input).
Layers are decided in topological order, so that each rests on those before it. Two
witnesses that agree outweigh the third:

1. A name counts if the structure allows it: the layer reads the counterparts of what the
   edge layer reads, through the same products, joins and activations; or if the sketch
   agrees. TFLite's fused names mislead, and exporters count names up (Keras 3 writes
   ``conv2d`` as ``conv2d_1``), so a name alone proves nothing.
2. The structure counts if exactly one reference layer fits. Names cannot break it, nor
   can other weights or an edge pipeline that feeds another input.
3. A nearest output that is decisively nearest corrects either within one neighbourhood
   (before or after an activation that only the ranges show), and stands alone where
   names and structure are silent.

What none of them settles has no counterpart, and the reason is given. Order in the file
is no evidence: converters list branches in another order than Keras does (ResNet8's
shortcuts), so an alignment of the two lists that keeps their order would be wrong there.

Of reference layers with the same values (Dropout, Flatten, Reshape, Identity, an
InputLayer before QUANTIZE) the one whose name fits is taken, else the one with the same
kind of operator, else with the same shape, else the first in the graph.
"""

import numpy as np
from numpy.typing import NDArray

from .alignment_layers import (
    LayerMatch,
    Method,
    ModelLayer,
    ModelLayers,
    layers_from_graph,
)
from .alignment_rules import Rules
from .alignment_sketches import distances_from_sketches

__all__ = [
    "ALIGNMENT_VERSION",
    "LayerMatch",
    "Method",
    "ModelLayer",
    "ModelLayers",
    "align",
    "distances_from_sketches",
    "layers_from_graph",
]

ALIGNMENT_VERSION = 1
"""Raise when the rules change, so that stored alignments are known to be old."""

_MISLED = 0.2
"""Share of names against the structure above which no overlap of names is believed."""


def align(
    edge: ModelLayers,
    reference: ModelLayers,
    distances: NDArray[np.float64] | None = None,
    *,
    common_input: bool = True,
) -> list[LayerMatch]:
    """Match every layer of an edge model to its counterpart in a reference model.

    Args:
        edge: The edge model.
        reference: The reference model.
        distances: Shape ``(edge layers, reference layers)`` by position in ``layers``:
            normalised distance of two outputs, as `distances_from_sketches` gives it;
            NaN where two layers cannot be compared. None without sketches.
        common_input: Whether *distances* come from frames with (nearly) the same model
            input on both sides. If not, they break ties and are reported, no more.

    Returns:
        One match per edge layer, in the order of ``edge.layers``; a layer without
        counterpart has method ``none`` and a reason.

    Raises:
        ValueError: *distances* has not one row per edge and one column per reference layer.
    """
    shape = (len(edge.layers), len(reference.layers))
    measured = np.full(shape, np.nan) if distances is None else np.asarray(distances, np.float64)
    if measured.shape != shape:
        msg = (
            f"distances of shape {measured.shape} do not fit {shape[0]} edge and {shape[1]}"
            " reference layers; expected one row per edge and one column per reference layer,"
            " in the order of ModelLayers.layers."
        )
        raise ValueError(msg)
    if edge.model_sha256 and edge.model_sha256 == reference.model_sha256:
        return _same_model(edge, reference, measured)
    rules = Rules(edge, reference, measured, common_input=common_input)
    matches = rules.run()
    if rules.misled > _MISLED:
        rules = Rules(edge, reference, measured, common_input=common_input, overlaps=False)
        matches = rules.run()
    return matches


def _same_model(
    edge: ModelLayers, reference: ModelLayers, distances: NDArray[np.float64]
) -> list[LayerMatch]:
    positions = {layer.index: j for j, layer in enumerate(reference.layers)}
    matches: list[LayerMatch] = []
    for i, layer in enumerate(edge.layers):
        if layer.excluded_reason is not None:
            matches.append(LayerMatch(layer.index, None, "none", reason=layer.excluded_reason))
            continue
        value = distances[i, positions[layer.index]]
        distance = float(value) if np.isfinite(value) else None
        matches.append(LayerMatch(layer.index, layer.index, "same_model", distance))
    return matches
