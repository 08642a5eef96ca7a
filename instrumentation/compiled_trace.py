"""Runs of compiled models, whichever class makes them: what is recorded of one.

A compiled model keeps no intermediate tensors. Its inputs and outputs are read from their
buffers, and its operators' times from LiteRT's profiler where there is one.
"""

import ctypes
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.schema.records import (
    Graph,
    LayerBlock,
    MetricRecord,
    Quantization,
    Run,
    TensorSite,
)

from .capture import Array, Carrier, TensorRecorder
from .compiled_capi import CApi, Handle
from .compiled_events import EVENT, EventPlan, plan_events
from .environment import package_version
from .execution import Execution, Seen, layout_of
from .guard import guard
from .litert import MOST_SITES
from .litert_identity import UNKNOWN, ModelFile, model_file
from .recorder import Recorder
from .traced_model import TracedModel
from .xnnpack_operators import extra_metrics

RUNTIME = "litert-compiled"
"""Runtime of a compiled model: an interpreter of the same version takes other times."""


class Profiler:
    """LiteRT's profiler of one compiled model.

    Args:
        api: The functions.
        pointer: LiteRT's profiler.
        owner: The compiled model, which owns it.
    """

    def __init__(self, api: CApi, pointer: int, owner: Handle) -> None:
        self._api = api
        self._pointer = pointer
        self._owner = owner

    def start(self) -> None:
        """Report events from here on; earlier ones are forgotten."""
        self._api.call("LiteRtStartProfiler", self._pointer)

    def stop(self) -> None:
        """Report nothing more; what was reported stays."""
        self._api.call("LiteRtStopProfiler", self._pointer)

    def count(self) -> int:
        """Return how many events wait."""
        return self._api.get_int("LiteRtGetNumProfilerEvents", self._pointer)

    def events(self) -> NDArray[np.void]:
        """Return the events, shape (events,), dtype `EVENT`."""
        events: NDArray[np.void] = np.zeros(self.count(), EVENT)
        if len(events):
            self._api.call(
                "LiteRtGetProfilerEvents", self._pointer, len(events), events.ctypes.data
            )
        return events


@dataclass(frozen=True, slots=True)
class TracedSignature:
    """A signature as its runs are recorded.

    Args:
        key: Its name.
        inputs: Names of the tensors, in the order in which their buffers are given.
        outputs: The same of the outputs.
        is_primary: Whether it runs the file's first subgraph: that is what layers are of.
    """

    key: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    is_primary: bool


class CompiledTracer(TracedModel):
    """One compiled model that is traced.

    Args:
        recorder: Takes what is recorded.
        content: The model file, or its bytes; None where it is not known.
        digest: Stands for the file's hash where that is not known.
        kernels: Kernel family that was asked for, None for LiteRT's choice.
        threads: That were asked for, None for LiteRT's choice.
        init_ns: Time that compiling took.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        content: str | os.PathLike[str] | bytes | None,
        digest: str = "",
        kernels: str | None = None,
        threads: int | None = None,
        init_ns: int | None = None,
    ) -> None:
        super().__init__(recorder)
        self._kernels, self._threads, self._init_ns = kernels, threads, init_ns
        self._digest = digest
        self._file: ModelFile | None = None
        with guard("read a model file"):
            self._file = model_file(content)
        self._sites_seen: dict[tuple[str, str, int, tuple[int, ...]], TensorSite] = {}
        self._plan: EventPlan | None = None
        self._order: dict[str, int] = {}
        self._quantizations: dict[str, Quantization | None] = {}
        graph = self._file.graph if self._file is not None else None
        for tensors in (graph.inputs, graph.outputs) if graph is not None else ():
            self._order |= {tensor.name: place for place, tensor in enumerate(tensors)}
            self._quantizations |= {tensor.name: tensor.quantization for tensor in tensors}

    @property
    def has_graph(self) -> bool:
        """Whether the model's operators are known from its file."""
        return self._file is not None and self._file.graph is not None

    def describe(self, run: Run) -> Graph | None:
        """Fill in the model's identity from its file."""
        run.model_format = "tflite"
        run.runtime_name, run.runtime_version = RUNTIME, package_version("ai-edge-litert")
        run.threads, run.init_ns = self._threads, self._init_ns
        run.kernels = self._kernels or "xnnpack"  # the CPU accelerator's own choice
        file = self._file
        if file is None:
            run.model_name, run.model_sha256 = UNKNOWN, self._digest
            return None
        run.model_name, run.model_sha256 = file.name, file.sha256
        if file.graph is None:
            return None
        run.model_precision = file.graph.precision
        return file.graph.graph

    # --- tensors -----------------------------------------------------------------------

    def see(
        self, role: str, signature: TracedSignature, names: Sequence[str], arrays: Sequence[Array]
    ) -> Seen:
        """Return model inputs or outputs with their sites, in the order of the file's.

        That is the order an interpreter gives them in: same input, same bytes, same id.
        """
        order = list(range(len(names)))
        if signature.is_primary and all(name in self._order for name in names):
            order = sorted(order, key=lambda i: self._order[names[i]])
        return [
            (self._site(role, signature, place, names[i], arrays[i]), arrays[i])
            for place, i in enumerate(order)
        ]

    def _site(
        self, role: str, signature: TracedSignature, place: int, name: str, array: Array
    ) -> TensorSite:
        key = (role, signature.key, place, array.shape)
        site = self._sites_seen.get(key)
        if site is None:
            if len(self._sites_seen) >= MOST_SITES:
                self._sites_seen.clear()
            site = self._sites_seen[key] = TensorSite(
                role,
                name,
                place,
                array.dtype.name,
                array.shape,
                layout_of(array.shape),
                self._quantizations.get(name),
            )
        return site

    # --- layers ------------------------------------------------------------------------

    def plan_for(self, events: NDArray[np.void]) -> EventPlan | None:
        """Return which layer each event belongs to; None where the layers are unknown."""
        file = self._file
        if file is None or file.graph is None or not len(events):
            return None
        if self._plan is None or not self._plan.fits(events):
            tags = [_text_at(address) for address in events["tag"].tolist()]
            self._plan = plan_events(events, tags, file.layers, file.graph.sources)
            self._tell_kernels(self._plan)
        return self._plan

    def _tell_kernels(self, plan: EventPlan) -> None:
        """Correct the run where the accelerator's delegate took none of the operators."""
        run = self.run
        if run is not None and self._kernels is None and not plan.delegated:
            run.kernels = "builtin"
            self.recorder.update_run(run)


def _text_at(address: int) -> str:
    return ctypes.string_at(address).decode("utf-8", "replace") if address else ""


class CompiledExecution(Execution):
    """One run of a compiled model.

    Args:
        tracer: The model.
        signature: That is run.
        inputs: Its buffers, in the signature's order.
        outputs: The same of the outputs.
        read: Returns a copy of a buffer.
        profiler: Reports the operators, None where there is none.
    """

    def __init__(
        self,
        tracer: CompiledTracer,
        signature: TracedSignature,
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        read: Callable[[Any], Array],
        profiler: Profiler | None = None,
    ) -> None:
        self.tracer = tracer
        self._signature = signature
        self._inputs, self._outputs = inputs, outputs
        self._read = read
        self._profiler = profiler if signature.is_primary else None
        self._is_profiling = False
        self._took_ns = 0
        self._seen: tuple[EventPlan, NDArray[np.void]] | None = None
        self._end_ns = 0

    def begin(self, family: int, *, summarises: bool) -> None:
        """Let operators report their times."""
        if self._profiler is not None:
            self._profiler.start()
            self._is_profiling = True

    def timed(self, call: Callable[[], None]) -> None:
        """Make the call, and see how long it takes with operators reporting."""
        if not self._is_profiling:
            call()
            return
        clock = self.tracer.recorder.clock
        start_ns = clock.monotonic_ns()
        call()
        self._took_ns = clock.monotonic_ns() - start_ns

    def end(self) -> int:
        """Take what operators reported; return what of the call is the profiler's own.

        LiteRT times the phases of a run and what its profiler does between them is in none.
        """
        if not self._is_profiling or self._profiler is None:
            return 0
        self.finish()
        events = self._profiler.events()
        plan = self.tracer.plan_for(events)
        if plan is None:
            return 0
        self._seen = plan, events
        return max(self._took_ns - plan.phases_ns(events), 0)

    def finish(self) -> None:
        """Let operators report no more; what is not recorded pays nothing for them."""
        if self._is_profiling and self._profiler is not None:
            self._is_profiling = False
            with guard("stop a profiler"):
                self._profiler.stop()

    def read_inputs(self) -> Seen:
        """Return copies of the model inputs."""
        return self._see("input", self._signature.inputs, self._inputs)

    def read_outputs(self) -> Seen:
        """Return copies of the model outputs."""
        return self._see("output", self._signature.outputs, self._outputs)

    def _see(self, role: str, names: Sequence[str], buffers: Sequence[Any]) -> Seen:
        if len(names) != len(buffers):
            return []  # LiteRT says so itself
        arrays = [self._read(buffer) for buffer in buffers]
        return self.tracer.see(role, self._signature, names, arrays)

    def read_layers(
        self, recorder: TensorRecorder, inference: Carrier, family: int
    ) -> LayerBlock | None:
        """Return the layers' times: their tensors are gone."""
        return self.read_times(inference)

    def read_times(self, inference: Carrier) -> LayerBlock | None:
        """Return how long each operator took, by the profiler."""
        if self._seen is None:
            return None
        plan, events = self._seen
        self._end_ns = inference.start_ns + max(inference.dur_ns, 0)
        return plan.layer_block(events, inference.start_ns, self._end_ns)

    def read_metrics(self) -> Sequence[MetricRecord]:
        """Return count and time of the events that no operator claims, if there are any."""
        if self._seen is None:
            return ()
        plan, events = self._seen
        extra_ns = plan.extra_ns(events)
        if not len(extra_ns):
            return ()
        return extra_metrics(len(extra_ns), int(extra_ns.sum()), self._end_ns)
