"""Make the tiny networks that tests of the LiteRT adapter run.

Their weights are drawn from a fixed seed: they know nothing and are quick.

tiny_float.tflite, tiny_int8.tflite
    Five classes of 8x8 RGB: CONV_2D, MAX_POOL_2D, RESHAPE, FULLY_CONNECTED, SOFTMAX; the
    int8 one takes and gives int8.
tiny_split.tflite
    Two inputs of 4 numbers, added, split in halves (one operator, two outputs), two outputs.

Needs TensorFlow: python tests/data/make_tiny_models.py
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

FOLDER = Path(__file__).parent
SHAPE = (1, 8, 8, 3)


def main() -> None:
    """Write all of them beside this script."""
    tf.keras.utils.set_random_seed(7)
    classifier = tf.keras.Sequential(
        [
            tf.keras.Input(SHAPE[1:], batch_size=1),
            tf.keras.layers.Conv2D(4, 3, activation="relu", bias_initializer="normal"),
            tf.keras.layers.MaxPool2D(2),
            tf.keras.layers.Flatten(),
            tf.keras.layers.Dense(5, activation="softmax"),
        ]
    )
    converter = tf.lite.TFLiteConverter.from_keras_model(classifier)
    write("tiny_float", converter)

    converter = tf.lite.TFLiteConverter.from_keras_model(classifier)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = calibration
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    write("tiny_int8", converter)

    module = Split()
    function = module.halves.get_concrete_function()
    write("tiny_split", tf.lite.TFLiteConverter.from_concrete_functions([function], module))


class Split(tf.Module):
    """Two inputs, one operator with two outputs, two outputs."""

    @tf.function(input_signature=[tf.TensorSpec((1, 4)), tf.TensorSpec((1, 4))])
    def halves(self, left: tf.Tensor, right: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the halves of the sum, one doubled, one squared."""
        first, second = tf.split(left + right, 2, axis=1)
        return {"first": first * 2.0, "second": second * second}


def calibration() -> Iterator[list[np.ndarray]]:
    """Yield inputs from 0 to 1."""
    rng = np.random.default_rng(7)
    for _ in range(16):
        yield [rng.random(SHAPE, np.float32)]


def write(name: str, converter: tf.lite.TFLiteConverter) -> None:
    """Convert and write one model."""
    (FOLDER / f"{name}.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    main()
