"""A model file made ready to run: whatever the runtime, the same few questions."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.instrumentation.graph import read_tflite
from exray.schema.errors import ModelError, UsageError
from exray.schema.records import Quantization, Run

from .limits import MAX_THREADS

Array = NDArray[Any]
"""A tensor of any shape and element type."""

KERNELS = ("xnnpack", "builtin", "reference")
"""Kernel families of a .tflite model, the default one first."""

KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")
"""Endings of Keras model files; a SavedModel is a folder."""

NUMERIC_KINDS = "biuf"
"""Kinds of dtype that playback can feed: bool, integers, floats."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What a model's only input takes.

    Args:
        shape: With the batch dimension; None is a dimension that the model leaves free,
            but a free batch dimension is 1.
        dtype: Element type.
        quantization: How real values map to an integer input; None for a float one.
        layout: Meaning of the dimensions of an image: ``nhwc`` or ``nchw``.
    """

    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]
    quantization: Quantization | None = None
    layout: str = "nhwc"

    def shaped(self, values: Array) -> Array | None:
        """Return *values* in the input's shape, None if they do not fit it.

        A shape without free dimensions takes any array with as many elements.
        """
        fixed = [size for size in self.shape if size is not None]
        if len(fixed) == len(self.shape):
            return values.reshape(fixed) if values.size == np.prod(fixed, dtype=int) else None
        for shape in (values.shape, (1, *values.shape)):
            if len(shape) == len(self.shape) and all(
                wanted in (None, size) for wanted, size in zip(self.shape, shape, strict=True)
            ):
                return values.reshape(shape)
        return None


class Runner(ABC):
    """One model in one runtime, ready to run one input at a time."""

    input: InputSpec
    output_quantization: Quantization | None = None

    @abstractmethod
    def run(self, value: Array) -> Array:
        """Run the model.

        Args:
            value: Shape and dtype of `input`.

        Returns:
            The first output as the runtime gives it, integers not dequantized.

        Raises:
            DataError: The runtime refuses this input.
        """

    @abstractmethod
    def outputs(self) -> list[Array]:
        """Return all outputs of the last run in real units, in the model's order."""

    @abstractmethod
    def run_plain(self, value: Array) -> Array:
        """Run the same model once without any instrumentation."""

    @abstractmethod
    def open_run(self) -> Run | None:
        """Return the run that the model's executions are recorded as.

        It is opened here if the model has not run yet; None while nothing is recorded.
        """


def open_runner(model: Path, *, kernels: str | None = None, threads: int | None = None) -> Runner:
    """Load a model; arguments and errors as those of `plan_runner`."""
    return plan_runner(model, kernels=kernels, threads=threads)()


def plan_runner(
    model: Path, *, kernels: str | None = None, threads: int | None = None
) -> Callable[[], Runner]:
    """Check what can be told of a model without loading it.

    Args:
        model: A .tflite, .onnx, .keras or .h5 file, or the folder of a SavedModel.
        kernels: One of `KERNELS`, for .tflite alone; None for the first of them.
        threads: Threads of the runtime, for .tflite and .onnx alone; None for its own default.

    Returns:
        What loads the model. It raises `ModelError` where the runtime refuses the model,
        `MissingExtraError` where there is no runtime.

    Raises:
        ModelError: The file is missing, of no known kind, or not a whole .tflite or .onnx file.
        UsageError: *kernels* or *threads* is not for this model.
    """
    if kernels is not None and kernels not in KERNELS:
        msg = f"kernels {kernels!r} are unknown; expected one of {', '.join(KERNELS)}"
        raise UsageError(msg)
    if threads is not None and not 1 <= threads <= MAX_THREADS:
        msg = f"threads: got {threads}, expected 1 to {MAX_THREADS}"
        raise UsageError(msg)
    if not model.exists():
        msg = (
            f"model '{model}' does not exist. Pass a .tflite, .onnx, .keras or .h5 file, or a "
            "SavedModel."
        )
        raise ModelError(msg)
    suffix = model.suffix.lower()
    if suffix == ".tflite" and model.is_file():
        # Reading the graph tells a damaged file in clear words, which no runtime does.
        read_tflite(model, model_name=model.stem, sha256="")
        from .litert_runner import LiteRTRunner

        return functools.partial(LiteRTRunner, model, kernels or KERNELS[0], threads)
    if suffix == ".onnx" and model.is_file():
        _check_unset(model, kernels=kernels)
        from .onnx_runner import OnnxRunner, check_onnx

        check_onnx(model)
        return functools.partial(OnnxRunner, model, threads)
    if model.is_dir() or suffix in KERAS_SUFFIXES:
        _check_unset(model, kernels=kernels, threads=threads)
        from .keras_runner import KerasRunner

        return functools.partial(KerasRunner, model)
    msg = (
        f"model '{model}' has the ending {model.suffix!r}; expected .tflite, .onnx, .keras, .h5, or "
        "the folder of a SavedModel."
    )
    raise ModelError(msg)


def _check_unset(model: Path, **options: object) -> None:
    """Refuse options that would be ignored without a word."""
    for name, value in options.items():
        if value is not None:
            msg = f"--{name} {value} is for .tflite models; leave it out for '{model}'"
            raise UsageError(msg)


def check_input_dtype(model: Path, dtype: np.dtype[Any]) -> None:
    """Refuse a model whose input is of a kind that playback cannot feed.

    Raises:
        ModelError: It is text or complex numbers.
    """
    if dtype.kind not in NUMERIC_KINDS:
        msg = f"model '{model}' takes {dtype} as its input; playback feeds integers and floats"
        raise ModelError(msg)


def check_input_count(model: Path, names: list[str]) -> None:
    """Refuse a model that has not exactly one input.

    Raises:
        ModelError: There is none, or there are several.
    """
    if len(names) != 1:
        listed = f": {', '.join(names)}" if names else ""
        msg = (
            f"model '{model}' has {len(names)} inputs{listed}; playback feeds models with one. "
            "Run it in an application, with exray.configure() and exray.frame()."
        )
        raise ModelError(msg)


def one_line(said: object, limit: int = 300) -> str:
    """Return what a runtime said, an error or its text, as one line without a full stop."""
    text = " ".join(str(said).split()).rstrip(".") or type(said).__name__
    return text if len(text) <= limit else f"{text[:limit]}..."
