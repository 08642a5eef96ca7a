"""A diagnosis for a reader at a terminal: verdict, causes, coverage, outcome."""

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from exray.queries.names import printable, tail_name

from .causes import Cause, Where
from .conclusion import Diagnosis, Entry
from .terminal import make_console, print_line, print_outcome
from .wording import coverage_lines, side_names

STYLES = {"pass": "bold green", "fail": "bold red", "unexplained": "bold yellow"}
INDENT = 4
EVIDENCE_SHOWN = 6
"""Numbers of a cause shown on the terminal; all stand in the JSON."""


def print_diagnosis(diagnosis: Diagnosis, console: Console | None = None) -> None:
    """Print what was found, the verdict first."""
    console = console or make_console()
    console.print(_verdict(diagnosis), soft_wrap=True)
    for number, cause in enumerate(diagnosis.failing, 1):
        _print_cause(f"{number}.", cause, console)
    for cause in diagnosis.advice:
        _print_cause("-", cause, console)
    for failure in diagnosis.failures:
        text = f"Finder {failure.finder} failed and was left out: {failure.error}"
        print_line(text, console, style="yellow")
    console.print()
    for line in coverage_lines(diagnosis.comparison):
        print_line(line, console)
    console.print()
    print_outcome(diagnosis.comparison, console)


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
    return f"'{edge}' does what '{reference}' does, but for what is normal between them."


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


def _verdict(diagnosis: Diagnosis) -> Text:
    text = Text(f"{diagnosis.status.upper()}  ", style=STYLES[diagnosis.status])
    return text.append(printable(verdict_sentence(diagnosis)), style="bold")


def _entry(entry: Entry) -> str:
    if entry.frames_missing:
        return f"Not enough to judge: {entry.what}"
    return f"No known cause explains it: {entry.what}"


def _print_cause(mark: str, cause: Cause, console: Console) -> None:
    console.print()
    head = Text(f"{mark} ".rjust(INDENT))
    head.append(cause.code, style="bold cyan")
    if cause.fails or cause.confidence:  # what asks for more to judge by is no guess
        head.append(f"  {cause.confidence:.0%} sure", "dim")
    console.print(head)
    lines = [
        ("", cause.what),
        ("where ", place(cause.where)),
        ("shown ", evidence_line(cause)),
        ("fix   ", cause.fix),
    ]
    for label, told in lines:
        if told:
            text = Text(label, style="dim").append(printable(told), style="not dim")
            console.print(Padding(text, (0, 0, 0, INDENT)))


def evidence_line(cause: Cause) -> str:
    """Return the first numbers that a cause rests on."""
    scalars = [
        f"{name} {_shown(value)}"
        for name, value in cause.evidence.items()
        if isinstance(value, (str, bool, int, float))
    ]
    more = len(cause.evidence) - len(scalars[:EVIDENCE_SHOWN])
    return ", ".join(scalars[:EVIDENCE_SHOWN]) + (f", {more} more with --json" if more else "")


def _shown(value: str | float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
