"""What a .tflite file says, as plain values: subgraphs, operators, tensors.

A flatbuffer checks nothing; so everything read from a file is checked here once and the
rest of exray never meets one. Numbers are read on access instead of unpacking the file
into objects, which for a large model takes seconds, and by the numbers of their fields
(``schema.fbs`` of TensorFlow Lite) instead of through the generated accessors, which hold
4 MB for good.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from mmap import mmap

from exray.schema.errors import ModelError
from exray.schema.records import Quantization

from .flatbuffer import DAMAGE, FlatTable
from .tflite_schema import (
    ACTIVATIONS,
    FIELDS,
    MIRROR_PADS,
    OPERATORS,
    OPTION_TABLES,
    PADDINGS,
    TENSOR_TYPES,
)

Content = bytes | mmap
"""A file's bytes, in memory or mapped into it."""

_IDENTIFIER = b"TFL3"


class _Model(IntEnum):
    OPERATOR_CODES, SUBGRAPHS, BUFFERS, SIGNATURES = 1, 2, 4, 7


class _Code(IntEnum):
    DEPRECATED_BUILTIN, CUSTOM, BUILTIN = 0, 1, 3


class _Subgraph(IntEnum):
    TENSORS, INPUTS, OUTPUTS, OPERATORS = 0, 1, 2, 3


class _Tensor(IntEnum):
    SHAPE, TYPE, BUFFER, NAME, QUANTIZATION, IS_VARIABLE = 0, 1, 2, 3, 4, 5


class _Quantized(IntEnum):
    SCALE, ZERO_POINT, DIMENSION = 2, 3, 6


class _Operator(IntEnum):
    OPCODE, INPUTS, OUTPUTS, OPTIONS_TYPE, OPTIONS = 0, 1, 2, 3, 4


class _Buffer(IntEnum):
    DATA, OFFSET, SIZE = 0, 1, 2


class _Signature(IntEnum):
    INPUTS, OUTPUTS, KEY, SUBGRAPH = 0, 1, 2, 4


class _Named(IntEnum):
    NAME, TENSOR = 0, 1


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
_ENUMS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "fused_activation": ("FusedActivationFunction", ACTIVATIONS),
    "padding": ("Padding", PADDINGS),
    "mirror_pad": ("Mode", MIRROR_PADS),
}

OPTION_ACCESSORS = frozenset(
    [*_OPTIONS]
    + [accessor for accessors in _SPATIAL.values() for accessor in accessors]
    + [accessor for accessor, _ in _ENUMS.values()]
)
"""Fields of operators' options that are read."""


@dataclass(frozen=True, slots=True)
class TfliteTensor:
    """One tensor of a subgraph.

    Args:
        index: Its number in the subgraph: what ``Interpreter.get_tensor`` takes.
        shape: Stored shape; a free batch dimension stands as 1.
        dtype: numpy's name of the type, or ``string``, ``resource``, ``int4`` ...
        quantization: None where it stands for itself, or was left out.
        constant_bytes: Bytes of data that the file holds for it; 0 for activations.
        is_variable: State that outlives an invocation.
        left_out_scales: How many scales the quantization has that was left out, else 0.
    """

    index: int
    name: str
    dtype: str
    shape: tuple[int, ...]
    quantization: Quantization | None = None
    constant_bytes: int = 0
    is_variable: bool = False
    left_out_scales: int = 0

    @property
    def scale_count(self) -> int:
        """How many scales it has."""
        return self.left_out_scales if self.quantization is None else len(self.quantization.scales)

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


def read_subgraphs(
    content: Content, *, name: str, with_constant_scales: bool = True
) -> tuple[TfliteSubgraph, ...]:
    """Read all subgraphs of a .tflite file, the primary one first.

    Args:
        content: The file's bytes.
        name: The model's name or path, for errors.
        with_constant_scales: Whether the quantization of constants is wanted: that of all
            channels of MobileNetV2 takes 1.5 MB as Python's numbers.

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
        subgraphs = tuple(_Reader(content, with_constant_scales).subgraphs())
    except DAMAGE as error:
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


def read_signatures(content: Content, *, name: str) -> Mapping[str, TfliteSignature]:
    """Read a file's signatures by their keys; arguments and errors of `read_subgraphs`."""
    subgraphs = read_subgraphs(content, name=name)
    signatures: dict[str, TfliteSignature] = {}
    try:
        for found in FlatTable.root(content).tables(_Model.SIGNATURES):
            index = found.integer(_Signature.SUBGRAPH, "I")
            tensors = subgraphs[index].tensors
            signatures[found.text(_Signature.KEY)] = TfliteSignature(
                index,
                _tensor_names(found.tables(_Signature.INPUTS), tensors),
                _tensor_names(found.tables(_Signature.OUTPUTS), tensors),
            )
    except DAMAGE as error:
        msg = (
            f"model {name!r} is damaged: its signatures cannot be followed ({error}). Copy the "
            "file again and compare its SHA-256."
        )
        raise ModelError(msg) from error
    return signatures


def _tensor_names(named: Iterator[FlatTable], tensors: Sequence[TfliteTensor]) -> dict[str, str]:
    """Return the graph's names of a signature's tensors, by the signature's."""
    return {
        entry.text(_Named.NAME): tensors[entry.integer(_Named.TENSOR, "I")].name for entry in named
    }


def _name_of(names: tuple[str, ...], value: int, kind: str) -> str:
    """Return an enum's name; a value from a newer schema than ours is named by its number."""
    return names[value] if 0 <= value < len(names) else f"{kind}_{value}"


class _Reader:
    """Reads one file."""

    def __init__(self, content: Content, with_constant_scales: bool) -> None:
        self._model = FlatTable.root(content)
        self._with_constant_scales = with_constant_scales
        self._content_bytes = len(content)
        self._op_names = [_op_name(code) for code in self._model.tables(_Model.OPERATOR_CODES)]

    def subgraphs(self) -> Iterator[TfliteSubgraph]:
        """Read the subgraphs in the file's order."""
        for graph in self._model.tables(_Model.SUBGRAPHS):
            tensors = tuple(
                self._tensor(tensor, index)
                for index, tensor in enumerate(graph.tables(_Subgraph.TENSORS))
            )
            yield TfliteSubgraph(
                tensors=tensors,
                ops=tuple(self._op(op, len(tensors)) for op in graph.tables(_Subgraph.OPERATORS)),
                inputs=_indices(graph, _Subgraph.INPUTS, 0, len(tensors)),
                outputs=_indices(graph, _Subgraph.OUTPUTS, 0, len(tensors)),
            )

    def _tensor(self, tensor: FlatTable, index: int) -> TfliteTensor:
        dtype = _name_of(TENSOR_TYPES, tensor.integer(_Tensor.TYPE, "b"), "type").lower()
        shape = tensor.integers(_Tensor.SHAPE)
        constant_bytes = self._buffer_bytes(tensor.integer(_Tensor.BUFFER, "I"))
        quantization = _quantization(tensor.table(_Tensor.QUANTIZATION), dtype, shape)
        left_out_scales = 0
        if constant_bytes and quantization is not None and not self._with_constant_scales:
            left_out_scales, quantization = len(quantization.scales), None
        return TfliteTensor(
            index=index,
            name=tensor.text(_Tensor.NAME),
            dtype=dtype,
            shape=shape,
            quantization=quantization,
            constant_bytes=constant_bytes,
            is_variable=bool(tensor.integer(_Tensor.IS_VARIABLE, "b")),
            left_out_scales=left_out_scales,
        )

    def _buffer_bytes(self, index: int) -> int:
        buffer = self._model.element(_Model.BUFFERS, index)
        size = buffer.integer(_Buffer.SIZE, "Q")
        # Files over 2 GiB keep their data behind the flatbuffer.
        start = buffer.integer(_Buffer.OFFSET, "Q") if size else 0
        size = size or buffer.length(_Buffer.DATA)
        if start + size > self._content_bytes:
            msg = f"buffer {index} ends at byte {start + size}"
            raise ValueError(msg)
        return size

    def _op(self, op: FlatTable, tensor_count: int) -> TfliteOp:
        name, is_custom = self._op_names[op.integer(_Operator.OPCODE, "I")]
        return TfliteOp(
            op=name,
            inputs=_indices(op, _Operator.INPUTS, -1, tensor_count),
            outputs=_indices(op, _Operator.OUTPUTS, 0, tensor_count),
            attributes=_attributes(op),
            is_custom=is_custom,
        )


def _op_name(code: FlatTable) -> tuple[str, bool]:
    """Return an operator's name, and whether it is custom and named itself."""
    # Codes up to 127 stood in the deprecated byte; the newer field holds 0 in old files.
    number = max(code.integer(_Code.BUILTIN), code.integer(_Code.DEPRECATED_BUILTIN, "b"))
    builtin = _name_of(OPERATORS, number, "BUILTIN")
    is_custom = builtin == "CUSTOM"
    return (code.text(_Code.CUSTOM) or builtin if is_custom else builtin), is_custom


def _indices(table: FlatTable, slot: int, lowest: int, tensor_count: int) -> tuple[int, ...]:
    """Return tensor indices, all within ``[lowest, tensor_count)``."""
    indices = table.integers(slot)
    if any(not lowest <= index < tensor_count for index in indices):
        msg = f"tensor indices {indices} where {tensor_count} tensors are"
        raise ValueError(msg)
    return indices


def _quantization(
    details: FlatTable | None, dtype: str, shape: tuple[int, ...]
) -> Quantization | None:
    """Return how an integer tensor maps to real values, None where it stands for itself."""
    # Float tensors carry leftovers of quantization-aware training: min, max, even scales.
    if details is None or "int" not in dtype:
        return None
    scales = details.numbers(_Quantized.SCALE, "f")
    axis = details.integer(_Quantized.DIMENSION)
    if not scales or not any(scales):
        return None
    if len(scales) > 1 and not (axis < len(shape) and shape[axis] == len(scales)):
        msg = f"{len(scales)} scales along dimension {axis} of shape {shape}"
        raise ValueError(msg)
    zero_points = details.integers(_Quantized.ZERO_POINT, "q") or (0,)
    if len(zero_points) != len(scales):  # one for all channels is legal
        zero_points = zero_points[:1] * len(scales)
    return Quantization(scales=scales, zero_points=zero_points, axis=axis)


def _attributes(op: FlatTable) -> dict[str, object]:
    """Return what the operator's options say, as values that JSON can hold."""
    table = op.table(_Operator.OPTIONS)
    kind = _name_of(OPTION_TABLES, op.integer(_Operator.OPTIONS_TYPE, "B"), "options")
    fields = FIELDS.get(kind)
    if table is None or fields is None:
        return {}

    def value(accessor: str) -> float | bool:
        slot, form, default = fields[accessor]
        return table.number(slot, form, default)

    found: dict[str, object] = {}
    for key, (accessor, names) in _ENUMS.items():
        if accessor in fields:
            found[key] = _name_of(names, int(value(accessor)), key)
    for key, accessors in _SPATIAL.items():
        sizes = [value(name) for name in accessors if name in fields]
        if sizes:
            found[key] = sizes
    for accessor, key in _OPTIONS.items():
        if accessor in fields:
            found[key] = value(accessor)
    return found
