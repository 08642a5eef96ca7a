"""Every error that exray raises.

::

    ExrayError
    ├── UsageError            an argument, option or file that the caller can correct
    │   ├── SpecError         a preprocessing spec: bad key, value or type
    │   ├── ModelError        a model file: missing, truncated, or one the runtime refuses
    │   └── SelectionError    a BUILD that names nothing, or more than one thing
    ├── MissingExtraError     an optional dependency is not installed
    ├── DataError             one input or label that cannot be used
    ├── GrafanaError          a Grafana: not reached, or it refused
    ├── LogError              the log or spool of requests: in use, unwritable
    │   └── LogFullError      no space left
    └── LakeError             the lake: not a lake, damaged, unwritable
        ├── LakeFullError     no space left
        ├── LakeUnreachableError  its bucket does not answer
        └── CommitError       a commit that lost its race too often

A message says what happened and to what, what was expected and found, and the fix; of
several mistakes each has a line, and lines that begin with a space continue the one above.
Nothing here is ever raised into an instrumented application: the guard in
``exray.instrumentation`` logs instead.
"""


class ExrayError(Exception):
    """Base of every error raised by exray."""


class UsageError(ExrayError):
    """An argument, option or file that the caller can correct."""


class SpecError(UsageError):
    """A preprocessing spec has a bad key, value or type."""


class ModelError(UsageError):
    """A model file is missing, truncated, or refused by its runtime."""


class SelectionError(UsageError):
    """A BUILD names nothing, or more than one model, device or kernel family."""


class MissingExtraError(ExrayError):
    """An optional dependency is not installed.

    Args:
        extra: The extra that brings it, as in ``pip install 'exray[lake]'``.
        purpose: What needs it, in a few words.
    """

    def __init__(self, extra: str, purpose: str) -> None:
        self.extra = extra
        msg = (
            f"{purpose} needs the extra '{extra}', not installed here. pip install 'exray[{extra}]'"
        )
        super().__init__(msg)


class DataError(ExrayError):
    """One input or label cannot be used; others may be."""


class LogError(ExrayError):
    """A log or spool of requests is in use by another process, or cannot be written."""


class LogFullError(LogError):
    """There is no space left for the log."""


class GrafanaError(ExrayError):
    """A Grafana cannot be reached, is too old, or refused what was asked of it."""


class LakeError(ExrayError):
    """A lake is not one, is damaged, or cannot be written."""


class LakeFullError(LakeError):
    """There is no space left for the lake."""


class LakeUnreachableError(LakeError):
    """The bucket of a lake does not answer; later it may."""


class CommitError(LakeError):
    """A commit lost its race against other writers too often."""


def continued(text: object) -> str:
    """Return a text of several lines, such as a parser's, as one mistake.

    >>> print(continued("syntax error\\n\\nLINE 1: SELEC 1\\n        ^"))
    syntax error
      LINE 1: SELEC 1
              ^
    """
    return "\n  ".join(line for line in str(text).splitlines() if line.strip())


def error_lines(error: object) -> list[str]:
    """Return what a command line prints of an error: each mistake once told to be one."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return [line if line.startswith(" ") else f"error: {line}" for line in lines]
