"""A model file made ready to run: one class per runtime, the same three questions."""

import hashlib
import importlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.instrumentation.api import run_of
from exray.instrumentation.graph import read_tflite
from exray.instrumentation.litert import quantization_from_details
from exray.instrumentation.patching import untraced
from exray.schema.errors import MissingExtraError, ModelError
from exray.schema.records import Quantization, Run

Array = NDArray[Any]
"""A tensor of any shape and element type."""

RESOLVERS = {
    "xnnpack": "AUTO",
    "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "reference": "BUILTIN_REF",
}
"""Name of the op resolver by kernel family: the default one applies XNNPACK."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What a model's first input takes.

    Args:
        shape: With the batch dimension; free dimensions stand as 1.
        quantization: How real values map to an integer input; None for a float one.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    quantization: Quantization | None = None


class Runner(ABC):
    """One model in one runtime, ready to run batches of one."""

    input: InputSpec
    output_quantization: Quantization | None = None

    @abstractmethod
    def run(self, value: Array) -> Array:
        """Run the model.

        Args:
            value: Shape and dtype of `input`.

        Returns:
            The first output as the runtime gives it, integers not dequantized.
        """

    @abstractmethod
    def run_plain(self, value: Array) -> Array:
        """Run the same model once without any instrumentation."""

    @property
    @abstractmethod
    def recorded_run(self) -> Run | None:
        """The run that the model's executions are recorded as, once there was one."""


def open_runner(model: Path, *, kernels: str = "xnnpack", threads: int | None = None) -> Runner:
    """Load a model.

    Args:
        model: A .tflite, .keras or .h5 file, or the folder of a SavedModel.
        kernels: ``xnnpack``, ``builtin`` or ``reference``; for .tflite alone.
        threads: Threads of the runtime; None for its own default.

    Raises:
        ModelError: The file is missing, damaged, of no known kind, or its runtime refuses it.
        MissingExtraError: The runtime is not installed.
    """
    if not model.exists():
        msg = (
            f"model '{model}' does not exist. Pass a .tflite, .keras or .h5 file, or a SavedModel."
        )
        raise ModelError(msg)
    if model.is_dir() or model.suffix in (".keras", ".h5"):
        from .keras_runner import KerasRunner

        return KerasRunner(model)
    if model.suffix == ".tflite":
        return LiteRTRunner(model, kernels=kernels, threads=threads)
    msg = (
        f"model '{model}' has the ending {model.suffix!r}; expected .tflite, .keras, .h5, or the "
        "folder of a SavedModel."
    )
    raise ModelError(msg)


class LiteRTRunner(Runner):
    """A .tflite file in LiteRT, or in TensorFlow's own interpreter where LiteRT is absent.

    Args:
        model: The file.
        kernels: A key of `RESOLVERS`.
        threads: Threads of the runtime; None for its own default.

    Raises:
        ModelError: The file is damaged, or holds an operator that the runtime lacks.
        MissingExtraError: Neither LiteRT nor TensorFlow is installed.
    """

    def __init__(self, model: Path, *, kernels: str = "xnnpack", threads: int | None = None):
        self._module = _import_interpreter()
        content = model.read_bytes()
        # Reading the graph first gives a damaged file its own clear error.
        read_tflite(content, model_name=model.stem, sha256=hashlib.sha256(content).hexdigest())
        resolver = self._module.OpResolverType[RESOLVERS[kernels]]
        self._arguments = {
            "model_path": str(model),
            "num_threads": threads,
            "experimental_op_resolver_type": resolver,
        }
        self._interpreter = self._construct(model)
        detail = self._interpreter.get_input_details()[0]
        self._input_index = int(detail["index"])
        output = self._interpreter.get_output_details()[0]
        self._output_index = int(output["index"])
        shape = tuple(int(d) for d in detail["shape"])
        self.input = InputSpec(shape, np.dtype(detail["dtype"]), quantization_from_details(detail))
        self.output_quantization = quantization_from_details(output)

    def _construct(self, model: Path) -> Any:
        try:
            interpreter = self._module.Interpreter(**self._arguments)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            msg = f"model '{model}' is refused by its runtime: {error}"
            raise ModelError(msg) from error
        return interpreter

    def run(self, value: Array) -> Array:
        """Run the model on one input of its own shape and dtype."""
        return self._run(self._interpreter, value)

    def run_plain(self, value: Array) -> Array:
        """Run a second, uninstrumented interpreter once."""
        with untraced():
            interpreter = self._module.Interpreter(**self._arguments)
            interpreter.allocate_tensors()
            return self._run(interpreter, value)

    def _run(self, interpreter: Any, value: Array) -> Array:
        interpreter.set_tensor(self._input_index, value)
        interpreter.invoke()
        output: Array = interpreter.get_tensor(self._output_index)
        return output

    @property
    def recorded_run(self) -> Run | None:
        """The run that the interpreter's executions are recorded as."""
        return run_of(self._interpreter)


def _import_interpreter() -> Any:
    for name in ("ai_edge_litert.interpreter", "tensorflow.lite.python.interpreter"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise MissingExtraError("litert", "running a .tflite model")
