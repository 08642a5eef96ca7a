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
    """

    content: bytes
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


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
        model = copy.copy(self.objects if objects is None else objects)
        graph = copy.copy(model.subgraphs[0])
        kept = self._with_restored(layer_index)
        last = graph.operators[layer_index]
        written = {t for i in kept for t in self.ops[i].outputs}
        inputs = tuple(t for t in self.activations(self.ops[layer_index]) if t not in written)
        graph.operators = [graph.operators[i] for i in kept]
        graph.inputs = np.array(inputs, np.int32)
        graph.outputs = np.array(last.outputs, np.int32)
        used = {t for i in kept for t in (*self.ops[i].inputs, *self.ops[i].outputs) if t >= 0}
        model.buffers = self._buffers(model, graph, used)
        model.subgraphs, model.signatureDefs = [graph], None
        model.metadata = model.metadataBuffer = None
        return SingleOp(self.pack(model), inputs, self.ops[layer_index].outputs)

    def pack(self, objects: Any = None) -> bytes:
        """Write tables to the bytes of a .tflite file; None for the file's own."""
        flatbuffers: Any = importlib.import_module("flatbuffers")
        builder = flatbuffers.Builder(_BUILDER_BYTES)
        builder.Finish((self.objects if objects is None else objects).Pack(builder), _IDENTIFIER)
        return bytes(builder.Output())

    def edited(self) -> Any:
        """Return a copy of the tables that may be changed without touching the file's."""
        return copy.deepcopy(self.objects)

    def _with_restored(self, layer_index: int) -> list[int]:
        """Return the operator, after those that restore its weights."""
        restoring = [
            self.writers[t]
            for t in self.ops[layer_index].inputs
            if t in self.writers and self.constant(t) is not None
        ]
        return [*sorted(restoring), layer_index]

    def _buffers(self, model: Any, graph: Any, used: set[int]) -> list[Any]:
        """Return the buffers with those emptied that nothing reads: a cut of a large model."""
        kept = {graph.tensors[t].buffer for t in used}
        empty = self._schema.BufferT()
        return [buffer if i in kept else empty for i, buffer in enumerate(model.buffers)]


def _import_schema() -> Any:
    for name in _SCHEMAS:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    extra, purpose = "litert", "reading a .tflite file"
    raise MissingExtraError(extra, purpose)
