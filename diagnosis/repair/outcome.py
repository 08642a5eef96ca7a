"""What a repair came to."""

from dataclasses import dataclass
from typing import Literal

from exray.diagnosis.causes import Cause
from exray.diagnosis.conclusion import Diagnosis
from exray.playback.outcome import Accuracy

from .change import Change
from .configuration import Configuration
from .paired import Paired

Verdict = Literal["repaired", "unhelped", "unjudged"]


@dataclass(frozen=True, slots=True)
class Trial:
    """A change that was tried on the inputs to choose on.

    Args:
        change: The change.
        paired: What it did to answers; None where it could not be run.
        error: Why it could not.
    """

    change: Change
    paired: Paired | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """A group of causes, and the changes tried against it.

    Args:
        causes: The causes, the likeliest first.
        trials: In the order tried.
        kept: The change that was chosen, None where none helped.
    """

    causes: tuple[Cause, ...]
    trials: tuple[Trial, ...]
    kept: Change | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a repair came to.

    Args:
        edge: Build of the edge.
        reference: Build of the reference.
        before: What the edge ran.
        after: The same with every change that was chosen.
        steps: What was tried.
        first: The diagnosis that it began with.
        last: The diagnosis after all changes.
        is_faithful: Whether the files given answer as the edge was recorded to; if not, what
            was recorded stands for the edge.
        chosen_on: What the changes did on the inputs that they were chosen on.
        judged: What they did on those held out; None where none was chosen.
        reference_accuracy: The reference's on the inputs held out, None where not known.
        chosen: Ids of the inputs to choose on.
        held_out: Ids of those held out.
    """

    edge: str
    reference: str
    before: Configuration
    after: Configuration
    steps: tuple[Step, ...]
    first: Diagnosis
    last: Diagnosis
    is_faithful: bool
    chosen_on: Paired
    judged: Paired | None
    reference_accuracy: Accuracy | None
    chosen: frozenset[str]
    held_out: frozenset[str]

    @property
    def kept(self) -> tuple[tuple[Step, Change], ...]:
        """The changes that were chosen, each with what it is against."""
        return tuple((step, step.kept) for step in self.steps if step.kept is not None)

    @property
    def verdict(self) -> Verdict:
        """Whether the inputs held out say that the edge is repaired."""
        if self.judged is not None:
            if self.judged.is_kept:
                return "repaired"
            return "unjudged" if self.judged.is_promising else "unhelped"
        entry = self.first.entry
        too_few = entry is not None and entry.frames_missing > 0
        return "unjudged" if too_few or self.first.failures else "unhelped"

    @property
    def share_back(self) -> float | None:
        """Share of the accuracy lost against the reference that came back, on inputs held out."""
        judged, reference = self.judged, self.reference_accuracy
        if judged is None or reference is None or not judged.judged or not reference.count:
            return None
        lost = reference.correct / reference.count - judged.right_before / judged.judged
        if lost <= 0:
            return None
        return (judged.right_after - judged.right_before) / judged.judged / lost

    @property
    def sentence(self) -> str:
        """What it came to, in one sentence."""
        if self.judged is None:
            return self._untried()
        told = f"on {len(self.held_out)} inputs held out, {shown(self.judged)}"
        done = " and ".join(change.what for _, change in self.kept)
        if self.verdict == "repaired":
            return f"'{self.edge}' is repaired: {done}; {told}."
        if self.verdict == "unhelped":
            return f"'{self.edge}' is not repaired: to {done} does not help: {told}."
        missing = self.judged.inputs_missing
        more = f"about {missing} more labelled inputs would tell" if missing else "more would tell"
        return f"Whether to {done} repairs '{self.edge}' cannot be judged: {told}; {more}."

    def _untried(self) -> str:
        first = self.first
        if first.status == "pass":
            return f"'{self.edge}' does what '{self.reference}' does: there is nothing to repair."
        if self.verdict == "unjudged":
            why = first.entry.what if first.entry is not None else "a finder broke"
            return f"'{self.edge}' cannot be judged on {len(self.chosen)} inputs: {why}."
        if not first.failing:
            why = first.entry.what if first.entry is not None else "no cause was found"
            return f"'{self.edge}' has no cause that could be mended: {why}."
        if not any(step.trials for step in self.steps):
            cause = first.failing[0]
            return f"Nothing is known to mend {cause.code}: {cause.what}. {cause.fix}"
        return f"Nothing that was tried mends '{self.edge}': {first.failing[0].what}."


def shown(paired: Paired) -> str:
    """Return what a change did, in words."""
    parts: list[str] = []
    if paired.judged:
        parts.append(
            f"{paired.right_before} of {paired.judged} right before and {paired.right_after} after "
            f"({paired.mended} mended, {paired.broken} broken, p = {paired.mcnemar_p:.3g})"
        )
    if paired.measured:
        gain_db = paired.median_gain_db or 0.0
        parts.append(
            f"the output nearer to the reference's in {paired.nearer} of {paired.measured}, by "
            f"{gain_db:.1f} dB in the median (p = {paired.sign_p:.3g})"
        )
    return ", ".join(parts) or "there is neither a label nor an output of the reference"
