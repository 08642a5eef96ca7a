"""The layers of one Keras execution, turned into spans and tensor rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from exray.schema.records import LAYER_ROW, LayerBlock, LayerSite, TensorSite

from .capture import Array, Carrier, TensorRecorder, new_span_id_int
from .execution import Seen, layout_of
from .keras_graph import OutputSpec, output_name
from .keras_tap import LayerCall, flatten_tensors

MOST_SITES = 10_000
"""Places remembered of a model: one whose shapes vary with each input has no end of them."""


Specs = Mapping[int, Sequence[OutputSpec]]
"""Outputs of layers by layer index."""


class Sites:
    """The places in one model, the same object whenever the place is the same."""

    def __init__(self) -> None:
        self._layers: dict[LayerSite, LayerSite] = {}
        self._tensors: dict[TensorSite, TensorSite] = {}
        self._latest: Sequence[LayerSite] = ()

    def layer(self, site: LayerSite) -> LayerSite:
        """Return the layer site that equals *site*."""
        return self._layers.setdefault(site, site)

    def tensor(self, site: TensorSite) -> TensorSite:
        """Return the tensor site that equals *site*."""
        if len(self._tensors) >= MOST_SITES:
            self._tensors.clear()
        return self._tensors.setdefault(site, site)

    def share(self, sites: Sequence[LayerSite]) -> Sequence[LayerSite]:
        """Return the list of an earlier execution if it is the same: exporters go by list."""
        latest = self._latest
        if len(latest) == len(sites) and all(a is b for a, b in zip(latest, sites, strict=True)):
            return latest
        self._latest = sites
        return sites

    def edge(self, role: str, tensors: Sequence[Array]) -> Seen:
        """Return a model's inputs or outputs, in order, with their places."""
        return [
            (self.tensor(_site(role, role if not i else f"{role}:{i}", i, array)), array)
            for i, array in enumerate(tensors)
        ]


class LayerRecorder:
    """Collects the layers of one execution: their tensors and their spans.

    Args:
        sites: The model's places.
        recorder: Takes the tensors.
        inference: The span that the layers stand below.
        family: Sketch family of the frame's input, 0 to 15.
        offset_ns: Wall time less the clock of the calls, in which each layer's time is that
            of the execution; None where it is not.
    """

    def __init__(
        self,
        sites: Sites,
        recorder: TensorRecorder,
        inference: Carrier,
        family: int,
        offset_ns: int | None = None,
    ) -> None:
        self.specs: dict[int, Sequence[OutputSpec]] = {}
        """What each layer's first call put out: ``seen`` of `keras_graph`."""
        self._places = sites
        self._recorder = recorder
        self._inference = inference
        self._family = family
        self._offset_ns = offset_ns
        self._sites: list[LayerSite] = []
        self._spans: list[Carrier] = []

    def add(self, call: LayerCall) -> None:
        """Summarise one call's outputs: its span carries the first, children the others."""
        span = Carrier(new_span_id_int(), self._inference.span_id, self._inference.start_ns)
        timing = "none"
        if self._offset_ns is not None and call.dur_ns >= 0:
            timing = "eager"
            span.start_ns, span.dur_ns = call.start_ns + self._offset_ns, call.dur_ns
        flat = call.layer
        layer = self._places.layer(LayerSite(flat.index, flat.name, flat.op, timing=timing))
        arrays = call.arrays()
        for i, array in enumerate(arrays):
            name = output_name(flat.name, i, call.occurrence)
            site = _site("layer", name, call.occurrence * len(arrays) + i, array, layer)
            carrier = Carrier(new_span_id_int(), span.span_id, span.start_ns, 0) if i else span
            self._recorder.add(self._places.tensor(site), array, carrier, self._family)
        self._sites.append(layer)
        self._spans.append(span)
        self.specs.setdefault(flat.index, call.specs)

    def block(self) -> LayerBlock | None:
        """Return the layers' spans, None where no layer was seen."""
        if not self._sites:
            return None
        rows = np.zeros(len(self._sites), LAYER_ROW)
        rows["site"] = np.arange(len(self._sites))
        rows["span_id"] = np.array([span.span_id for span in self._spans], np.uint64)
        rows["start_ns"] = [span.start_ns for span in self._spans]
        rows["dur_ns"] = [span.dur_ns for span in self._spans]
        return LayerBlock(self._places.share(self._sites), rows)


def arrays_from_tensors(structure: Any) -> list[Array]:
    """Return the tensors of a structure as arrays; what has no dense values is left out."""
    return [np.asarray(leaf) for leaf in flatten_tensors(structure) if hasattr(leaf, "__array__")]


def model_inputs(model: Any, structure: Any) -> list[Array]:
    """Return a model's inputs as it computes with them.

    Keras converts what it is given: the same picture as bytes, float64 or float32 is one
    model input, and so has one hash.
    """
    arrays = arrays_from_tensors(structure)
    wanted: Sequence[Any] = getattr(model, "inputs", None) or ()
    if len(wanted) == len(arrays):
        return [
            _as_type(array, str(tensor.dtype)) for tensor, array in zip(wanted, arrays, strict=True)
        ]
    own_type = str(model.input_dtype) if model.autocast else ""
    return [_as_type(array, own_type) if array.dtype.kind == "f" else array for array in arrays]


def _as_type(array: Array, dtype: str) -> Array:
    """Return *array* in another numeric type; strings stay."""
    if array.dtype.kind not in "biuf" or not dtype.startswith(("float", "int", "uint")):
        return array
    return array.astype(dtype, copy=False)


def _site(
    role: str, name: str, index: int, array: Array, layer: LayerSite | None = None
) -> TensorSite:
    shape = array.shape
    return TensorSite(role, name, index, array.dtype.name, shape, layout_of(shape), layer=layer)
