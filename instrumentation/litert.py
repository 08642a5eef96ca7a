"""LiteRT and ``tf.lite`` interpreters, traced.

Layers are seen by the native probe, or, where there is none, read from tensors that the
interpreter preserves. It does so only if it is told when it is constructed: without that,
`get_tensor` on an intermediate returns stale values and no error, so they are never read.
"""

import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from exray.schema.identity import new_span_ids, tensor_hash
from exray.schema.records import (
    LAYER_ROW,
    Graph,
    LaterLayers,
    LayerBlock,
    LayerSite,
    MetricRecord,
    Quantization,
    Run,
    TensorSite,
)

from .capture import Array, Carrier, TensorRecorder, new_span_id_int
from .execution import Execution, Seen, input_id_from_arrays, layout_of
from .guard import guard, log_once
from .litert_identity import (
    UNKNOWN,
    ModelFile,
    delegate_names,
    digest_of_details,
    kernels_from_operators,
    kernels_from_options,
    model_file,
    runtime_of,
)
from .litert_layers import ProbedLayers, with_times
from .litert_probe import LiteRTProbe
from .litert_shadow import Shadow
from .probe import Mode, Recording
from .recorder import Recorder
from .tflite_file import TfliteTensor
from .timed_call import TimedCalls
from .timed_frames import TimedModel
from .traced_model import TracedModel
from .xnnpack_operators import extra_metrics

MOST_SITES = 10_000
"""Places remembered of a model: one whose shapes vary with each input has no end of them."""

VIEWABLE = frozenset({f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)}) | {
    "bool",
    "float16",
    "float32",
    "float64",
}
"""Types that lie in memory as numpy has them: not int4, of which two share a byte."""

Details = Mapping[str, Any]
"""What an interpreter tells of one of its tensors."""


class Interpreter(Protocol):
    """The part of ``ai_edge_litert`` and ``tf.lite`` interpreters that is read here."""

    def get_input_details(self) -> list[dict[str, Any]]:
        """Return the model inputs' details."""
        ...

    def get_output_details(self) -> list[dict[str, Any]]:
        """Return the model outputs' details."""
        ...

    def get_tensor(self, tensor_index: int, subgraph_index: int = 0) -> Array:
        """Return a copy of a tensor."""
        ...

    def tensor(self, tensor_index: int) -> Callable[[], Array]:
        """Return what gives a view of a tensor of the primary subgraph."""
        ...


class LiteRTModel(TracedModel, Execution):
    """One interpreter that is traced.

    Args:
        recorder: Takes what is recorded.
        interpreter: Held weakly; the tracer lives as its attribute.
        content: The model file, its bytes, or what was read of it; None where it is not known.
        preserved: Whether the interpreter was constructed with preserved tensors.
        probe: Its native probe; None where it has none.
        shadow: Where frames are repeated to be summarised, if a delegate fuses operators.
        options: Constructor arguments, None where nobody saw them.
        init_ns: Time that the construction took.
    """

    may_skip = is_leaf = True

    def __init__(
        self,
        recorder: Recorder,
        interpreter: Interpreter,
        *,
        content: str | os.PathLike[str] | bytes | ModelFile | None,
        preserved: bool,
        probe: LiteRTProbe | None = None,
        shadow: Shadow | None = None,
        options: Mapping[str, Any] | None = None,
        init_ns: int | None = None,
    ) -> None:
        super().__init__(recorder)
        self._interpreter = weakref.ref(interpreter)
        self._preserved = preserved
        self._probe = probe
        self._shadow = shadow
        self._recording: Recording | None = None
        self._extra = 0, 0
        self._is_fused = False
        """Whether a delegate made one node of several operators, whose tensors nobody sees."""
        self._inputs: Seen = []
        self._init_ns = init_ns
        self._kernels = None if options is None else kernels_from_options(options)
        self._threads: int | None = (options or {}).get("num_threads")
        self._delegates = delegate_names(getattr(interpreter, "_delegates", None))
        self._file: ModelFile | None = None
        with guard("read a model file"):
            self._file = content if isinstance(content, ModelFile) else model_file(content)
        graph = self._file.graph if self._file is not None else None
        self._layers: ProbedLayers | None = None
        if probe is not None and graph is not None:
            self._layers = ProbedLayers(graph, probe.select)
        self._details: dict[str, Sequence[Details]] = {}
        self._viewable: dict[str, bool] = {}
        self._timed_of: object = None
        """Generation for which it was found out whether calls can be timed by the probe."""
        self._sites_seen: dict[tuple[str, int, int, tuple[int, ...]], TensorSite] = {}

    @property
    def interpreter(self) -> Interpreter:
        """The interpreter, which lives while it is invoked."""
        interpreter = self._interpreter()
        if interpreter is None:
            msg = "the interpreter was dropped while its tensors were read"
            raise ReferenceError(msg)
        return interpreter

    # --- identity ----------------------------------------------------------------------

    def describe(self, run: Run) -> Graph | None:
        """Fill in the model's identity from its file, else from the interpreter's details."""
        run.model_format = "tflite"
        run.runtime_name, run.runtime_version = runtime_of(type(self.interpreter))
        run.threads, run.delegate, run.init_ns = self._threads, self._delegates, self._init_ns
        file = self._file
        if file is None:
            edge = [*self.details("input"), *self.details("output")]
            run.model_name, run.model_sha256 = UNKNOWN, digest_of_details(edge)
        else:
            run.model_name, run.model_sha256 = file.name, file.sha256
        graph = file.graph if file is not None else None
        if graph is not None:
            run.model_precision = graph.precision
        elif self.details("input"):
            run.model_precision = np.dtype(self.details("input")[0]["dtype"]).name
        run.kernels = UNKNOWN
        with guard("tell an interpreter's kernels"):
            run.kernels = self._kernels or kernels_from_operators(self.interpreter)
        return graph.graph if graph is not None else None

    def rebind(self, recorder: Recorder) -> None:
        """Record with *recorder* from here on."""
        had_layers = self._preserved or self.recorder.keeping.has_layers or self._layers
        if recorder.keeping.has_layers and not had_layers:
            log_once(
                "layers after latency",
                "an Interpreter that was constructed at level 'latency' does not preserve its "
                "layers' tensors: at level 'summary' its inputs and outputs are summarised, its "
                "layers are not. Construct it anew after exray.configure().",
            )
        self._forget_timed_calls()
        super().rebind(recorder)

    # --- recording ---------------------------------------------------------------------

    def allocated(self) -> None:
        """Watch what delegates have made of the graph, after an allocation."""
        self._forget_timed_calls()  # found out anew: the inputs may lie elsewhere
        if self._probe is not None:
            self._probe.allocated(self.interpreter)

    def _forget_timed_calls(self) -> None:
        if self.timed_calls is not None:
            self.timed_calls.pause()
        self.timed_calls = self._timed_of = None

    def prepare_signature(self) -> None:
        """Watch the graph before a signature's call, which allocates past `allocated`."""
        if self._probe is not None and self._probe.is_late:
            allocate: Any = getattr(self.interpreter, "allocate_tensors", None)
            allocate()

    def see_inputs(self, inputs: Seen) -> None:
        """Remember the inputs of the execution that follows."""
        self._inputs = inputs

    def begin(self, family: int, *, summarises: bool) -> None:
        """Let the probe record the invocation that follows."""
        self._recording = None
        if self.timed_calls is not None:
            self.timed_calls.pause()
        if self._probe is not None and self._layers is not None:
            in_place = summarises and not self._is_fused and not self._needs_arrays
            self._probe.begin(Mode.SUMMARY if in_place else Mode.TIMES, family)

    def end(self) -> int:
        """Take what the probe recorded; return the time that it took, in nanoseconds."""
        if self._probe is None or self._layers is None:
            return 0
        self._recording = self._probe.end()
        return self._recording.summary_ns if self._recording is not None else 0

    @property
    def _needs_arrays(self) -> bool:
        """Whether the tensors themselves are needed, not only summaries."""
        return self.recorder.keeping.needs_arrays

    # --- tensors -----------------------------------------------------------------------

    def details(self, role: str) -> Sequence[Details]:
        """Return the details of the model's inputs or outputs; only their shapes vary."""
        details = self._details.get(role)
        if details is None:
            interpreter = self.interpreter
            details = (
                interpreter.get_input_details()
                if role == "input"
                else interpreter.get_output_details()
            )
            self._details[role] = details
        return details

    def read(self, tensor_index: int, subgraph: int = 0) -> Array:
        """Return a copy of one tensor."""
        return self.interpreter.get_tensor(tensor_index, subgraph)

    def read_inputs(self) -> Seen:
        """Return copies of the model inputs."""
        self._inputs = self._read_edge("input")
        return self._inputs

    def read_outputs(self) -> Seen:
        """Return copies of the model outputs."""
        return self._read_edge("output")

    def hash_inputs(self) -> str | None:
        """Return the name that the model inputs give a frame, from where they lie."""
        if self.timed_calls is not None:
            name = self.timed_calls.name()
            if name is not None:
                return name
        if not self._is_viewable("input"):
            return None
        tensor = self.interpreter.tensor
        return input_id_from_arrays([tensor(detail["index"])() for detail in self.details("input")])

    def hash_output(self) -> tuple[TensorSite, int] | None:
        """Return where the first output is seen and its hash, from where it lies.

        An interpreter does not run while a view of it lives, so no view leaves this method:
        whoever kept an error, and with it the frames of the call, would keep the view.
        """
        if not self._is_viewable("output"):
            return None
        detail = self.details("output")[0]
        view: Array = self.interpreter.tensor(detail["index"])()
        return self.edge_site("output", 0, detail, view), tensor_hash(view)

    def show_inputs(self, see: Callable[[TensorSite, Array], None]) -> bool:
        """Show *see* each input from where it lies, unless a repetition needs copies of them."""
        return self._shadow is None and self._show_edge("input", see)

    def show_outputs(self, see: Callable[[TensorSite, Array], None]) -> bool:
        """Show *see* each output from where it lies."""
        return self._show_edge("output", see)

    def _show_edge(self, role: str, see: Callable[[TensorSite, Array], None]) -> bool:
        """Show inputs or outputs from where they lie: copies of large ones stay in the heap.

        As with `hash_output`, no view outlives the method, if its caller clears an error's frames.
        """
        if not self._is_viewable(role):
            return False
        for position, detail in enumerate(self.details(role)):
            view: Array = self.interpreter.tensor(detail["index"])()
            see(self.edge_site(role, position, detail, view), view)
        return True

    def _read_edge(self, role: str) -> Seen:
        seen: Seen = []
        for position, detail in enumerate(self.details(role)):
            array = self.read(int(detail["index"]))
            seen.append((self.edge_site(role, position, detail, array), array))
        return seen

    def _is_viewable(self, role: str) -> bool:
        """Whether all inputs or outputs lie in memory as numpy has them; asked once."""
        known = self._viewable.get(role)
        if known is None:
            graph = self._file.graph if self._file is not None else None
            tensors = () if graph is None else graph.inputs if role == "input" else graph.outputs
            known = 0 < len(tensors) == len(self.details(role)) and all(
                tensor.dtype in VIEWABLE for tensor in tensors
            )
            self._viewable[role] = known
        return known

    def edge_site(
        self, role: str, position: int, detail: Details, array: Array, subgraph: int = 0
    ) -> TensorSite:
        """Return the site of a model input or output, the same object for the same shape."""
        key = (role, subgraph, position, array.shape)
        site = self._sites_seen.get(key)
        if site is None:
            site = self._remember(key, site_from_details(role, position, detail, array))
        return site

    def _remember(self, key: tuple[str, int, int, tuple[int, ...]], site: TensorSite) -> TensorSite:
        if len(self._sites_seen) >= MOST_SITES:
            self._sites_seen.clear()
        self._sites_seen[key] = site
        return site

    def read_layers(
        self, recorder: TensorRecorder, inference: Carrier, family: int
    ) -> LayerBlock | None:
        """Summarise every operator's outputs; None where nothing tells them."""
        recording, self._recording = self._recording, None
        inputs, self._inputs = self._inputs, []
        if recording is not None:
            self._is_fused = bool((recording.layout.nodes["replaced"] > 1).any())
        if self._is_fused and self._shadow is not None and not self._needs_arrays:
            arrays = [array for _, array in inputs]
            recording = self._shadow.run(arrays, self._output_hash(), family) or recording
        if self._preserved and (recording is None or self._needs_arrays):
            return self._read_preserved(recorder, inference, family, recording)
        return self._block(recording, recorder, inference)

    def _output_hash(self) -> int:
        hashed = self.hash_output()
        return hashed[1] if hashed is not None else tensor_hash(self.read_outputs()[0][1])

    def read_times(self, inference: Carrier) -> LaterLayers | None:
        """Return what makes a block of every operator's time; None where nothing tells them."""
        recording, self._recording = self._recording, None
        layers = self._layers
        if recording is None or layers is None or not len(recording.ops):
            return None
        self._extra = layers.extra(recording)
        if self._timed_of is not self.recorder.traced:
            self._timed_of = self.recorder.traced
            self.timed_calls = self._timed_calls(layers)
        return lambda: layers.block(recording, None, inference)

    def _timed_calls(self, layers: ProbedLayers) -> TimedCalls | None:
        """Return what records the calls to come, None where the probe alone cannot."""
        probe = self._probe.watching if self._probe is not None else None
        is_native = self.recorder.clock.is_native
        if probe is None or not (is_native and self._is_viewable("input")):
            return None
        if not self._is_viewable("output"):
            return None
        indices = [int(detail["index"]) for detail in self.details("input")]
        probe.set_edges(indices, int(self.details("output")[0]["index"]))
        if not probe.name_call():
            return None
        return TimedCalls(TimedModel(self.recorder, self.ensure_run(), layers), probe)

    def read_metrics(self) -> Sequence[MetricRecord]:
        """Return how many operators XNNPACK added of its own, and their time."""
        (count, dur_ns), self._extra = self._extra, (0, 0)
        return extra_metrics(count, dur_ns, self.recorder.clock.now_ns()) if count else ()

    def _block(
        self, recording: Recording | None, recorder: TensorRecorder | None, inference: Carrier
    ) -> LayerBlock | None:
        if recording is None or self._layers is None or not len(recording.ops):
            return None
        block = self._layers.block(recording, recorder, inference)
        self._extra = self._layers.extra(recording)
        return block

    def _read_preserved(
        self,
        recorder: TensorRecorder,
        inference: Carrier,
        family: int,
        recording: Recording | None,
    ) -> LayerBlock | None:
        """Read every operator's outputs from the tensors that the interpreter preserved."""
        file = self._file
        if file is None or file.graph is None:
            return None
        timed = self._block(recording, None, inference)
        rows = np.zeros(len(file.layers), LAYER_ROW)
        rows["site"] = np.arange(len(rows))
        rows["span_id"] = new_span_ids(len(rows))
        rows["start_ns"] = inference.start_ns
        rows["dur_ns"] = -1  # preserved tensors say nothing of an operator's time
        sites: Sequence[LayerSite] = file.layers
        if timed is not None:
            sites, rows = with_times(sites, rows, timed)
        for row in range(len(file.layers)):
            start_ns, dur_ns = int(rows["start_ns"][row]), int(rows["dur_ns"][row])
            span = Carrier(int(rows["span_id"][row]), inference.span_id, start_ns, dur_ns)
            layer = sites[int(rows["site"][row])]
            self._see_outputs(layer, file.graph.layers[row], recorder, span, family)
        return LayerBlock(sites, rows)

    def _see_outputs(
        self,
        layer: LayerSite,
        outputs: Sequence[TfliteTensor],
        recorder: TensorRecorder,
        span: Carrier,
        family: int,
    ) -> None:
        """Summarise one operator's outputs: its span carries the first, children the others."""
        if not recorder.takes_layer(layer):
            return
        for position, info in enumerate(outputs):
            try:
                array = self.read(info.index)
            except (ValueError, RuntimeError):
                continue  # a branch not taken, a constant folded away, a resource handle
            carrier = span
            if position:
                carrier = Carrier(new_span_id_int(), span.span_id, span.start_ns, 0)
            recorder.add(self._layer_site(layer, position, info, array), array, carrier, family)

    def _layer_site(
        self, layer: LayerSite, position: int, info: TfliteTensor, array: Array
    ) -> TensorSite:
        key = ("layer", 0, info.index, array.shape)
        site = self._sites_seen.get(key)
        if site is not None:
            return site
        return self._remember(
            key,
            TensorSite(
                "layer",
                info.name,
                position,
                array.dtype.name,
                array.shape,
                layout_of(array.shape),
                info.quantization,
                layer,
            ),
        )


def site_from_details(role: str, position: int, detail: Details, array: Array) -> TensorSite:
    """Return the site of a model input or output that the interpreter describes."""
    return TensorSite(
        role,
        str(detail["name"]),
        position,
        array.dtype.name,
        array.shape,
        layout_of(array.shape),
        quantization_from_details(detail),
    )


def quantization_from_details(detail: Details) -> Quantization | None:
    """Return the quantization of a tensor that the interpreter describes, None without one."""
    parameters = detail["quantization_parameters"]
    if not len(parameters["scales"]):
        return None
    return Quantization(
        tuple(map(float, parameters["scales"])),
        tuple(map(int, parameters["zero_points"])),
        int(parameters["quantized_dimension"]),
    )
