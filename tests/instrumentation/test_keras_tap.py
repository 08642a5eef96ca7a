"""Every layer's output of an eager call: complete, exact, and gone afterwards."""

import importlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exray.instrumentation.keras_graph import OutputSpec
from exray.instrumentation.keras_model import load_keras
from exray.instrumentation.keras_tap import LayerCall, LayerTap

pytestmark = pytest.mark.keras


@pytest.fixture(name="keras", scope="module")
def keras_fixture() -> Any:
    pytest.importorskip("tensorflow")
    return importlib.import_module("keras")


def functional(keras: Any) -> Any:
    inputs = keras.Input((6, 6, 3), name="x")
    conv = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    left = keras.layers.BatchNormalization(name="bn")(conv)
    both = keras.layers.Add(name="both")([left, conv])
    return keras.Model(inputs, keras.layers.Flatten(name="flat")(both))


def names(calls: list[LayerCall]) -> list[str]:
    return [call.layer.name for call in calls]


def images(count: int = 1) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(5).normal(size=(count, 6, 6, 3)).astype(np.float32)


def test_tap_sees_every_layer_once_with_the_output_the_layer_has(keras: Any) -> None:
    model, inputs = functional(keras), images()
    with LayerTap(model) as tap:
        outputs = model(inputs)
    assert names(tap.calls) == ["x", "conv", "bn", "both", "flat"]
    probe = keras.Model(model.input, [layer.output for layer in model.layers])
    for call, expected in zip(tap.calls, probe(inputs), strict=True):
        assert (call.arrays()[0] == expected.numpy()).all()
    assert (tap.calls[-1].arrays()[0] == outputs.numpy()).all()


def test_tapped_call_returns_the_same_bits(keras: Any) -> None:
    model, inputs = functional(keras), images(3)
    plain = model(inputs).numpy()
    with LayerTap(model):
        tapped = model(inputs).numpy()
    assert plain.tobytes() == tapped.tobytes()


def test_times_lie_within_the_call_and_input_layers_have_none(keras: Any) -> None:
    model = functional(keras)
    with LayerTap(model) as tap:
        model(images())
    assert [call.dur_ns > 0 for call in tap.calls] == [False, True, True, True, True]
    for earlier, later in zip(tap.calls[1:], tap.calls[2:], strict=False):
        assert earlier.start_ns + earlier.dur_ns <= later.start_ns


def test_sequential_is_seen(keras: Any) -> None:
    layers = [keras.layers.Dense(2, name="a"), keras.layers.ReLU(name="b")]
    model = keras.Sequential([keras.Input((3,)), *layers])
    with LayerTap(model) as tap:
        model(np.ones((1, 3), np.float32))
    assert names(tap.calls) == ["a", "b"]


def test_nested_models_are_seen_inside_and_other_composites_outside(keras: Any) -> None:
    attention = keras.layers.MultiHeadAttention(2, 4, name="attention")
    inner_inputs = keras.Input((5, 8), name="inner_x")
    inner = keras.Model(inner_inputs, attention(inner_inputs, inner_inputs), name="inner")
    model = keras.Sequential([keras.Input((5, 8)), inner, keras.layers.ReLU(name="act")])
    with LayerTap(model) as tap:
        model(np.ones((1, 5, 8), np.float32))
    assert names(tap.calls) == ["inner/inner_x", "inner/attention", "act"]


def test_subclassed_model_is_seen_in_the_order_of_its_calls(keras: Any) -> None:
    class Homemade(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            keras.Model.__init__(self)
            self.second = keras.layers.Dense(3, name="second")
            self.first = keras.layers.Dense(3, name="first")

        def call(self, inputs: Any) -> Any:
            return self.second(self.first(inputs) + 1)

    model = Homemade()
    model(np.ones((1, 3), np.float32))
    with LayerTap(model) as tap:
        model(np.ones((1, 3), np.float32))
    assert [(call.layer.index, call.layer.name) for call in tap.calls] == [
        (1, "first"),
        (0, "second"),
    ]


def test_shared_layer_counts_its_calls(keras: Any) -> None:
    inputs = keras.Input((3,), name="x")
    shared = keras.layers.Dense(3, name="shared")
    once = shared(inputs)
    model = keras.Model(inputs, [once, shared(once)])
    with LayerTap(model) as tap:
        outputs = model(np.ones((1, 3), np.float32))
    calls = [call for call in tap.calls if call.layer.name == "shared"]
    assert [call.occurrence for call in calls] == [0, 1]
    for call, expected in zip(calls, outputs, strict=True):
        assert (call.arrays()[0] == expected.numpy()).all()


def test_layer_of_many_outputs_gives_all(keras: Any) -> None:
    inputs = keras.Input((5, 3))
    model = keras.Model(inputs, keras.layers.LSTM(4, return_state=True, name="lstm")(inputs))
    with LayerTap(model) as tap:
        outputs = model(np.ones((1, 5, 3), np.float32))
    assert len(tap.calls[-1].outputs) == 3
    for seen, expected in zip(tap.calls[-1].arrays(), outputs, strict=True):
        assert (seen == expected.numpy()).all()


def test_input_layers_pass_on_what_the_model_computes_with(keras: Any) -> None:
    model = functional(keras)
    with LayerTap(model) as tap:
        model((255 * np.ones((1, 6, 6, 3))).astype(np.uint8))
    (array,) = tap.calls[0].arrays()
    assert array.dtype == np.float32
    assert array.max() == 255.0


def test_compiled_calls_are_not_seen(keras: Any) -> None:
    model = functional(keras)
    with LayerTap(model) as tap:
        model.predict(images(), verbose=0)  # traces symbolically, then computes out of sight
    assert tap.calls == []


def test_model_built_under_a_tap_gets_no_operation_of_ours(keras: Any) -> None:
    model, inputs = functional(keras), keras.Input((6, 6, 3), dtype="uint8", name="bytes")
    with LayerTap(model) as tap:
        outer = keras.Model(inputs, model(inputs))
    assert tap.calls == []
    assert [operation.name for operation in outer.operations] == ["bytes", model.name]


def test_other_models_are_not_seen(keras: Any) -> None:
    model, other = functional(keras), functional(keras)
    with LayerTap(model) as tap:
        other(images())
    assert tap.calls == []


def test_open_taps_of_two_threads_see_their_own_calls(keras: Any) -> None:
    model = functional(keras)
    model(images())
    meet = threading.Barrier(2)
    seen: dict[int, list[LayerCall]] = {}

    def run(count: int) -> None:
        with LayerTap(model) as tap:
            meet.wait(timeout=10)
            for _ in range(3):
                model(images(count))
            meet.wait(timeout=10)
        seen[count] = tap.calls

    threads = [threading.Thread(target=run, args=(count,)) for count in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for count, calls in seen.items():
        assert names(calls) == 3 * ["x", "conv", "bn", "both", "flat"]
        assert {call.arrays()[0].shape[0] for call in calls} == {count}


def test_closing_the_last_tap_restores_keras(keras: Any) -> None:
    original: Callable[..., Any] = keras.Operation.__call__
    model = functional(keras)
    with LayerTap(model):
        with LayerTap(model):
            assert keras.Operation.__call__ is not original
        assert keras.Operation.__call__ is not original
    assert keras.Operation.__call__ is original


def test_patch_put_on_top_of_an_open_tap_stays(keras: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.Operation, "__call__", keras.Operation.__call__)  # put back after
    model = functional(keras)
    counted: list[str] = []
    with LayerTap(model):
        below = keras.Operation.__call__

        def on_top(operation: Any, *args: Any, **kwargs: Any) -> Any:
            counted.append(operation.name)
            return below(operation, *args, **kwargs)

        keras.Operation.__call__ = on_top
    assert keras.Operation.__call__ is on_top
    with LayerTap(model) as tap:
        model(images())
    assert "conv" in counted
    assert names(tap.calls) == ["x", "conv", "bn", "both", "flat"]


def test_layer_that_fails_raises_its_own_error_and_leaves_no_tap(keras: Any) -> None:
    original = keras.Operation.__call__
    model = functional(keras)
    with pytest.raises(ValueError, match="shape"), LayerTap(model):
        model(np.ones((1, 5, 5, 2), np.float32))
    assert keras.Operation.__call__ is original


def test_on_call_gets_calls_instead_of_keeping_them(keras: Any) -> None:
    model, seen = functional(keras), list[LayerCall]()
    with LayerTap(model, on_call=seen.append) as tap:
        model(images())
    assert tap.calls == []
    assert names(seen) == ["x", "conv", "bn", "both", "flat"]


def test_recorder_that_fails_does_not_reach_the_host(
    keras: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EXRAY_GUARD")
    model, inputs = functional(keras), images()
    expected = model(inputs).numpy()

    def fail(_: LayerCall) -> None:
        raise RuntimeError("no space")

    with LayerTap(model, on_call=fail):
        assert (model(inputs).numpy() == expected).all()


def test_model_that_is_built_under_the_tap_is_seen_whole(keras: Any) -> None:
    class Homemade(keras.Model):  # type: ignore[misc]
        def build(self, _shape: object) -> None:
            self.dense = keras.layers.Dense(3, name="dense")

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs)

    model = Homemade()
    with LayerTap(model) as tap:
        model(np.ones((1, 3), np.float32))
    assert names(tap.calls) == ["dense"]


def test_call_tells_shapes_as_of_a_batch_of_one_and_memory(keras: Any) -> None:
    model = functional(keras)
    with LayerTap(model) as tap:
        model(images(2))
    conv = tap.calls[1]
    assert conv.specs == (OutputSpec((1, 4, 4, 4), "float32"),)
    assert conv.size_bytes == conv.arrays()[0].nbytes == 2 * 4 * 4 * 4 * 4


def test_tap_that_cannot_be_opened_sees_nothing_and_harms_nothing(
    keras: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EXRAY_GUARD")
    model, original = functional(keras), keras.Operation.__call__
    expected = model(images()).numpy()

    def fail(_: object) -> None:
        raise RuntimeError("no layers")

    with monkeypatch.context() as broken:
        broken.setattr("exray.instrumentation.keras_tap.flatten_layers", fail)
        with LayerTap(model) as tap:
            assert (model(images()).numpy() == expected).all()
    assert tap.calls == []
    assert keras.Operation.__call__ is original
    with LayerTap(model) as tap:
        model(images())
    assert len(tap.calls) == 5


@pytest.mark.realdata
@pytest.mark.parametrize(
    "file", ["derived/mobilenet_v2_1.0_224_dequant.keras", "mlcommons-tiny/vww/vww_96.h5"]
)
def test_real_network_is_seen_whole_and_unchanged(keras: Any, data: Path, file: str) -> None:
    model = load_keras(data / file)
    size = model.inputs[0].shape[1:]
    image = np.random.default_rng(1).uniform(-1, 1, (1, *size)).astype(np.float32)
    plain = model(image).numpy()
    with LayerTap(model) as tap:
        tapped = model(image).numpy()
    assert plain.tobytes() == tapped.tobytes()
    assert names(tap.calls) == [layer.name for layer in model.layers]
