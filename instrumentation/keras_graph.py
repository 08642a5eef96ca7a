"""The graph of a Keras model: nested models flattened, a row for each layer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, cast

from exray.schema.records import Graph, GraphOp

from .graph import MODEL_INPUT
from .keras_macs import keras_macs
from .keras_model import import_keras
from .macs import Shape

# Attributes of layers by what a TFLite operator calls the same.
_ATTRIBUTES: Mapping[str, str] = {
    "strides": "stride",
    "dilation_rate": "dilation",
    "kernel_size": "filter",
    "pool_size": "filter",
    "padding": "padding",
    "groups": "groups",
    "depth_multiplier": "depth_multiplier",
    "axis": "axis",
    "epsilon": "epsilon",
    "rate": "rate",
    "max_value": "max_value",
    "negative_slope": "negative_slope",
    "scale": "scale",
    "offset": "offset",
    "size": "size",
    "interpolation": "interpolation",
    "data_format": "data_format",
}


_PADDINGS = ("same", "valid", "causal")


@dataclass(frozen=True, slots=True)
class FlatLayer:
    """A layer of a model, nested models opened.

    Args:
        index: Its position; that in ``model.layers`` where nothing is nested.
        name: Its name, after the names of the models it stands in: ``backbone/conv1``.
        op: Its class.
        layer: The ``keras.Layer``.
    """

    index: int
    name: str
    op: str
    layer: Any


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """Shape and type of one output; the first dimension is the batch and counts as 1."""

    shape: Shape
    dtype: str

    @property
    def elements(self) -> int:
        """Elements of one sample; 0 where a dimension is unknown."""
        return max(prod(self.shape), 0) if -1 not in self.shape else 0


def flatten_layers(model: Any) -> tuple[FlatLayer, ...]:
    """List a model's layers in the order of ``model.layers``, each once.

    Nested models are opened, other layers made of layers are not: those show as one.
    """
    keras = import_keras("tracing a Keras model")
    found: dict[int, tuple[str, Any]] = {}
    for name, layer in _walk_layers(keras, model, ""):
        found.setdefault(id(layer), (name, layer))
    return tuple(
        FlatLayer(index, name, type(layer).__name__, layer)
        for index, (name, layer) in enumerate(found.values())
    )


def _walk_layers(keras: Any, model: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for layer in model.layers:
        if isinstance(layer, keras.Model) and layer.layers:
            yield from _walk_layers(keras, layer, f"{prefix}{layer.name}/")
        else:
            yield f"{prefix}{layer.name}", layer


def output_name(layer_name: str, output: int, occurrence: int = 0) -> str:
    """Name one output of one call: the layer's name alone for the first of the first.

    >>> output_name("lstm", 0), output_name("lstm", 1), output_name("shared", 0, 2)
    ('lstm', 'lstm:1', 'shared#2')
    """
    call = f"#{occurrence}" if occurrence else ""
    return f"{layer_name}{call}:{output}" if output else f"{layer_name}{call}"


def keras_graph(
    model: Any,
    *,
    model_name: str,
    sha256: str,
    seen: Mapping[int, Sequence[OutputSpec]] | None = None,
) -> Graph:
    """Describe a Keras model's layers.

    A layer that is called several times is one row, whose parents are those of all
    calls. Operations that are not layers (``x + y``) are no rows: their operands'
    layers are the parents of what follows. A subclassed model does not say how its
    layers hang together: there parents are empty, and shapes come from *seen*.

    Args:
        model: A built ``keras.Model``.
        model_name: The model's name, as every table has it.
        sha256: SHA-256 of its file, hex.
        seen: Outputs that a traced call had, by layer index, for layers whose shapes
            the model does not know.

    Returns:
        One `GraphOp` per layer of `flatten_layers`.
    """
    keras = import_keras("describing a Keras model")
    layers = flatten_layers(model)
    wiring = _Wiring({id(flat.layer): flat.index for flat in layers})
    wiring.follow(model, None)
    rows = [_row(keras, flat, layers, wiring, (seen or {}).get(flat.index, ())) for flat in layers]
    return Graph(model_name=model_name, model_sha256=sha256, ops=tuple(rows))


Writers = tuple[int, ...]
"""Indices of the layers that a tensor's values come from directly."""


@dataclass(slots=True)
class _Wiring:
    """How the layers of a functional model hang together.

    Args:
        index_of: Layer index by the layer's ``id()``.
    """

    index_of: Mapping[int, int]
    parents: dict[int, dict[int, None]] = field(default_factory=dict[int, dict[int, None]])
    inputs: dict[int, list[OutputSpec]] = field(default_factory=dict[int, list[OutputSpec]])
    outputs: dict[int, list[OutputSpec]] = field(default_factory=dict[int, list[OutputSpec]])

    def follow(self, model: Any, fed: Sequence[Writers] | None) -> list[Writers]:
        """Follow one call of a model.

        Args:
            fed: Who writes each of the model's inputs; None for the outermost model.

        Returns:
            Who writes each of its outputs; nothing for a subclassed model.
        """
        functional = functional_of(model)
        if functional is None:
            return []
        if fed is None:
            fed = [(MODEL_INPUT,)] * len(functional.inputs)
        writers: dict[int, Writers] = {}
        for tensor, before in zip(functional.inputs, fed, strict=False):
            layer = tensor._keras_history.operation  # there is no public way
            writers[id(tensor)] = self._note(layer, before, [tensor], [tensor])
        for node in _nodes(functional):
            given = [writers.get(id(tensor), ()) for tensor in node.input_tensors]
            if _is_model(node.operation):
                after = self.follow(node.operation, given)
            else:
                before = tuple(dict.fromkeys(index for some in given for index in some))
                wrote = self._note(node.operation, before, node.input_tensors, node.outputs)
                after = [wrote] * len(node.outputs)
            writers |= {id(t): wrote for t, wrote in zip(node.outputs, after, strict=False)}
        return [writers.get(id(tensor), ()) for tensor in functional.outputs]

    def _note(
        self, layer: Any, before: Writers, inputs: Sequence[Any], outputs: Sequence[Any]
    ) -> Writers:
        """Note one call of a layer and return who writes its outputs."""
        index = self.index_of.get(id(layer))
        if index is None:  # an operation, or the input layer of a Sequential: passed through
            return before
        self.parents.setdefault(index, {}).update(dict.fromkeys(before))
        self.inputs.setdefault(index, [_spec(tensor) for tensor in inputs])
        self.outputs.setdefault(index, [_spec(tensor) for tensor in outputs])
        return (index,)


def functional_of(model: Any) -> Any:
    """Return the functional model that *model* is or holds, None if it is neither."""
    if hasattr(model, "_nodes_by_depth"):
        return model
    return getattr(model, "_functional", None)  # a Sequential, once it is built


def _is_model(operation: Any) -> bool:
    return hasattr(operation, "predict_function")


def _nodes(functional: Any) -> Iterator[Any]:
    """Return a functional model's calls, inputs before outputs."""
    by_depth: Mapping[int, Sequence[Any]] = functional._nodes_by_depth
    for depth in sorted(by_depth, reverse=True):
        yield from (node for node in by_depth[depth] if not node.is_input)


def _spec(tensor: Any) -> OutputSpec:
    """Return a symbolic tensor's shape; an open batch is 1, what else is open is -1."""
    shape: tuple[int | None, ...] = tuple(tensor.shape)
    closed = [-1 if size is None else size for size in shape]
    if shape and shape[0] is None:
        closed[0] = 1
    return OutputSpec(tuple(closed), str(tensor.dtype))


def _row(
    keras: Any,
    flat: FlatLayer,
    layers: Sequence[FlatLayer],
    wiring: _Wiring,
    seen: Sequence[OutputSpec],
) -> GraphOp:
    """Return the row of one layer."""
    outputs = wiring.outputs.get(flat.index) or list(seen)
    inputs = [spec.shape for spec in wiring.inputs.get(flat.index, ())]
    parents = tuple(wiring.parents.get(flat.index, ()))
    weights: Sequence[Any] = flat.layer.weights
    return GraphOp(
        subgraph_index=0,
        layer_index=flat.index,
        layer_name=flat.name,
        op=flat.op,
        input_names=tuple("input" if i == MODEL_INPUT else layers[i].name for i in parents),
        output_names=tuple(output_name(flat.name, i) for i in range(len(outputs))),
        output_shapes=tuple(",".join(map(str, spec.shape)) for spec in outputs),
        output_dtypes=tuple(spec.dtype for spec in outputs),
        output_scales=(None,) * len(outputs),
        output_zero_points=(None,) * len(outputs),
        parents=parents,
        macs=keras_macs(keras, flat.layer, inputs, outputs[0].shape if outputs else ()),
        weight_bytes=sum(prod(w.shape) * _item_bytes(str(w.dtype)) for w in weights),
        activation_bytes=sum(spec.elements * _item_bytes(spec.dtype) for spec in outputs),
        attributes=_attributes(flat.layer),
    )


def _item_bytes(dtype: str) -> int:
    """Return the bytes of one element, 0 for types without a fixed size."""
    bits = "".join(character for character in dtype if character.isdigit())
    return int(bits) // 8 if bits else int(dtype == "bool")


def _attributes(layer: Any) -> dict[str, object]:
    """Return what configures a layer's arithmetic, as values that JSON can hold."""
    found: dict[str, object] = {}
    activation = getattr(layer, "activation", None)
    if activation is not None:
        name = str(getattr(activation, "__name__", type(activation).__name__)).upper()
        found["fused_activation"] = "NONE" if name == "LINEAR" else name
    for attribute, key in _ATTRIBUTES.items():
        value = _plain(getattr(layer, attribute, None))
        if value is not None:
            found[key] = value.upper() if attribute == "padding" and value in _PADDINGS else value
    return found


def _plain(value: object) -> str | float | list[object] | None:
    """Return a setting as JSON holds it, None for what it does not hold."""
    if isinstance(value, list | tuple):
        items = cast("Sequence[object]", value)
        return [_plain(item) for item in items]
    return value if isinstance(value, str | int | float) else None
