"""A .tflite model ready to run in LiteRT, or in TensorFlow's own interpreter."""

import importlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from exray.instrumentation.litert import quantization_from_details
from exray.instrumentation.litert_patching import LITERT_MODULES, litert_model_of
from exray.instrumentation.patching import untraced
from exray.schema.errors import DataError, MissingExtraError, ModelError
from exray.schema.quantization import dequantize
from exray.schema.records import Run

from .runners import Array, InputSpec, Runner, check_input_count, check_input_dtype, one_line

RESOLVERS = {
    "xnnpack": "AUTO",
    "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "reference": "BUILTIN_REF",
}
"""Name of the op resolver by kernel family; the default one applies XNNPACK."""


_MISSING_OP = ("unresolved custom op", "Didn't find op")
"""How the runtimes say that an operator is not theirs."""


class LiteRTRunner(Runner):
    """A .tflite file in LiteRT, or in TensorFlow where LiteRT is not installed.

    Args:
        model: The file.
        kernels: A key of `RESOLVERS`.
        threads: Threads of the runtime; None for its own default.

    Raises:
        ModelError: The runtime refuses the model, as for an operator that it lacks, or
            playback cannot feed it.
        MissingExtraError: Neither LiteRT nor TensorFlow is installed.
    """

    def __init__(self, model: Path, kernels: str = "xnnpack", threads: int | None = None) -> None:
        self._model = model
        self._module = _import_interpreter()
        self._options = {
            "num_threads": threads,
            "experimental_op_resolver_type": self._module.OpResolverType[RESOLVERS[kernels]],
        }
        self._interpreter = self._construct()
        details = self._interpreter.get_input_details()
        check_input_count(model, [str(detail["name"]) for detail in details])
        dtype = np.dtype(details[0]["dtype"])
        check_input_dtype(model, dtype)
        self.input = InputSpec(_shape(details[0]), dtype, quantization_from_details(details[0]))
        self._input_index = int(details[0]["index"])
        output = self._interpreter.get_output_details()[0]
        self._output_index = int(output["index"])
        self.output_quantization = quantization_from_details(output)

    def run(self, value: Array) -> Array:
        """Run the model on one input of its own shape and dtype."""
        return self._run(self._interpreter, value)

    def outputs(self) -> list[Array]:
        """Return all outputs of the last run in real units."""
        found: list[Array] = []
        with untraced():
            for detail in self._interpreter.get_output_details():
                stored: Array = self._interpreter.get_tensor(int(detail["index"]))
                found.append(dequantize(stored, quantization_from_details(detail), np.float32))
        return found

    def run_plain(self, value: Array) -> Array:
        """Run a second, uninstrumented interpreter once."""
        with untraced():
            return self._run(self._construct(), value)

    def open_run(self) -> Run | None:
        """Return the run that the interpreter's executions are recorded as."""
        traced = litert_model_of(self._interpreter)
        return None if traced is None else traced.ensure_run()

    def _construct(self) -> Any:
        try:
            with warnings.catch_warnings():
                # TensorFlow's interpreter tells at each construction that LiteRT is newer.
                warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is depr")
                interpreter = self._module.Interpreter(str(self._model), **self._options)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            runtime, said = self._module.__name__.split(".")[0], one_line(error)
            fix = "Choose other --kernels, or convert the model again."
            if any(text in said for text in _MISSING_OP):
                fix = (
                    f"{runtime} does not have this operator: convert the model without it, or "
                    "upgrade the runtime."
                )
            msg = f"model '{self._model}' is refused by {runtime}: {said}. {fix}"
            raise ModelError(msg) from error
        return interpreter

    def _run(self, interpreter: Any, value: Array) -> Array:
        try:
            if None in self.input.shape:
                # Free dimensions take each input's own size; the same size again is free.
                interpreter.resize_tensor_input(self._input_index, value.shape)
                interpreter.allocate_tensors()
            interpreter.set_tensor(self._input_index, value)
            interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            msg = f"the model cannot compute this input: {one_line(error)}"
            raise DataError(msg) from error
        output: Array = interpreter.get_tensor(self._output_index)
        return output


def _shape(detail: dict[str, Any]) -> tuple[int | None, ...]:
    """Return an input's shape; its signature tells which dimensions are free."""
    shape = [int(size) for size in detail["shape"]]
    signature = [int(size) for size in detail["shape_signature"]]
    if len(signature) != len(shape):  # not every file has one
        return tuple(shape)
    free = [None if size < 0 else size for size in signature]
    return (shape[0] if free[0] is None else free[0], *free[1:]) if free else ()


def _import_interpreter() -> Any:
    for name in LITERT_MODULES:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    extra, purpose = "litert", "running a .tflite model"
    raise MissingExtraError(extra, purpose)
