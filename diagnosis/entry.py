"""Where a difference enters that no cause explains, or what is missing to judge at all."""

from .causes import Scene, Where
from .comparison import Comparison, LayerDifference, Place
from .conclusion import Entry
from .verdict import Finding, judge

STAGE_ROLES = {"raw": "raw", "input": "model input"}
"""What a place outside the model is called where it has no name of its own."""


def difference(scene: Scene) -> Entry | None:
    """Return where edge and reference part beyond what is normal, None where they do not."""
    return _missing(scene.comparison) or _in_front(scene.comparison) or _inside(scene.comparison)


def _missing(comparison: Comparison) -> Entry | None:
    if comparison.coverage.frames_measured:
        return None
    return Entry(judge(comparison).sentence.rstrip("."), frames_missing=1)


def _in_front(comparison: Comparison) -> Entry | None:
    finding = judge(comparison)
    if finding.place is None:
        return None
    return Entry(finding.sentence.rstrip("."), _outside(finding.place), finding.place.sqnr_db)


def _inside(comparison: Comparison) -> Entry | None:
    finding: Finding = judge(comparison)
    if finding.layer is None:
        return None
    return Entry(finding.sentence.rstrip("."), _layer(finding.layer), finding.layer.sqnr_db)


def _outside(place: Place) -> Where:
    return Where(stage=STAGE_ROLES.get(place.role, place.name))


def _layer(layer: LayerDifference) -> Where:
    return Where(layer_index=layer.layer_index, layer=layer.layer, op=layer.op)
