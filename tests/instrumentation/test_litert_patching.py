import functools
import inspect
import pickle
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exray
from exray.instrumentation.guard import forget_logged
from exray.instrumentation.patching import untraced
from exray.testing import MemorySink, recording

from .builders import FLOAT, litert, make_input, make_interpreter, run, seen_tensors

litert_module = litert()

METHODS = [("Interpreter", "__init__"), ("Interpreter", "invoke"), ("SignatureRunner", "__call__")]
ORIGINALS: list[Any] = [vars(getattr(litert_module, owner))[name] for owner, name in METHODS]


def methods() -> list[Any]:
    return [vars(getattr(litert_module, owner))[name] for owner, name in METHODS]


@pytest.fixture(autouse=True)
def _log_anew() -> None:  # pyright: ignore[reportUnusedFunction] - autouse
    forget_logged()


def test_the_classes_are_patched_while_something_is_recorded_and_put_back_after() -> None:
    with recording(MemorySink()):
        assert not any(a is b for a, b in zip(methods(), ORIGINALS, strict=True))

    assert all(a is b for a, b in zip(methods(), ORIGINALS, strict=True))


def test_a_class_imported_before_is_traced_all_the_same() -> None:
    interpreter_class, sink = litert_module.Interpreter, MemorySink()
    with recording(sink):
        interpreter = interpreter_class(str(FLOAT))
        interpreter.allocate_tensors()
        interpreter.invoke()

    assert len(sink.frames) == 1


def test_patched_methods_have_the_signatures_of_their_originals() -> None:
    expected = [inspect.signature(original) for original in ORIGINALS]
    with recording(MemorySink()):
        assert [inspect.signature(method) for method in methods()] == expected
        assert litert_module.Interpreter.invoke.__doc__ == ORIGINALS[1].__doc__


def test_a_traced_interpreter_runs_on_after_the_recording() -> None:
    sink = MemorySink()
    with recording(sink):
        interpreter = make_interpreter()
        expected = run(interpreter, make_input())

    assert run(interpreter, make_input()).tobytes() == expected.tobytes()
    assert len(sink.frames) == 1


def test_a_new_configuration_goes_on_with_old_interpreters_in_a_new_run() -> None:
    first, second = MemorySink(), MemorySink()
    with recording(first, build="1"):
        interpreter = make_interpreter()
        run(interpreter, make_input())
    with recording(second, build="2"):
        run(interpreter, make_input())

    (old,), (new,) = first.runs.values(), second.runs.values()
    assert (old.build, new.build) == ("1", "2")
    assert (old.run_id, old.model_sha256) != (new.run_id, new.model_sha256)
    assert len(seen_tensors(second.frames[0], "layer")) == 5
    assert len(second.graphs) == 1


def test_with_auto_off_only_what_is_instrumented_is_traced() -> None:
    sink = MemorySink()
    with recording(sink, auto=False):
        left_alone, chosen = make_interpreter(), make_interpreter()
        exray.instrument(chosen, path=FLOAT)
        run(left_alone, make_input())
        run(chosen, make_input())

    assert len(sink.frames) == 1


def test_inside_untraced_nothing_is_recorded_and_nothing_preserved() -> None:
    sink = MemorySink()
    with recording(sink):
        traced = make_interpreter()
        with untraced():
            plain = make_interpreter()
            run(plain, make_input())
            run(traced, make_input())
        run(plain, make_input())

    assert sink.frames == []
    assert [op["op_name"] for op in plain._get_ops_details()].count("DELEGATE") == 1


def test_subclasses_are_traced_too() -> None:
    base: Any = litert_module.Interpreter

    class Mine(base):  # type: ignore[misc] # the runtime has no types
        """Counts its invocations, and lets nobody set attributes."""

        def __init__(self, path: Path) -> None:
            object.__setattr__(self, "invocations", 0)
            base.__init__(self, model_path=str(path), num_threads=1)

        def invoke(self) -> None:
            object.__setattr__(self, "invocations", self.invocations + 1)
            base.invoke(self)

        def __setattr__(self, name: str, value: object) -> None:
            if name.startswith("_exray"):
                raise AttributeError(name)
            object.__setattr__(self, name, value)

        def __getattr__(self, name: str) -> Any:
            raise LookupError(name) if name.startswith("_exray") else AttributeError(name)

    sink = MemorySink()
    with recording(sink):
        mine = Mine(FLOAT)
        mine.allocate_tensors()
        run(mine, make_input())

    assert mine.invocations == 1
    assert len(seen_tensors(sink.frames[0], "layer")) == 5


def test_an_interpreter_with_custom_operators_is_traced() -> None:
    sink = MemorySink()
    with recording(sink):
        interpreter = litert_module.InterpreterWithCustomOps([], model_path=str(FLOAT))
        interpreter.allocate_tensors()
        run(interpreter, make_input())

    assert len(seen_tensors(sink.frames[0], "layer")) == 5


def test_a_subclass_that_pickles_itself_is_not_kept_from_it_by_the_tracer() -> None:
    with recording(MemorySink()):
        interpreter = make_interpreter()
        state: dict[str, Any] = {"_exray_model": vars(interpreter)["_exray_model"]}

    assert state["_exray_model"] is not None
    assert pickle.loads(pickle.dumps(state)) == {"_exray_model": None}


# --- construction -----------------------------------------------------------------------


def test_the_warning_that_exray_causes_is_hidden() -> None:
    with recording(MemorySink()):
        make_interpreter()  # pytest makes every warning an error


def test_the_users_own_warning_stays_visible() -> None:
    sink = MemorySink()
    with recording(sink), pytest.warns(UserWarning, match="preserve_all_tensors"):
        interpreter = make_interpreter(experimental_preserve_all_tensors=True)
    assert interpreter is not None


def test_tensors_that_the_user_preserves_himself_are_read_too() -> None:
    sink = MemorySink()
    with recording(sink):
        with pytest.warns(UserWarning, match="preserve_all_tensors"):
            interpreter = make_interpreter(experimental_preserve_all_tensors=True)
        run(interpreter, make_input())

    assert len(seen_tensors(sink.frames[0], "layer")) == 5


def test_threads_that_construct_at_once_leave_the_warning_filters_as_they_were() -> None:
    before = list(warnings.filters)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(5):
                run(make_interpreter(), make_input())
        except BaseException as error:  # noqa: BLE001 - reported below
            failures.append(error)

    sink = MemorySink()
    with recording(sink):
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert failures == []
    assert list(warnings.filters) == before
    assert [len(seen_tensors(frame)) for frame in sink.frames] == [7] * 20
    assert len(sink.runs) == 20


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {"model_path": str(FLOAT)}), ((str(FLOAT), None, None, 1), {})]
)
def test_where_tensors_cannot_be_preserved_the_plain_interpreter_is_made_and_its_edge_traced(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, args: Any, kwargs: Any
) -> None:
    original = ORIGINALS[0]

    @functools.wraps(original)
    def refuse(self: Any, *args: Any, **kwargs: Any) -> None:
        given = inspect.signature(original).bind(self, *args, **kwargs)
        if given.arguments.get("experimental_preserve_all_tensors"):
            raise RuntimeError("not with this delegate")
        original(self, *args, **kwargs)

    monkeypatch.setattr(litert_module.Interpreter, "__init__", refuse)
    sink = MemorySink()
    with recording(sink):
        interpreter = litert_module.Interpreter(*args, **kwargs)
        interpreter.allocate_tensors()
        run(interpreter, make_input())

    (frame,) = sink.frames
    assert {site.role for site, _ in seen_tensors(frame)} == {"input", "output"}
    assert frame.run.model_name == "tiny_float"
    (message,) = caplog.messages
    assert "RuntimeError: not with this delegate" in message


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        (("nowhere.tflite",), {}),
        ((), {"model_path": "nowhere.tflite"}),
        ((), {"model_content": b"TFL3 and no more"}),
        ((str(FLOAT),), {"num_threads": 0}),
        ((str(FLOAT),), {"num_threads": "two"}),
        ((str(FLOAT),), {"experimental_op_resolver_type": 7}),
        ((str(FLOAT),), {"model_content": b"x"}),
        ((str(FLOAT),), {"no_such_option": 1}),
        ((7,), {}),
    ],
)
def test_the_users_own_mistake_is_answered_in_the_runtimes_own_words(
    caplog: pytest.LogCaptureFixture, args: Any, kwargs: Any
) -> None:
    with pytest.raises((ValueError, TypeError, RuntimeError)) as expected:
        litert_module.Interpreter(*args, **kwargs)

    with recording(MemorySink()), pytest.raises(type(expected.value)) as found:
        litert_module.Interpreter(*args, **kwargs)

    assert str(found.value) == str(expected.value)
    assert found.value.__context__ is None
    assert caplog.messages == []


def test_wrong_arguments_of_invoke_are_answered_in_the_runtimes_own_words() -> None:
    interpreter = make_interpreter()
    with pytest.raises(TypeError) as expected:
        interpreter.invoke(1)

    with recording(MemorySink()):
        traced = make_interpreter()
        with pytest.raises(TypeError) as found:
            traced.invoke(1)

    assert str(found.value) == str(expected.value)


def test_options_given_by_position_are_kept() -> None:
    sink = MemorySink()
    with recording(sink):
        interpreter = litert_module.Interpreter(
            str(FLOAT), None, None, 2, litert_module.OpResolverType.BUILTIN_REF
        )
        interpreter.allocate_tensors()
        run(interpreter, make_input())

    (found,) = sink.runs.values()
    assert (found.threads, found.kernels) == (2, "reference")
    assert len(seen_tensors(sink.frames[0], "layer")) == 5


def test_a_path_object_may_name_the_model() -> None:
    sink = MemorySink()
    with recording(sink):
        interpreter = litert_module.Interpreter(model_path=FLOAT)
        interpreter.allocate_tensors()
        run(interpreter, make_input())

    assert sink.frames[0].run.model_name == "tiny_float"


@pytest.mark.keras
def test_tf_lite_is_traced_and_its_own_deprecation_stays_visible() -> None:
    module: Any = pytest.importorskip("tensorflow.lite.python.interpreter")
    sink, value = MemorySink(), make_input()
    expected = run(make_interpreter(), value)
    with recording(sink):
        with pytest.warns(UserWarning, match="deprecated") as shown:
            interpreter = module.Interpreter(str(FLOAT))
        interpreter.allocate_tensors()
        found = run(interpreter, value)

    assert [str(warning.message).strip()[:8] for warning in shown] == ["Warning:"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert sink.frames[0].run.runtime_name == "tf.lite"
    assert len(seen_tensors(sink.frames[0], "layer")) == 5
