"""Operators' times, from ONNX Runtime's profiler on a session of its own.

A session that profiles does so from its construction on, into a file that is whole once
profiling ends, and does not begin again. So a frame that is to be timed is repeated on a
new session of the graph that the application's session has after optimisation, once to
warm up and once to count. A kernel that the runtime made of several operators has one
time, which counts for the one that multiplies most; the others have none.
"""

import importlib
import json
import os
import re
import shutil
import tempfile
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .capture import Array
from .guard import error_text, guard, log_once
from .onnx_file import parse_onnx
from .onnx_graph import OnnxGraph
from .onnx_identity import OnnxModelFile
from .onnx_shadow import SessionMaker, is_forked
from .patching import untraced
from .recorder import Recorder

PROFILE_SHARE = 0.25
"""Of the overhead budget, what repetitions for operators' times may take."""

FIRST_COST = 40
"""Executions that the first such repetition is taken to cost: 40 to 70 were measured."""

_MARK = "exray_"
"""Begins the names that operators get, to be known again after optimisation."""

_MARKED = re.compile(rf"{_MARK}(\d+)(?!\d)")
_BLOCKED = re.compile(r"_nchwc(?:_token_\d+)?$")
"""End of the name that the runtime gives a kernel in its blocked layout, after a tensor's name."""

_EVENT_END = "_kernel_time"

_PRODUCTS = ("Conv", "Gemm", "MatMul")
"""Parts of the names of kernels that multiply, and into which activations fuse."""


@dataclass(slots=True)
class LayerTimes:
    """When each layer's kernel ran, from the start of the model.

    Args:
        layers: Start and duration in nanoseconds, by layer index.
        extra_count: Kernels that are no layer's, such as changes of layout.
        extra_ns: Their time.
    """

    layers: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])
    extra_count: int = 0
    extra_ns: int = 0


class ProfileTurns:
    """Which frames are repeated for their operators' times: those that the budget can pay.

    Args:
        recorder: Has the budget, or none, where every frame is timed.
    """

    def __init__(self, recorder: Recorder) -> None:
        config = recorder.config
        self._share = PROFILE_SHARE * config.overhead_budget
        self._sampler = recorder.sampler
        self._start_ns = self._sampler.plain_ns
        self._spent_ns = self._last_ns = 0

    def takes(self, dur_ns: int) -> bool:
        """Return whether a frame of that duration is to be timed."""
        if not self._sampler.is_selective:
            return True
        earned_ns = self._share * (self._sampler.plain_ns - self._start_ns)
        expected_ns = self._last_ns or FIRST_COST * max(dur_ns, 0)
        return earned_ns >= self._spent_ns + expected_ns

    def pay(self, cost_ns: int) -> None:
        """Count what timing a frame took."""
        self._spent_ns += cost_ns
        self._last_ns = cost_ns


class OperatorProfile:
    """Times the operators of one model; arguments of `TensorShadow`."""

    def __init__(self, maker: SessionMaker, file: OnnxModelFile) -> None:
        self._maker, self._file = maker, file
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._folder: Path | None = None
        self._layer_of: Mapping[str, int] = {}
        self._is_given_up = file.graph is None

    def run(self, inputs: Mapping[str, Array]) -> LayerTimes | None:
        """Repeat an execution and return its operators' times; None where nothing tells them.

        Args:
            inputs: What the application fed, by name.
        """
        if is_forked(self._pid):
            return None
        with self._lock:
            if self._is_given_up:
                return None
            try:
                return self._times(inputs)
            except Exception as error:  # noqa: BLE001 - the runtime raises errors of many types
                self._is_given_up = True
                log_once(
                    "onnx profile",
                    f"ONNX Runtime could not profile a model ({error_text(error)}): its operators' "
                    "times are not recorded.",
                )
                return None

    def _times(self, inputs: Mapping[str, Array]) -> LayerTimes:
        if self._folder is None:
            self._folder = self._optimise()
        folder = self._folder
        options = self._maker.options()
        levels: Any = importlib.import_module("onnxruntime").GraphOptimizationLevel
        options.graph_optimization_level = levels.ORT_DISABLE_ALL  # it is optimised already
        options.enable_profiling = True
        options.profile_file_prefix = str(folder / "profile")
        session = self._maker.make((folder / "model.onnx").read_bytes(), options, self._file)
        try:
            with untraced():
                session.run(None, dict(inputs))
                session.run(None, dict(inputs))
        finally:
            written = Path(session.end_profiling())
        try:
            events = json.loads(written.read_bytes())
        finally:
            written.unlink()
        return times_from_events(events, self._layer_of)

    def _optimise(self) -> Path:
        """Write down the graph that the application's session has, and whose each kernel is."""
        graph = self._file.graph
        assert graph is not None
        folder = Path(tempfile.mkdtemp(prefix="exray-onnx-"))
        weakref.finalize(self, _remove, folder, os.getpid())
        path = folder / "model.onnx"
        options = self._maker.options()
        options.optimized_model_filepath = str(path)
        with guard("optimise an ONNX model"):
            self._maker.make(with_marks(self._file.content()), options, self._file)
        self._layer_of = kernels_from_optimised(path.read_bytes(), graph)
        return folder


def _remove(folder: Path, pid: int) -> None:
    if os.getpid() == pid:  # a forked child has the folder's name, and its parent the folder
        shutil.rmtree(folder, ignore_errors=True)


def with_marks(content: bytes) -> bytes:
    """Return a model file in which each operator's name says its index."""
    model = parse_onnx(content, name="")
    for index, node in enumerate(model.graph.node):
        node.name = f"{_MARK}{index}"
    changed: bytes = model.SerializeToString()
    return changed


def kernels_from_optimised(content: bytes, graph: OnnxGraph) -> Mapping[str, int]:
    """Return the layer that each kernel's time counts for, by the kernel's name.

    Args:
        content: The optimised file, made of one whose operators are marked.
        graph: The model's own graph.
    """
    found: dict[str, int] = {}
    nodes: Sequence[Any] = parse_onnx(content, name="").graph.node
    for node in nodes:
        layer = _layer_of(str(node.name), list(node.output), graph)
        if layer is not None:
            found[str(node.name)] = layer
    taken = set(found.values())
    for node in nodes:
        layer = found.get(str(node.name))
        if layer is not None and any(kind in node.op_type for kind in _PRODUCTS):
            found[str(node.name)] = _heaviest(layer, graph, taken)
    return found


def _layer_of(name: str, outputs: Sequence[str], graph: OnnxGraph) -> int | None:
    """Return the layer that a kernel ends in, None for one that is no layer's."""
    for tensor in (*outputs, _BLOCKED.sub("", name)):
        if tensor in graph.writers:
            return graph.writers[tensor]
    marked = _MARKED.match(name)
    return int(marked[1]) if marked is not None else None


def _heaviest(layer: int, graph: OnnxGraph, taken: set[int]) -> int:
    """Return the layer whose product a fused kernel computes, before its activation."""
    ops = graph.graph.ops
    seen, below = {layer}, [layer]
    while below:
        index = below.pop()
        if ops[index].macs:
            return index
        for parent in ops[index].parents:
            if parent >= 0 and parent not in seen and parent not in taken:
                seen.add(parent)
                below.append(parent)
    return layer


def times_from_events(
    events: Sequence[Mapping[str, Any]], layer_of: Mapping[str, int]
) -> LayerTimes:
    """Return the times of the last run that a profile holds.

    Args:
        events: Of the profiler's file; times in microseconds.
        layer_of: Layer by kernel.
    """
    runs = [event for event in events if event["name"] == "model_run"]
    times = LayerTimes()
    if not runs:
        return times
    start_us, end_us = runs[-1]["ts"], runs[-1]["ts"] + runs[-1]["dur"]
    for event in events:
        is_kernel = event["cat"] == "Node" and event["name"].endswith(_EVENT_END)
        if not is_kernel or not start_us <= event["ts"] <= end_us:
            continue
        layer = layer_of.get(event["name"].removesuffix(_EVENT_END))
        dur_ns = int(event["dur"]) * 1000
        if layer is None:
            times.extra_count += 1
            times.extra_ns += dur_ns
        else:
            since_ns = int(event["ts"] - start_us) * 1000
            first_ns, so_far_ns = times.layers.get(layer, (since_ns, 0))
            times.layers[layer] = first_ns, so_far_ns + dur_ns
    return times
