"""The graph of a .tflite model: its operators as rows, its tensors as places to read.

It is read from the file, never from an interpreter: with XNNPACK the interpreter's own
list of operators has extra DELEGATE entries, and so other indices.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from os import PathLike
from pathlib import Path

from exray.schema.errors import ModelError
from exray.schema.records import Graph, GraphOp

from .macs import tflite_macs
from .tflite_file import Content, TfliteOp, TfliteSubgraph, TfliteTensor, read_subgraphs

MODEL_INPUT = -1
"""What stands among an operator's parents for the model input."""

# What a tensor's values depend on.
_DATA, _SHAPES, _CONSTANTS = "data", "shapes", "constants"

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")

_EXCLUDED = {_SHAPES: "shape arithmetic", _CONSTANTS: "constant"}

# Operators whose values come from elsewhere than their inputs: state, chance, a body.
_SOURCES = frozenset(
    {
        "CALL",
        "CALL_ONCE",
        "IF",
        "MULTINOMIAL",
        "RANDOM_STANDARD_NORMAL",
        "RANDOM_UNIFORM",
        "READ_VARIABLE",
        "STABLEHLO_CASE",
        "STABLEHLO_COMPOSITE",
        "STABLEHLO_RNG_BIT_GENERATOR",
        "STABLEHLO_WHILE",
        "WHILE",
    }
)


@dataclass(frozen=True, slots=True)
class TfliteOutput:
    """A tensor that an operator writes.

    Args:
        layer_index: The operator's index in its subgraph.
        position: Among the operator's outputs.
        tensor: The tensor.
    """

    layer_index: int
    position: int
    tensor: TfliteTensor


@dataclass(frozen=True, slots=True)
class TfliteGraph:
    """What an adapter needs to know of a .tflite model.

    Args:
        graph: Operators of all subgraphs, as rows of the table ``graphs``.
        layers: The output tensors of each operator of the primary subgraph, by layer index.
        inputs: The model's inputs.
        outputs: The model's outputs.
        output_layers: The layer that writes each output; -1 for an input passed through.
        precision: The type that most activation elements have, such as ``int8``.
        written: For each subgraph, what writes a tensor, by the tensor's index.
        sources: For each operator of the primary subgraph the layers that it reads, those
            that compute but shapes included: it runs after them.
    """

    graph: Graph
    layers: tuple[tuple[TfliteTensor, ...], ...]
    inputs: tuple[TfliteTensor, ...]
    outputs: tuple[TfliteTensor, ...]
    output_layers: tuple[int, ...]
    precision: str
    written: tuple[Mapping[int, TfliteOutput], ...] = ()
    sources: tuple[tuple[int, ...], ...] = ()


def graph_from_tflite(model: bytes | str | PathLike[str], *, model_name: str, sha256: str) -> Graph:
    """Read a model's operators; `read_tflite` gives its tensors too.

    Args:
        model: The file's bytes, or its path.
        model_name: The model's name, as every table has it.
        sha256: The file's SHA-256, hex.

    Returns:
        One `GraphOp` per operator of every subgraph, in the file's order.

    Raises:
        ModelError: The file is missing, no .tflite file, truncated or damaged.
        MissingExtraError: Neither LiteRT nor TensorFlow is installed.
    """
    return read_tflite(model, model_name=model_name, sha256=sha256).graph


def read_tflite(
    model: Content | str | PathLike[str], *, model_name: str, sha256: str
) -> TfliteGraph:
    """Read a model's operators and tensors; arguments and errors of `graph_from_tflite`."""
    named = model_name
    if isinstance(model, str | PathLike):
        model, named = _read_file(Path(model)), str(model)
    subgraphs = read_subgraphs(model, name=named, with_constant_scales=False)
    return graph_from_subgraphs(subgraphs, model_name=model_name, sha256=sha256)


def graph_from_subgraphs(
    subgraphs: Sequence[TfliteSubgraph], *, model_name: str, sha256: str
) -> TfliteGraph:
    """Describe a model whose file is read already, the primary subgraph first."""
    ops = tuple(op for i, subgraph in enumerate(subgraphs) for op in _graph_ops(subgraph, i))
    primary = subgraphs[0]
    writers = _writers(primary)
    return TfliteGraph(
        graph=Graph(model_name=model_name, model_sha256=sha256, ops=ops),
        layers=tuple(tuple(primary.tensors[t] for t in op.outputs) for op in primary.ops),
        inputs=tuple(primary.tensors[t] for t in primary.inputs),
        outputs=tuple(primary.tensors[t] for t in primary.outputs),
        output_layers=tuple(writers.get(t, MODEL_INPUT) for t in primary.outputs),
        precision=_precision(primary, ops),
        written=tuple(_written(subgraph) for subgraph in subgraphs),
        sources=tuple(
            tuple(dict.fromkeys(writers[t] for t in op.inputs if t in writers))
            for op in primary.ops
        ),
    )


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        msg = f"model '{path}' cannot be read: {reason}. Pass the path of a .tflite file."
        raise ModelError(msg) from error


def _graph_ops(subgraph: TfliteSubgraph, subgraph_index: int) -> list[GraphOp]:
    """Return the rows of one subgraph."""
    tensors, writers = subgraph.tensors, _writers(subgraph)
    flow, reasons = _follow_values(subgraph)
    rows: list[GraphOp] = []
    for layer_index, (op, reason) in enumerate(zip(subgraph.ops, reasons, strict=True)):
        # Through shapes every layer would hang on the model input; where values flow,
        # only they count. Among excluded operators the shapes are what flows.
        carried = {_DATA} if reason is None else {_DATA, _SHAPES}
        activations = [t for t in op.inputs if t >= 0 and flow[t] in carried]
        parents = [writers.get(t, MODEL_INPUT) for t in activations if not tensors[t].is_variable]
        outputs = [tensors[t] for t in op.outputs]
        rows.append(
            GraphOp(
                subgraph_index=subgraph_index,
                layer_index=layer_index,
                layer_name=(outputs[0].name if outputs else "") or f"{op.op}:{layer_index}",
                op=op.op,
                input_names=tuple(tensors[t].name for t in activations),
                output_names=tuple(tensor.name for tensor in outputs),
                output_shapes=tuple(",".join(map(str, tensor.shape)) for tensor in outputs),
                output_dtypes=tuple(tensor.dtype for tensor in outputs),
                output_scales=tuple(_scale(tensor) for tensor in outputs),
                output_zero_points=tuple(_zero_point(tensor) for tensor in outputs),
                parents=tuple(dict.fromkeys(parents)),
                macs=_macs(op, tensors),
                weight_bytes=sum(tensors[t].constant_bytes for t in set(op.inputs) if t >= 0),
                activation_bytes=sum(tensor.size_bytes for tensor in outputs),
                excluded_reason=reason,
                attributes={**op.attributes, **_weight_scales(op, tensors)},
            )
        )
    return rows


def _weight_scales(op: TfliteOp, tensors: Sequence[TfliteTensor]) -> dict[str, object]:
    """Return how many scales a convolution's integer weights have, for how many channels."""
    if op.op not in _CONVOLUTIONS or len(op.inputs) < 2 or op.inputs[1] < 0:
        return {}
    weights = tensors[op.inputs[1]]
    if not weights.constant_bytes or not weights.scale_count or len(weights.shape) != 4:
        return {}
    channels = weights.shape[3 if op.op == "DEPTHWISE_CONV_2D" else 0]
    return {"weight_scales": weights.scale_count, "weight_channels": channels}


def _writers(subgraph: TfliteSubgraph) -> dict[int, int]:
    """Return the layer index that writes each tensor."""
    return {t: index for index, op in enumerate(subgraph.ops) for t in op.outputs}


def _written(subgraph: TfliteSubgraph) -> dict[int, TfliteOutput]:
    """Return the operator, and its output, that writes each tensor."""
    return {
        t: TfliteOutput(layer_index, position, subgraph.tensors[t])
        for layer_index, op in enumerate(subgraph.ops)
        for position, t in enumerate(op.outputs)
    }


def _follow_values(subgraph: TfliteSubgraph) -> tuple[Mapping[int, str], list[str | None]]:
    """Say of each tensor what its values depend on, and of each operator why it is excluded.

    An operator computes activations if the values of the model input, or of state, reach
    it. SHAPE stops them: what follows from shapes and constants alone is arithmetic that
    another runtime need not have. Weights that the file keeps in another type and
    restores by an operator are constants.
    """
    flow = dict.fromkeys(range(len(subgraph.tensors)), _CONSTANTS)
    variables = [tensor.index for tensor in subgraph.tensors if tensor.is_variable]
    flow |= dict.fromkeys([*subgraph.inputs, *variables], _DATA)
    reasons: list[str | None] = []
    for op in subgraph.ops:
        kinds = {flow[t] for t in op.inputs if t >= 0}
        dtypes = {subgraph.tensors[t].dtype for t in op.outputs}
        if op.op in ("SHAPE", "RANK"):
            kind = _SHAPES if kinds - {_CONSTANTS} else _CONSTANTS
        elif op.op in _SOURCES or op.is_custom or not kinds or _DATA in kinds:
            kind = _DATA
        else:
            kind = _SHAPES if _SHAPES in kinds else _CONSTANTS
        if not op.outputs:
            reasons.append("no output")
        elif dtypes <= {"resource", "variant"}:
            kind = _DATA  # what is read through the handle later is state
            reasons.append("resource handle")
        else:
            reasons.append(_EXCLUDED.get(kind))
        flow |= dict.fromkeys(op.outputs, kind)
    return flow, reasons


def _macs(op: TfliteOp, tensors: tuple[TfliteTensor, ...]) -> int:
    shapes = [tensors[t].shape if t >= 0 else () for t in op.inputs]
    output = tensors[op.outputs[0]].shape if op.outputs else ()
    return tflite_macs(op.op, shapes, output, op.attributes)


def _scale(tensor: TfliteTensor) -> float | None:
    """Return the scale of the whole tensor, None for one that has none or many."""
    quantization = tensor.quantization
    return quantization.scales[0] if quantization and len(quantization.scales) == 1 else None


def _zero_point(tensor: TfliteTensor) -> int | None:
    quantization = tensor.quantization
    return quantization.zero_points[0] if quantization and len(quantization.scales) == 1 else None


def _precision(primary: TfliteSubgraph, ops: tuple[GraphOp, ...]) -> str:
    """Return the type of most activation elements, counting the inputs where nothing computes."""
    computing = [
        t
        for op, row in zip(primary.ops, ops, strict=False)
        if row.excluded_reason is None
        for t in op.outputs
    ]
    elements: Counter[str] = Counter()
    for t in computing or primary.inputs:
        elements[primary.tensors[t].dtype] += prod(primary.tensors[t].shape)
    return max(elements, key=lambda dtype: elements[dtype], default="")
