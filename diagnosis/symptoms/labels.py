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

RIGHT_RATIO, WRONG_RATIO = 0.35, 0.1
"""The same shares where classes are held against labels, which a sound network misses, too: the
shift must make it right in so many inputs, of which it is right without in next to none."""

RIGHT_CLASSES = 10
"""Classes that must occur for so few inputs to be no chance."""


def find_labels(scene: Scene) -> Iterable[Cause]:
    """Return a constant shift between the edge's classes and the reference's, or the labels."""
    rows = read(
        scene.known,
        "outcome_shift",
        edge=scene.edge.selector,
        reference=scene.reference.selector,
    )
    for against, other in (("reference", scene.reference.build), ("label", "the labels")):
        shift = constant_shift(
            [row for row in rows if row["against"] == against], is_label=against == "label"
        )
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


def constant_shift(rows: list[Row], *, is_label: bool = False) -> tuple[int, float, int] | None:
    """Return shift, share of inputs and inputs, None where no shift explains the difference.

    Args:
        rows: Shifts of `outcome_shift`, the commonest first.
        is_label: Whether they are against labels, which sound answers differ from, too.
    """
    if not rows:
        return None
    first, frames = rows[0], sum(row["frames"] for row in rows)
    shifted = first["frames_ratio"]
    same = sum(row["frames_ratio"] for row in rows if row["shift"] == 0)
    if first["shift"] == 0 or frames < FEWEST or first["classes"] < LEAST_CLASSES:
        return None
    is_clear = shifted >= SHIFTED_RATIO and same <= SAME_RATIO
    is_right = shifted >= RIGHT_RATIO and same <= WRONG_RATIO and first["frames"] >= FEWEST
    if is_clear or (is_label and is_right and first["classes"] >= RIGHT_CLASSES):
        return int(first["shift"]), float(shifted), frames
    return None
