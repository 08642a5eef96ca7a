"""A .tflite file as objects: its constants, and single operators cut out of it.

The schema that comes with the runtime has no types; it is `Any` here and nowhere else.
"""

import copy
import importlib
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.instrumentation.tflite_file import TfliteOp, TfliteSubgraph, TfliteTensor, read_subgraphs
from exray.schema.errors import MissingExtraError, ModelError
from exray.schema.records import Quantization

Array = NDArray[Any]
"""A tensor of any shape and element type."""

_SCHEMAS = ("ai_edge_litert.schema_py_generated", "tensorflow.lite.python.schema_py_generated")
_IDENTIFIER = b"TFL3"
_BUILDER_BYTES = 1 << 20
_PACKED = ("int4", "int2", "uint4")


@dataclass(frozen=True, slots=True)
class SingleOp:
    """One operator as a model of its own.

    Args:
        content: The .tflite file's bytes.
        inputs: Its inputs, as tensor indices of the whole model.
        outputs: Its outputs, likewise.
        quantization: That of its first output, None where it holds real numbers.
    """

    content: bytes
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    quantization: Quantization | None


class TfliteModel:
    """A .tflite file, read; operators and tensors are those of the primary subgraph.

    Args:
        content: The file's bytes.
        name: Its name or path, for errors.

    Raises:
        ModelError: *content* is no .tflite file, or a damaged one.
        MissingExtraError: Neither LiteRT nor TensorFlow is installed.
    """

    def __init__(self, content: bytes, name: str) -> None:
        self.content, self.name = content, name
        self.graph: TfliteSubgraph = read_subgraphs(content, name=name)[0]
        self._schema = _import_schema()
        root = self._schema.Model.GetRootAsModel(content, 0)
        self.objects: Any = self._schema.ModelT.InitFromObj(root)
        """The file's tables, which may be edited and `packed`."""

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "TfliteModel":
        """Read a file; errors as of the class, and `ModelError` where it cannot be read."""
        try:
            return cls(Path(path).read_bytes(), str(path))
        except OSError as error:
            msg = f"model '{path}' cannot be read: {error.strerror}. Pass a .tflite file."
            raise ModelError(msg) from error

    @property
    def ops(self) -> tuple[TfliteOp, ...]:
        """The operators in the file's order."""
        return self.graph.ops

    @property
    def tensors(self) -> tuple[TfliteTensor, ...]:
        """The tensors by their indices."""
        return self.graph.tensors

    @cached_property
    def writers(self) -> dict[int, int]:
        """The layer index that writes each tensor."""
        return {t: index for index, op in enumerate(self.ops) for t in op.outputs}

    def constant(self, tensor: int) -> Array | None:
        """Return what the file holds for a tensor, as it is stored; None for activations.

        Weights that are kept in half precision and restored by DEQUANTIZE are read through.
        """
        if tensor < 0:
            return None
        info = self.tensors[tensor]
        if not info.constant_bytes:
            writer = self.writers.get(tensor)
            if writer is None or self.ops[writer].op != "DEQUANTIZE":
                return None
            return self.constant(self.ops[writer].inputs[0])
        if info.dtype in _PACKED or info.dtype == "string":
            return None
        buffer = self.objects.buffers[self.objects.subgraphs[0].tensors[tensor].buffer]
        if buffer.data is None:
            return None
        stored: Array = np.asarray(buffer.data, np.uint8)
        return stored.view(np.dtype(info.dtype)).reshape(info.shape)

    def activations(self, op: TfliteOp) -> tuple[int, ...]:
        """Return the inputs of an operator that are no constants."""
        return tuple(t for t in op.inputs if t >= 0 and self.constant(t) is None)

    def cut(self, layer_index: int, objects: Any = None) -> SingleOp:
        """Cut one operator out as a model of its own.

        Args:
            layer_index: The operator.
            objects: Edited tables to cut it from; None for the file's.
        """
        tables = self.objects if objects is None else objects
        graph = tables.subgraphs[0]
        kept = self._with_restored(layer_index)
        written = {t for i in kept for t in self.ops[i].outputs}
        inputs = tuple(t for t in self.activations(self.ops[layer_index]) if t not in written)
        outputs = self.ops[layer_index].outputs
        used = sorted({t for i in kept for t in (*graph.operators[i].inputs, *self.ops[i].outputs)})
        numbers = {old: new for new, old in enumerate(t for t in used if t >= 0)} | {-1: -1}
        model, own = copy.copy(tables), copy.copy(graph)
        buffers: list[Any] = [self._schema.BufferT()]
        tensors: list[Any] = []
        for tensor in (t for t in used if t >= 0):
            moved = copy.copy(graph.tensors[tensor])
            buffers.append(tables.buffers[moved.buffer])
            moved.buffer = len(buffers) - 1
            tensors.append(moved)
        model.buffers, own.tensors = buffers, tensors
        own.operators = [_renumbered(graph.operators[i], numbers) for i in kept]
        own.inputs, own.outputs = _mapped(inputs, numbers), _mapped(outputs, numbers)
        model.subgraphs, model.signatureDefs = [own], None
        model.metadata = model.metadataBuffer = None
        is_quantized = self.tensors[outputs[0]].quantization is not None
        quantization = _quantization(graph.tensors[outputs[0]]) if is_quantized else None
        return SingleOp(self.pack(model), inputs, outputs, quantization)

    def pack(self, objects: Any = None) -> bytes:
        """Write tables to the bytes of a .tflite file; None for the file's own."""
        flatbuffers: Any = importlib.import_module("flatbuffers")
        builder = flatbuffers.Builder(_BUILDER_BYTES)
        builder.Finish((self.objects if objects is None else objects).Pack(builder), _IDENTIFIER)
        return bytes(builder.Output())

    def edited(self) -> Any:
        """Return a copy of the tables that may be changed without touching the file's.

        What buffers hold is the file's own: give a buffer other contents, do not change them.
        """
        shared: dict[int, Any] = {id(buffer): copy.copy(buffer) for buffer in self.objects.buffers}
        return copy.deepcopy(self.objects, shared)

    def _with_restored(self, layer_index: int) -> list[int]:
        """Return the operator, after those that restore its weights."""
        restoring = [
            self.writers[t]
            for t in self.ops[layer_index].inputs
            if t in self.writers and self.constant(t) is not None
        ]
        return [*sorted(restoring), layer_index]


def _renumbered(operator: Any, numbers: dict[int, int]) -> Any:
    moved = copy.copy(operator)
    moved.inputs = _mapped(operator.inputs, numbers)
    moved.outputs = _mapped(operator.outputs, numbers)
    moved.intermediates = None
    return moved


def _mapped(tensors: Any, numbers: dict[int, int]) -> Array:
    return np.array([numbers[int(t)] for t in tensors], np.int32)


def _quantization(tensor: Any) -> Quantization:
    stored = tensor.quantization
    scales = tuple(float(x) for x in stored.scale)
    points = (0,) if stored.zeroPoint is None else tuple(int(x) for x in stored.zeroPoint)
    if len(points) != len(scales):  # one for all channels is legal
        points = points[:1] * len(scales)
    return Quantization(scales, points, int(stored.quantizedDimension))


def _import_schema() -> Any:
    for name in _SCHEMAS:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    extra, purpose = "litert", "reading a .tflite file"
    raise MissingExtraError(extra, purpose)
