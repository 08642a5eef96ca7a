"""The one guard around everything that exray does inside somebody else's program.

Instrumentation must never raise into the application. Whatever happens under the guard
is logged once per place and kind, then swallowed. The project's own tests set
``EXRAY_GUARD=raise`` so that a swallowed mistake cannot hide from them.
"""

import functools
import logging
import os
import traceback
from types import TracebackType

logger = logging.getLogger("exray")

_logged: dict[str, object] = {}


class Guard:
    """Swallow and log once whatever goes wrong while doing something.

    What is no `Exception` (KeyboardInterrupt, SystemExit) is the host's and passes.

    Args:
        doing: What is being attempted, as the log line will say it: "record a frame".

    Raises:
        Exception: Only where ``EXRAY_GUARD=raise``, for exray's own tests.
    """

    __slots__ = ("_doing",)

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is None:
            return False
        if not isinstance(error, Exception) or os.environ.get("EXRAY_GUARD") == "raise":
            return False
        _report(self._doing, error)
        # Whoever keeps the error must not keep a view of a runtime's memory with it: an
        # interpreter refuses to run while one lives.
        traceback.clear_frames(trace)
        return True


@functools.cache
def guard(doing: str) -> Guard:
    """Return the guard around an attempt: ``with guard("open a frame"): ...``.

    One for all attempts of a kind: it has no state, and a frame opens many.
    """
    return Guard(doing)


def swallow(doing: str, error: Exception) -> bool:
    """Do with *error* what the guard does; False if it is to be raised on.

    For what runs so often that a guard's own two calls are too many: ``except Exception as
    error: if not swallow("end a frame", error): raise``.
    """
    return guard(doing).__exit__(type(error), error, error.__traceback__)


def _report(doing: str, error: Exception) -> None:
    try:
        log_once(
            f"{doing}:{type(error).__name__}",
            f"exray could not {doing}: {error_text(error)}. The application is not affected; "
            "further failures of this kind are not logged.",
            error=error,
        )
    except Exception:  # noqa: BLE001 - a log handler of the application that raises
        return


def log_once(key: str, message: str, *, error: BaseException | None = None) -> None:
    """Log a warning the first time *key* is seen in this process.

    The traceback of *error* goes to level DEBUG: an application's log should hold one
    line of exray's trouble, not forty. It goes there as text. A handler that keeps
    records would with ``exc_info`` keep every object of every frame alive, and an
    interpreter with a living reference into its memory refuses to run.
    """
    token = object()
    if _logged.setdefault(key, token) is not token:
        return
    logger.warning(message)
    if error is not None and logger.isEnabledFor(logging.DEBUG):
        lines = traceback.format_exception(type(error), error, error.__traceback__)
        logger.debug("traceback of the failure above:\n%s", "".join(lines))


def forget_logged() -> None:
    """Let every message be logged again; for tests and for a new configuration."""
    _logged.clear()


TEXT_LIMIT = 1000
"""Characters kept of an error's message: some hold a whole graph."""


def error_text(error: BaseException) -> str:
    """Return type and message of an error, whatever its ``__str__`` does."""
    try:
        text = f"{type(error).__name__}: {error}".removesuffix(": ")
    except Exception:  # noqa: BLE001 - __str__ is the application's
        return type(error).__name__
    return text if len(text) <= TEXT_LIMIT else f"{text[:TEXT_LIMIT]}..."
