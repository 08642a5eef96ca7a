"""An ONNX model ready to run in ONNX Runtime, on the CPU."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from exray.instrumentation.onnx_file import read_onnx
from exray.instrumentation.onnx_graph import OnnxPlace, onnx_graph
from exray.instrumentation.onnx_patching import onnx_model_of
from exray.instrumentation.patching import untraced
from exray.schema.errors import DataError, MissingExtraError, ModelError
from exray.schema.records import Run

from .runners import Array, InputSpec, Runner, check_input_count, check_input_dtype, one_line

_QUIET = 4
"""Log severity of ONNX Runtime at which its errors come as exceptions alone."""


class OnnxRunner(Runner):
    """An ONNX file in ONNX Runtime.

    Args:
        model: The file.
        threads: Threads of the runtime; None for its own default.

    Raises:
        ModelError: The runtime refuses the model, or playback cannot feed it.
        MissingExtraError: ONNX Runtime or the ``onnx`` package is not installed.
    """

    def __init__(self, model: Path, threads: int | None = None) -> None:
        self._model, self._threads = model, threads
        self._runtime = _import_runtime()
        graph = onnx_graph(_read(model), model_name=model.stem, sha256="")
        self._session = self._construct()
        inputs: list[Any] = self._session.get_inputs()
        check_input_count(model, [str(argument.name) for argument in inputs])
        self._input_name = str(inputs[0].name)
        place = graph.places[self._input_name]
        self.input = _input_spec(model, place, inputs[0].shape)
        output = graph.places.get(str(self._session.get_outputs()[0].name))
        self.output_quantization = None if output is None else output.quantization

    def run(self, value: Array) -> Array:
        """Run the model on one input of its own shape and dtype."""
        return self._run(self._session, value)

    def outputs(self) -> list[Array]:
        """Return all outputs of the last run as the model gives them."""
        return self._outputs

    def run_plain(self, value: Array) -> Array:
        """Run a second, uninstrumented session once."""
        with untraced():
            return self._run(self._construct(), value)

    def open_run(self) -> Run | None:
        """Return the run that the session's executions are recorded as."""
        traced = onnx_model_of(self._session)
        return None if traced is None else traced.ensure_run()

    def _construct(self) -> Any:
        options = self._runtime.SessionOptions()
        options.log_severity_level = _QUIET
        if self._threads is not None:
            options.intra_op_num_threads = self._threads
        try:
            return self._runtime.InferenceSession(
                str(self._model), options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
        except Exception as error:  # its errors are of many types, with no common base
            msg = (
                f"model '{self._model}' is refused by onnxruntime: {one_line(error)}. Export it "
                "with operators of this version, or upgrade the runtime."
            )
            raise ModelError(msg) from error

    def _run(self, session: Any, value: Array) -> Array:
        try:
            outputs: Any = session.run(None, {self._input_name: value})
        except Exception as error:  # as above
            msg = f"the model cannot compute this input: {one_line(error)}"
            raise DataError(msg) from error
        self._outputs: list[Array] = [np.asarray(output) for output in outputs]
        return self._outputs[0]


def check_onnx(model: Path) -> None:
    """Refuse a damaged file in clear words.

    Raises:
        ModelError: It is no whole ONNX model.
        MissingExtraError: The ``onnx`` package is not installed.
    """
    _read(model)


def _read(model: Path) -> Any:
    try:
        content = model.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        msg = f"model '{model}' cannot be read: {reason}. Pass the path of an .onnx file."
        raise ModelError(msg) from error
    return read_onnx(content, name=str(model))


def _input_spec(model: Path, place: OnnxPlace, sizes: list[Any]) -> InputSpec:
    try:
        dtype = np.dtype(place.tensor.dtype)
    except TypeError as error:  # "string", "bfloat16"
        msg = (
            f"model '{model}' takes {place.tensor.dtype} as its input; playback feeds integers "
            "and floats"
        )
        raise ModelError(msg) from error
    check_input_dtype(model, dtype)
    shape = [size if isinstance(size, int) and size >= 0 else None for size in sizes]
    batch = [1 if size is None else size for size in shape[:1]]
    return InputSpec((*batch, *shape[1:]), dtype, place.quantization, place.layout or "nhwc")


def _import_runtime() -> Any:
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise MissingExtraError("onnx", "running an ONNX model") from error
