"""A second pass shows the layers and changes nothing."""

import importlib
from typing import Any

import numpy as np
import pytest

from exray.instrumentation.keras_shadow import kept_state, predict_call, shadow_pass
from exray.instrumentation.keras_tap import LayerCall
from exray.testing import MemorySink, recording

from .keras_builders import (
    bits,
    counting,
    drawing,
    functional,
    images,
    many,
    recurrent,
    sequential,
    vectors,
)

pytestmark = pytest.mark.keras


@pytest.fixture(name="keras", scope="module")
def keras_fixture() -> Any:
    pytest.importorskip("tensorflow")
    return importlib.import_module("keras")


def names(calls: list[LayerCall]) -> list[str]:
    return [call.layer.name for call in calls]


def test_the_layers_of_a_predicted_batch_are_seen(keras: Any) -> None:
    model, value = functional(keras), images()
    predicted = model.predict_on_batch(value)
    calls = shadow_pass(model, predict_call(model, (value,)))
    assert names(calls) == ["x", "conv", "bn", "both", "flat"]
    np.testing.assert_allclose(calls[-1].arrays()[0], predicted, rtol=1e-4, atol=1e-6)


def test_on_call_gets_the_calls_instead(keras: Any) -> None:
    model, seen = functional(keras), list[LayerCall]()
    assert shadow_pass(model, lambda: model(images()), seen.append) == []
    assert len(seen) == 5


def test_targets_of_a_batch_are_not_the_models_inputs(keras: Any) -> None:
    model, value = sequential(keras), vectors()
    (_, last) = shadow_pass(model, predict_call(model, (value, np.zeros((1, 2)))))
    assert bits(last.outputs) == bits(model(value))


def test_the_pass_itself_is_not_traced(keras: Any) -> None:
    model, sink = sequential(keras), MemorySink()
    with recording(sink):
        shadow_pass(model, lambda: model(vectors()))
    assert sink.frames == []


@pytest.mark.parametrize("make", [recurrent, drawing, counting])
def test_state_that_a_call_changes_is_that_of_before(keras: Any, make: Any) -> None:
    value = np.ones((1, 5, 3) if make is recurrent else (1, 3), np.float32)

    def application(*, watched: bool) -> list[list[bytes]]:
        keras.utils.set_random_seed(1)
        model = make(keras)
        outputs = [bits(model(value))]
        if watched:
            assert shadow_pass(model, lambda: model(value))
        return [*outputs, bits(model(value))]

    expected = application(watched=False)
    assert expected[0] != expected[1]  # there is state to lose
    assert application(watched=True) == expected


def test_state_is_put_back_after_an_error(keras: Any) -> None:
    model = counting(keras)
    model(vectors())
    layer = model.layers[0]
    with pytest.raises(ZeroDivisionError), kept_state(model):
        layer.count.assign(9.0)
        raise ZeroDivisionError
    assert float(layer.count) == 1.0


def test_weights_that_another_thread_trains_meanwhile_stay_trained(keras: Any) -> None:
    """They are not read before and written after: nothing in between would be safe."""
    import threading

    model = functional(keras)
    mean = model.get_layer("bn").moving_mean
    with kept_state(model):
        thread = threading.Thread(target=mean.assign, args=(np.ones(4, np.float32),))
        thread.start()
        thread.join()
    assert np.asarray(mean.value).tolist() == [1, 1, 1, 1]


def test_losses_of_the_applications_call_stay(keras: Any) -> None:
    dense = keras.layers.Dense(2, activity_regularizer="l2")
    model = keras.Sequential([keras.Input((3,)), dense])
    model(vectors(seed=1))
    expected = bits(model.losses)
    shadow_pass(model, lambda: model(vectors(seed=2)))
    assert bits(model.losses) == expected
    assert len(expected) == 1


def test_a_predict_step_of_ones_own_is_what_is_run(keras: Any) -> None:
    class Halved(keras.Sequential):  # type: ignore[misc]
        def predict_step(self, data: Any) -> Any:
            return self(data[0] / 2)

    model = Halved([keras.Input((3,)), keras.layers.ReLU(name="only")])
    (call,) = shadow_pass(model, predict_call(model, (vectors(),)))
    assert bits(call.outputs) == bits(np.maximum(vectors() / 2, 0))


def test_inputs_keep_the_structure_that_the_model_wants(keras: Any) -> None:
    value = {"left": vectors(), "right": vectors(seed=9)}
    model = many(keras)
    assert len(shadow_pass(model, predict_call(model, (value,)))) == 5

    only = keras.Input((3,), name="x")
    listed = keras.Model([only], keras.layers.ReLU(name="act")(only))
    for given in (vectors(), [vectors()]):
        assert names(shadow_pass(listed, predict_call(listed, (given,)))) == ["x", "act"]
