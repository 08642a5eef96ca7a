"""Do the classes only carry other numbers? 1000 classes against 1001 with a background."""

from collections.abc import Iterable

from exray.diagnosis.causes import Cause, Scene, Where
from exray.diagnosis.statistics.frames import FEWEST

from .rows import Row, read

SHIFTED_RATIO = 0.6
SAME_RATIO = 0.2
"""Shares of inputs whose classes agree after the shift, at least, and without, at most."""

LEAST_CLASSES = 3
"""Classes that must occur: a model that only knows two answers agrees after any shift."""


def find_labels(scene: Scene) -> Iterable[Cause]:
    """Return a constant shift between the edge's classes and the reference's, or the labels."""
    rows = read(
        scene.known,
        "outcome_shift",
        edge=scene.edge.selector,
        reference=scene.reference.selector,
    )
    for against, other in (("reference", scene.reference.build), ("label", "the labels")):
        shift = constant_shift([row for row in rows if row["against"] == against])
        if shift is None:
            continue
        number, ratio, frames = shift
        yield Cause(
            code="labels.shifted",
            what=f"classes of '{scene.edge.build}' are those of {other} {number:+d}",
            where=Where(stage="labels"),
            confidence=min(0.99, 0.5 + 0.5 * ratio),
            evidence={"shift": number, "agreement_ratio": ratio, "frames": frames},
            fix=f"Use the list of classes that belongs to the model, or add {-number:+d} to each "
            "class: one of the two lists begins with a background class.",
        )
        return


def constant_shift(rows: list[Row]) -> tuple[int, float, int] | None:
    """Return shift, share of inputs and inputs, None where no shift explains the difference.

    Args:
        rows: Shifts of `outcome_shift`, the commonest first.
    """
    if not rows:
        return None
    first, frames = rows[0], sum(row["frames"] for row in rows)
    same = sum(row["frames_ratio"] for row in rows if row["shift"] == 0)
    is_constant = first["shift"] != 0 and first["frames_ratio"] >= SHIFTED_RATIO
    enough = frames >= FEWEST and first["classes"] >= LEAST_CLASSES
    if not (is_constant and enough and same <= SAME_RATIO):
        return None
    return int(first["shift"]), float(first["frames_ratio"]), frames
