"""Which calls of Keras models are traced, and which are left alone."""

import importlib
import warnings
from typing import Any

import numpy as np
import pytest

from exray.testing import MemorySink, recording

from .builders import run, seen_tensors
from .keras_builders import (
    bits,
    functional,
    images,
    layer_names,
    nested,
    sequential,
    shared,
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


def targets(count: int) -> Any:
    return np.zeros((count, 2), np.float32)


# --- training ---------------------------------------------------------------------------


def test_training_and_evaluation_are_not_traced(keras: Any) -> None:
    model, sink = sequential(keras), MemorySink()
    model.compile("sgd", "mse")
    with recording(sink):
        model.fit(vectors(8), targets(8), validation_split=0.5, verbose=0)
        model.evaluate(vectors(8), targets(8), verbose=0)
        model.train_on_batch(vectors(8), targets(8))
        model.test_on_batch(vectors(8), targets(8))
        assert sink.frames == []
        model.predict(vectors(8), verbose=0)
    assert len(sink.frames) == 1


def test_training_that_runs_eagerly_is_not_traced(keras: Any) -> None:
    model, sink = nested(keras), MemorySink()
    model.compile("sgd", "mse", run_eagerly=True)
    with recording(sink):
        model.fit(vectors(8), targets(8), validation_split=0.5, verbose=0)
        model.evaluate(vectors(8), targets(8), verbose=0)
    assert sink.frames == []


def test_training_comes_to_the_same_weights(keras: Any) -> None:
    def application() -> list[bytes]:
        keras.utils.set_random_seed(1)
        model = sequential(keras)
        model.compile("adam", "mse")
        model.predict(vectors(2), verbose=0)
        model.fit(vectors(8), targets(8), verbose=0)
        model(vectors())
        model.fit(vectors(8), targets(8), verbose=0)
        return bits(model.get_weights())

    expected, sink = application(), MemorySink()
    with recording(sink):
        assert application() == expected
    assert len(sink.frames) == 2


def test_what_a_callback_predicts_while_training_is_right_and_not_traced(keras: Any) -> None:
    model, sink = sequential(keras), MemorySink()
    model.compile("sgd", "mse")
    seen: list[Any] = []

    def look(*_: object, **__: object) -> None:
        seen.append(model.predict(vectors(), verbose=0))
        seen.append(np.asarray(model(vectors())))

    with recording(sink):
        model.predict(vectors(), verbose=0)
        callback = keras.callbacks.LambdaCallback(on_epoch_end=look)
        model.fit(vectors(8), targets(8), callbacks=[callback], verbose=0)
        model.predict(vectors(), verbose=0)

    assert len(sink.frames) == 2
    np.testing.assert_allclose(seen[0], seen[1], rtol=1e-5)


def test_what_a_callback_calls_between_predicted_batches_is_traced(keras: Any) -> None:
    model, other, sink = sequential(keras), shared(keras), MemorySink()

    def look(*_: object, **__: object) -> None:
        other(vectors())

    callback = keras.callbacks.LambdaCallback(on_predict_batch_end=look)
    with recording(sink):
        model.predict(vectors(4), batch_size=2, callbacks=[callback], verbose=0)

    assert [f.run.model_name for f in sink.frames] == ["row", "sharing", "row", "sharing"]


def test_a_call_for_training_is_not_traced_nor_what_it_calls(keras: Any) -> None:
    class Frozen(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            keras.Model.__init__(self)
            self.backbone = sequential(keras)

        def call(self, inputs: Any, training: bool = False) -> Any:
            return self.backbone(inputs, training=False)

    class Block(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            keras.layers.Layer.__init__(self)
            self.backbone = sequential(keras)

        def call(self, inputs: Any, training: bool = False) -> Any:
            return self.backbone(inputs)

    class Always(keras.Model):  # type: ignore[misc]
        def call(self, inputs: Any, training: bool = True) -> Any:
            return inputs

    sink = MemorySink()
    with recording(sink):
        for model in (sequential(keras), Frozen(), Block()):
            model(vectors(), training=True)
        Always()(vectors())
        assert sink.frames == []
        for model in (sequential(keras), Frozen(), Block(), Always()):
            model(vectors(), training=False)
    assert len(sink.frames) == 4


def test_gradients_pass_through_a_traced_call(keras: Any, tensorflow: Any) -> None:
    model = functional(keras)

    def gradients() -> list[bytes]:
        value = tensorflow.constant(images())
        with tensorflow.GradientTape() as tape:
            tape.watch(value)
            loss = tensorflow.reduce_sum(model(value) ** 2)
        return bits(tape.gradient(loss, [value, *model.trainable_variables]))

    expected, sink = gradients(), MemorySink()
    with recording(sink):
        assert gradients() == expected
    assert len(sink.frames) == 1


# --- symbols ----------------------------------------------------------------------------


def test_a_call_in_a_function_that_is_compiled_is_not_traced(keras: Any, tensorflow: Any) -> None:
    model, constant = sequential(keras), tensorflow.constant(vectors(seed=8))

    @tensorflow.function  # type: ignore[untyped-decorator, unused-ignore]
    def compiled(value: Any, training: Any) -> Any:
        if tensorflow.reduce_sum(value) > 0:  # turned into the graph's own branch
            return model(value, training=training)
        return model(constant)

    flag = tensorflow.constant(False)
    expected = [bits(compiled(sign * np.ones((1, 3), np.float32), flag)) for sign in (1, -1)]
    sink = MemorySink()
    with recording(sink):
        found = [bits(compiled(sign * np.ones((2, 3), np.float32), flag)) for sign in (1, -1)]

    assert sink.frames == []
    assert [found[0][0][:8], found[1]] == [expected[0][0], expected[1]]


def test_a_model_whose_own_call_is_compiled_is_seen_at_its_edge(
    keras: Any, tensorflow: Any
) -> None:
    class Compiled(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            keras.Model.__init__(self)
            self.dense = keras.layers.Dense(2)

        @tensorflow.function  # type: ignore[untyped-decorator, unused-ignore]
        def call(self, inputs: Any) -> Any:
            return self.dense(inputs)

    model, sink = Compiled(), MemorySink()
    expected = bits(model(vectors()))
    with recording(sink):
        assert bits(model(vectors())) == expected

    (frame,) = sink.frames
    assert [site.role for site, _ in seen_tensors(frame)] == ["input", "output"]


def test_building_a_model_of_models_is_not_traced_and_adds_nothing_of_ours(keras: Any) -> None:
    inner, sink = functional(keras), MemorySink()
    with recording(sink):
        inputs = keras.Input((6, 6, 3), name="outer_x")
        outer = keras.Model(inputs, inner(inputs))
        keras.models.clone_model(outer)
        assert sink.frames == []
        outer(images())
    assert [operation.name for operation in outer.operations] == ["outer_x", "branched"]
    assert len(sink.frames) == 1


@SAVES
def test_a_traced_model_is_converted_to_the_same_file_and_traced_on(
    keras: Any, tensorflow: Any
) -> None:
    model = sequential(keras)

    def convert() -> bytes:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the converter's own
            content: bytes = tensorflow.lite.TFLiteConverter.from_keras_model(model).convert()
        return content

    def outputs_of(content: bytes) -> Any:
        module: Any = importlib.import_module("ai_edge_litert.interpreter")
        interpreter = module.Interpreter(model_content=content)
        interpreter.allocate_tensors()
        return run(interpreter, vectors())

    expected, sink = outputs_of(convert()), MemorySink()
    with recording(sink):
        model.predict(vectors(), verbose=0)
        assert len(sink.frames) == 1
        content = convert()
        assert len(sink.frames) == 1
        model(vectors())
    assert bits(outputs_of(content)) == bits(expected)
    assert len(sink.frames) == 2


# --- outermost --------------------------------------------------------------------------


def test_models_inside_a_traced_one_are_its_layers(keras: Any) -> None:
    class Wrapper(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            keras.Model.__init__(self)
            self.inner = nested(keras)

        def call(self, inputs: Any) -> Any:
            return self.inner(inputs)

    model, sink = Wrapper(), MemorySink()
    with recording(sink):
        model(vectors())
        model.predict(vectors(), verbose=0)

    assert [len(frame.inferences) for frame in sink.frames] == [1, 1]
    assert layer_names(sink.frames[0]) == ["outer/x", "outer/inner/deep", "outer/head"]


def test_a_prediction_that_runs_eagerly_is_one_frame_a_batch(keras: Any) -> None:
    model, sink = nested(keras), MemorySink()
    model.compile(run_eagerly=True)
    with recording(sink):
        model.predict(vectors(4), batch_size=2, verbose=0)
    assert len(sink.frames) == 2


def test_a_prediction_inside_a_prediction_belongs_to_it(keras: Any) -> None:
    class Asking(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            keras.Model.__init__(self)
            self.other = sequential(keras)

        def call(self, inputs: Any) -> Any:
            return keras.ops.convert_to_tensor(self.other.predict_on_batch(inputs))

    model, sink = Asking(), MemorySink()
    model.compile(run_eagerly=True)
    with recording(sink):
        model.other.predict_on_batch(vectors())
        model.predict_on_batch(vectors())
        model(vectors())
    assert [frame.run.model_name for frame in sink.frames] == ["row", model.name, model.name]
