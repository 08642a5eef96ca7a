"""From causes to a repair: change, run again, keep what helps, judge on inputs held out.

The diagnosis and every choice see one half of the inputs alone. The other half is used once,
to hold the edge as it was against the edge with all changes that were chosen.
"""

from collections.abc import Sequence
from pathlib import Path

from exray.diagnosis.causes import Cause, Scene
from exray.playback.dataset import Item
from exray.schema.errors import DataError, UsageError

from .change import Change
from .configuration import Configuration
from .families import changes_for, families
from .other_changes import LABELS, STATE
from .outcome import Outcome, Step, Trial
from .paired import pair
from .request import Request, ShowProgress
from .rerun import Answers
from .stand import Stand, open_stand

STEPS = 4
"""Changes kept one after the other, at most."""

CLEARLY_DB = 3.0
"""Gain over a smaller change for which a larger one is preferred where answers are equal."""

UNSEEN = frozenset({LABELS, STATE})
"""Codes of causes that a recording of the changed edge would show again."""


def repair(request: Request, scratch: Path, show_progress: ShowProgress) -> Outcome:
    """Look for changes that mend an edge.

    Args:
        request: What is to be repaired.
        scratch: An empty folder for model files and recordings on the way, which must be kept
            for as long as the outcome is used.
        show_progress: Shows how far a piece of work is.

    Raises:
        UsageError: A file is missing or wrong, or not what the edge was recorded with.
        LakeError: A lake is damaged or cannot be written.
        MissingExtraError: What the work needs is not installed.
    """
    stand = open_stand(request, scratch, show_progress)
    return _Search(stand).run()


class _Search:
    def __init__(self, stand: Stand) -> None:
        self._stand = stand
        self._steps: list[Step] = []

    def run(self) -> Outcome:
        stand = self._stand
        start = stand.start
        before = stand.rerun(start, stand.chosen, "running the edge as it is")
        is_faithful = stand.repeats(before)
        if not is_faithful:
            before = _of(stand.chosen, stand.recorded.edge)
        scene, first = stand.diagnose()
        state, answers, last, must_change = start, before, first, is_faithful
        mended: set[str] = set()
        while sum(step.kept is not None for step in self._steps) < STEPS:
            causes = [cause for cause in last.failing if cause.code not in mended]
            found = self._mend(causes, scene, state, answers, must_change=must_change)
            if found is None:
                break
            state, answers = found
            must_change = True
            mended |= {cause.code for cause in self._steps[-1].causes} & UNSEEN
            scene, last = stand.diagnose_again(state)
        judged = None
        if any(step.kept is not None for step in self._steps):
            was = _of(stand.held_out, stand.recorded.edge)
            if is_faithful:
                was = stand.rerun(start, stand.held_out, "judging: the edge as it was")
            now = stand.rerun(state, stand.held_out, "judging: the changed edge")
            judged = pair(was, now, stand.labels.get, stand.recorded.reference)
        return Outcome(
            edge=stand.sides[0].build,
            reference=stand.sides[1].build,
            before=start,
            after=state,
            steps=tuple(self._steps),
            first=first,
            last=last,
            is_faithful=is_faithful,
            chosen_on=pair(before, answers, stand.labels.get, stand.recorded.reference),
            judged=judged,
            reference_accuracy=stand.reference_accuracy(stand.held_out),
            chosen=frozenset(item.input_id for item in stand.chosen),
            held_out=frozenset(item.input_id for item in stand.held_out),
        )

    def _mend(
        self,
        causes: Sequence[Cause],
        scene: Scene,
        state: Configuration,
        answers: Answers,
        *,
        must_change: bool,
    ) -> tuple[Configuration, Answers] | None:
        """Mend the first group of causes that can be mended; None where none can."""
        for group in families(causes):
            trials: list[Trial] = []
            best: tuple[Change, Configuration, Answers] | None = None
            seen: set[Configuration] = {state} if must_change else set()
            for change in changes_for(group, scene, self._stand.recorded.reference_spec):
                trial, tried = self._try(change, state, answers, seen)
                if trial is not None:
                    trials.append(trial)
                if tried is not None and (best is None or self._is_better(best[2], tried[1])):
                    best = change, *tried
            self._steps.append(Step(tuple(group), tuple(trials), None if best is None else best[0]))
            if best is not None:
                return best[1], best[2]
        return None

    def _try(
        self, change: Change, state: Configuration, answers: Answers, seen: set[Configuration]
    ) -> tuple[Trial | None, tuple[Configuration, Answers] | None]:
        """Run a change; return nothing of one that was seen before, or does not help."""
        stand = self._stand
        try:
            changed = change.apply(state, stand.scratch)
            if changed in seen:
                return None, None
            seen.add(changed)
            found = stand.rerun(changed, stand.chosen, f"trying to {change.what}")
        except (UsageError, DataError) as error:  # a model that the runtime refuses
            return Trial(change, None, str(error)), None
        paired = pair(answers, found, stand.labels.get, stand.recorded.reference)
        helps = not paired.answers_worse and (paired.is_kept or paired.is_promising)
        return Trial(change, paired), (changed, found) if helps else None

    def _is_better(self, first: Answers, second: Answers) -> bool:
        """Whether a larger change is worth more than a smaller one."""
        stand = self._stand
        paired = pair(first, second, stand.labels.get, stand.recorded.reference)
        gain_db = paired.median_gain_db or 0.0
        is_nearer = paired.outputs_nearer and gain_db >= CLEARLY_DB
        return paired.answers_better or (is_nearer and paired.mended >= paired.broken)


def _of(items: Sequence[Item], answers: Answers) -> Answers:
    """Return the answers to some inputs."""
    wanted = {item.input_id for item in items}
    return {input_id: answer for input_id, answer in answers.items() if input_id in wanted}
