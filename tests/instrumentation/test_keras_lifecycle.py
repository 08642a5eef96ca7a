"""Tracing of Keras models begins and ends without a trace, and bears what else is done to them."""

import copy
import gc
import importlib
import pickle
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exray
from exray.instrumentation import api, keras_patching
from exray.instrumentation.guard import forget_logged
from exray.schema.errors import UsageError
from exray.testing import MemorySink, recording

from .builders import seen_tensors
from .keras_builders import (
    bits,
    functional,
    images,
    layer_names,
    many,
    nested,
    sequential,
    shared,
    subclassed,
    vectors,
)

pytestmark = pytest.mark.keras

# Keras 3.15 reads variables that it saves in a way that numpy 2 deprecates.
SAVES = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(name="keras", scope="module")
def keras_fixture() -> Any:
    pytest.importorskip("tensorflow")
    return importlib.import_module("keras")


@pytest.fixture(name="tensorflow", scope="module")
def tensorflow_fixture() -> Any:
    return pytest.importorskip("tensorflow")


# --- configurations ---------------------------------------------------------------------


def attributes_of(keras: Any) -> dict[str, object]:
    owners: list[Any] = [*keras.Model.__mro__[:-1]]
    return {
        f"{owner.__name__}.{name}": vars(owner)[name]
        for owner in owners
        for name in dir(owner)
        if name in vars(owner)
    }


def test_shutdown_leaves_classes_and_models_as_they_were(keras: Any) -> None:
    model, before = sequential(keras), attributes_of(keras)
    model.predict(vectors(), verbose=0)
    own = {**model.__dict__}
    with recording(MemorySink()):
        model(vectors())
        model.predict(vectors(), verbose=0)
        assert attributes_of(keras) != before

    assert attributes_of(keras) == before
    assert set(model.__dict__) == set(own)
    assert model.predict_function is own["predict_function"]


def test_a_model_that_was_compiled_under_tracing_is_left_with_its_own_function(
    keras: Any,
) -> None:
    model = sequential(keras)
    with recording(MemorySink()):
        expected = model.predict(vectors(), verbose=0)
    assert type(model.predict_function).__module__.startswith("tensorflow")
    assert bits(model.predict(vectors(), verbose=0)) == bits(expected)


def test_each_configuration_records_into_its_own(keras: Any) -> None:
    model, first, second = sequential(keras), MemorySink(), MemorySink()
    with recording(first):
        model(vectors())
        model.predict(vectors(), verbose=0)
    model(vectors())
    model.predict(vectors(), verbose=0)
    with recording(second):
        model.predict(vectors(), verbose=0)
        model(vectors())
        model.predict(vectors(), verbose=0)

    assert (len(first.frames), len(second.frames)) == (2, 3)
    assert len(first.runs) == len(second.runs) == 1
    assert set(first.runs) != set(second.runs)


def test_with_auto_false_only_what_was_asked_for_is_traced(keras: Any) -> None:
    asked, other, sink = sequential(keras), shared(keras), MemorySink()
    with recording(MemorySink()):
        other(vectors())  # traced then, left alone now
    with recording(sink, auto=False):
        exray.instrument(asked)
        for model in (asked, other):
            model(vectors())
            model.predict(vectors(), verbose=0)
    with recording(sink, auto=False):
        asked(vectors())

    assert [frame.run.model_name for frame in sink.frames] == ["row"] * 3


def test_an_asked_for_model_inside_one_that_is_left_alone_is_traced(keras: Any) -> None:
    model, sink = nested(keras), MemorySink()
    with recording(sink, auto=False):
        exray.instrument(model.get_layer("inner"))
        model(vectors())
    assert [frame.run.model_name for frame in sink.frames] == ["inner"]


def test_run_of_a_model_is_the_one_it_is_recorded_as(keras: Any) -> None:
    model, sink = sequential(keras), MemorySink()
    with recording(sink):
        assert api.run_of(model) is None
        model(vectors())
        assert api.run_of(model) is sink.frames[0].run
    assert api.run_of([]) is None


def test_keras_on_another_backend_is_left_alone_and_the_log_says_so(
    keras: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model, sink = sequential(keras), MemorySink()
    monkeypatch.setattr(keras.config, "backend", lambda: "torch")
    with recording(sink):
        model(vectors())
        model.predict(vectors(), verbose=0)
        with pytest.raises(UsageError, match="on torch, expected Keras 3 on tensorflow"):
            exray.instrument(model)
    assert sink.frames == []
    assert "on torch" in caplog.text


def test_a_layer_is_no_model_and_the_error_says_what_is(keras: Any) -> None:
    with recording(MemorySink()), pytest.raises(UsageError, match="Dense is a part of Keras"):
        exray.instrument(keras.layers.Dense(2))


BEFORE = """
import sys
import numpy as np
{first}
import exray
from exray.testing import MemorySink, recording
sink = MemorySink()
with recording(sink):
    assert ("keras" in sys.modules) is {imported}
    {second}
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model(np.ones((1, 3), np.float32))
    model.predict(np.ones((1, 3), np.float32), verbose=0)
assert len(sink.frames) == 2, sink.frames
"""


@pytest.mark.parametrize(
    ("statement", "is_first"),
    [("import keras", True), ("import keras", False), ("from tensorflow import keras", False)],
)
def test_keras_is_traced_whether_it_is_imported_before_or_after(
    statement: str, is_first: bool
) -> None:
    """In a process of its own; with every warning shown, since none may be of exray's."""
    first, second = (f"{statement}; keras.Model", "pass") if is_first else ("", statement)
    script = BEFORE.format(first=first, second=second, imported=is_first)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "exray" not in done.stderr


def test_keras_is_never_imported_by_tracing() -> None:
    script = (
        "import sys, exray\n"
        "from exray.testing import MemorySink, recording\n"
        "with recording(MemorySink()):\n"
        "    with exray.frame('a'): pass\n"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


# --- what else may be done with a traced model ------------------------------------------


@SAVES
def test_a_traced_model_is_saved_pickled_and_cloned_as_an_untraced_one(
    keras: Any, tmp_path: Path
) -> None:
    model, sink = sequential(keras), MemorySink()
    with recording(sink):
        expected = bits(model.predict(vectors(), verbose=0))
        model(vectors())
        model.save(tmp_path / "m.keras")
        model.save(tmp_path / "m.weights.h5".replace(".weights", ""))
        model.export(tmp_path / "served", verbose=False)
        clone = keras.models.clone_model(model)
        clone.set_weights(model.get_weights())
        copies = [
            keras.models.load_model(tmp_path / "m.keras"),
            keras.models.load_model(tmp_path / "m.h5", compile=False),
            pickle.loads(pickle.dumps(model)),
            copy.deepcopy(model),
            clone,
        ]
        assert len(sink.frames) == 2
        for one in copies:
            assert bits(one.predict(vectors(), verbose=0)) == expected
    assert len({frame.run.run_id for frame in sink.frames}) == 6
    for one in copies:
        assert "make_predict_function" not in one.__dict__


def test_a_model_of_the_applications_own_make_predict_function_is_watched(keras: Any) -> None:
    class Own(keras.Sequential):  # type: ignore[misc]
        def make_predict_function(self) -> Any:
            def predict_function(data: Any) -> Any:
                return self(data[0][0])

            self.predict_function: Any = predict_function
            return predict_function

    model, sink = Own([keras.Input((3,)), keras.layers.Dense(2, name="only")]), MemorySink()
    expected = bits(model.predict_on_batch(vectors()))
    with recording(sink):
        assert bits(model.predict_on_batch(vectors())) == expected
    assert [layer_names(frame) for frame in sink.frames] == [["only"]]


def test_a_traced_model_is_freed_with_its_last_reference(keras: Any) -> None:
    sink = MemorySink()
    with recording(sink):
        for make in (sequential, subclassed, nested):
            model = make(keras)
            model(vectors())
            model.predict(vectors(), verbose=0)
            dropped = weakref.ref(model)
            del model
            gc.collect()
            assert dropped() is None, make
    assert len(keras_patching.traced_models) == len(keras_patching.watched_models) == 0
    assert len(sink.frames) == 6


def test_no_tensor_outlives_its_frame(keras: Any, tensorflow: Any) -> None:
    kept: list[weakref.ref[Any]] = []

    class Marking(keras.layers.Layer):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            output = inputs + 1
            if tensorflow.executing_eagerly():
                kept.append(weakref.ref(output))
            return output

    model = keras.Sequential([keras.Input((3,)), Marking(), keras.layers.ReLU()])
    with recording(MemorySink()):
        gc.collect()
        gc.disable()
        try:
            model(vectors())
            model.predict_on_batch(vectors())
            assert len(kept) == 2
            assert [reference() for reference in kept] == [None, None]
        finally:
            gc.enable()


def test_two_threads_call_and_predict_at_once(keras: Any) -> None:
    models = [functional(keras), functional(keras)]
    for model in models:
        model.predict(images(), verbose=0)
    sink, meet = MemorySink(), threading.Barrier(4)
    failures: list[BaseException] = []

    def work(model: Any, compute: Callable[..., Any], seed: int) -> None:
        try:
            expected = bits(compute(images(2, seed)))
            meet.wait(timeout=20)
            for _ in range(5):
                with exray.frame(input_id=f"{seed}"):
                    assert bits(compute(images(2, seed))) == expected
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failures.append(error)
            meet.abort()

    with recording(sink):
        threads = [
            threading.Thread(target=work, args=(model, compute, 10 * i + j))
            for i, model in enumerate(models)
            for j, compute in enumerate((model, model.predict_on_batch))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert failures == []
    named = [frame for frame in sink.frames if frame.input_id in ("0", "1", "10", "11")]
    assert len(named) == 20
    assert {tuple(layer_names(frame)) for frame in named} == {("x", "conv", "bn", "both", "flat")}
    assert len(sink.runs) == 2
    seen = {f.input_id: {row["hash"] for _, row in seen_tensors(f, "input")} for f in named}
    assert [len(hashes) for hashes in seen.values()] == [1] * 4


def test_exray_says_nothing_that_keras_does_not_say_itself(
    keras: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Models that want a list, a dict or a mask warn of structures that do not fit."""
    inputs = keras.Input((3,), name="x")
    listed = keras.Model([inputs], [keras.layers.ReLU()(inputs)])
    ids = keras.Input((4,), dtype="int32")
    masked = keras.Model(
        ids, keras.layers.LSTM(2)(keras.layers.Embedding(5, 3, mask_zero=True)(ids))
    )
    forget_logged()

    def application() -> None:
        listed([vectors()])
        listed.predict([vectors()], verbose=0)
        listed.predict(vectors(), verbose=0)
        masked(np.array([[1, 2, 0, 0]]))
        masked.predict(np.array([[1, 2, 0, 0]]), verbose=0)
        many(keras).predict({"left": vectors(), "right": vectors()}, verbose=0)

    def said() -> list[str]:
        with warnings.catch_warnings(record=True) as shown:
            warnings.simplefilter("always")
            application()
        return [str(warning.message) for warning in shown]

    said()
    plain = said()
    capfd.readouterr()
    with recording(MemorySink()):
        assert said() == plain
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.name.startswith("exray")] == []
