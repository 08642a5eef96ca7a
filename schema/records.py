"""What flows from instrumentation to exporters: runs, frames, and blocks of tensor rows.

A frame's numbers travel as numpy blocks, not as an object per layer: what is constant
for a model (names, operator, shape, quantization) stands once in a `TensorSite` or
`LayerSite`, and each row of a block points to its site.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

SKETCH_SIZE = 64
"""Values in the sketch that every summarised tensor has."""

WIDE_SKETCH_SIZE = 256
"""Values in the sketch of raw, model input and output tensors."""

LAYER_ROW = np.dtype(
    [
        ("site", np.int32),  # index into LayerBlock.sites
        ("span_id", np.uint64),
        ("start_ns", np.int64),
        ("dur_ns", np.int64),  # -1: not measured
    ]
)
"""One operator execution. Span ids are the id's 8 bytes seen as a native integer."""

TENSOR_ROW = np.dtype(
    [
        ("site", np.int32),  # index into TensorBlock.sites
        ("span_id", np.uint64),  # the span that carries the tensor
        ("parent_span_id", np.uint64),
        ("start_ns", np.int64),
        ("dur_ns", np.int64),  # of the carrier; -1: not measured
        ("count", np.int64),  # elements
        ("sum", np.float64),
        ("sum2", np.float64),
        ("sum3", np.float64),
        ("sum4", np.float64),
        ("min", np.float64),  # NaN: no finite element
        ("max", np.float64),
        ("nan_count", np.int64),
        ("posinf_count", np.int64),
        ("neginf_count", np.int64),
        ("zero_count", np.int64),
        ("sat_low_count", np.int64),
        ("sat_high_count", np.int64),
        ("hash", np.int64),  # XXH3-64 of the raw bytes
        ("sketch", np.float32, (SKETCH_SIZE,)),  # NaN behind the last, where it has fewer
    ]
)
"""One tensor summary, in dequantized units."""


@dataclass(frozen=True, slots=True)
class Quantization:
    """How an integer tensor maps to real values: ``scale * (q - zero_point)``.

    Args:
        scales: One for the whole tensor, or one per index of *axis*; float32 values.
        zero_points: As many as *scales*.
        axis: The quantized dimension; meaningless for one scale.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0


@dataclass(frozen=True, slots=True)
class LayerSite:
    """A layer of a model, as every execution of it shares it."""

    layer_index: int
    layer_name: str
    op: str
    subgraph_index: int = 0
    timing: str = "none"
    """How `dur_ns` was measured: probe, xnnpack, profiler, eager or none."""


@dataclass(frozen=True, slots=True)
class TensorSite:
    """A place where a tensor is seen, as every frame shares it.

    Args:
        role: raw, stage, input, layer, output or custom.
        layer: The layer that wrote it, or None outside a model.
        layout: Meaning of the dimensions, such as ``nhwc``; None where unknown.
    """

    role: str
    name: str
    index: int
    dtype: str
    shape: tuple[int, ...]
    layout: str | None = None
    quantization: Quantization | None = None
    layer: LayerSite | None = None


@dataclass(slots=True)
class LayerBlock:
    """Layer executions of one inference: *rows* of dtype `LAYER_ROW`."""

    sites: Sequence[LayerSite]
    rows: NDArray[np.void]


@dataclass(slots=True)
class TensorBlock:
    """Tensor summaries: *rows* of dtype `TENSOR_ROW`.

    ``wide_sketches`` holds the 256-value sketch of the few rows that have one, by row
    number: shape (256,), float32. ``histograms`` and ``channels`` hold the texts of
    `exray.schema.histogram` and `exray.schema.channels`, by row number too, of rows at
    level distribution. ``contents`` holds the tensors of rows at level full themselves,
    compressed as `exray.lake.tensors` has it; they never travel further than to a disk.
    """

    sites: Sequence[TensorSite]
    rows: NDArray[np.void]
    wide_sketches: Mapping[int, NDArray[np.float32]] = field(
        default_factory=dict[int, NDArray[np.float32]]
    )
    histograms: Mapping[int, str] = field(default_factory=dict[int, str])
    channels: Mapping[int, str] = field(default_factory=dict[int, str])
    contents: Mapping[int, bytes] = field(default_factory=dict[int, bytes])


@dataclass(frozen=True, slots=True)
class GraphOp:
    """One operator of a model file: a row of the table ``graphs``.

    ``parents`` are layer indices; -1 is the model input. ``excluded_reason`` says why
    an operator computes no activations (shape arithmetic, a constant), else None.
    Outputs are parallel tuples; shapes are texts such as ``1,112,112,32``.
    """

    subgraph_index: int
    layer_index: int
    layer_name: str
    op: str
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    output_shapes: tuple[str, ...]
    output_dtypes: tuple[str, ...]
    output_scales: tuple[float | None, ...]
    output_zero_points: tuple[int | None, ...]
    parents: tuple[int, ...]
    macs: int
    weight_bytes: int
    activation_bytes: int
    excluded_reason: str | None = None
    attributes: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True)
class Graph:
    """A model's operators, written once per model.

    ``outputs`` are the layer indices that write the model's outputs.
    """

    model_name: str
    model_sha256: str
    ops: tuple[GraphOp, ...]


@dataclass(slots=True, kw_only=True)
class Run:
    """One process with one instrumented model in one environment: a row of ``runs``.

    Mutable in what is learned late (`plain_output_equal`); the newest row counts.
    Fields are the columns of the table, in its units.
    """

    run_id: bytes
    build: str
    role: str
    started_ns: int
    model_name: str = ""
    model_sha256: str = ""
    model_format: str = ""
    model_precision: str = ""
    runtime_name: str = ""
    runtime_version: str = ""
    kernels: str = ""
    delegate: str | None = None
    threads: int | None = None
    device_id: str = ""
    device_model: str = ""
    device_manufacturer: str = ""
    host_arch: str = ""
    host_name: str = ""
    os_type: str = ""
    os_version: str = ""
    vcs_revision: str | None = None
    vcs_ref: str | None = None
    deployment_environment: str | None = None
    exray_version: str = ""
    init_ns: int | None = None
    plain_output_equal: bool | None = None
    clock_ok: bool = True
    clock_offset_ns: int | None = None
    preprocess_json: str | None = None


@dataclass(slots=True, kw_only=True)
class SpanRecord:
    """A span that is neither frame nor layer: a stage, an inference, or a foreign span.

    ``attributes_json`` and ``events_json`` are None unless the span is foreign.
    """

    name: str
    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes | None
    start_ns: int
    dur_ns: int
    kind: str = "internal"
    status: str = "unset"
    status_message: str | None = None
    scope: str = "exray"
    attributes_json: str | None = None
    events_json: str | None = None
    run: Run | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRecord:
    """One number at one time: a recorded scalar, a host reading, a sensor's value.

    Args:
        unit: UCUM unit.
        attributes: What tells this series from others of the name, such as the core.
        run: Whose it is; None in a frame, which has its own.
    """

    name: str
    value: float
    time_ns: int
    unit: str = "1"
    attributes: Mapping[str, object] = field(default_factory=dict[str, object])
    run: Run | None = None


class InferenceRecord:
    """One execution of one model within a frame.

    Args:
        run: The model's run.
        span_id: Of the execution's span.
        start_ns: Wall time at which it began, since 1970.
        dur_ns: How long it took; -1 where that is not known.
        layers: Its layers' executions, or what makes them when they are first asked for: the
            application's thread has no time for that.
        tensors: Its tensors' summaries.
    """

    __slots__ = ("_layers", "dur_ns", "run", "span_id", "start_ns", "tensors")

    def __init__(
        self,
        *,
        run: Run,
        span_id: bytes,
        start_ns: int,
        dur_ns: int,
        layers: "LayerBlock | LaterLayers | None" = None,
        tensors: TensorBlock | None = None,
    ) -> None:
        self.run, self.span_id = run, span_id
        self.start_ns, self.dur_ns = start_ns, dur_ns
        self._layers = layers
        self.tensors = tensors

    @property
    def layers(self) -> LayerBlock | None:
        """The layers' executions; None where nothing tells them."""
        if callable(self._layers):
            self._layers = self._layers()
        return self._layers

    @layers.setter
    def layers(self, layers: "LayerBlock | LaterLayers | None") -> None:
        self._layers = layers

    @property
    def has_layers_later(self) -> bool:
        """Whether asking for the layers makes them."""
        return callable(self._layers)


LaterLayers = Callable[[], LayerBlock | None]
"""Makes the layers' executions; called once."""


@dataclass(slots=True, kw_only=True)
class FrameRecord:
    """One input through the pipeline, complete.

    ``run`` is that of the frame's first model. ``tensors`` are those outside any model
    (raw, stage, custom). Times are wall nanoseconds since 1970, durations monotonic.
    """

    run: Run
    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes | None
    input_id: str
    input_key: int
    frame_index: int
    start_ns: int
    dur_ns: int
    level: str
    status: str = "unset"
    status_message: str | None = None
    label: str | None = None
    prediction_ids: tuple[int, ...] | None = None
    prediction_scores: tuple[float, ...] | None = None
    output_hash: int | None = None
    sample_rate: float = 1.0
    overhead_ns: int | None = None
    memory_peak_bytes: int | None = None
    cpu_ns: int | None = None
    canary_id: str | None = None
    inferences: list[InferenceRecord] = field(default_factory=list[InferenceRecord])
    spans: list[SpanRecord] = field(default_factory=list[SpanRecord])
    tensors: list[TensorBlock] = field(default_factory=list[TensorBlock])
    metrics: list[MetricRecord] = field(default_factory=list[MetricRecord])


class LaterFrames(Protocol):
    """Frames whose records are made when they are exported: the application has no time for that.

    More may come until then.
    """

    @property
    def size_bytes(self) -> int:
        """Roughly the most that they take in memory until then."""
        ...

    def __len__(self) -> int:
        """Return how many there are now."""
        ...

    def __call__(self) -> Sequence[FrameRecord]:
        """Return their records, the same ones every time; from then on no more come."""
        ...
