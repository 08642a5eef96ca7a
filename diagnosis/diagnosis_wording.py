"""What a diagnosis says, in the words that terminal and page share."""

from exray.queries.names import tail_name

from .causes import Cause, Where
from .conclusion import Diagnosis, Entry
from .wording import side_names

EVIDENCE_SHOWN = 6
"""Numbers of a cause shown to a reader; all stand in the JSON."""


def verdict_sentence(diagnosis: Diagnosis) -> str:
    """Return the verdict in one sentence."""
    edge, reference = side_names(diagnosis.comparison)
    if diagnosis.failing:
        first = diagnosis.failing[0]
        others = len(diagnosis.failing) - 1
        more = f", and {others} more" if others else ""
        return f"'{edge}' fails against '{reference}': {first.what} ({place(first.where)}){more}."
    if diagnosis.entry is not None:
        return f"{_entry(diagnosis.entry)}."
    if diagnosis.failures:
        broken = ", ".join(failure.finder for failure in diagnosis.failures)
        return f"No difference beyond what is normal was found, but {broken} could not look."
    let_pass = f": {diagnosis.tolerated}" if diagnosis.tolerated else ""
    return f"'{edge}' does what '{reference}' does, but for what is normal between them{let_pass}."


def place(where: Where) -> str:
    """Return a place as a reader wants it.

    >>> place(Where(layer_index=3, layer="net/head/conv", op="CONV_2D"))
    "layer 3 'head/conv', CONV_2D"
    """
    if where.layer_index is not None:
        name = f" '{tail_name(where.layer)}'" if where.layer else ""
        return f"layer {where.layer_index}{name}" + (f", {where.op}" if where.op else "")
    if where.stage:
        return where.stage
    return where.op or "whole model"


def certainty(cause: Cause) -> str:
    """Return how sure a cause is, empty for what only asks for more to judge by."""
    return f"{cause.confidence:.0%} sure" if cause.fails or cause.confidence else ""


def evidence_line(cause: Cause) -> str:
    """Return the first numbers that a cause rests on."""
    scalars = [
        f"{name} {_shown(value)}"
        for name, value in cause.evidence.items()
        if isinstance(value, (str, bool, int, float))
    ]
    more = len(cause.evidence) - len(scalars[:EVIDENCE_SHOWN])
    return ", ".join(scalars[:EVIDENCE_SHOWN]) + (f", {more} more with --json" if more else "")


def cause_lines(cause: Cause) -> list[tuple[str, str]]:
    """Return what is told of a cause: each line's label, and the line; empty ones left out."""
    lines = [
        ("", cause.what),
        ("where", place(cause.where)),
        ("shown", evidence_line(cause)),
        ("fix", cause.fix),
    ]
    return [(label, told) for label, told in lines if told]


def failure_lines(diagnosis: Diagnosis) -> list[str]:
    """Return which finders broke, a line each."""
    return [
        f"Finder {failure.finder} failed and was left out: {failure.error}"
        for failure in diagnosis.failures
    ]


def _entry(entry: Entry) -> str:
    if entry.frames_missing:
        return f"Not enough to judge: {entry.what}"
    return f"No known cause explains it: {entry.what}"


def _shown(value: str | float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
