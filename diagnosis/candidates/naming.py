"""What a hypothesis is called: each of its mistakes as a cause with evidence and fix."""

from collections.abc import Mapping

from exray.diagnosis.causes import Cause, Where
from exray.diagnosis.causes.cause import Evidence

from .confidence import LEAST_MATCH_DB, confidence
from .geometry import Crop, Geometry, Turn
from .hypothesis import Declared, Hypothesis
from .image_search import Found
from .menu_search import MenuFound, Plan

PREFIX = "preprocessing."
STAGE = Where(stage="preprocess")


def causes_from_search(found: Found, evidence: Mapping[str, Evidence]) -> list[Cause]:
    """Return a cause for each mistake of the hypothesis to believe.

    Args:
        found: What the search found.
        evidence: What else each cause rests on.
    """
    return [
        make_cause(
            code,
            *_told(code, found.best, found.declared),
            match_db=found.best.match_db,
            without_db=found.without(code),
            evidence=_evidence(found) | dict(evidence),
        )
        for code in sorted(found.best.codes)
    ]


def causes_from_menu(code: str, found: MenuFound[Plan]) -> list[Cause]:
    """Return a cause for each change that makes what the edge saw, none where none does.

    Args:
        code: Behind ``preprocessing.``.
        found: What the search found.
    """
    best = found.best
    if best.match_db < LEAST_MATCH_DB:
        return []
    return [
        make_cause(
            code,
            f"edge {change.edge}, reference: {change.reference}",
            f"Set {change.part} to {change.reference} on the edge.",
            match_db=best.match_db,
            without_db=found.without(change.part),
            evidence={
                "part": change.part,
                "frames": found.frames,
                "candidates": len(found.choices),
                "search_s": round(found.duration_s, 2),
            },
        )
        for change in best.changes
    ]


def make_cause(
    code: str,
    what: str,
    fix: str,
    *,
    match_db: float,
    without_db: float,
    evidence: Mapping[str, Evidence],
) -> Cause:
    """Return a cause that lies before the model.

    Args:
        code: Behind ``preprocessing.``.
        what: What is the case.
        fix: What to do.
        match_db: How well the alternative matches what the edge saw.
        without_db: How well the best one does that lacks this mistake.
        evidence: What else it rests on.
    """
    numbers: dict[str, Evidence] = {
        "match_db": round(match_db, 2),
        "match_without_it_db": round(without_db, 2),
        "margin_db": round(match_db - without_db, 2),
    }
    sure = confidence(match_db, match_db - without_db)
    return Cause(f"{PREFIX}{code}", what, STAGE, sure, numbers | dict(evidence), fix)


def shown_geometry(geometry: Geometry) -> str:
    """Return how a geometry reads."""
    parts = [f"crop {_crop(geometry.crop)}", f"resize {geometry.method}"]
    if geometry.turn != Turn():
        parts.insert(0, _turn(geometry.turn))
    if geometry.quality is not None:
        parts.insert(0, f"JPEG of quality {geometry.quality}")
    if geometry.is_swapped:
        parts.append("dimensions swapped")
    return ", ".join(parts)


def shown(hypothesis: Hypothesis) -> str:
    """Return how a whole hypothesis reads."""
    parts = [shown_geometry(hypothesis.geometry), hypothesis.channels.name, hypothesis.values.name]
    return ", ".join([*parts, hypothesis.storage])


def _evidence(found: Found) -> dict[str, Evidence]:
    best = found.best
    rival = next((h for h in found.rivals if not h.codes >= best.codes), None)
    numbers: dict[str, Evidence] = {
        "frames": found.frames,
        "candidates": found.tried,
        "search_s": round(found.duration_s, 2),
        "is_complete": found.is_complete,
        "edge": shown(best),
    }
    if rival is not None:
        numbers["runner_up"] = shown(rival)
        numbers["runner_up_db"] = round(rival.match_db, 2)
    return numbers


def _told(code: str, best: Hypothesis, declared: Declared) -> tuple[str, str]:
    """Return what a mistake is, and its fix."""
    ours, theirs = best.geometry, declared.geometry
    match code:
        case "channel_order":
            edge, reference = best.channels.name.upper(), declared.channels.name.upper()
            return f"edge feeds {edge}, reference {reference}", f"Feed {reference} on the edge."
        case "value_range" | "mean_std":
            return told_values(best, declared)
        case "normalised_twice":
            return (
                f"edge normalises twice, reference once to {declared.values.name}",
                "Normalise once: leave out either the application's step or the model's own.",
            )
        case "orientation":
            return (
                f"edge feeds images {_turn(ours.turn)}, reference upright",
                "Turn the image on the edge as the reference has it, before the crop.",
            )
        case "resize":
            return (
                f"edge resizes with {ours.method}, reference with {theirs.method}",
                f"Resize with {theirs.method} on the edge.",
            )
        case "crop":
            return (
                f"edge crops {_crop(ours.crop)}, reference {_crop(theirs.crop)}",
                f"Crop {_crop(theirs.crop)} on the edge.",
            )
        case "layout":
            return (
                "edge writes the dimensions in another order than the model reads them",
                "Transpose between channels first and channels last; a reshape does not.",
            )
        case "compression":
            return (
                f"edge sees images after a JPEG of quality {ours.quality}, reference before it",
                "Feed the frame as the camera gives it, or raise the quality.",
            )
        case _:
            return (
                f"edge's numbers pass through another type: {best.storage}",
                "Convert values to the input's type with its scale and zero point, rounded once.",
            )


def told_values(best: Hypothesis, declared: Declared) -> tuple[str, str]:
    """Return what other values mean, and their fix."""
    edge, reference = best.values.name, declared.values.name
    if best.values.fitted:
        ends = zip(best.values.offset, best.values.high, strict=True)
        several = {f"[{low:.4g}, {high:.4g}]" for low, high in ends}
        edge = " ".join(sorted(several))
    return (
        f"edge maps pixels to {edge}, reference to {reference}",
        f"Map pixels to {reference} on the edge, as in training.",
    )


def _crop(crop: Crop) -> str:
    if crop.kind == "none":
        return "nothing"
    if crop.kind == "letterbox":
        return "nothing but adds borders"
    where = "the centre" if crop.kind == "central" else "the first corner"
    return f"{crop.fraction:.3g} of the short side at {where}"


def _turn(turn: Turn) -> str:
    turned = f"rotated by {90 * turn.quarters} degrees" if turn.quarters else ""
    if not turn.mirrored:
        return turned or "upright"
    return f"{turned} and mirrored" if turned else "mirrored"
