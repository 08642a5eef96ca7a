"""What an ONNX model file says: its operators, tensors and constants.

The format is read with the ``onnx`` package, which has no types that a checker could use:
it is `Any` in this module, and what leaves it is typed.
"""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.schema.errors import MissingExtraError, ModelError

from .guard import error_text
from .macs import Shape

UNKNOWN_SIZE = -1
"""Stands for a dimension that the file leaves open; an open batch is 1."""

MOST_FILLS = 64
"""Rounds of telling shapes of operators that are not ONNX's own; each infers anew."""


@dataclass(frozen=True, slots=True)
class OnnxTensor:
    """A tensor by name.

    Args:
        dtype: Name of its element type, empty where unknown.
        shape: Its dimensions; None where even their number is unknown.
    """

    name: str
    dtype: str = ""
    shape: Shape | None = None

    @property
    def count(self) -> int:
        """Elements; 0 where unknown."""
        if self.shape is None or UNKNOWN_SIZE in self.shape:
            return 0
        return prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Bytes for one input; 0 where unknown."""
        return self.count * item_bytes(self.dtype)

    @property
    def rank(self) -> int:
        """Number of dimensions; 0 where unknown."""
        return len(self.shape or ())


@dataclass(frozen=True, slots=True)
class OnnxNode:
    """One operator of the main graph.

    Args:
        index: Its position in the file.
        inputs: Names of the tensors it reads; empty for one left out.
        captured: Names that the bodies inside it read.
        attributes: Numbers, texts and lists of them.
    """

    index: int
    name: str
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    captured: tuple[str, ...] = ()
    attributes: Mapping[str, object] = field(default_factory=dict[str, object])

    @property
    def first(self) -> str:
        """Name of the first input, empty where it has none."""
        return self.inputs[0] if self.inputs else ""

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of all that its values depend on."""
        return tuple(name for name in (*self.inputs, *self.captured) if name)


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """The main graph of a model.

    Args:
        nodes: Its operators, in the file's order.
        inputs: Names of the model's inputs, constants not counted.
        outputs: Names of its outputs.
        tensors: What is known of each tensor.
        constants: Small constants by name: scales, zero points, shapes.
        constant_bytes: Sizes of all constants that the file holds.
    """

    nodes: tuple[OnnxNode, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    tensors: Mapping[str, OnnxTensor]
    constants: Mapping[str, NDArray[Any]]
    constant_bytes: Mapping[str, int]

    def tensor(self, name: str) -> OnnxTensor:
        """Return what is known of a tensor."""
        return self.tensors.get(name) or OnnxTensor(name)

    def shape(self, name: str) -> Shape:
        """Return a tensor's shape, ``()`` where it is not wholly known."""
        shape = self.tensor(name).shape
        return () if shape is None or UNKNOWN_SIZE in shape else shape


def item_bytes(dtype: str) -> int:
    """Return the bytes of one element, 0 for a type that has no fixed size."""
    bits = "".join(character for character in dtype if character.isdigit())
    return -(-int(bits) // 8) if bits else int(dtype == "bool")


def import_onnx(purpose: str) -> Any:
    """Import the ``onnx`` package.

    Args:
        purpose: What needs it, for the error.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        importlib.import_module("onnx.shape_inference")
        return importlib.import_module("onnx")
    except ImportError as error:
        raise MissingExtraError("onnx", purpose) from error


def parse_onnx(content: bytes, *, name: str) -> Any:
    """Return the ``onnx.ModelProto`` of a file's bytes; weights in other files stay there.

    Raises:
        ModelError: They are no ONNX model.
        MissingExtraError: The ``onnx`` package is not installed.
    """
    onnx = import_onnx("reading an ONNX model")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as error:  # protobuf's own types are several
        msg = f"model '{name}' is truncated or no ONNX model: {error_text(error)}. Export it again."
        raise ModelError(msg) from error
    if not model.graph.node:
        msg = f"model '{name}' is truncated or no ONNX model: it has no operators. Export it again."
        raise ModelError(msg)
    return model


def read_onnx(content: bytes, *, name: str) -> OnnxFile:
    """Read a model's main graph; arguments and errors of `parse_onnx`."""
    return file_from_proto(parse_onnx(content, name=name))


def file_from_proto(model: Any) -> OnnxFile:
    """Read the main graph of an ``onnx.ModelProto``."""
    onnx = import_onnx("reading an ONNX model")
    graph = model.graph
    nodes = tuple(_node(onnx, index, node) for index, node in enumerate(graph.node))
    constants: dict[str, NDArray[Any]] = {}
    sizes: dict[str, int] = {}
    for tensor in _constant_tensors(graph):
        info = _typed(onnx, tensor.name, tensor.data_type, tuple(tensor.dims))
        sizes[tensor.name] = info.size_bytes
        if info.count <= 4096 and not tensor.external_data and info.dtype:
            constants[tensor.name] = np.asarray(onnx.numpy_helper.to_array(tensor))
    return OnnxFile(
        nodes,
        tuple(value.name for value in graph.input if value.name not in sizes),
        tuple(value.name for value in graph.output),
        _tensors(onnx, model, nodes),
        constants,
        sizes,
    )


def _constant_tensors(graph: Any) -> Iterator[Any]:
    """Yield the tensors that stand in the file: initializers, and those of Constant nodes."""
    yield from graph.initializer
    for node in graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    tensor = type(attribute.t)()
                    tensor.CopyFrom(attribute.t)
                    tensor.name = node.output[0]
                    yield tensor


def _node(onnx: Any, index: int, node: Any) -> OnnxNode:
    attributes: dict[str, object] = {}
    captured: list[str] = []
    kinds = onnx.AttributeProto
    for attribute in node.attribute:
        if attribute.type in (kinds.GRAPH, kinds.GRAPHS):
            for body in [attribute.g, *attribute.graphs]:
                captured += _captured(body)
        elif attribute.type in (kinds.INT, kinds.FLOAT, kinds.STRING, kinds.INTS, kinds.FLOATS):
            value = onnx.helper.get_attribute_value(attribute)
            if isinstance(value, bytes):
                value = value.decode("utf-8", "replace")
            is_one = isinstance(value, str | int | float)
            attributes[attribute.name] = value if is_one else list(value)
    return OnnxNode(
        index,
        str(node.name),
        str(node.op_type),
        str(node.domain),
        tuple(node.input),
        tuple(node.output),
        tuple(dict.fromkeys(captured)),
        attributes,
    )


def _captured(body: Any) -> list[str]:
    """Return the names that a body reads and does not make itself, inner bodies included."""
    own = {value.name for value in body.input} | {tensor.name for tensor in body.initializer}
    own |= {name for node in body.node for name in node.output}
    read: list[str] = [name for node in body.node for name in node.input]
    read += [value.name for value in body.output]
    for node in body.node:
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs]:
                read += _captured(inner)
    return [name for name in read if name and name not in own]


# --- shapes -----------------------------------------------------------------------------


def _tensors(onnx: Any, model: Any, nodes: Sequence[OnnxNode]) -> dict[str, OnnxTensor]:
    """Return type and shape of every tensor, as far as they follow from the file."""
    lean = onnx.ModelProto()
    lean.CopyFrom(model)
    found = _infer(onnx, lean)
    for _ in range(MOST_FILLS):
        told = _told(nodes, found)
        if not told:
            break
        for tensor in told:
            kind = onnx.TensorProto.DataType.Value(_PROTO_NAMES[tensor.dtype])
            shape = [None if size == UNKNOWN_SIZE else size for size in tensor.shape or ()]
            lean.graph.value_info.append(
                onnx.helper.make_tensor_value_info(tensor.name, kind, shape)
            )
        found |= {tensor.name: tensor for tensor in told}
        found = _infer(onnx, lean) | found
    return found


def _infer(onnx: Any, model: Any) -> dict[str, OnnxTensor]:
    """Let ONNX infer types and shapes; what it cannot is left out."""
    try:
        graph = onnx.shape_inference.infer_shapes(model).graph
    except Exception:  # noqa: BLE001 - a model that it refuses may run all the same
        graph = model.graph
    found: dict[str, OnnxTensor] = {}
    for value in (*graph.input, *graph.output, *graph.value_info):
        kind = value.type.tensor_type
        if not value.type.HasField("tensor_type"):
            continue
        shape: Shape | None = None
        if kind.HasField("shape"):
            sizes = [d.dim_value if d.HasField("dim_value") else -1 for d in kind.shape.dim]
            shape = (1, *sizes[1:]) if sizes and sizes[0] == UNKNOWN_SIZE else tuple(sizes)
        found[value.name] = _typed(onnx, value.name, kind.elem_type, shape)
    for tensor in _constant_tensors(graph):
        found[tensor.name] = _typed(onnx, tensor.name, tensor.data_type, tuple(tensor.dims))
    return found


def _typed(onnx: Any, name: str, kind: int, shape: Shape | None) -> OnnxTensor:
    dtype = ""
    if kind == onnx.TensorProto.STRING:
        dtype = "string"
    elif kind:
        dtype = str(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind)).name)
    return OnnxTensor(name, dtype, shape)


_PROTO_NAMES = {"float32": "FLOAT", "int8": "INT8", "uint8": "UINT8", "float16": "FLOAT16"}

_SAME_SHAPE = frozenset(
    {
        "Gelu",
        "FastGelu",
        "QuickGelu",
        "BiasGelu",
        "LayerNormalization",
        "SkipLayerNormalization",
        "QLinearLeakyRelu",
        "QLinearSigmoid",
        "QLinearSoftmax",
    }
)
"""Operators of ONNX Runtime's own whose output has the shape of their first input."""


def _told(nodes: Sequence[OnnxNode], found: Mapping[str, OnnxTensor]) -> list[OnnxTensor]:
    """Return the first outputs of ONNX Runtime's own operators that can be told now."""
    told: list[OnnxTensor] = []
    for node in nodes:
        known = found.get(node.outputs[0]) if node.outputs else None
        if not node.outputs or (known is not None and known.shape is not None):
            continue
        source = found.get(node.first)
        if source is None or source.shape is None or source.dtype not in _PROTO_NAMES:
            continue
        shape: Shape | None = None
        if node.op in _SAME_SHAPE:
            shape = source.shape
        elif node.op in ("QLinearAdd", "QLinearMul"):
            other = found.get(node.inputs[3])
            if other is not None and other.shape is not None:
                shape = _broadcast(source.shape, other.shape)
        elif node.op == "QGemm" and len(source.shape) == 2:
            weights = found.get(node.inputs[3])
            if weights is not None and weights.shape is not None:
                shape = (source.shape[0], weights.shape[0 if node.attributes.get("transB") else 1])
        elif node.op == "QLinearGlobalAveragePool" and not node.attributes.get("channels_last"):
            shape = (*source.shape[:2], *(1 for _ in source.shape[2:]))
        if shape is not None:
            told.append(OnnxTensor(node.outputs[0], source.dtype, shape))
    return told


def _broadcast(left: Shape, right: Shape) -> Shape | None:
    if UNKNOWN_SIZE in left or UNKNOWN_SIZE in right:
        return left if left == right else None
    try:
        return tuple(np.broadcast_shapes(left, right))
    except ValueError:
        return None
