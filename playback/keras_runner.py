"""A Keras model ready to run: .keras, .h5, or a SavedModel seen from outside."""

import os
import re
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from exray.instrumentation import api
from exray.instrumentation.keras_model import import_keras, load_keras
from exray.instrumentation.keras_patching import traced_keras_model
from exray.instrumentation.patching import untraced
from exray.schema.errors import DataError, ModelError
from exray.schema.records import Run

from .runners import Array, InputSpec, Runner, check_input_count, check_input_dtype, one_line

_BOLD = re.compile(r"\x1b\[1m(.*?)\x1b\[0m", re.DOTALL)
"""How Keras sets the cause apart from arguments and advice."""


class KerasRunner(Runner):
    """A Keras model, run eagerly one input at a time.

    Args:
        model: The file or folder.

    Raises:
        ModelError: The file is damaged or refused by Keras, or playback cannot feed it.
        MissingExtraError: TensorFlow is not installed.
    """

    def __init__(self, model: Path) -> None:
        _import_quietly()
        start_ns = time.perf_counter_ns()
        self._model = load_keras(model)
        init_ns = time.perf_counter_ns() - start_ns
        inputs: list[Any] = list(getattr(self._model, "inputs", None) or ())
        check_input_count(model, [str(tensor.name) for tensor in inputs])
        self.input = _input_spec(model, inputs[0])
        if api.current_recorder() is not None:
            api.instrument(self._model, path=model, init_ns=init_ns)

    def run(self, value: Array) -> Array:
        """Run the model eagerly on one input."""
        try:
            self._outputs = _flat(self._model(value, training=False))
            return self._outputs[0]
        except Exception as error:  # Keras and TensorFlow raise errors of many types
            bold = _BOLD.search(str(error))
            said = one_line(bold[1] if bold else error)
            msg = f"the model cannot compute this input: {said}"
            raise DataError(msg) from error

    def outputs(self) -> list[Array]:
        """Return all outputs of the last run."""
        return self._outputs

    def run_plain(self, value: Array) -> Array:
        """Run the same model once, untraced."""
        with untraced():
            return self.run(value)

    def open_run(self) -> Run | None:
        """Return the run that the model's executions are recorded as."""
        traced = traced_keras_model(self._model)
        return None if traced is None else traced.ensure_run()


def _import_quietly() -> None:
    """Import Keras without TensorFlow's greeting, where its log level says so.

    TensorFlow writes it before it has read its own setting. Nothing is lost of an error.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") != "3" or "tensorflow" in sys.modules:
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            import_keras("running a Keras model")
        except BaseException:
            said.seek(0)
            os.write(stderr, said.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)


def _input_spec(model: Path, tensor: Any) -> InputSpec:
    sizes = [None if size is None else int(size) for size in tensor.shape]
    batch, rest = sizes[:1], sizes[1:]
    try:
        dtype = np.dtype(str(tensor.dtype))
    except TypeError as error:  # "string", "bfloat16"
        msg = (
            f"model '{model}' takes {tensor.dtype} as its input; playback feeds integers and floats"
        )
        raise ModelError(msg) from error
    check_input_dtype(model, dtype)
    return InputSpec((*(1 if size is None else size for size in batch), *rest), dtype)


def _flat(outputs: object) -> list[Array]:
    """Return a model's outputs, which Keras gives as tensor, list or dict, in their order."""
    if isinstance(outputs, Mapping):
        values: Sequence[object] = list(cast("Mapping[str, object]", outputs).values())
    elif isinstance(outputs, list | tuple):
        values = cast("Sequence[object]", outputs)
    else:
        return [np.asarray(outputs)]
    return [array for value in values for array in _flat(value)]
