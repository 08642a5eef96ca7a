"""The batches of prediction, one by one, and nothing else."""

import copy
import gc
import importlib
import weakref
from typing import Any

import numpy as np
import pytest

from exray.instrumentation.keras_predict import Batch, is_predicting, wrap_predict_function

pytestmark = pytest.mark.keras


@pytest.fixture(name="keras", scope="module")
def keras_fixture() -> Any:
    pytest.importorskip("tensorflow")
    return importlib.import_module("keras")


class Batches:
    """Keeps what it is called with."""

    def __init__(self) -> None:
        self.seen: list[Batch] = []

    def __call__(self, batch: Batch) -> None:
        self.seen.append(batch)

    @property
    def sizes(self) -> list[int]:
        return [batch.inputs.shape[0] for batch in self.seen]


def attribute_names(model: Any) -> set[str]:
    attributes: dict[str, Any] = model.__dict__
    return set(attributes)


def small_model(keras: Any) -> Any:
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, activation="relu")])


def rows(count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(4).normal(size=(count, 3)).astype(np.float32)


def test_predict_calls_back_once_per_batch_with_inputs_and_outputs(keras: Any) -> None:
    model, batches, inputs = small_model(keras), Batches(), rows(10)
    plain = model.predict(inputs, batch_size=4, verbose=0)
    wrap_predict_function(model, batches)
    watched = model.predict(inputs, batch_size=4, verbose=0)
    assert watched.tobytes() == plain.tobytes()
    assert batches.sizes == [4, 4, 2]
    assert (np.concatenate([b.inputs for b in batches.seen]) == inputs).all()
    assert (np.concatenate([b.outputs for b in batches.seen]) == plain).all()
    assert all(batch.dur_ns > 0 for batch in batches.seen)


def test_predict_on_batch_calls_back_once(keras: Any) -> None:
    model, batches = small_model(keras), Batches()
    wrap_predict_function(model, batches)
    model.predict_on_batch(rows(3))
    assert batches.sizes == [3]


def test_training_evaluation_and_plain_calls_are_not_seen(keras: Any) -> None:
    model, batches = small_model(keras), Batches()
    model.compile("sgd", "mse")
    wrap_predict_function(model, batches)
    targets = np.zeros((8, 2), np.float32)
    model.fit(rows(8), targets, validation_data=(rows(8), targets), verbose=0)
    model.evaluate(rows(8), targets, verbose=0)
    model.train_on_batch(rows(8), targets)
    model.test_on_batch(rows(8), targets)
    model(rows(8))
    assert batches.seen == []


def test_compiling_again_changes_nothing(keras: Any) -> None:
    model, batches = small_model(keras), Batches()
    wrap_predict_function(model, batches)
    model.predict(rows(2), verbose=0)
    model.compile("sgd", "mse")
    model.predict(rows(2), verbose=0)
    model.make_predict_function(force=True)
    model.predict(rows(2), verbose=0)
    assert batches.sizes == [2, 2, 2]


def test_steps_computed_at_once_are_told_apart_without_a_time(keras: Any) -> None:
    model, batches, inputs = small_model(keras), Batches(), rows(10)
    model.compile(steps_per_execution=2)
    wrap_predict_function(model, batches)
    outputs = model.predict(inputs, batch_size=4, verbose=0)
    assert batches.sizes == [4, 4, 2]
    assert (np.concatenate([b.outputs for b in batches.seen]) == outputs).all()
    assert [b.dur_ns > 0 for b in batches.seen] == [False, False, True]


def test_undo_leaves_the_model_as_it_was(keras: Any) -> None:
    model, batches = small_model(keras), Batches()
    model.predict(rows(2), verbose=0)
    attributes = attribute_names(model)
    undo = wrap_predict_function(model, batches)
    model.predict(rows(2), verbose=0)
    undo()
    undo()
    model.predict(rows(2), verbose=0)
    assert batches.sizes == [2]
    assert attribute_names(model) == attributes
    assert type(model.predict_function).__module__.startswith("tensorflow")


# Keras 3.15 reads its variables in a way that numpy 2 deprecates.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_watched_model_can_be_saved(keras: Any, tmp_path: Any) -> None:
    model, batches = small_model(keras), Batches()
    wrap_predict_function(model, batches)
    expected = model.predict(rows(2), verbose=0)
    model.save(tmp_path / "m.keras")
    model.export(tmp_path / "served", verbose=False)
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert (loaded.predict(rows(2), verbose=0) == expected).all()
    assert batches.sizes == [2]


def test_callback_that_fails_does_not_reach_the_host(
    keras: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EXRAY_GUARD")
    model = small_model(keras)
    plain = model.predict(rows(2), verbose=0)

    def fail(*_: object) -> None:
        raise RuntimeError("no space")

    wrap_predict_function(model, fail)
    assert (model.predict(rows(2), verbose=0) == plain).all()


def test_a_batch_that_fails_is_seen_with_its_error_which_is_raised(keras: Any) -> None:
    class Broken(keras.Model):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            raise ZeroDivisionError("mine")

    model, batches = Broken(), Batches()
    wrap_predict_function(model, batches)
    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        model.predict_on_batch(rows(3))
    (batch,) = batches.seen
    assert isinstance(batch.error, ZeroDivisionError)
    assert str(batch.error) == str(caught.value)
    assert (batch.inputs.shape, batch.outputs) == ((3, 3), None)
    assert not is_predicting()


def test_a_make_predict_function_that_takes_no_argument_is_wrapped(keras: Any) -> None:
    class Own(keras.Sequential):  # type: ignore[misc]
        def make_predict_function(self) -> Any:
            def predict_function(data: Any) -> Any:
                return self(data[0][0])

            self.predict_function: Any = predict_function
            return predict_function

    model, batches = Own([keras.Input((3,)), keras.layers.ReLU()]), Batches()
    wrap_predict_function(model, batches)
    model.predict_on_batch(rows(2))
    model.predict_on_batch(rows(2))
    assert batches.sizes == [2, 2]


def test_a_predict_function_of_another_shape_is_called_as_it_wants(keras: Any) -> None:
    """As other backends of Keras have them: they are passed through unseen."""

    def predict_function(state: Any, data: Any, *, flag: bool) -> Any:
        return state, data, flag

    model, batches = small_model(keras), Batches()
    model.make_predict_function = lambda: None
    model.predict_function = predict_function
    wrap_predict_function(model, batches)
    model.make_predict_function()
    assert model.predict_function("state", [1], flag=True) == ("state", [1], True)
    assert batches.seen == []


def test_a_watched_function_has_the_attributes_of_the_compiled_one(keras: Any) -> None:
    model = small_model(keras)
    wrap_predict_function(model, Batches())
    model.predict(rows(2), verbose=0)
    assert callable(model.predict_function.get_concrete_function)
    assert copy.copy(model.predict_function).compiled is model.predict_function.compiled


def test_undo_leaves_what_somebody_else_put_on_top(keras: Any) -> None:
    model = small_model(keras)
    undo = wrap_predict_function(model, Batches())
    below = model.make_predict_function
    theirs = model.__dict__["make_predict_function"] = lambda: below()
    undo()
    assert model.make_predict_function is theirs


def test_undo_does_not_keep_a_model_alive(keras: Any) -> None:
    model = small_model(keras)
    undo = wrap_predict_function(model, Batches())
    dropped = weakref.ref(model)
    del model
    gc.collect()
    assert dropped() is None
    undo()


def test_is_predicting_covers_what_prediction_calls_eagerly(keras: Any) -> None:
    inside: list[bool] = []

    class Homemade(keras.Model):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            inside.append(is_predicting())
            return inputs

    model = Homemade()
    model.compile(run_eagerly=True)
    wrap_predict_function(model, Batches())
    model.predict_on_batch(rows(1))
    model(rows(1))
    assert inside == [True, False]
