"""One cause of a difference, and the interface of whoever looks for causes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from exray.diagnosis.comparison import Json

if TYPE_CHECKING:
    from .scene import Scene

Evidence = float | int | str | bool | None | list[object] | dict[str, object]
"""A piece of evidence as JSON takes it; numbers are finite."""


@dataclass(frozen=True, slots=True)
class Where:
    """Where a cause sits: a stage outside the model, or a layer in the edge model's numbering.

    Args:
        stage: A stage's name, such as ``preprocess``.
        layer_index: The layer's index in the edge model.
        layer: Its name as the converter wrote it.
        op: Its operator.
    """

    stage: str | None = None
    layer_index: int | None = None
    layer: str | None = None
    op: str | None = None

    def to_json(self) -> Json:
        """Return the place as JSON, without what does not apply."""
        fields: Json = {
            "stage": self.stage,
            "layer_index": self.layer_index,
            "layer": self.layer,
            "op": self.op,
        }
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause, with what speaks for it.

    Args:
        code: What kind, such as ``preprocessing.channel_order``.
        what: One clause that says what is the case, with both sides named.
        where: Where it sits.
        confidence: Probability that the cause is right, 0 to 1, calibrated.
        evidence: The numbers it rests on, by name, units at the end of the names.
        fix: What to do about it, an imperative sentence.
        fails: Whether it fails the edge; a note, such as kernel advice, does not.
    """

    code: str
    what: str
    where: Where
    confidence: float
    evidence: Mapping[str, Evidence]
    fix: str
    fails: bool = True

    def to_json(self) -> Json:
        """Return the cause as JSON."""
        return {
            "code": self.code,
            "what": self.what,
            "where": self.where.to_json(),
            "confidence": round(self.confidence, 4),
            "evidence": dict(self.evidence),
            "fix": self.fix,
        }


class Finder(Protocol):
    """Looks for the causes of one family."""

    def __call__(self, scene: "Scene") -> Iterable[Cause]:
        """Return the causes found, none where there is nothing to say or nothing to judge by."""
        ...


def ranked(causes: Iterable[Cause]) -> tuple[Cause, ...]:
    """Sort causes: those that fail the edge first, then by confidence."""
    return tuple(sorted(causes, key=lambda cause: (not cause.fails, -cause.confidence)))
