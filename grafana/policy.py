"""Thresholds of panels and alert rules from a policy, the same that `exray check` holds builds to."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .thresholds import Thresholds

if TYPE_CHECKING:
    from exray.diagnosis.policy import Limit

_ANSWERS = {
    ("sqnr_db", "max_loss"): "loss_fail_db",
    ("top1", "max_loss"): "accuracy_drop",
    ("model_ms", "max_ratio"): "p99_ratio",
    ("layer_ms", "max_ratio"): "p50_ratio",
}
"""Thresholds by the metric and the bound of a limit that says the same. A panel shows all layers
in one colour, so limits of some layers or operators are for `exray check` alone."""

_WARN_SHARE = Thresholds().loss_warn_db / Thresholds().loss_fail_db


@dataclass(frozen=True, slots=True)
class FromPolicy:
    """What a policy says of panels.

    Args:
        thresholds: The thresholds.
        used: Labels of the limits that set one.
        unused: Labels of the others.
    """

    thresholds: Thresholds
    used: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()


def thresholds_from_policy(path: Path) -> FromPolicy:
    """Read the thresholds that a policy sets; where two limits set one, the stricter counts.

    Raises:
        UsageError: The policy is missing, or wrong.
        MissingExtraError: PyYAML is not installed.
    """
    from exray.diagnosis.policy import load_policy

    found: dict[str, Any] = {}
    used: list[str] = []
    unused: list[str] = []
    for limit in load_policy(path).limits:
        answers = dict(_answers(limit))
        (used if answers else unused).append(limit.label)
        for name, value in answers.items():
            found[name] = min(value, found.get(name, value))
    if "loss_fail_db" in found:
        found["loss_warn_db"] = found["loss_fail_db"] * _WARN_SHARE
    return FromPolicy(replace(Thresholds(), **found), tuple(used), tuple(unused))


def _answers(limit: "Limit") -> list[tuple[str, float]]:
    if limit.layer or limit.op or limit.stage:
        return []
    bounds = {"max_loss": limit.max_loss, "max_ratio": limit.max_ratio}
    return [
        (_ANSWERS[limit.metric, bound], value)
        for bound, value in bounds.items()
        if value is not None and (limit.metric, bound) in _ANSWERS
    ]
