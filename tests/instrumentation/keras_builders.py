"""Tiny Keras models of every kind, and inputs for them."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from exray.schema.records import FrameRecord, LayerSite

from .builders import seen_tensors

Array = NDArray[Any]

# Any, here and below: Keras has no types.


def images(count: int = 1, seed: int = 5) -> Array:
    """Return inputs of `functional`."""
    return np.random.default_rng(seed).normal(size=(count, 6, 6, 3)).astype(np.float32)


def vectors(count: int = 1, seed: int = 4) -> Array:
    """Return inputs of all the other models."""
    return np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)


def functional(keras: Any) -> Any:
    """Return a model with a branch."""
    inputs = keras.Input((6, 6, 3), name="x")
    conv = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    left = keras.layers.BatchNormalization(name="bn")(conv)
    both = keras.layers.Add(name="both")([left, conv])
    return keras.Model(inputs, keras.layers.Flatten(name="flat")(both), name="branched")


def sequential(keras: Any) -> Any:
    """Return a model of two layers in a row."""
    layers = keras.layers
    stack = [layers.Dense(4, name="a", activation="relu"), layers.Dense(2, name="b")]
    return keras.Sequential([keras.Input((3,)), *stack], name="row")


def unbuilt(keras: Any) -> Any:
    """Return the same without an input: it is built at its first call."""
    return keras.Sequential([keras.layers.Dense(4, name="a"), keras.layers.Dense(2, name="b")])


def subclassed(keras: Any, **options: Any) -> Any:
    """Return a model whose layers are known by calling it only; one is made when it is built."""

    class Homemade(keras.Model):  # type: ignore[misc]
        def build(self, _shape: object) -> None:
            self.first = keras.layers.Dense(3, name="first")
            self.second = keras.layers.Dense(2, name="second")

        def call(self, inputs: Any) -> Any:
            return self.second(self.first(inputs) + 1)

    return Homemade(name="homemade", **options)


def nested(keras: Any) -> Any:
    """Return a model with a model inside."""
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, name="deep")], name="inner")
    inputs = keras.Input((3,), name="x")
    return keras.Model(inputs, keras.layers.Dense(2, name="head")(inner(inputs)), name="outer")


def shared(keras: Any) -> Any:
    """Return a model with a layer that is called twice."""
    inputs = keras.Input((3,), name="x")
    twice = keras.layers.Dense(3, name="twice")
    return keras.Model(inputs, twice(twice(inputs)), name="sharing")


def many(keras: Any) -> Any:
    """Return a model with two named inputs and two outputs."""
    left, right = keras.Input((3,), name="left"), keras.Input((3,), name="right")
    total = keras.layers.Add(name="total")([left, right])
    outputs = {
        "one": keras.layers.Dense(2, name="one")(total),
        "two": keras.layers.Dense(1, name="two")(total),
    }
    return keras.Model({"left": left, "right": right}, outputs, name="many")


def recurrent(keras: Any) -> Any:
    """Return a model that carries state from call to call."""
    inputs = keras.Input(batch_shape=(1, 5, 3), name="x")
    return keras.Model(inputs, keras.layers.LSTM(4, stateful=True, name="lstm")(inputs))


def drawing(keras: Any) -> Any:
    """Return a model that draws random numbers at inference."""

    class Noise(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            keras.layers.Layer.__init__(self, name="noise")
            self.seed = keras.random.SeedGenerator(3)

        def call(self, inputs: Any) -> Any:
            return inputs + keras.random.normal((3,), seed=self.seed)

    return keras.Sequential([keras.Input((3,)), Noise()])


def counting(keras: Any) -> Any:
    """Return a model that counts its calls in a variable of TensorFlow's own."""
    tensorflow = pytest.importorskip("tensorflow")

    class Counter(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            keras.layers.Layer.__init__(self, name="counter")
            self.count = tensorflow.Variable(0.0)

        def call(self, inputs: Any) -> Any:
            return inputs + self.count.assign_add(1.0)

    return keras.Sequential([keras.Input((3,)), Counter()])


MODELS: Mapping[str, tuple[Callable[[Any], Any], Callable[[int], Any]]] = {
    "functional": (functional, images),
    "sequential": (sequential, vectors),
    "unbuilt": (unbuilt, vectors),
    "subclassed": (subclassed, vectors),
    "nested": (nested, vectors),
    "shared": (shared, vectors),
    "many": (many, lambda n: {"left": vectors(n), "right": vectors(n, seed=9)}),
    "recurrent": (recurrent, lambda n: np.ones((1, 5, 3), np.float32) * n),
    "drawing": (drawing, vectors),
    "counting": (counting, vectors),
}
"""How to make each model, and how a batch for it."""


def layer_names(frame: FrameRecord) -> list[str]:
    """Return the layers of a frame's first execution in the order of their calls."""
    return [site.layer_name for site, _ in _layers(frame)]


def layer_timings(frame: FrameRecord) -> list[tuple[str, bool]]:
    """Return how each layer was timed, and whether it has a time."""
    return [(site.timing, dur_ns >= 0) for site, dur_ns in _layers(frame)]


def _layers(frame: FrameRecord) -> list[tuple[LayerSite, int]]:
    block = frame.inferences[0].layers
    assert block is not None
    sites: list[int] = block.rows["site"].tolist()
    durs_ns: list[int] = block.rows["dur_ns"].tolist()
    return [(block.sites[site], dur_ns) for site, dur_ns in zip(sites, durs_ns, strict=True)]


def roles(frame: FrameRecord) -> list[str]:
    """Return the role of every tensor of a frame."""
    return [site.role for site, _ in seen_tensors(frame)]


def bits(outputs: Any) -> list[bytes]:
    """Return the bytes of a model's outputs, whatever holds them."""
    tensorflow = pytest.importorskip("tensorflow")
    return [np.asarray(leaf).tobytes() for leaf in tensorflow.nest.flatten(outputs)]
