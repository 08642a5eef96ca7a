"""What a reference model computes at every layer, for single operators to be run on."""

import importlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from exray.instrumentation.keras_graph import flatten_layers
from exray.instrumentation.keras_model import load_keras
from exray.instrumentation.litert import quantization_from_details
from exray.instrumentation.litert_patching import LITERT_MODULES
from exray.instrumentation.patching import untraced
from exray.playback.litert_runner import RESOLVERS
from exray.playback.runners import InputSpec
from exray.schema.errors import MissingExtraError, ModelError
from exray.schema.quantization import dequantize

from .parameters import Reals
from .tflite_model import Array, TfliteModel

Read = Callable[[int], "Reals | None"]
"""Gives a layer's first output in real units; None where it has none."""


class LayerTensors(Protocol):
    """A model whose layers can be read after each execution."""

    input: InputSpec

    def run(self, value: Array) -> Read:
        """Run the model on one input of its own shape and dtype.

        Returns:
            What reads the layers of this execution, until the next one.
        """
        ...


def open_layer_tensors(model: Path) -> LayerTensors:
    """Load a .tflite, .keras or .h5 file to read its layers.

    Raises:
        ModelError: The file is damaged, or its runtime refuses it.
        MissingExtraError: Its runtime is not installed.
    """
    if model.suffix.lower() == ".tflite":
        return TfliteTensors(TfliteModel.load(model))
    return KerasTensors(model)


def open_interpreter(content: bytes, kernels: str, *, preserve: bool = False) -> Any:
    """Construct an interpreter that nothing records.

    Args:
        content: The .tflite file's bytes.
        kernels: A key of `exray.playback.litert_runner.RESOLVERS`.
        preserve: Keep intermediate tensors readable.

    Raises:
        ModelError: The runtime refuses the model.
        MissingExtraError: Neither LiteRT nor TensorFlow is installed.
    """
    module = _import_interpreter()
    try:
        with untraced(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # preserved tensors warn at each construction
            interpreter = module.Interpreter(
                model_content=content,
                experimental_op_resolver_type=module.OpResolverType[RESOLVERS[kernels]],
                experimental_preserve_all_tensors=preserve,
                num_threads=1,
            )
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        said = str(error).split("\n", 1)[0]
        msg = f"the runtime refuses this model on {kernels} kernels: {said}"
        raise ModelError(msg) from error
    return interpreter


def _import_interpreter() -> Any:
    for name in LITERT_MODULES:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    extra, purpose = "litert", "running a .tflite model"
    raise MissingExtraError(extra, purpose)


class TfliteTensors:
    """A .tflite file; see `LayerTensors`."""

    def __init__(self, model: TfliteModel, kernels: str = "xnnpack") -> None:
        self._model = model
        self._interpreter = open_interpreter(model.content, kernels, preserve=True)
        (given,) = self._interpreter.get_input_details()[:1]
        shape = tuple(int(size) for size in given["shape"])
        self.input = InputSpec(shape, np.dtype(given["dtype"]), quantization_from_details(given))
        self._input_index = int(given["index"])

    def run(self, value: Array) -> Read:
        """Run the model; see `LayerTensors`."""
        with untraced():
            self._interpreter.set_tensor(self._input_index, value)
            self._interpreter.invoke()
        return self._read

    def _read(self, layer_index: int) -> Reals | None:
        op = self._model.ops[layer_index]
        if not op.outputs:
            return None
        try:
            values = self._interpreter.get_tensor(op.outputs[0])
        except (ValueError, RuntimeError):
            return None  # a constant folded away, a branch not taken
        return dequantize(values, self._model.tensors[op.outputs[0]].quantization, np.float64)


class KerasTensors:
    """A functional Keras model; see `LayerTensors`."""

    def __init__(self, path: Path) -> None:
        keras: Any = importlib.import_module("keras")
        with untraced():
            model = load_keras(path)
            self._layers = [
                (flat.index, flat.layer.output)
                for flat in flatten_layers(model)
                if _reads(flat.layer)
            ]
            outputs = [output for _, output in self._layers]
            self._tapped = keras.Model(model.inputs, outputs)
        shape = tuple(1 if size is None else int(size) for size in model.inputs[0].shape)
        self.input = InputSpec(shape, np.dtype(str(model.inputs[0].dtype)))

    def run(self, value: Array) -> Read:
        """Run the model; see `LayerTensors`."""
        with untraced():
            outputs = self._tapped([value], training=False)
        found = {
            index: np.asarray(output, np.float64)
            for (index, _), output in zip(self._layers, outputs, strict=True)
        }
        return found.get


def _reads(layer: Any) -> bool:
    """Whether a layer has exactly one output tensor in this graph."""
    try:
        return not isinstance(layer.output, list | tuple | dict)
    except (AttributeError, ValueError):  # called several times, or never
        return False
