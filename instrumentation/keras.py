"""Keras models, traced through their own eager calls and their predicted batches.

An eager call shows its layers as they compute. ``predict`` runs a compiled function in
which no layer can be seen: its result stands, and a second, eager pass over the same
batch shows the layers. Training is never traced.
"""

import hashlib
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from exray.schema.identity import file_sha256
from exray.schema.records import LAYER_ROW, Graph, LayerBlock, LayerSite, Run, TensorSite

from .capture import Carrier, TensorRecorder, new_span_id_int
from .inference import Execution, Seen, TracedModel, layout_of
from .keras_graph import FlatLayer, flatten_layers, keras_graph, output_name
from .keras_model import import_keras
from .keras_tap import LayerCall, LayerTap, flatten_tensors, shadow_pass
from .recorder import Recorder


class KerasModel(TracedModel):
    """One Keras model that is traced.

    Args:
        recorder: Takes what is recorded.
        model: The ``keras.Model``, held weakly.
        path: Its file or SavedModel folder, None where it is not known.
        init_ns: Time that loading took.
    """

    def __init__(
        self,
        recorder: Recorder,
        model: Any,
        *,
        path: Path | None = None,
        init_ns: int | None = None,
    ) -> None:
        super().__init__(recorder)
        self._model = weakref.ref(model)
        self._path = path
        self._init_ns = init_ns
        self._identity: tuple[str, str, str, Graph] | None = None
        self.layers: tuple[FlatLayer, ...] = flatten_layers(model)

    @property
    def model(self) -> Any:
        """The ``keras.Model``."""
        return self._model()

    def describe(self, run: Run) -> Graph | None:
        """Fill in the model's identity from its file, else from its structure and weights."""
        keras = import_keras("tracing a Keras model")
        run.runtime_name, run.runtime_version = "keras", keras.__version__
        run.kernels = keras.config.backend()
        run.model_format = self._path.suffix.lstrip(".") or "saved_model" if self._path else "keras"
        run.init_ns = self._init_ns
        if self._identity is None:
            model = self.model
            name = self._path.stem if self._path else str(model.name)
            sha256 = digest_of_path(self._path) if self._path else digest_of_model(model)
            graph = keras_graph(model, model_name=name, sha256=sha256)
            self._identity = (name, sha256, str(model.compute_dtype), graph)
        run.model_name, run.model_sha256, run.model_precision, graph = self._identity
        return graph


_local = threading.local()


class untraced_keras:  # noqa: N801 - reads as a statement
    """Leave Keras calls on this thread alone: training, or a call inside a traced one."""

    def __enter__(self) -> None:
        _local.depth = getattr(_local, "depth", 0) + 1

    def __exit__(self, *_: object) -> None:
        _local.depth -= 1


def is_untraced_keras() -> bool:
    """Whether this thread is inside `untraced_keras`."""
    return int(getattr(_local, "depth", 0)) > 0


class _KerasExecution(Execution):
    """One execution of a Keras model: a batch in, a batch out, and layers between."""

    def __init__(self, traced: KerasModel, inputs: Any) -> None:
        self.traced = traced
        self._inputs = inputs
        self.outputs: Any = None

    def read_inputs(self) -> Seen:
        """Return the batch that goes in."""
        return _seen("input", self._inputs)

    def read_outputs(self) -> Seen:
        """Return the batch that came out."""
        return _seen("output", self.outputs)


class EagerExecution(_KerasExecution):
    """An eager call, whose layers a tap sees as they compute."""

    def __init__(self, traced: KerasModel, inputs: Any) -> None:
        super().__init__(traced, inputs)
        self._tap = LayerTap(traced.model, traced.layers)

    def run(self, call: Callable[[], Any]) -> Any:
        """Run the application's call, under the tap where tensors are wanted."""
        if not self.traced.recorder.summarises:
            self.outputs = call()
        else:
            with self._tap:
                self.outputs = call()
        return self.outputs

    def read_layers(
        self, recorder: TensorRecorder, inference: Carrier, family: int
    ) -> LayerBlock | None:
        """Summarise what the tap saw, with each layer's own time."""
        layers = _LayerRecorder(recorder, inference, family)
        for call in self._tap.calls:
            layers.add(call, timed_from_ns=self.traced.recorder.clock.offset_ns)
        return layers.block()


class PredictExecution(_KerasExecution):
    """A compiled batch, whose layers a second, eager pass shows; their times would be its."""

    def __init__(self, traced: KerasModel, inputs: Any, outputs: Any) -> None:
        super().__init__(traced, inputs)
        self.outputs = outputs

    def read_layers(
        self, recorder: TensorRecorder, inference: Carrier, family: int
    ) -> LayerBlock | None:
        """Run the batch again eagerly and summarise each layer as it comes."""
        layers = _LayerRecorder(recorder, inference, family)
        with untraced_keras():
            shadow_pass(self.traced.model, self._inputs, self.traced.layers, on_call=layers.add)
        return layers.block()


class _LayerRecorder:
    """Collects the layers of one execution: their tensors and their spans."""

    def __init__(self, recorder: TensorRecorder, inference: Carrier, family: int) -> None:
        self._recorder = recorder
        self._inference = inference
        self._family = family
        self._sites: list[LayerSite] = []
        self._spans: list[Carrier] = []

    def add(self, call: LayerCall, timed_from_ns: int | None = None) -> None:
        """Summarise a layer's outputs.

        Args:
            call: The layer's call.
            timed_from_ns: Offset of the call's clock to the wall; None where the call's
                time is not that of the execution.
        """
        span = Carrier(new_span_id_int(), self._inference.span_id, self._inference.start_ns)
        timing = "none"
        if timed_from_ns is not None and call.dur_ns >= 0:
            timing = "eager"
            span.start_ns, span.dur_ns = call.start_ns + timed_from_ns, call.dur_ns
        flat = call.layer
        site = LayerSite(flat.index, flat.name, flat.op, timing=timing)
        arrays = call.arrays()
        for position, array in enumerate(arrays):
            carrier = span
            if position:
                carrier = Carrier(new_span_id_int(), span.span_id, span.start_ns, 0)
            place = TensorSite(
                "layer",
                output_name(flat.name, position, call.occurrence),
                call.occurrence * len(arrays) + position,
                array.dtype.name,
                array.shape,
                layout_of(array.shape),
                layer=site,
            )
            self._recorder.add(place, array, carrier, self._family)
        self._sites.append(site)
        self._spans.append(span)

    def block(self) -> LayerBlock | None:
        """Return the layers' spans, None where no layer was seen."""
        if not self._sites:
            return None
        rows = np.zeros(len(self._sites), LAYER_ROW)
        rows["site"] = np.arange(len(self._sites))
        rows["span_id"] = np.array([span.span_id for span in self._spans], np.uint64)
        rows["start_ns"] = [span.start_ns for span in self._spans]
        rows["dur_ns"] = [span.dur_ns for span in self._spans]
        return LayerBlock(self._sites, rows)


def _seen(role: str, structure: Any) -> Seen:
    seen: Seen = []
    for position, tensor in enumerate(flatten_tensors(structure)):
        array = np.asarray(tensor)
        name = role if not position else f"{role}:{position}"
        site = TensorSite(
            role, name, position, array.dtype.name, array.shape, layout_of(array.shape)
        )
        seen.append((site, array))
    return seen


def digest_of_path(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder's files by name and content."""
    if path.is_file():
        return file_sha256(path)
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()}\n{file_sha256(file)}\n".encode())
    return digest.hexdigest()


def digest_of_model(model: Any) -> str:
    """Return a SHA-256 of a model's structure and weights, where its file is unknown."""
    digest = hashlib.sha256()
    for layer in flatten_layers(model):
        digest.update(f"{layer.name}:{layer.op}\n".encode())
    for weight in model.weights:
        array = np.asarray(weight)
        digest.update(f"{weight.path}:{array.dtype}:{array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
