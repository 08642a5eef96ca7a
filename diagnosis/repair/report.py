"""A repair for a reader: on the terminal, and as Markdown beside the patch."""

from collections.abc import Iterator, Sequence

from rich.console import Console

from exray.diagnosis.diagnosis_wording import place
from exray.diagnosis.terminal import make_console, print_line
from exray.playback.outcome import Accuracy, accuracy_from_counts

from .outcome import Outcome, Trial, shown

STYLES = {"repaired": "bold green", "unhelped": "bold red", "unjudged": "bold yellow"}


def print_outcome_of(outcome: Outcome, console: Console | None = None) -> None:
    """Print what a repair came to."""
    console = console or make_console()
    print_line(outcome.sentence, console, style=STYLES[outcome.verdict])
    if not outcome.is_faithful:
        print_line(f"Note: {RECORDED}", console, style="yellow")
    for line in _steps(outcome):
        print_line(line, console)
    if outcome.judged is not None:
        for name, accuracy in _accuracies(outcome):
            print_line(f"  {name:12}{_accuracy(accuracy)}", console)
        back = outcome.share_back
        if back is not None:
            print_line(f"  {back:.0%} of the accuracy lost against the reference is back", console)


RECORDED = (
    "the files given do not answer as the edge was recorded to: the application does something "
    "else than they say, and its recorded answers stand for it"
)


def markdown(outcome: Outcome, names: Sequence[str]) -> str:
    """Return a repair as Markdown.

    Args:
        outcome: The repair.
        names: Files that it is written to.
    """
    lines = [f"# Repair of {outcome.edge}", "", outcome.sentence, ""]
    if not outcome.is_faithful:
        lines += [f"Note: {RECORDED}.", ""]
    lines += ["## What was done", "", *(line.strip() for line in _steps(outcome)), ""]
    judged = outcome.judged
    if judged is not None:
        lines += [
            f"## On {len(outcome.held_out)} inputs held out",
            "",
            f"The changes were chosen on {len(outcome.chosen)} other inputs.",
            "",
            "| | right | accuracy | 95 % |",
            "|---|--:|--:|---|",
        ]
        for name, accuracy in _accuracies(outcome):
            low, high = accuracy.ci95
            lines.append(
                f"| {name} | {accuracy.correct} of {accuracy.count} | "
                f"{accuracy.value or 0.0:.1%} | {low:.1%} to {high:.1%} |"
            )
        lines += ["", f"Before and after: {shown(judged)}.", ""]
        back = outcome.share_back
        if back is not None:
            lines += [f"{back:.0%} of the accuracy lost against the reference is back.", ""]
    lines += ["## Files", "", *(f"- `{name}`" for name in names), ""]
    left = outcome.last
    lines.append(f"A diagnosis of the repaired edge says: {left.status}.")
    lines += [f"- {cause.code}: {cause.what}" for cause in left.failing]
    return "\n".join(lines) + "\n"


def _accuracies(outcome: Outcome) -> Iterator[tuple[str, Accuracy]]:
    judged = outcome.judged
    if judged is None or not judged.judged:
        return
    yield "before", accuracy_from_counts(judged.right_before, judged.judged)
    yield "after", accuracy_from_counts(judged.right_after, judged.judged)
    if outcome.reference_accuracy is not None:
        yield "reference", outcome.reference_accuracy


def _accuracy(accuracy: Accuracy) -> str:
    low, high = accuracy.ci95
    return (
        f"{accuracy.value or 0.0:6.1%}  ({accuracy.correct} of {accuracy.count}; 95 % interval "
        f"{low:.1%} to {high:.1%})"
    )


def _steps(outcome: Outcome) -> Iterator[str]:
    for number, step in enumerate(outcome.steps, 1):
        first = step.causes[0]
        more = f" and {len(step.causes) - 1} more" if len(step.causes) > 1 else ""
        yield f"{number}. {first.code}{more}: {first.what} ({place(first.where)})"
        for trial in step.trials:
            mark = "kept" if trial.change is step.kept else "left"
            yield f"   - {mark}: {trial.change.what}: {_result(trial)}"
        if not step.trials:
            yield f"   - nothing to try: {first.fix}"


def _result(trial: Trial) -> str:
    return f"cannot be run: {trial.error}" if trial.paired is None else shown(trial.paired)
