"""What a diagnosis comes to: pass, fail with causes, or unexplained, and why."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from .causes import Cause, Where, ranked
from .comparison import Comparison, Json
from .decomposition import Decomposition

Status = Literal["pass", "fail", "unexplained"]


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a difference without known cause enters, or why nothing can be said.

    Args:
        what: One clause that says what differs, or what is missing.
        where: Where it enters; empty where nothing could be judged.
        sqnr_db: How far the two sides are apart there, None where not measured.
        frames_missing: Frames that it takes to judge, 0 where there are enough.
    """

    what: str
    where: Where = field(default_factory=Where)
    sqnr_db: float | None = None
    frames_missing: int = 0

    def to_json(self) -> Json:
        """Return the entry as JSON."""
        return {
            "what": self.what,
            "where": self.where.to_json(),
            "sqnr_db": self.sqnr_db,
            "frames_missing": self.frames_missing,
        }


@dataclass(frozen=True, slots=True)
class FinderFailure:
    """A finder that broke: its causes are not known, the others' are.

    Args:
        finder: Its name.
        error: What it raised.
    """

    finder: str
    error: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong between edge and reference.

    Args:
        comparison: Edge against reference.
        causes: The likeliest first; those that do not fail the edge last.
        entry: Why it is unexplained, None where it passes or a cause is known.
        failures: Finders that broke.
        before: The previous build against the same reference, None where none is named.
        steps: What conversion, quantization and kernels each do; None where nothing is to be
            taken apart, or nobody asked.
        tolerated: A clause that says why the layer is let pass which the comparison names;
            None where it names none.
    """

    comparison: Comparison
    causes: tuple[Cause, ...] = ()
    entry: Entry | None = None
    failures: tuple[FinderFailure, ...] = ()
    before: Comparison | None = None
    steps: Decomposition | None = None
    tolerated: str | None = None

    @property
    def status(self) -> Status:
        """What it comes to. A finder that broke leaves no room for pass."""
        if any(cause.fails for cause in self.causes):
            return "fail"
        return "unexplained" if self.entry or self.failures else "pass"

    @property
    def failing(self) -> tuple[Cause, ...]:
        """The causes that fail the edge."""
        return tuple(cause for cause in self.causes if cause.fails)

    @property
    def advice(self) -> tuple[Cause, ...]:
        """The causes that do not: what could be better."""
        return tuple(cause for cause in self.causes if not cause.fails)

    def to_json(self) -> Json:
        """Return what ``diagnose --json`` prints."""
        compared = self.comparison.to_json()
        return {
            "status": self.status,
            "coverage": compared["coverage"],
            "causes": [cause.to_json() for cause in self.failing],
            "outcome": compared["outcome"],
            "advice": [cause.to_json() for cause in self.advice],
            "unexplained": self.entry.to_json() if self.entry else None,
            "failed_finders": [asdict(failure) for failure in self.failures],
            "baseline": self.before.edge.build if self.before else None,
            "steps": self.steps.to_json() if self.steps else None,
            "tolerated": self.tolerated if self.status == "pass" else None,
        }


def conclude(
    comparison: Comparison,
    causes: Sequence[Cause],
    entry: Entry | None,
    failures: Sequence[FinderFailure] = (),
    before: Comparison | None = None,
) -> Diagnosis:
    """Put together what was found; a difference is unexplained only without a cause.

    Args:
        comparison: Edge against reference.
        causes: In any order.
        entry: The difference beyond what is normal, or what is missing to judge.
        failures: Finders that broke.
        before: The previous build against the same reference.
    """
    is_explained = any(cause.fails for cause in causes)
    return Diagnosis(
        comparison, ranked(causes), None if is_explained else entry, tuple(failures), before
    )
