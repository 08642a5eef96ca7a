"""Is a layer broken in itself? NaN, infinities, saturation, dead and constant outputs.

What the reference does as well is no fault of the edge. Of several broken layers the first
in graph order is named: what follows inherits. Where the model input differs already, a
broken layer is likelier a consequence, and its confidence is lower.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from exray.diagnosis.causes import Cause, Scene, Where
from exray.diagnosis.causes.cause import Evidence
from exray.diagnosis.statistics.frames import FEWEST
from exray.diagnosis.verdict import same_values
from exray.queries.names import tail_name

from .rows import Row, read

SURE, CONSEQUENCE = 0.95, 0.5
"""Confidence of a broken layer whose model got the right input, and the wrong one."""

LEAST_ELEMENTS = 16
"""Elements below which a quantized output may repeat without being broken."""

CLIPPED_RATIO = 0.02
CLIPPED_FRAMES = 0.5
"""Share of elements, or of a classifier's frames, at the type's high end: more than a rare peak."""

CUT = 1.25
"""Factor by which the reference goes beyond the edge where the edge is cut off."""

CERTAIN = 0.9
DOUBTING = 0.5
"""Shares of frames with a certain answer: of saturated logits, and of sound ones at most."""


@dataclass(frozen=True, slots=True)
class HealthRows:
    """What `layer_health` says of a layer of the edge, and of its counterpart if there is one."""

    edge: Row
    reference: Row | None

    @property
    def where(self) -> Where:
        """The layer, in the edge's numbering."""
        row = self.edge
        return Where(layer_index=row["layer_index"], layer=row["layer_name"], op=row["op"])

    @property
    def name(self) -> str:
        """What sentences call it."""
        return f"layer {self.edge['layer_index']} '{tail_name(self.edge['layer_name'])}'"

    def beyond(self, column: str) -> bool:
        """Whether the edge has more of something than the reference."""
        return bool(self.edge[column] > (self.reference[column] if self.reference else 0))


def find_health(scene: Scene) -> Iterable[Cause]:
    """Return what is broken in the edge's layers and sound in the reference's."""
    inputs = scene.comparison.inputs
    are_same = all(place.sqnr_db is None or same_values(place) for place in inputs)
    return health_causes(list(_layers(scene)), inputs_differ=not are_same)


def health_causes(layers: Sequence[HealthRows], *, inputs_differ: bool) -> Iterator[Cause]:
    """Return the first layer in graph order of each kind of breakage.

    Args:
        layers: In graph order.
        inputs_differ: Whether the model was fed something else than the reference's.
    """
    for look in (_not_a_number, _infinite, _dead, _constant, _saturated, _certain):
        found = next((cause for x in layers if (cause := look(x)) is not None), None)
        if found is not None:
            is_fact = look in (_not_a_number, _infinite)
            sure = SURE if is_fact or not inputs_differ else CONSEQUENCE
            yield replace(found, confidence=sure)


def _layers(scene: Scene) -> Iterator[HealthRows]:
    theirs = {
        row["layer_index"]: row
        for row in read(scene.known, "layer_health", selector=scene.reference.selector)
    }
    answers = {x.layer_index: x.reference_layer_index for x in scene.comparison.layers}
    for row in read(scene.known, "layer_health", selector=scene.edge.selector):
        answer = answers.get(row["layer_index"])
        yield HealthRows(row, None if answer is None else theirs.get(answer))


def _cause(layer: HealthRows, code: str, what: str, fix: str, **evidence: Evidence) -> Cause:
    shown = {"executions": layer.edge["executions"], **evidence}
    return Cause(f"health.{code}", f"{layer.name} {what}", layer.where, SURE, shown, fix)


def _not_a_number(layer: HealthRows) -> Cause | None:
    if not layer.beyond("nan_count"):
        return None
    count = layer.edge["nan_count"]
    fix = "Look at its weights and at what it divides by, or takes the root or logarithm of."
    return _cause(layer, "nan", f"puts out {count} values that are NaN", fix, nan_count=count)


def _infinite(layer: HealthRows) -> Cause | None:
    if not layer.beyond("inf_count"):
        return None
    count = layer.edge["inf_count"]
    fix = "Compute it in a wider type, or scale what it is fed."
    return _cause(layer, "inf", f"puts out {count} infinite values", fix, inf_count=count)


def _dead(layer: HealthRows) -> Cause | None:
    edge, reference = layer.edge, layer.reference
    if reference is None or edge["zero_ratio"] != 1.0 or reference["zero_ratio"] > 0.98:
        return None
    fix = "Look at its bias, at its quantization range, and at the activation before it."
    told = "puts out nothing but zeros"
    ratio = reference["zero_ratio"]
    return _cause(layer, "dead", told, fix, zero_ratio=1.0, reference_zero_ratio=ratio)


def _constant(layer: HealthRows) -> Cause | None:
    edge, reference = layer.edge, layer.reference
    if reference is None or edge["zero_ratio"] == 1.0 or edge["elements"] < LEAST_ELEMENTS:
        return None
    enough = min(edge["distinct_inputs"], reference["distinct_outputs"]) >= FEWEST
    if not enough or edge["distinct_outputs"] > 1:
        return None
    inputs = edge["distinct_inputs"]
    told = f"puts out the same for {inputs} different inputs"
    fix = (
        "See whether its input reaches it: a buffer that is never written, or an operator cut off."
    )
    other = reference["distinct_outputs"]
    return _cause(
        layer, "constant", told, fix, distinct_inputs=inputs, reference_distinct_outputs=other
    )


def _saturated(layer: HealthRows) -> Cause | None:
    """Return integers at their type's end where the reference goes on: a range too narrow."""
    edge, reference = layer.edge, layer.reference
    if reference is None or edge["greatest"] is None or reference["greatest"] is None:
        return None
    is_cut = reference["greatest"] > CUT * edge["greatest"] > 0
    # Of logits one at the end decides, and is a small or a large share by their number.
    is_logits = edge["op"].upper() == "FULLY_CONNECTED"
    many = (
        edge["high_ratio"] >= CLIPPED_FRAMES
        if is_logits
        else edge["sat_high_ratio"] >= CLIPPED_RATIO
    )
    if not (is_cut and many) or edge["executions"] < FEWEST:
        return None
    told = (
        f"is cut off at {edge['greatest']:.3g} in {edge['high_ratio']:.0%} of the frames, where the "
        f"reference goes up to {reference['greatest']:.3g}"
    )
    fix = "Calibrate again, with inputs like those in use: its quantization range is too narrow."
    return _cause(
        layer,
        "saturation",
        told,
        fix,
        saturated_ratio=edge["sat_high_ratio"],
        saturated_frames_ratio=edge["high_ratio"],
        greatest=edge["greatest"],
        reference_greatest=reference["greatest"],
    )


def _certain(layer: HealthRows) -> Cause | None:
    """Return a softmax that is certain of nearly everything: its logits are out of scale."""
    edge, reference = layer.edge, layer.reference
    if reference is None or edge["op"].upper() != "SOFTMAX" or edge["executions"] < FEWEST:
        return None
    ours, theirs = edge["certain_ratio"], reference["certain_ratio"]
    if ours < CERTAIN or theirs > DOUBTING:
        return None
    told = f"is certain of {ours:.0%} of the frames, the reference of {theirs:.0%}: logits saturate"
    fix = "See what scales the logits: the value range that the model is fed, or a scale left out."
    return _cause(
        layer, "saturation", told, fix, certain_ratio=ours, reference_certain_ratio=theirs
    )
