"""Hold a diagnosis against a policy: each cause and each limit is one check."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fnmatch import fnmatchcase
from typing import Literal

from exray.diagnosis.causes import Where
from exray.diagnosis.comparison import Comparison, Json, LayerDifference
from exray.diagnosis.conclusion import Diagnosis
from exray.diagnosis.diagnosis_wording import place
from exray.queries.names import tail_name

from .policy import LAYER_METRICS, Limit, Policy, Waiver

Outcome = Literal["pass", "fail", "waived", "unjudged"]

EXIT_PASS, EXIT_FAIL, EXIT_UNJUDGED, EXIT_USAGE = 0, 1, 2, 64
"""Exit codes of ``exray check``."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check and how it went.

    Args:
        name: A cause's code, ``diagnosis``, or a limit's name.
        outcome: How it went; ``unjudged`` where a number or a baseline is missing.
        message: What was found, and what was expected.
        where: What it speaks of.
    """

    name: str
    outcome: Outcome
    message: str
    where: Where

    def to_json(self) -> Json:
        """Return the check as JSON."""
        return {
            "check": self.name,
            "outcome": self.outcome,
            "message": self.message,
            "where": self.where.to_json(),
        }


def check_diagnosis(
    diagnosis: Diagnosis, baseline: Comparison | None, policy: Policy, today: date
) -> tuple[Check, ...]:
    """Hold a diagnosis against a policy.

    Args:
        diagnosis: What was found of the edge.
        baseline: The previous build against the same reference, None without one.
        policy: What it must keep to.
        today: The day by which waivers expire.
    """
    checks = [*_of_diagnosis(diagnosis, policy)]
    for limit in policy.limits:
        checks += _of_limit(limit, diagnosis.comparison, baseline)
    return tuple(_waived(check, policy.waivers, today) for check in checks)


def exit_code(checks: Sequence[Check]) -> int:
    """Return 0 where all passed, 1 where one failed, 2 where one could not be judged."""
    outcomes = {check.outcome for check in checks}
    if "fail" in outcomes:
        return EXIT_FAIL
    return EXIT_UNJUDGED if "unjudged" in outcomes else EXIT_PASS


def _of_diagnosis(diagnosis: Diagnosis, policy: Policy) -> Iterator[Check]:
    for failure in diagnosis.failures:
        message = f"{failure.finder} broke, so its causes are not known: {failure.error}"
        yield Check("diagnosis", "unjudged", message, Where())
    for cause in diagnosis.failing:
        outcome: Outcome = "fail" if "fail" in policy.fail_on else "pass"
        yield Check(cause.code, outcome, f"{cause.what}. {cause.fix}", cause.where)
    entry = diagnosis.entry
    if entry is not None and entry.frames_missing:
        yield Check("diagnosis", "unjudged", entry.what, entry.where)
    elif entry is not None:
        outcome = "fail" if "unexplained" in policy.fail_on else "pass"
        yield Check("unexplained", outcome, entry.what, entry.where)
    if diagnosis.status == "pass":
        yield Check("diagnosis", "pass", "no difference beyond what is normal", Where())


def _of_limit(limit: Limit, edge: Comparison, baseline: Comparison | None) -> Iterator[Check]:
    measured = list(_values(limit, edge))
    if not measured:
        message = f"nothing in '{edge.edge.build}' is chosen by it, so nothing keeps to it"
        yield Check(limit.label, "unjudged", message, Where())
        return
    if limit.needs_baseline and baseline is None:
        message = "it is relative to a baseline, and none is named. Pass --baseline BUILD"
        yield Check(limit.label, "unjudged", message, Where())
        return
    before = {_key(where): value for where, value in _values(limit, baseline)} if baseline else {}
    checks = [_judged(limit, where, value, before.get(_key(where))) for where, value in measured]
    bad = [check for check in checks if check.outcome != "pass"]
    # Layers that keep to it are one line: a network has dozens.
    yield from bad
    if not bad:
        yield Check(limit.label, "pass", f"{len(checks)} kept to it", Where())


def _judged(limit: Limit, where: Where, value: float | None, before: float | None) -> Check:
    if value is None:
        return Check(limit.label, "unjudged", f"{limit.metric} was not measured", where)
    if limit.needs_baseline and before is None:
        message = f"{limit.metric} of the baseline was not measured there"
        return Check(limit.label, "unjudged", message, where)
    broken = list(_broken(limit, value, before or 0.0))
    outcome: Outcome = "fail" if broken else "pass"
    return Check(limit.label, outcome, f"{limit.metric} {value:.4g}: {'; '.join(broken)}", where)


def _broken(limit: Limit, value: float, before: float) -> Iterator[str]:
    """Yield what a value does not keep to."""
    if limit.min is not None and value < limit.min:
        yield f"expected at least {limit.min:.4g}"
    if limit.max is not None and value > limit.max:
        yield f"expected at most {limit.max:.4g}"
    if limit.max_loss is not None and before - value > limit.max_loss:
        yield f"{before - value:.4g} below the baseline's {before:.4g}, at most {limit.max_loss:.4g}"
    if limit.max_gain is not None and value - before > limit.max_gain:
        yield f"{value - before:.4g} above the baseline's {before:.4g}, at most {limit.max_gain:.4g}"
    if limit.max_ratio is not None and value > limit.max_ratio * before:
        yield f"the baseline's is {before:.4g}, at most {limit.max_ratio:.4g} times that"


def _values(limit: Limit, comparison: Comparison) -> Iterator[tuple[Where, float | None]]:
    """Yield what a limit speaks of, with its value; None where it was not measured."""
    if limit.metric in LAYER_METRICS:
        attribute = "edge_ms" if limit.metric == "layer_ms" else limit.metric
        for layer in comparison.layers:
            if layer.reference_layer_index is not None and _chosen(layer, limit):
                yield _where(layer), getattr(layer, attribute)
    elif limit.metric == "stage_ms":
        for stage in comparison.stages:
            if limit.stage in (None, stage.stage):
                yield Where(stage=stage.stage), stage.edge_ms
    else:
        yield Where(), _whole(limit.metric, comparison)


def _whole(metric: str, comparison: Comparison) -> float | None:
    coverage = comparison.coverage
    values: dict[str, float | None] = {
        "input_sqnr_db": comparison.input.sqnr_db if comparison.input else None,
        "model_ms": comparison.edge.model_ms,
        "top1": comparison.edge.top1,
        "flips": comparison.flips,
        "mcnemar_p": comparison.mcnemar_p,
        "frames_paired": coverage.frames_paired,
        "frames_unpaired": coverage.frames_unpaired,
        "layers_unaligned": len(coverage.layers_unaligned),
    }
    return values[metric]


def _chosen(layer: LayerDifference, limit: Limit) -> bool:
    by_name = not limit.layer or _matches(layer.layer_index, layer.layer, limit.layer)
    return by_name and (not limit.op or layer.op.upper() in {op.upper() for op in limit.op})


def _matches(index: int | None, name: str | None, patterns: Sequence[str]) -> bool:
    names = {str(index), name or "", tail_name(name or "")}
    return any(fnmatchcase(text, pattern) for text in names for pattern in patterns)


def _where(layer: LayerDifference) -> Where:
    return Where(layer_index=layer.layer_index, layer=layer.layer, op=layer.op)


def _key(where: Where) -> tuple[str | None, str | None]:
    """Return what two builds call the same: another build may number its layers otherwise."""
    return where.stage, where.layer


def _waived(check: Check, waivers: Sequence[Waiver], today: date) -> Check:
    """Let a failure pass that a waiver speaks of; one that has expired is mentioned."""
    if check.outcome != "fail":
        return check
    for waiver in waivers:
        in_layer = not waiver.layer or _matches(
            check.where.layer_index, check.where.layer, waiver.layer
        )
        if not (fnmatchcase(check.name, waiver.check) and in_layer):
            continue
        if waiver.expires < today:
            told = f"{check.message} (waiver expired on {waiver.expires}: {waiver.reason})"
            return replace(check, message=told)
        told = f"{check.message} (waived until {waiver.expires}: {waiver.reason})"
        return replace(check, outcome="waived", message=told)
    return check


def check_line(check: Check) -> str:
    """Return a check in one line.

    >>> check_line(Check("top1", "fail", "top1 0.5: expected at least 0.7", Where()))
    'FAIL      top1: top1 0.5: expected at least 0.7'
    """
    at = place(check.where) if check.where != Where() else ""
    return f"{check.outcome.upper():9} {check.name}{f' at {at}' if at else ''}: {check.message}"
