"""A progress bar on a terminal, and nothing anywhere else."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

Progress = Callable[[int, int], None]
"""Called with the steps done and their total."""


@contextmanager
def show_progress(title: str) -> Generator[Progress]:
    """Show how far a long work is, on stderr, where that is a terminal.

    Args:
        title: What is being done, in a few words.

    Yields:
        A function that takes the steps done and their total.
    """
    if not sys.stderr.isatty():
        yield ignore_progress
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    # stdout stays alone: it may be a pipe that wants nothing but JSON.
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def ignore_progress(done: int, total: int) -> None:
    """Show nothing."""
