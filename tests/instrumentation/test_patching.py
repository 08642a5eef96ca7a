import functools
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from exray.instrumentation.guard import forget_logged
from exray.instrumentation.patching import (
    is_untraced,
    patch_when_imported,
    replace_classmethod,
    replace_method,
    unpatch,
    untraced,
    when_unpatched,
)
from exray.instrumentation.recorder import Recorder
from exray.testing import MemorySink, recording


class Base:
    def run(self) -> str:
        """Run it."""
        return "plain"


class Derived(Base):
    def stop(self) -> str:
        return "stopped"


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction] - autouse
    forget_logged()
    yield
    unpatch()


def loud(original: Any) -> Any:
    def run(self: Any) -> str:
        return f"{original(self)}!"

    return run


def test_a_replaced_method_wraps_the_original_and_looks_like_it() -> None:
    replace_method(Base, "run", loud)

    assert Base().run() == "plain!"
    assert (Base.run.__name__, Base.run.__doc__) == ("run", "Run it.")


def test_replacing_twice_wraps_once() -> None:
    replace_method(Base, "run", loud)
    replace_method(Base, "run", loud)

    assert Base().run() == "plain!"


def test_the_very_same_function_is_put_back() -> None:
    original = vars(Base)["run"]
    replace_method(Base, "run", loud)

    unpatch()

    assert vars(Base)["run"] is original


def test_an_inherited_method_is_inherited_again() -> None:
    replace_method(Derived, "run", loud)
    assert Derived().run() == "plain!"

    unpatch()

    assert "run" not in vars(Derived)
    assert Derived().run() == "plain"


def test_what_somebody_else_has_wrapped_since_is_left_to_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replace_method(Base, "run", loud)
    ours: Any = Base.run

    @functools.wraps(ours)
    def theirs(self: Base) -> str:
        return f"[{ours(self)}]"

    monkeypatch.setattr(Base, "run", theirs)
    unpatch()

    assert Base.run is theirs


def test_inside_untraced_this_thread_is_left_alone_and_no_other() -> None:
    others: list[bool] = []
    with untraced(), untraced():
        thread = threading.Thread(target=lambda: others.append(is_untraced()))
        thread.start()
        thread.join()
        assert is_untraced()

    assert others == [False]
    assert not is_untraced()


# --- when a module is imported ----------------------------------------------------------


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Name of a module that can be imported and is not yet."""
    name = f"runtime_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text("class Interpreter:\n    pass\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield name
    sys.modules.pop(name, None)


def mark(found: ModuleType, find_recorder: object) -> None:
    found.__dict__["patched"] = found.__dict__.get("patched", 0) + 1


def import_it(name: str) -> Any:
    __import__(name)
    return sys.modules[name]


def test_an_imported_module_is_patched_now(module: str) -> None:
    found = import_it(module)
    with recording(MemorySink()) as recorder:
        patch_when_imported(module, mark, lambda: recorder)

    assert found.patched == 1


def test_a_module_is_patched_when_it_is_imported_and_not_imported_for_that(module: str) -> None:
    with recording(MemorySink()) as recorder:
        patch_when_imported(module, mark, lambda: recorder)
        assert module not in sys.modules

        assert import_it(module).patched == 1


def test_a_module_that_is_asked_for_often_is_patched_once(module: str) -> None:
    with recording(MemorySink()) as recorder:
        for _ in range(3):
            patch_when_imported(module, mark, lambda: recorder)

        assert import_it(module).patched == 1


def test_a_module_that_another_thread_is_importing_is_patched_when_that_is_done(
    module: str, tmp_path: Path
) -> None:
    slow = "import time\ntime.sleep(0.2)\nclass Interpreter:\n    pass\n"
    (tmp_path / f"{module}.py").write_text(slow)
    thread = threading.Thread(target=import_it, args=(module,))

    def patch(found: Any, find_recorder: object) -> None:
        found.Interpreter.patched = True

    thread.start()
    while module not in sys.modules:
        time.sleep(0.001)
    with recording(MemorySink()) as recorder:
        patch_when_imported(module, patch, lambda: recorder)
    thread.join()

    assert sys.modules[module].Interpreter.patched


def test_while_nothing_is_recorded_an_import_patches_nothing_and_later_it_is_patched(
    module: str,
) -> None:
    current: list[Recorder] = []
    patch_when_imported(module, mark, lambda: current[0] if current else None)
    found = import_it(module)
    assert not hasattr(found, "patched")

    with recording(MemorySink()) as recorder:
        current.append(recorder)
        patch_when_imported(module, mark, lambda: current[0])

    assert found.patched == 1


def test_an_import_succeeds_though_patching_fails(
    module: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("EXRAY_GUARD")

    def fail(found: ModuleType, find_recorder: object) -> None:
        raise AttributeError("no Interpreter")

    with recording(MemorySink()) as recorder:
        patch_when_imported(module, fail, lambda: recorder)
        import_it(module)

    assert f"could not patch {module}: AttributeError" in caplog.messages[0]


def test_what_else_is_to_be_undone_is_undone_once_though_some_of_it_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("EXRAY_GUARD")
    undone: list[str] = []

    def undo() -> None:
        undone.append("undone")

    def fail() -> None:
        raise OSError("no")

    for one in (undo, undo, fail):
        when_unpatched(one)
    unpatch()
    unpatch()

    assert undone == ["undone"]


def test_a_class_method_is_replaced_for_the_class_and_what_derives_from_it_and_put_back() -> None:
    class Made:
        @classmethod
        def make(cls, value: int) -> "tuple[type[Made], int]":
            """Make one."""
            return cls, value

    class Derived(Made):
        pass

    original = vars(Made)["make"]

    def doubled(function: Any) -> Any:
        return lambda cls, value: function(cls, 2 * value)

    replace_classmethod(Made, "make", doubled)
    replace_classmethod(Made, "make", doubled)
    assert (Made.make(1), Derived.make(1)) == ((Made, 2), (Derived, 2))
    assert Made.make.__doc__ == "Make one."
    unpatch()
    assert vars(Made)["make"] is original
