"""One change of a configuration that may mend what a cause names."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from exray.diagnosis.causes import Cause

from .configuration import Configuration


@dataclass(frozen=True, slots=True)
class Change:
    """A change that can be tried.

    Args:
        what: What it does, a clause.
        causes: The causes that it is meant to mend.
        apply: Makes the changed configuration; files that it needs go to the folder given.
        code: What a programmer does in an application to the same effect; empty where the
            changed files are all.
    """

    what: str
    causes: tuple[Cause, ...]
    apply: Callable[[Configuration, Path], Configuration]
    code: str = ""
