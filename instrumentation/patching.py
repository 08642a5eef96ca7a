"""Classes of runtimes, patched so that the application's own calls are traced.

Classes are patched, never names in modules: an application that imported the class
before exray was configured is traced all the same. A runtime that is not imported yet
is patched when it is, and is never imported from here.
"""

import functools
import importlib
import os
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import wrapt

from .guard import guard
from .recorder import Recorder

FindRecorder = Callable[[], Recorder | None]
"""Returns the recorder of this process, None while nothing is recorded."""

PatchModule = Callable[[ModuleType, FindRecorder], None]
"""Patches a runtime's module that is imported."""

untraced_threads: dict[int, int] = {}
"""How many blocks of `untraced` each thread is inside, by its identity; those in none are absent.

No `threading.local`: to ask that takes tens of microseconds behind a network, and most ask."""


def _forget_other_threads() -> None:
    """Keep of a forked child what is of its only thread."""
    own = threading.get_ident()
    for other in [thread for thread in untraced_threads if thread != own]:
        del untraced_threads[other]


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget_other_threads)


class untraced:  # noqa: N801 - reads as a statement: with untraced(): ...
    """Leave alone what this thread constructs and runs inside the block."""

    def __enter__(self) -> None:
        thread = threading.get_ident()
        untraced_threads[thread] = untraced_threads.get(thread, 0) + 1

    def __exit__(self, *_: object) -> None:
        thread = threading.get_ident()
        depth = untraced_threads.pop(thread) - 1
        if depth:
            untraced_threads[thread] = depth


def is_untraced() -> bool:
    """Whether this thread is inside `untraced`."""
    return threading.get_ident() in untraced_threads


# --- when a module is imported ----------------------------------------------------------

_hooked: set[str] = set()


def patch_when_imported(name: str, patch: PatchModule, find_recorder: FindRecorder) -> None:
    """Patch module *name* now if it is imported, else as soon as it is.

    While nothing is recorded an import patches nothing.

    Args:
        name: The module's absolute name.
        patch: Does the work, under the guard.
        find_recorder: Returns the recorder at the time of the import.
    """

    def patch_it(module: ModuleType) -> None:
        if find_recorder() is not None:
            with guard(f"patch {name}"):
                patch(module, find_recorder)

    module = sys.modules.get(name)
    if module is not None:
        if getattr(getattr(module, "__spec__", None), "_initializing", False):
            # Another thread is importing it just now. This waits for that.
            with guard(f"wait for {name}"):
                importlib.import_module(name)
        patch_it(module)
    elif name not in _hooked:
        _hooked.add(name)
        wrapt.register_post_import_hook(functools.partial(_imported, name, patch_it), name)


def _imported(name: str, patch_it: Callable[[ModuleType], None], module: ModuleType) -> None:
    _hooked.discard(name)  # the hook fires once; a module that is imported again gets another
    patch_it(module)


# --- methods ----------------------------------------------------------------------------


_INHERITED = object()
"""Stands for the original of a method that the class had from a base."""

_lock = threading.RLock()
_originals: list[tuple[type, str, Any, Any]] = []
_undos: list[Callable[[], None]] = []


def replace_method(owner: type, name: str, make: Callable[[Any], Any]) -> None:
    """Replace a method by what *make* returns for the original; a second time does nothing."""
    with _lock:
        original = getattr(owner, name)
        if getattr(original, "__exray_patched__", False):
            return
        patched: Any = functools.wraps(original)(make(original))
        patched.__exray_patched__ = True
        _originals.append((owner, name, vars(owner).get(name, _INHERITED), patched))
        setattr(owner, name, patched)


def replace_classmethod(owner: type, name: str, make: Callable[[Any], Any]) -> None:
    """Replace a class method by what *make* returns for its function, which takes the class."""
    with _lock:
        original = vars(owner)[name]
        if getattr(original.__func__, "__exray_patched__", False):
            return
        function: Any = functools.wraps(original.__func__)(make(original.__func__))
        function.__exray_patched__ = True
        patched: Any = classmethod(function)
        _originals.append((owner, name, original, patched))
        setattr(owner, name, patched)


def when_unpatched(undo: Callable[[], None]) -> None:
    """Have *undo* called, once, when the patched methods are put back."""
    with _lock:
        if undo not in _undos:
            _undos.append(undo)


def unpatch() -> None:
    """Put every patched method back.

    One that somebody else has wrapped since stays: to put ours back would undo theirs. It
    passes everything on while nothing is recorded.
    """
    with _lock:
        while _undos:
            with guard("leave a runtime as it was"):
                _undos.pop()()
        while _originals:
            owner, name, original, patched = _originals.pop()
            if vars(owner).get(name) is not patched:
                continue
            if original is _INHERITED:
                delattr(owner, name)
            else:
                setattr(owner, name, original)


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
