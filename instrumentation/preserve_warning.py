"""The runtime's warning about preserved tensors, kept from a user who did not ask for them.

`warnings.catch_warnings` is no tool for somebody else's process: it exchanges the filters
of all threads, and two threads that leave it in the wrong order keep each other's filters
for good. Here one filter is put in that matches only on the thread that constructs; no
other thread notices, and nothing is put back but what was put in.
"""

import contextlib
import threading
import warnings
from typing import Any, cast

BEGINNING = "Warning: Enabling `experimental_preserve_all_tensors`"
"""How the runtime's warning begins."""

_constructing = threading.local()


class _Pattern:
    """Stands where a filter has its compiled pattern."""

    def match(self, text: str) -> bool:
        """Return whether *text* is the warning, and caused by exray."""
        return getattr(_constructing, "depth", 0) > 0 and text.lstrip().startswith(BEGINNING)


class without_preserve_warning:  # noqa: N801 - reads as a statement
    """Hide the warning about preserved tensors on this thread, and no other."""

    def __enter__(self) -> None:
        # First in the list: an application may have made warnings errors.
        self._entry = ("ignore", _Pattern(), Warning, None, 0)
        self._filters = cast("list[Any]", warnings.filters)
        self._filters.insert(0, self._entry)
        _constructing.depth = getattr(_constructing, "depth", 0) + 1

    def __exit__(self, *_: object) -> None:
        _constructing.depth -= 1
        # Gone if the application has reset its filters meanwhile.
        with contextlib.suppress(ValueError):
            self._filters.remove(self._entry)
