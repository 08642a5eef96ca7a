"""Small public architectures, trained in code and converted to float and int8 .tflite files.

LeNet-5, SqueezeNet, MobileNetV3 and the autoencoder of MLPerf Tiny, cut to 32x32 images or
49x10 features, and two with a front end of their own (`fault_fronts.py`): networks on which no
threshold of the diagnosis was chosen. Seeds are fixed, so that the same machine makes the same
files again.

    python benchmarks/fault_training.py DATA FOLDER NAME [SEED [debug]]
"""

import contextlib
import importlib
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fault_fronts import FRONTS, KNOWN_WORDS, front_inputs

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

CALIBRATED = 64
"""Inputs that an int8 file is calibrated on."""

EPOCHS = 12

Array = np.ndarray[Any, Any]


def lenet(keras: Any, given: Any) -> Any:
    """LeNet-5 for colour images (LeCun and others 1998)."""
    layers = keras.layers
    chain = [
        layers.Conv2D(6, 5, activation="relu"),
        layers.AveragePooling2D(2),
        layers.Conv2D(16, 5, activation="relu"),
        layers.AveragePooling2D(2),
        layers.Flatten(),
        layers.Dense(120, activation="relu"),
        layers.Dense(84, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ]
    return _chained(given, chain)


def squeezenet(keras: Any, given: Any) -> Any:
    """SqueezeNet with three fire modules (Iandola and others 2016)."""
    layers = keras.layers

    def fire(x: Any, squeezed: int, expanded: int) -> Any:
        x = layers.Conv2D(squeezed, 1)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        ways = [
            layers.ReLU()(
                layers.BatchNormalization()(layers.Conv2D(expanded, size, padding="same")(x))
            )
            for size in (1, 3)
        ]
        return layers.Concatenate()(ways)

    x = layers.Conv2D(24, 3, strides=2, padding="same", activation="relu")(given)
    x = fire(x, 8, 16)
    x = layers.MaxPooling2D(2)(x)
    x = fire(fire(x, 12, 24), 16, 32)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(10, 1)(x))
    return layers.Softmax()(x)


def mobilenet_v3(keras: Any, given: Any) -> Any:
    """Bottlenecks of MobileNetV3 with squeeze-and-excite and hard swish (Howard 2019)."""
    layers, ops = keras.layers, keras.ops

    def hard_swish(x: Any) -> Any:
        return x * ops.relu6(x + 3.0) * (1 / 6)

    def gate(x: Any, channels: int) -> Any:
        y = layers.GlobalAveragePooling2D(keepdims=True)(x)
        y = layers.Conv2D(channels // 4, 1, activation="relu")(y)
        y = layers.Conv2D(channels, 1)(y)
        return x * (ops.relu6(y + 3.0) * (1 / 6))

    def bottleneck(x: Any, wide: int, out: int, size: int, stride: int) -> Any:
        y = hard_swish(layers.BatchNormalization()(layers.Conv2D(wide, 1)(x)))
        y = layers.DepthwiseConv2D(size, strides=stride, padding="same")(y)
        y = gate(hard_swish(layers.BatchNormalization()(y)), wide)
        y = layers.BatchNormalization()(layers.Conv2D(out, 1)(y))
        return x + y if stride == 1 and x.shape[-1] == out else y

    x = layers.Conv2D(16, 3, strides=2, padding="same")(given)
    x = hard_swish(layers.BatchNormalization()(x))
    x = bottleneck(x, 32, 16, 3, 1)
    x = bottleneck(x, 48, 24, 3, 2)
    x = bottleneck(x, 64, 24, 5, 1)
    x = layers.GlobalAveragePooling2D()(hard_swish(layers.Conv2D(64, 1)(x)))
    return layers.Dense(10, activation="softmax")(x)


def autoencoder(keras: Any, given: Any) -> Any:
    """The autoencoder of MLPerf Tiny's anomaly detection, on 490 features."""
    layers = keras.layers
    hidden: list[Any] = []
    for units in (128, 128, 8, 128, 128):
        hidden += [layers.Dense(units), layers.BatchNormalization(), layers.ReLU()]
    return _chained(given, [*hidden, layers.Dense(490)])


def bands(keras: Any, given: Any) -> Any:
    """A small convolutional network for spoken words on mel bands."""
    layers = keras.layers
    chain: list[Any] = [layers.BatchNormalization()]
    for channels in (16, 32, 32):
        chain += [layers.Conv2D(channels, 3, padding="same", activation="relu")]
        chain += [layers.MaxPooling2D(2)]
    return _chained(given, [*chain, layers.Flatten(), layers.Dense(12, activation="softmax")])


def words(keras: Any, given: Any) -> Any:
    """Mean of word embeddings (as fastText's classifier, Joulin and others 2016)."""
    layers = keras.layers
    chain = [
        layers.Embedding(KNOWN_WORDS + 2, 16),
        layers.GlobalAveragePooling1D(),
        layers.Dense(16, activation="relu"),
        layers.Dense(2, activation="softmax"),
    ]
    return _chained(given, chain)


def _chained(given: Any, layers: list[Any]) -> Any:
    for layer in layers:
        given = layer(given)
    return given


MAKERS: dict[str, Callable[[Any, Any], Any]] = {
    "lenet": lenet,
    "squeezenet": squeezenet,
    "mobilenet_v3": mobilenet_v3,
    "autoencoder": autoencoder,
}
"""Architectures by name."""

FRONT_MAKERS: dict[str, Callable[[Any, Any], Any]] = {"bands": bands, "words": words}
"""Those of networks with a front end."""


def is_of_features(name: str) -> bool:
    """Whether a network takes features of speech; else images."""
    return name.startswith("autoencoder")


def inputs_of(name: str, data: Path, folder: Path) -> tuple[Array, Array]:
    """Return what a network is trained on and runs on: inputs and targets."""
    if name in FRONT_MAKERS:
        return front_inputs(name, data, folder)
    if is_of_features(name):
        stored = np.load(data / "energyrunner/kws01_0000_0499.npz")["mfcc"].astype(np.float32)
        flat = stored.reshape(len(stored), -1) / 64
        return flat, flat
    stored = np.load(data / "cifar10/cifar10_test_0000_0499.npz")
    images = stored["images"].astype(np.float32) / 127.5 - 1
    return images, stored["labels"]


def train(name: str, data: Path, folder: Path, seed: int = 1, *, is_debugged: bool = False) -> None:
    """Train one network, and write ``float.tflite`` and ``int8.tflite`` into *folder*.

    Where it is debugged also ``debug.tflite``: the int8 network with a float twin of each layer.
    """
    tf: Any = importlib.import_module("tensorflow")
    keras: Any = tf.keras
    keras.utils.set_random_seed(seed)
    x, y = inputs_of(name, data, folder)
    loss = "mse" if is_of_features(name) else "sparse_categorical_crossentropy"
    batched, single = (_built(keras, name, x, size) for size in (None, 1))
    batched.compile(keras.optimizers.Adam(2e-3), loss=loss)
    batched.fit(x, y, batch_size=32, epochs=EPOCHS, verbose=0, shuffle=True)
    single.set_weights(batched.get_weights())  # a device gets one input at a time
    folder.mkdir(parents=True, exist_ok=True)
    for kind in _kinds(name):
        converter = tf.lite.TFLiteConverter.from_keras_model(single)
        if kind == "int8":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([row[None]] for row in x[-CALIBRATED:])
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        with contextlib.redirect_stdout(io.StringIO()):  # what the exporter says of its work
            content = converter.convert()
        (folder / f"{kind}.tflite").write_bytes(content)
        if kind == "int8" and is_debugged:
            debugger = tf.lite.experimental.QuantizationDebugger(
                converter=converter, debug_dataset=converter.representative_dataset
            )
            (folder / "debug.tflite").write_bytes(debugger.get_debug_quantized_model())


def _kinds(name: str) -> tuple[str, ...]:
    front = next((front for front in FRONTS if front.name == name), None)
    return ("float", "int8") if front is None else front.precisions


def _built(keras: Any, name: str, x: Array, size: int | None) -> Any:
    given = keras.Input(x.shape[1:], batch_size=size)
    return keras.Model(given, (MAKERS | FRONT_MAKERS)[name](keras, given))


if __name__ == "__main__":
    data, folder, name = sys.argv[1:4]
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    train(name, Path(data), Path(folder), seed, is_debugged=sys.argv[5:] == ["debug"])
