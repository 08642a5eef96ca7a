"""ONNX Runtime sessions, traced.

The application's session is left as it was made: no option of it is touched, and what it
returns is what it computed. Layers' tensors and operators' times come from sessions of our
own, on which a frame that was drawn is repeated.
"""

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import numpy as np

from exray.schema.identity import new_span_ids
from exray.schema.records import (
    LAYER_ROW,
    Graph,
    LayerBlock,
    LayerSite,
    MetricRecord,
    Run,
    TensorSite,
)

from .capture import Array, Carrier, TensorRecorder, new_span_id_int
from .environment import package_version
from .execution import Execution, Seen
from .litert_identity import UNKNOWN
from .onnx_graph import OnnxPlace
from .onnx_identity import (
    ONNX_RUNTIME,
    OnnxModelFile,
    delegate_of,
    digest_of_session,
    kernels_of,
)
from .onnx_profile import LayerTimes, OperatorProfile, ProfileTurns
from .onnx_shadow import SessionMaker, TensorShadow
from .recorder import Recorder
from .traced_model import TracedModel
from .xnnpack_operators import extra_metrics

MOST_SITES = 10_000
"""Places remembered of a model: one whose shapes vary with each input has no end of them."""

Result = TypeVar("Result")


class OnnxModel(TracedModel):
    """One session that is traced.

    Args:
        recorder: Takes what is recorded.
        session: The ``InferenceSession``, held weakly; the tracer lives as its attribute.
        file: Its model file, None where that is not known.
        disabled_optimizers: What its constructor was given under that name.
        init_ns: Time that the construction took.
    """

    may_skip = True

    def __init__(
        self,
        recorder: Recorder,
        session: Any,
        *,
        file: OnnxModelFile | None,
        disabled_optimizers: Any = None,
        init_ns: int | None = None,
    ) -> None:
        super().__init__(recorder)
        self._session = weakref.ref(session)
        self.file = file
        self._disabled_optimizers = disabled_optimizers
        self._init_ns = init_ns
        self.input_names = [str(arg.name) for arg in session.get_inputs()]
        self.output_names = [str(arg.name) for arg in session.get_outputs()]
        self._sites_seen: dict[tuple[str, str, tuple[int, ...]], TensorSite] = {}
        self._layer_sites: Sequence[LayerSite] = ()
        self.renew(session)

    def renew(self, session: Any) -> None:
        """Begin anew with what is a session of other providers: another run."""
        self._generation = None
        self.shadow: TensorShadow | None = None
        self.profile: OperatorProfile | None = None
        if self.file is not None and self.file.graph is not None:
            maker = SessionMaker(session, self._disabled_optimizers)
            self.shadow = TensorShadow(maker, self.file)
            self.profile = OperatorProfile(maker, self.file)
        self.turns = ProfileTurns(self.recorder)

    def rebind(self, recorder: Recorder) -> None:
        """Record with *recorder* from here on."""
        super().rebind(recorder)
        self.turns = ProfileTurns(recorder)

    # --- identity ----------------------------------------------------------------------

    def describe(self, run: Run) -> Graph | None:
        """Fill in the model's identity from its file and its session."""
        session: Any = self._session()
        file = self.file
        run.model_format, run.init_ns = "onnx", self._init_ns
        run.runtime_name, run.runtime_version = ONNX_RUNTIME, package_version(ONNX_RUNTIME)
        providers: Sequence[str] = session.get_providers()
        run.kernels, run.delegate = kernels_of(providers), delegate_of(providers)
        run.threads = int(session.get_session_options().intra_op_num_threads) or None
        if file is None:
            run.model_name, run.model_sha256 = UNKNOWN, digest_of_session(session)
            return None
        run.model_name, run.model_sha256 = file.name, file.sha256
        if file.graph is None:
            return None
        run.model_precision = file.graph.precision
        return file.graph.graph

    # --- places ------------------------------------------------------------------------

    def site(
        self, role: str, name: str, index: int, array: Array, layer: LayerSite | None = None
    ) -> TensorSite:
        """Return the site of a tensor, the same object for the same shape."""
        key = (role, name, array.shape)
        site = self._sites_seen.get(key)
        if site is None:
            if len(self._sites_seen) >= MOST_SITES:
                self._sites_seen.clear()
            graph = self.file.graph if self.file is not None else None
            place = graph.places.get(name) if graph is not None else None
            site = self._sites_seen[key] = TensorSite(
                role,
                name,
                index,
                array.dtype.name,
                array.shape,
                place.layout if place is not None else None,
                place.quantization if place is not None else None,
                layer,
            )
        return site

    def layer_sites(self) -> Sequence[LayerSite]:
        """Return every layer without a time, then every one with the profiler's."""
        graph = self.file.graph if self.file is not None else None
        if not self._layer_sites and graph is not None:
            timed = [
                LayerSite(site.layer_index, site.layer_name, site.op, timing="profiler")
                for site in graph.sites
            ]
            self._layer_sites = (*graph.sites, *timed)
        return self._layer_sites


class OnnxExecution(Execution):
    """One run of a session: arrays in, arrays out.

    Args:
        traced: The model.
        feed: What the application feeds, by name.
        names: The outputs that it asks for; nothing for all of them.
    """

    is_leaf = True

    def __init__(
        self, traced: OnnxModel, feed: Mapping[str, Any], names: Sequence[str] | None
    ) -> None:
        self.traced = traced
        self._feed = feed
        self._names = list(names or traced.output_names)
        self._outputs: Sequence[Any] = ()
        self._fed: dict[str, Array] | None = None
        self._extra: MetricRecord | None = None
        self._times: LayerTimes | None = None
        self._end_ns = 0

    def run(self, call: Callable[[], Result]) -> Result:
        """Make the application's call, and keep what it returns until it is seen."""
        result = call()
        self._outputs = outputs_of(result)
        return result

    @property
    def fed(self) -> dict[str, Array]:
        """What the application feeds as arrays, those of the model's inputs first."""
        if self._fed is None:
            known = self.traced.input_names
            order = [*known, *(name for name in self._feed if name not in known)]
            arrays = ((name, array_from_value(self._feed.get(name))) for name in order)
            self._fed = {name: array for name, array in arrays if array is not None}
        return self._fed

    @property
    def _given(self) -> dict[str, Array]:
        arrays = [array_from_value(value) for value in self._outputs]
        named = zip(self._names, arrays, strict=False)
        return {name: array for name, array in named if array is not None}

    def read_inputs(self) -> Seen:
        """Return the model inputs, which nobody writes to during the call."""
        return self._see("input", self.traced.input_names, self.fed)

    def read_outputs(self) -> Seen:
        """Return the model outputs that the application asked for."""
        return self._see("output", self.traced.output_names, self._given)

    def _see(self, role: str, names: Sequence[str], arrays: Mapping[str, Array]) -> Seen:
        return [
            (self.traced.site(role, name, place, arrays[name]), arrays[name])
            for place, name in enumerate(names)
            if name in arrays
        ]

    # --- layers ------------------------------------------------------------------------

    def read_layers(
        self, recorder: TensorRecorder, inference: Carrier, family: int
    ) -> LayerBlock | None:
        """Repeat the run where every layer shows, and summarise what they put out."""
        wanted = self._wanted(recorder)
        seen: Mapping[str, Array] = {}
        if self.traced.shadow is not None and wanted and self._is_whole:
            tensors = [place.tensor for outputs in wanted.values() for place in outputs]
            seen = self.traced.shadow.run(self.fed, self._given, tensors)
        layers = [i for i, outputs in wanted.items() if any(p.tensor.name in seen for p in outputs)]
        rows = self._rows(layers, self._profiled(inference), inference)
        if rows is None:
            return None
        sites = self.traced.layer_sites()
        for row in rows.rows:
            layer = sites[int(row["site"])]
            start_ns, dur_ns = int(row["start_ns"]), int(row["dur_ns"])
            span = Carrier(int(row["span_id"]), inference.span_id, start_ns, dur_ns)
            for position, place in enumerate(wanted.get(layer.layer_index, ())):
                array = seen.get(place.tensor.name)
                if array is None:
                    continue
                own = Carrier(new_span_id_int(), span.span_id, start_ns, 0) if position else span
                site = self.traced.site("layer", place.tensor.name, position, array, layer)
                recorder.add(site, array, own, family)
        return rows

    def read_times(self, inference: Carrier) -> LayerBlock | None:
        """Return how long each operator took, where this frame is to tell."""
        return self._rows((), self._profiled(inference), inference)

    def read_metrics(self) -> Sequence[MetricRecord]:
        """Return how many kernels ran that are no layer's, and their time."""
        if self._times is None or not self._times.extra_count:
            return ()
        return extra_metrics(self._times.extra_count, self._times.extra_ns, self._end_ns)

    @property
    def _is_whole(self) -> bool:
        """Whether everything that the application fed is known."""
        return len(self.fed) == len(self._feed)

    def _wanted(self, recorder: TensorRecorder) -> dict[int, Sequence[OnnxPlace]]:
        """Return the outputs of the selected layers, by layer index."""
        file = self.traced.file
        graph = file.graph if file is not None else None
        if graph is None:
            return {}
        return {
            site.layer_index: outputs
            for site, outputs in zip(graph.sites, graph.layers, strict=True)
            if outputs and recorder.takes_layer(site)
        }

    def _profiled(self, inference: Carrier) -> LayerTimes:
        """Return the operators' times, none where they are not to be had or too dear now."""
        profile, turns = self.traced.profile, self.traced.turns
        self._end_ns = inference.start_ns + max(inference.dur_ns, 0)
        if profile is None or not self._is_whole or not turns.takes(inference.dur_ns):
            return LayerTimes()
        clock = self.traced.recorder.clock
        before_ns = clock.monotonic_ns()
        self._times = profile.run(self.fed)
        turns.pay(clock.monotonic_ns() - before_ns)
        return self._times or LayerTimes()

    def _rows(
        self, layers: Sequence[int], times: LayerTimes, inference: Carrier
    ) -> LayerBlock | None:
        """Return the spans of layers that were seen or timed, None without any."""
        sites = self.traced.layer_sites()
        count = len(sites) // 2
        indices = sorted({*layers, *times.layers})
        if not indices:
            return None
        rows = np.zeros(len(indices), LAYER_ROW)
        rows["span_id"] = new_span_ids(len(indices))
        for row, index in zip(rows, indices, strict=True):
            timed = times.layers.get(index)
            row["site"] = index if timed is None else count + index
            row["start_ns"] = inference.start_ns + (timed[0] if timed is not None else 0)
            row["dur_ns"] = timed[1] if timed is not None else -1
        return LayerBlock(sites, rows)


def outputs_of(result: object) -> Sequence[Any]:
    """Return what a session's run returned as a sequence; nothing for none."""
    return cast("Sequence[Any]", result) if isinstance(result, list | tuple) else ()


def array_from_value(value: Any) -> Array | None:
    """Return what a session is fed, or returns, as an array; None for what is none.

    Tensors on a device other than the CPU are not fetched.
    """
    if isinstance(value, np.ndarray):
        return cast("Array", value)
    if hasattr(value, "device_name") and hasattr(value, "numpy"):  # an OrtValue
        is_here = value.is_tensor() and value.device_name() == "cpu"
        array: Array | None = value.numpy() if is_here else None
        return array
    if isinstance(value, list | tuple | int | float):
        return np.asarray(value)
    return None
