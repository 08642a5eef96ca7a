"""Where a difference enters that no cause explains, or what is missing to judge at all.

What is normal has no fixed size: sound 8-bit networks lose up to 14 dB in one layer, and a
float network on other kernels none. So a layer is held against the previous build's where
there is one, else against the other layers of its own network.
"""

from collections.abc import Sequence
from statistics import median

from exray.queries.names import tail_name

from .causes import Scene, Where
from .comparison import SIZES_DIFFER, Comparison, LayerDifference, Place
from .conclusion import Entry
from .gate import Gate, against_baseline
from .layer_frames import FrameLayer
from .statistics.frames import FEWEST
from .verdict import judge, same_values

FLOAT_DROP_DB = 3.0
"""Loss against its inputs that no sound layer shows where both sides compute in float."""

INTEGER_DROP_DB = 16.0
"""The same where a side is quantized: sound networks show up to 14.5, planted faults 20 on."""

OUTLYING = 3.0
"""Median deviations by which a layer must lose more than the network's others besides."""

LOST_DB = 3.0
"""SQNR below which half of what a layer puts out is error: no sound layer was seen below 7."""

WORSE_P = 0.01
WORSE_SHARE = 0.05
"""Flips that uneven, and so much accuracy lost, are a difference though all tensors agree."""

STAGE_NAMES = {"raw": "raw", "input": "model input"}
"""What a place outside the model is called where it has no name of its own."""


def difference(scene: Scene) -> Entry | None:
    """Return where edge and reference part beyond what is normal, None where they do not."""
    comparison = scene.comparison
    gate = against_baseline(scene) if comparison.coverage.frames_measured else None
    return (
        _nothing_measured(comparison)
        or _before_the_model(scene)
        or _not_comparable(comparison)
        or _inside(scene, gate)
        or _answers(scene)
        or _too_few(comparison, gate)
    )


def _nothing_measured(comparison: Comparison) -> Entry | None:
    if comparison.coverage.frames_measured:
        return None
    return Entry(judge(comparison).sentence.rstrip("."), frames_missing=FEWEST)


def _before_the_model(scene: Scene) -> Entry | None:
    """Return the first place of the pipeline at which the two differ, if the model sees it."""
    comparison = scene.comparison
    if not any(map(_differs, comparison.inputs)):
        return None
    first = next(place for place in _in_order(scene) if _differs(place))
    return Entry(judge(comparison).sentence.rstrip("."), _outside(first), first.sqnr_db)


def _differs(place: Place) -> bool:
    if place.sqnr_db is None:
        return place.reason == SIZES_DIFFER
    return not same_values(place)


def _in_order(scene: Scene) -> list[Place]:
    """Return raw input, stages as they ran, model inputs."""
    with scene.known.cursor() as cursor:
        rows = cursor.execute(
            "SELECT stage FROM stage_order($selector)", {"selector": scene.edge.selector}
        ).fetchall()
    order = {str(row[0]): i for i, row in enumerate(rows)}
    ranks = {"raw": -1, "input": len(order) + 1}
    places = [p for p in scene.comparison.places if p.role in ("raw", "stage", "input")]
    return sorted(places, key=lambda p: ranks.get(p.role, order.get(p.name, len(order))))


def _not_comparable(comparison: Comparison) -> Entry | None:
    """Return that nothing vouches for the model inputs, or that numbers are not finite."""
    broken = next((x for x in comparison.layers if x.edge_nonfinite_count), None)
    if broken is not None and broken.edge_nonfinite_count > broken.reference_nonfinite_count:
        return Entry(judge(comparison).sentence.rstrip("."), _at(broken))
    if comparison.inputs and all(place.sqnr_db is not None for place in comparison.inputs):
        return None
    return Entry(judge(comparison).sentence.rstrip("."), Where(stage="model input"))


def _against_baseline(gate: Gate) -> Entry | None:
    if not gate.worse:
        return None
    layer, loss_db, p = gate.worse[0]
    how = "in the same frames" if gate.same_inputs else "in other frames"
    what = (
        f"{_named(layer)} is the first of "
        f"{len(gate.worse)} that got worse, by {loss_db:.1f} dB {how} (p = {p:.3g})"
    )
    return Entry(what, Where(layer_index=layer.layer_index, layer=layer.layer, op=layer.op))


def _inside(scene: Scene, gate: Gate | None) -> Entry | None:
    if gate is not None:
        return _against_baseline(gate)
    found = standing_out(scene.comparison, is_quantized=_is_quantized(scene))
    if found is None:
        return None
    layer, what = found
    return Entry(f"{_named(layer)} {what}", _at(layer), layer.sqnr_db)


def standing_out(
    comparison: Comparison, *, is_quantized: bool
) -> tuple[LayerDifference, str] | None:
    """Return the first layer that loses more than sound ones do and than its network's others.

    Args:
        comparison: Edge against reference.
        is_quantized: Whether either side computes in integers.

    Returns:
        The layer and what it does, None where none stands out.
    """
    layers = [
        layer
        for layer in comparison.layers
        if layer.rank_drop_db is not None and layer.op.upper() != "SOFTMAX"
    ]
    limit = limit_db(layers, is_quantized=is_quantized)
    for layer in layers:
        drop_db, sqnr_db = layer.rank_drop_db or 0.0, layer.sqnr_db or 0.0
        if drop_db > limit:
            return layer, f"loses {drop_db:.1f} dB against its inputs, {limit:.1f} is the limit"
        if sqnr_db < LOST_DB:
            return layer, f"is at {sqnr_db:.1f} dB SQNR: half of what it puts out is error"
    return None


def limit_db(layers: Sequence[LayerDifference], *, is_quantized: bool) -> float:
    """Return the loss against its inputs, dB, that no layer of a sound network exceeds.

    Args:
        layers: The network's, those that were measured.
        is_quantized: Whether either side computes in integers.
    """
    floor = INTEGER_DROP_DB if is_quantized else FLOAT_DROP_DB
    return max(floor, outlying([layer.rank_drop_db or 0.0 for layer in layers]))


def tolerated(scene: Scene) -> str | None:
    """Return why the layer which a comparison names would pass, None where it names none."""
    layer = judge(scene.comparison).layer
    if layer is None or layer.rank_drop_db is None:
        return None
    loss = f"the largest loss, {layer.rank_drop_db:.1f} dB at {_named(layer)}"
    if scene.baseline is not None:
        return f"{loss}, is no larger than in '{scene.baseline.edge.build}' beyond chance"
    if layer.op.upper() == "SOFTMAX":
        return f"{loss}, is a softmax's, which says nothing of its own error"
    measured = [x for x in scene.comparison.layers if x.rank_drop_db is not None]
    limit = limit_db(measured, is_quantized=_is_quantized(scene))
    kind = "8-bit" if _is_quantized(scene) else "float"
    return (
        f"{loss}, is within the {limit:.0f} dB that a layer of a sound {kind} network may lose; "
        "--baseline with a build that went well tells smaller faults"
    )


def outlying(drops: Sequence[float]) -> float:
    """Return the loss from which on a layer stands out from the others of its network.

    Median plus `OUTLYING` times 1.4826 times the median absolute deviation, which faults in
    fewer than half of the layers do not move.

    >>> print(f"{outlying([0.0, 1.0, -1.0, 2.0, 25.0]):.2f}")
    5.45
    """
    if not drops:
        return 0.0
    middle = median(drops)
    return middle + OUTLYING * 1.4826 * median(abs(drop - middle) for drop in drops)


def _is_quantized(scene: Scene) -> bool:
    sides = (scene.edge.precision, scene.reference.precision)
    return not all(precision.startswith("float") for precision in sides)


def _answers(scene: Scene) -> Entry | None:
    """Return that answers got worse, against the previous build where there is one."""
    before = scene.baseline_selection or scene.reference
    with scene.known.cursor() as cursor:
        rows = cursor.execute(
            "SELECT judged, edge_only_correct, reference_only_correct"
            " FROM outcome_compare($edge, $reference)",
            {"edge": scene.edge.selector, "reference": before.selector},
        ).fetchall()
    from exray.playback.outcome import mcnemar_exact

    for judged, edge_only, other_only in rows:
        lost = (other_only - edge_only) / judged if judged else 0.0
        if lost >= WORSE_SHARE and mcnemar_exact(edge_only, other_only) <= WORSE_P:
            what = (
                f"'{scene.edge.build}' answers {other_only} inputs wrongly that '{before.build}' "
                f"answers rightly, and {edge_only} the other way, though the tensors agree"
            )
            return Entry(what, Where(stage="outcome"))
    return None


def _too_few(comparison: Comparison, gate: Gate | None) -> Entry | None:
    frames = comparison.coverage.frames_measured
    missing = max(0, FEWEST - frames)
    if gate is not None:
        frames, missing = gate.frames, max(missing, gate.frames_missing)
    if not missing:
        return None
    what = f"{frames} frames show no difference, but it needs {missing} more to say so"
    return Entry(what, frames_missing=missing)


def _outside(place: Place) -> Where:
    return Where(stage=STAGE_NAMES.get(place.role, place.name))


def _named(layer: LayerDifference | FrameLayer) -> str:
    return f"layer {layer.layer_index} '{tail_name(layer.layer)}'"


def _at(layer: LayerDifference) -> Where:
    return Where(layer_index=layer.layer_index, layer=layer.layer, op=layer.op)
