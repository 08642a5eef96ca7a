"""What a .tflite file says, as plain values: subgraphs, operators, tensors.

The flatbuffers accessors come with the runtime (LiteRT, or TensorFlow), are generated
code without types, and check nothing; so everything read from a file is checked here
once and the rest of exray never meets them. Numbers are read on access instead of
unpacking the file into objects, which for a large model takes seconds.
"""

import importlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from exray.schema.errors import MissingExtraError, ModelError
from exray.schema.records import Quantization

_SCHEMAS = ("ai_edge_litert.schema_py_generated", "tensorflow.lite.python.schema_py_generated")

_IDENTIFIER = b"TFL3"

# What the accessors raise when an offset leads out of the file, or to nonsense.
_DAMAGE = (struct.error, TypeError, ValueError, IndexError, OverflowError, KeyError, AttributeError)

_BITS: Mapping[str, int] = {
    "int2": 2,
    "int4": 4,
    "bool": 8,
    "bfloat16": 16,
    "complex64": 64,
    "complex128": 128,
    **{f"{kind}{bits}": bits for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64)},
}

# Options that change what an operator computes, by accessor. Names of enums follow.
_OPTIONS: Mapping[str, str] = {
    "Axis": "axis",
    "Alpha": "alpha",
    "Beta": "beta",
    "DepthMultiplier": "depth_multiplier",
    "KeepDims": "keep_dims",
    "KeepNumDims": "keep_dims",
    "AlignCorners": "align_corners",
    "HalfPixelCenters": "half_pixel_centers",
    "BlockSize": "block_size",
    "BatchDims": "batch_dims",
    "AdjX": "adj_x",
    "AdjY": "adj_y",
    "TimeMajor": "time_major",
    "AsymmetricQuantizeInputs": "asymmetric_quantize_inputs",
    "CondSubgraphIndex": "cond_subgraph",
    "BodySubgraphIndex": "body_subgraph",
    "ThenSubgraphIndex": "then_subgraph",
    "ElseSubgraphIndex": "else_subgraph",
    "InitSubgraphIndex": "init_subgraph",
}
_SPATIAL: Mapping[str, tuple[str, str, str]] = {
    "stride": ("StrideD", "StrideH", "StrideW"),
    "dilation": ("DilationDFactor", "DilationHFactor", "DilationWFactor"),
    "filter": ("FilterDepth", "FilterHeight", "FilterWidth"),
}
_ENUMS: Mapping[str, tuple[str, str]] = {
    "fused_activation": ("FusedActivationFunction", "ActivationFunctionType"),
    "padding": ("Padding", "Padding"),
    "mirror_pad": ("Mode", "MirrorPadMode"),
}


@dataclass(frozen=True, slots=True)
class TfliteTensor:
    """One tensor of a subgraph.

    Args:
        index: Its number in the subgraph: what ``Interpreter.get_tensor`` takes.
        shape: Stored shape; a free batch dimension stands as 1.
        dtype: numpy's name of the type, or ``string``, ``resource``, ``int4`` ...
        constant_bytes: Bytes of data that the file holds for it; 0 for activations.
        is_variable: State that outlives an invocation.
    """

    index: int
    name: str
    dtype: str
    shape: tuple[int, ...]
    quantization: Quantization | None = None
    constant_bytes: int = 0
    is_variable: bool = False

    @property
    def size_bytes(self) -> int:
        """Bytes at the stored shape; 0 for types without a fixed size, such as strings."""
        bits = _BITS.get(self.dtype, 0)
        for dimension in self.shape:
            bits *= dimension
        return -(-bits // 8)


@dataclass(frozen=True, slots=True)
class TfliteOp:
    """One operator: *inputs* and *outputs* are tensor indices, -1 an input left out."""

    op: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attributes: Mapping[str, object] = field(default_factory=dict[str, object])
    is_custom: bool = False


@dataclass(frozen=True, slots=True)
class TfliteSubgraph:
    """One subgraph: *inputs* and *outputs* are tensor indices."""

    tensors: tuple[TfliteTensor, ...]
    ops: tuple[TfliteOp, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_subgraphs(content: bytes, *, name: str) -> tuple[TfliteSubgraph, ...]:
    """Read all subgraphs of a .tflite file, the primary one first.

    Args:
        content: The file's bytes.
        name: The model's name or path, for errors.

    Returns:
        One entry per subgraph, its operators in the file's order.

    Raises:
        ModelError: *content* is not a .tflite file, or is truncated or damaged.
        MissingExtraError: Neither LiteRT nor TensorFlow is installed.
    """
    if content[4:8] != _IDENTIFIER:
        msg = (
            f"model {name!r} is not a TFLite file: {len(content)} bytes with identifier "
            f"{content[4:8]!r}, expected {_IDENTIFIER!r} at byte 4. Pass the .tflite file "
            "that the converter wrote."
        )
        raise ModelError(msg)
    try:
        subgraphs = tuple(_Reader(content).subgraphs())
    except _DAMAGE as error:
        msg = (
            f"model {name!r} is truncated or damaged: {len(content)} bytes, in which the "
            f"operators cannot be followed ({error}). Copy the file again and compare its SHA-256."
        )
        raise ModelError(msg) from error
    if not subgraphs:
        msg = f"model {name!r} holds no subgraph, expected at least one. Convert the model again."
        raise ModelError(msg)
    return subgraphs


@dataclass(frozen=True, slots=True)
class TfliteSignature:
    """A named way to run a model: its names for tensors, and the graph's for the same."""

    subgraph_index: int
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


def read_signatures(content: bytes, *, name: str) -> Mapping[str, TfliteSignature]:
    """Read a file's signatures by their keys; arguments and errors of `read_subgraphs`."""
    subgraphs = read_subgraphs(content, name=name)
    model = _schema().Model.GetRootAs(content, 0)
    signatures: dict[str, TfliteSignature] = {}
    try:
        for i in range(model.SignatureDefsLength()):
            found = model.SignatureDefs(i)
            index = int(found.SubgraphIndex())
            tensors = subgraphs[index].tensors
            signatures[_text(found.SignatureKey())] = TfliteSignature(
                index,
                {
                    _text(tensor.Name()): tensors[int(tensor.TensorIndex())].name
                    for tensor in map(found.Inputs, range(found.InputsLength()))
                },
                {
                    _text(tensor.Name()): tensors[int(tensor.TensorIndex())].name
                    for tensor in map(found.Outputs, range(found.OutputsLength()))
                },
            )
    except _DAMAGE as error:
        msg = (
            f"model {name!r} is damaged: its signatures cannot be followed ({error}). Copy the "
            "file again and compare its SHA-256."
        )
        raise ModelError(msg) from error
    return signatures


# Any: the module is generated by flatc and has no types.
@cache
def _schema() -> Any:
    """Return the generated accessors of the runtime that is installed."""
    for module in _SCHEMAS:
        try:
            return importlib.import_module(module)
        except ImportError:
            continue
    raise MissingExtraError("litert", "reading a .tflite file")


@cache
def _enum_names(enum: str) -> dict[int, str]:
    """Return the names of one of the schema's enums by value."""
    generated: object = getattr(_schema(), enum)
    return {value: name for name, value in vars(generated).items() if isinstance(value, int)}


class _Reader:
    """Reads one file through the generated accessors."""

    def __init__(self, content: bytes) -> None:
        self._model = _schema().Model.GetRootAs(content, 0)
        self._content_bytes = len(content)
        codes = [self._model.OperatorCodes(i) for i in range(self._model.OperatorCodesLength())]
        self._op_names: list[tuple[str, bool]] = [_op_name(code) for code in codes]

    def subgraphs(self) -> Iterator[TfliteSubgraph]:
        """Read the subgraphs in the file's order."""
        for i in range(self._model.SubgraphsLength()):
            graph = self._model.Subgraphs(i)
            tensors = tuple(self._tensor(graph, j) for j in range(graph.TensorsLength()))
            yield TfliteSubgraph(
                tensors=tensors,
                ops=tuple(self._op(graph, j, len(tensors)) for j in range(graph.OperatorsLength())),
                inputs=_indices(graph.InputsAsNumpy(), 0, len(tensors)),
                outputs=_indices(graph.OutputsAsNumpy(), 0, len(tensors)),
            )

    def _tensor(self, graph: Any, index: int) -> TfliteTensor:
        tensor = graph.Tensors(index)
        dtype = _enum_names("TensorType")[tensor.Type()].lower()
        shape = _integers(tensor.ShapeAsNumpy())
        return TfliteTensor(
            index=index,
            name=_text(tensor.Name()),
            dtype=dtype,
            shape=shape,
            quantization=_quantization(tensor.Quantization(), dtype, shape),
            constant_bytes=self._buffer_bytes(tensor.Buffer()),
            is_variable=bool(tensor.IsVariable()),
        )

    def _buffer_bytes(self, index: int) -> int:
        buffer = self._model.Buffers(index)
        if buffer.Size() > 0:  # files over 2 GiB keep their data behind the flatbuffer
            start, size = buffer.Offset(), buffer.Size()
        else:
            data = buffer.DataAsNumpy()  # numpy refuses a view that ends behind the file
            start, size = 0, 0 if isinstance(data, int) else len(data)
        if start + size > self._content_bytes:
            msg = f"buffer {index} ends at byte {start + size}"
            raise ValueError(msg)
        return int(size)

    def _op(self, graph: Any, index: int, tensor_count: int) -> TfliteOp:
        op = graph.Operators(index)
        code: int = op.OpcodeIndex()
        name, is_custom = self._op_names[code]
        return TfliteOp(
            op=name,
            inputs=_indices(op.InputsAsNumpy(), -1, tensor_count),
            outputs=_indices(op.OutputsAsNumpy(), 0, tensor_count),
            attributes=_attributes(op),
            is_custom=is_custom,
        )


def _op_name(code: Any) -> tuple[str, bool]:
    """Return an operator's name, and whether it is custom and named itself."""
    # Codes up to 127 stood in the deprecated byte; the newer field holds 0 in old files.
    builtin = _enum_names("BuiltinOperator")[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
    is_custom = builtin == "CUSTOM"
    return (_text(code.CustomCode()) or builtin if is_custom else builtin), is_custom


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace")


def _integers(vector: Any) -> tuple[int, ...]:
    """Return a vector's integers; the accessors give 0 for one that is absent."""
    return () if isinstance(vector, int) else tuple(vector.tolist())


def _indices(vector: Any, lowest: int, tensor_count: int) -> tuple[int, ...]:
    """Return tensor indices, all within ``[lowest, tensor_count)``."""
    indices = _integers(vector)
    if any(not lowest <= index < tensor_count for index in indices):
        msg = f"tensor indices {indices} where {tensor_count} tensors are"
        raise ValueError(msg)
    return indices


def _quantization(details: Any, dtype: str, shape: tuple[int, ...]) -> Quantization | None:
    """Return how an integer tensor maps to real values, None where it stands for itself."""
    # Float tensors carry leftovers of quantization-aware training: min, max, even scales.
    if details is None or "int" not in dtype:
        return None
    scale_vector = details.ScaleAsNumpy()
    scales = () if isinstance(scale_vector, int) else tuple(map(float, scale_vector))
    axis = details.QuantizedDimension()
    if not scales or not any(scales):
        return None
    if len(scales) > 1 and not (axis < len(shape) and shape[axis] == len(scales)):
        msg = f"{len(scales)} scales along dimension {axis} of shape {shape}"
        raise ValueError(msg)
    zero_points = _integers(details.ZeroPointAsNumpy()) or (0,)
    if len(zero_points) != len(scales):  # one for all channels is legal
        zero_points = zero_points[:1] * len(scales)
    return Quantization(scales=scales, zero_points=zero_points, axis=axis)


def _attributes(op: Any) -> dict[str, object]:
    """Return what the operator's options say, as values that JSON can hold."""
    table = op.BuiltinOptions()
    kind = getattr(_schema(), _enum_names("BuiltinOptions")[op.BuiltinOptionsType()], None)
    if table is None or kind is None:
        return {}
    options = kind()
    options.Init(table.Bytes, table.Pos)
    found: dict[str, object] = {}
    for key, (accessor, enum) in _ENUMS.items():
        if hasattr(options, accessor):
            found[key] = _enum_names(enum)[getattr(options, accessor)()]
    for key, accessors in _SPATIAL.items():
        sizes = [getattr(options, name)() for name in accessors if hasattr(options, name)]
        if sizes:
            found[key] = sizes
    for accessor, key in _OPTIONS.items():
        if hasattr(options, accessor):
            found[key] = getattr(options, accessor)()
    return found
