"""The graph of an ONNX model: its operators as rows, its tensors as places to read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from exray.schema.records import Graph, GraphOp, LayerSite, Quantization

from .graph import MODEL_INPUT
from .macs import onnx_macs
from .onnx_file import OnnxFile, OnnxNode, OnnxTensor
from .onnx_layout import is_layout_change, layouts
from .onnx_quantization import Groups, groups, quantizations

# What a tensor's values depend on.
_DATA, _SHAPES, _CONSTANTS = "data", "shapes", "constants"

_EXCLUDED = {_SHAPES: "shape arithmetic", _CONSTANTS: "constant"}

_SOURCES = frozenset({"If", "Loop", "Scan", "RandomNormal", "RandomUniform"})
"""Operators whose values come from elsewhere than their inputs: chance, a body."""

_ATTRIBUTES: Mapping[str, str] = {
    "strides": "stride",
    "dilations": "dilation",
    "kernel_shape": "filter",
    "pads": "padding",
    "group": "groups",
}
"""Attributes by what a TFLite operator calls the same."""


@dataclass(frozen=True, slots=True)
class OnnxPlace:
    """A tensor of the model, as a session shows it.

    Args:
        layout: Meaning of its dimensions, None where unknown.
        quantization: How its integers map to real values, None for one without.
    """

    tensor: OnnxTensor
    layout: str | None = None
    quantization: Quantization | None = None


@dataclass(frozen=True, slots=True)
class OnnxGraph:
    """What an adapter needs to know of an ONNX model.

    Args:
        graph: The operators of the main graph, as rows of the table ``graphs``; what an
            operator has inside it (``If``, ``Loop``, functions) counts as part of it.
        sites: Each operator as a layer, by its index.
        layers: What it puts out; nothing for one that is no layer of its own.
        places: Every tensor that a session can show, by name.
        precision: The type that most activation elements have, such as ``int8``.
        writers: The layer that writes a tensor, by the tensor's name: a tensor inside a
            quantized group is the group's.
    """

    graph: Graph
    sites: tuple[LayerSite, ...]
    layers: tuple[tuple[OnnxPlace, ...], ...]
    places: Mapping[str, OnnxPlace]
    precision: str
    writers: Mapping[str, int] = field(default_factory=dict[str, int])


def onnx_graph(file: OnnxFile, *, model_name: str, sha256: str) -> OnnxGraph:
    """Describe a model whose file is read already.

    Args:
        file: Its main graph.
        model_name: The model's name, as every table has it.
        sha256: The file's SHA-256, hex.
    """
    return _Description(file).graph(model_name, sha256)


class _Description:
    """The facts of one graph, put together."""

    def __init__(self, file: OnnxFile) -> None:
        self._file = file
        self._groups: Groups = groups(file)
        self._layouts = layouts(file)
        self._quantizations = quantizations(file)
        self._flow: dict[str, str] = dict.fromkeys(file.inputs, _DATA)
        self._reasons = [self._follow(node) for node in file.nodes]
        self._through: dict[str, str] = {}
        """The tensor whose values, in another form, a tensor has."""
        self._writers: dict[str, int] = {}
        self._makers = {name: node for node in file.nodes for name in node.outputs}
        for node in file.nodes:
            self._place(node)

    def graph(self, model_name: str, sha256: str) -> OnnxGraph:
        rows = tuple(self._row(node) for node in self._file.nodes)
        layers = tuple(
            tuple(self._shown(name) for name in row.output_names if name)
            if row.excluded_reason is None
            else ()
            for row in rows
        )
        edge = (*self._file.inputs, *self._file.outputs)
        places = {place.tensor.name: place for outputs in layers for place in outputs}
        return OnnxGraph(
            graph=Graph(model_name=model_name, model_sha256=sha256, ops=rows),
            sites=tuple(LayerSite(row.layer_index, row.layer_name, row.op) for row in rows),
            layers=layers,
            places=places | {name: self._shown(name) for name in edge},
            precision=self._precision(layers),
            writers=self._writers,
        )

    def _shown(self, name: str) -> OnnxPlace:
        layout, quantization = self._layouts.get(name), self._quantizations.get(name)
        return OnnxPlace(self._file.tensor(name), layout, quantization)

    def _follow(self, node: OnnxNode) -> str | None:
        """Say what a node's values depend on, and why it is excluded if it computes nothing."""
        constant = self._file.constant_bytes
        kinds = {_CONSTANTS if n in constant else self._flow.get(n, _CONSTANTS) for n in node.reads}
        if node.op in ("Shape", "Size"):
            kind = _SHAPES if kinds - {_CONSTANTS} else _CONSTANTS
        elif _DATA in kinds or node.op in _SOURCES:
            kind = _DATA
        else:
            kind = _SHAPES if _SHAPES in kinds else _CONSTANTS
        self._flow |= dict.fromkeys(node.outputs, kind)
        return _EXCLUDED.get(kind) if node.outputs else "no output"

    def _place(self, node: OnnxNode) -> None:
        """Note who writes a node's outputs, and which of them are another's values."""
        index = node.index
        if self._reasons[index] is not None:
            return
        self._writers |= dict.fromkeys(node.outputs, index)
        if index in self._groups.output_of:
            self._writers[self._groups.output_of[index]] = index
        if index in self._groups.inside:
            self._reasons[index] = self._groups.inside[index]
            self._through |= dict.fromkeys(node.outputs, node.first)
        elif is_layout_change(self._file, node, self._layouts):
            self._reasons[index] = "changes the layout alone"
            self._through |= dict.fromkeys(node.outputs, node.first)

    def _origin(self, name: str) -> str:
        """Return the tensor of a layer, or of the model's input, that has the same values."""
        while name in self._through:
            name = self._through[name]
        return name

    def _writer(self, name: str) -> int:
        origin = self._origin(name)
        return self._writers.get(origin, MODEL_INPUT)

    def _row(self, node: OnnxNode) -> GraphOp:
        reason = self._reasons[node.index]
        is_own = reason is None or reason not in _EXCLUDED.values()
        carried = {_DATA} if is_own else {_DATA, _SHAPES}
        reads = [n for n in node.reads if self._flow.get(n) in carried]
        whole = self._groups.output_of.get(node.index)
        names = (whole,) if whole else node.outputs
        outputs = [self._shown(name) for name in names]
        shapes = [self._file.shape(name) for name in node.inputs]
        output = self._file.shape(names[0]) if names else ()
        attributes = {_ATTRIBUTES.get(key, key): value for key, value in node.attributes.items()}
        if node.index in self._groups.activation_of:
            attributes["fused_activation"] = self._groups.activation_of[node.index]
        return GraphOp(
            subgraph_index=0,
            layer_index=node.index,
            layer_name=node.name or next(iter(node.outputs), "") or f"{node.op}:{node.index}",
            op=node.op,
            input_names=tuple(reads),
            output_names=tuple(names),
            output_shapes=tuple(_shape_text(place.tensor) for place in outputs),
            output_dtypes=tuple(place.tensor.dtype for place in outputs),
            output_scales=tuple(_scale(place.quantization) for place in outputs),
            output_zero_points=tuple(_zero_point(place.quantization) for place in outputs),
            parents=tuple(dict.fromkeys(self._writer(name) for name in reads)),
            macs=onnx_macs(node.op, shapes, output, node.attributes),
            weight_bytes=sum(self._constant_bytes(name) for name in set(node.inputs)),
            activation_bytes=sum(place.tensor.size_bytes for place in outputs),
            excluded_reason=reason,
            attributes=attributes,
        )

    def _constant_bytes(self, name: str) -> int:
        """Return the bytes of the constants that a constant input is made of."""
        size = self._file.constant_bytes.get(name)
        if size is not None:
            return size
        if not name or self._flow.get(name) != _CONSTANTS:
            return 0
        maker = self._makers.get(name)
        return 0 if maker is None else sum(self._constant_bytes(n) for n in set(maker.inputs))

    def _precision(self, layers: Sequence[Sequence[OnnxPlace]]) -> str:
        """Return the type of most activation elements, counting inputs where nothing computes."""
        elements: Counter[str] = Counter()
        shown = [place for outputs in layers for place in outputs]
        for place in shown or [self._shown(name) for name in self._file.inputs]:
            elements[place.tensor.dtype] += max(place.tensor.count, 1)
        return max(elements, key=lambda dtype: elements[dtype], default="")


def _shape_text(tensor: OnnxTensor) -> str:
    return ",".join(map(str, tensor.shape or ()))


def _scale(quantization: Quantization | None) -> float | None:
    """Return the scale of the whole tensor, None for one that has none or many."""
    is_one = quantization is not None and len(quantization.scales) == 1
    return quantization.scales[0] if quantization is not None and is_one else None


def _zero_point(quantization: Quantization | None) -> int | None:
    is_one = quantization is not None and len(quantization.scales) == 1
    return quantization.zero_points[0] if quantization is not None and is_one else None
