"""A diagnosis for a reader at a terminal: verdict, causes, coverage, outcome."""

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from exray.queries.names import printable

from .causes import Cause
from .conclusion import Diagnosis
from .decomposition_terminal import print_decomposition
from .diagnosis_wording import cause_lines, certainty, failure_lines, verdict_sentence
from .terminal import make_console, print_line, print_outcome
from .wording import coverage_lines

STYLES = {"pass": "bold green", "fail": "bold red", "unexplained": "bold yellow"}
INDENT = 4
LABEL = 6
"""Columns of a line's label."""


def print_diagnosis(diagnosis: Diagnosis, console: Console | None = None) -> None:
    """Print what was found, the verdict first."""
    console = console or make_console()
    console.print(_verdict(diagnosis), soft_wrap=True)
    for number, cause in enumerate(diagnosis.failing, 1):
        _print_cause(f"{number}.", cause, console)
    for cause in diagnosis.advice:
        _print_cause("-", cause, console)
    for line in failure_lines(diagnosis):
        print_line(line, console, style="yellow")
    if diagnosis.steps is not None:
        console.print()
        print_decomposition(diagnosis.steps, console)
    console.print()
    for line in coverage_lines(diagnosis.comparison):
        print_line(line, console)
    console.print()
    print_outcome(diagnosis.comparison, console)


def _verdict(diagnosis: Diagnosis) -> Text:
    text = Text(f"{diagnosis.status.upper()}  ", style=STYLES[diagnosis.status])
    return text.append(printable(verdict_sentence(diagnosis)), style="bold")


def _print_cause(mark: str, cause: Cause, console: Console) -> None:
    console.print()
    head = Text(f"{mark} ".rjust(INDENT))
    head.append(cause.code, style="bold cyan")
    sure = certainty(cause)
    if sure:
        head.append(f"  {sure}", "dim")
    console.print(head)
    for label, told in cause_lines(cause):
        padded = label.ljust(LABEL) if label else ""
        text = Text(padded, style="dim").append(printable(told), style="not dim")
        console.print(Padding(text, (0, 0, 0, INDENT)))
