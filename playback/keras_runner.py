"""A Keras model ready to run: .keras, .h5, or a SavedModel seen from outside."""

import time
from pathlib import Path

import numpy as np

from exray.instrumentation import api
from exray.instrumentation.keras_model import load_keras
from exray.instrumentation.patching import untraced
from exray.schema.errors import ModelError
from exray.schema.records import Run

from .runners import Array, InputSpec, Runner


class KerasRunner(Runner):
    """A Keras model, run eagerly one input at a time.

    Args:
        model: The file or folder.

    Raises:
        ModelError: The file is damaged, refused by Keras, or has several inputs.
        MissingExtraError: TensorFlow is not installed.
    """

    def __init__(self, model: Path) -> None:
        start_ns = time.perf_counter_ns()
        self._model = load_keras(model)
        init_ns = time.perf_counter_ns() - start_ns
        api.instrument(self._model, path=model, init_ns=init_ns)
        if len(self._model.inputs) != 1:
            msg = (
                f"model '{model}' has {len(self._model.inputs)} inputs; playback feeds exactly one"
            )
            raise ModelError(msg)
        tensor = self._model.inputs[0]
        shape = tuple(1 if size is None else int(size) for size in tensor.shape)
        self.input = InputSpec(shape, np.dtype(str(tensor.dtype)))

    def run(self, value: Array) -> Array:
        """Run the model eagerly on one input."""
        return _first(self._model(value, training=False))

    def run_plain(self, value: Array) -> Array:
        """Run the same model once, untraced."""
        with untraced():
            return _first(self._model(value, training=False))

    @property
    def recorded_run(self) -> Run | None:
        """The run that the model's executions are recorded as."""
        return api.run_of(self._model)


def _first(outputs: object) -> Array:
    """Return the first of a model's outputs, which Keras gives as tensor, list or dict."""
    while isinstance(outputs, list | tuple | dict):
        outputs = next(iter(outputs.values() if isinstance(outputs, dict) else outputs))
    return np.asarray(outputs)
