"""Keras models, traced through their own eager calls and their predicted batches.

An eager call shows its layers as they compute. ``predict`` runs a compiled function in
which no layer can be seen: its result stands, and a second, eager pass over the same
batch shows the layers.
"""

import functools
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from exray.schema.records import Graph, LayerBlock, Run

from .capture import Array, Carrier, TensorRecorder
from .execution import Execution, Seen
from .guard import error_text, guard, log_once
from .keras_graph import functional_of, keras_graph
from .keras_identity import digest_of_model, digest_of_path, format_of
from .keras_layers import LayerRecorder, Sites, Specs, arrays_from_tensors, model_inputs
from .keras_model import import_keras
from .keras_predict import Batch
from .keras_shadow import predict_call, shadow_pass
from .keras_tap import LayerCall, LayerTap
from .recorder import Recorder
from .traced_model import TracedModel

MOST_KEPT_BYTES = 1024**3
"""Layer outputs of one eager call that may live at once. Unwatched, Keras frees each as
soon as the next layers have it: a large batch must not run out of memory for being
watched."""


class KerasModel(TracedModel):
    """One Keras model that is traced.

    A run's model is identified when the run opens: by the model's file if its path is
    known, else by its structure and weights as they are then. Weights that change later,
    by training or loading, do not change the identity of the run that is open.

    Args:
        recorder: Takes what is recorded.
        model: The ``keras.Model``, held weakly.
    """

    def __init__(self, recorder: Recorder, model: Any) -> None:
        super().__init__(recorder)
        self.sites = Sites()
        self.is_asked_for = False
        """Whether the application asked for this model to be traced."""
        self._model = weakref.ref(model)
        self._path: Path | None = None
        self._init_ns: int | None = None
        self._file_sha256: str | None = None
        self._seen: Specs | None = None
        self._known: tuple[bool, int] = (False, 0)

    @property
    def model(self) -> Any:
        """The ``keras.Model``, which lives while it is called."""
        return self._model()

    def name_file(self, path: Path | None, init_ns: int | None) -> None:
        """Say where the model is from, as long as it has not run.

        Args:
            path: Its file or SavedModel folder, None where it is not known.
            init_ns: Time that loading took, nanoseconds.
        """
        if self.run is None:
            self._path, self._init_ns = path or self._path, init_ns or self._init_ns

    # --- identity ----------------------------------------------------------------------

    def describe(self, run: Run) -> Graph | None:
        """Fill in the model's identity, as far as it can be told yet."""
        keras, model = import_keras("tracing a Keras model"), self.model
        self._known = self._knowledge()
        run.runtime_name, run.runtime_version = "keras", keras.__version__
        run.kernels, run.init_ns = keras.config.backend(), self._init_ns
        run.model_name = self._path.stem if self._path else str(model.name)
        run.model_format = format_of(self._path)
        run.model_precision = str(model.compute_dtype)
        if not model.built:
            return None  # it has no weights, and perhaps not all of its layers
        if not run.model_sha256:
            run.model_sha256 = self._digest()
        if functional_of(model) is None and self._seen is None:
            return None  # nothing tells shapes but a call
        name, sha256 = run.model_name, run.model_sha256
        return keras_graph(model, model_name=name, sha256=sha256, seen=self._seen)

    def _digest(self) -> str:
        if self._path is not None and self._file_sha256 is None:
            try:
                self._file_sha256 = digest_of_path(self._path)
            except OSError as error:
                log_once(
                    "keras file",
                    f"model file '{self._path}' cannot be read ({error_text(error)}): its model is "
                    "identified by its weights. Pass the path of the file it was loaded from.",
                )
        return self._file_sha256 or digest_of_model(self.model)

    def _knowledge(self) -> tuple[bool, int]:
        """Return what a description depends on: whether it is built, and layers seen."""
        return bool(self.model.built), -1 if self._seen is None else len(self._seen)

    def ensure_run(self) -> Run:
        """Return the model's run, described again if its first call told more of the model."""
        run = super().ensure_run()
        if self._known != self._knowledge():
            with self.recorder.opening, guard("describe a model"):
                if self._known != self._knowledge():  # unless another thread has just done so
                    self.graph = self.describe(run)
                    self._announced = False
            run = super().ensure_run()
        return run

    def learn(self, specs: Specs) -> None:
        """Take what a call's layers put out, where the model itself does not tell shapes."""
        if not self._seen and functional_of(self.model) is None:
            self._seen = specs
            self.ensure_run()


class _KerasExecution(Execution):
    """One execution of a Keras model: a batch in, a batch out, and layers between."""

    def __init__(self, traced: KerasModel, inputs: Any) -> None:
        self.traced = traced
        self.outputs: Any = None
        self._inputs = inputs
        self._summarises = False

    def begin(self, family: int, *, summarises: bool) -> None:
        """Remember whether layers are wanted."""
        self._summarises = summarises

    def read_inputs(self) -> Seen:
        """Return the batch that goes in."""
        return self.traced.sites.edge("input", model_inputs(self.traced.model, self._inputs))

    def read_outputs(self) -> Seen:
        """Return the batch that came out."""
        if not self._summarises:
            self.traced.learn({})  # no layers will be seen
        outputs: Sequence[Array] = arrays_from_tensors(self.outputs)
        return self.traced.sites.edge("output", outputs)

    def _shadow(self, layers: LayerRecorder, call: Callable[[], Any]) -> LayerBlock | None:
        """See the layers in a second pass."""
        shadow_pass(self.traced.model, call, layers.add)
        return self._learned(layers)

    def _learned(self, layers: LayerRecorder) -> LayerBlock | None:
        self.traced.learn(layers.specs)
        return layers.block()


class _KeptCalls:
    """The layers' calls of one execution, as long as their outputs are not too large."""

    def __init__(self) -> None:
        self.calls: list[LayerCall] = []
        self._size_bytes = 0

    @property
    def are_too_large(self) -> bool:
        """Whether the outputs would take too much memory, so that none are kept."""
        return self._size_bytes > MOST_KEPT_BYTES

    def add(self, call: LayerCall) -> None:
        """Keep a call."""
        self._size_bytes += call.size_bytes
        self.calls.append(call)
        if self.are_too_large:
            self.calls.clear()


class EagerExecution(_KerasExecution):
    """An eager call, whose layers a tap sees as they compute.

    Args:
        traced: The model.
        inputs: What it is called with.
        again: Calls it once more, for the layers of a batch too large to keep them all.
    """

    def __init__(self, traced: KerasModel, inputs: Any, again: Callable[[], Any]) -> None:
        super().__init__(traced, inputs)
        self._again = again
        self._kept = _KeptCalls()
        self._tap: AbstractContextManager[object] = nullcontext()

    def begin(self, family: int, *, summarises: bool) -> None:
        """Remember whether layers are wanted, and make a tap for them."""
        super().begin(family, summarises=summarises)
        if summarises:
            self._tap = LayerTap(self.traced.model, on_call=self._kept.add)

    def run(self, call: Callable[[], Any]) -> Any:
        """Run the application's call, under a tap where tensors are wanted."""
        try:
            with self._tap:
                self.outputs = call()
        except BaseException:
            self._kept.calls.clear()  # whoever keeps the error must not keep the tensors
            raise
        return self.outputs

    def read_layers(
        self, recorder: TensorRecorder, inference: Carrier, family: int
    ) -> LayerBlock | None:
        """Summarise what the tap saw, with each layer's own time."""
        new_layers = functools.partial(
            LayerRecorder, self.traced.sites, recorder, inference, family
        )
        if self._kept.are_too_large:
            return self._shadow(new_layers(), self._again)
        layers = new_layers(self.traced.recorder.clock.offset_ns)
        for call in self._kept.calls:
            layers.add(call)
        return self._learned(layers)


class PredictExecution(_KerasExecution):
    """A compiled batch, whose layers a second, eager pass shows; their times would be its."""

    def __init__(self, traced: KerasModel, batch: Batch) -> None:
        super().__init__(traced, batch.inputs)
        self.outputs = batch.outputs
        self._data = batch.data

    def read_layers(
        self, recorder: TensorRecorder, inference: Carrier, family: int
    ) -> LayerBlock | None:
        """Run the batch again eagerly and summarise each layer as it comes."""
        if not self.traced.recorder.keeping.has_layers:
            return None  # a second pass would show nothing that is wanted
        layers = LayerRecorder(self.traced.sites, recorder, inference, family)
        return self._shadow(layers, predict_call(self.traced.model, self._data))
