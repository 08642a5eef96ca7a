"""The real networks that benchmarks run, and their inputs.

The folder of real networks and inputs is the one that the variable EXRAY_TEST_DATA names.
"""

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

V2_KERAS = "derived/mobilenet_v2_1.0_224_dequant.keras"

FILES = {
    "V2 int8": "google-coral/tf2_mobilenet_v2_1.0_224_ptq.tflite",
    "V1 .25 float": "derived/v1_025_float.tflite",
    "V1 .25 int8": "derived/v1_025_int8.tflite",
    "ResNet8 float": "mlcommons-tiny/ic/pretrainedResnet.tflite",
    "ResNet8 int8": "mlcommons-tiny/ic/pretrainedResnet_quant.tflite",
    "KWS float": "mlcommons-tiny/kws/kws_ref_model_float32.tflite",
    "KWS int8": "mlcommons-tiny/kws/kws_ref_model.tflite",
    "DeepLab": "tflite-support/deeplabv3.tflite",
}
"""Networks by the name that tables show."""


def data_folder() -> Path:
    """Return the folder of the real networks; ends the benchmark where there is none."""
    folder = os.environ.get("EXRAY_TEST_DATA")
    if not folder:
        print("skipped: EXRAY_TEST_DATA is not set; it names the folder of real networks")
        sys.exit(0)  # no failure: from a fresh clone the other benchmarks still run
    return Path(folder)


def convert_to_float(keras_model: Path, target: Path) -> Path:
    """Convert a Keras model to a float .tflite file."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    model = tf.keras.models.load_model(keras_model, compile=False)
    with contextlib.redirect_stdout(io.StringIO()):  # what the exporter says of its work
        target.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    return target


def random_input(detail: dict[str, Any], seed: int = 0) -> NDArray[Any]:
    """Return an input of the shape and type that an interpreter's details tell."""
    rng = np.random.default_rng(seed)
    dtype, shape = np.dtype(detail["dtype"]), tuple(int(size) for size in detail["shape"])
    if dtype.kind == "f":
        return rng.random(shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, endpoint=True).astype(dtype)
