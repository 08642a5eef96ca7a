"""What each span of exray says: names and attributes, before any encoding.

Every way out of the process in the shape of spans takes them from here, so that all say
the same: OTLP bytes and OpenTelemetry's own `ReadableSpan`.
"""

from exray.schema.attributes import (
    DEPLOYMENT_ENVIRONMENT_NAME,
    DEVICE_ID,
    DEVICE_MANUFACTURER,
    DEVICE_MODEL_IDENTIFIER,
    EXRAY_CANARY_ID,
    EXRAY_CPU_NS,
    EXRAY_DELEGATE,
    EXRAY_FRAME_ID,
    EXRAY_FRAME_INDEX,
    EXRAY_FRAME_LABEL,
    EXRAY_INPUT_ID,
    EXRAY_INPUT_KEY,
    EXRAY_KERNELS,
    EXRAY_LAYER_INDEX,
    EXRAY_LAYER_NAME,
    EXRAY_LAYER_OP,
    EXRAY_LAYER_SUBGRAPH_INDEX,
    EXRAY_LAYER_TIMING,
    EXRAY_LEVEL,
    EXRAY_MEMORY_PEAK_BYTES,
    EXRAY_MODEL_FORMAT,
    EXRAY_MODEL_NAME,
    EXRAY_MODEL_PRECISION,
    EXRAY_MODEL_SHA256,
    EXRAY_OUTPUT_HASH,
    EXRAY_OVERHEAD_NS,
    EXRAY_PREDICTION_IDS,
    EXRAY_PREDICTION_SCORES,
    EXRAY_ROLE,
    EXRAY_RUN_ID,
    EXRAY_RUNTIME_NAME,
    EXRAY_RUNTIME_VERSION,
    EXRAY_SAMPLE_RATE,
    EXRAY_TENSOR_CHANNELS,
    EXRAY_TENSOR_COUNT,
    EXRAY_TENSOR_DTYPE,
    EXRAY_TENSOR_HASH,
    EXRAY_TENSOR_HISTOGRAM,
    EXRAY_TENSOR_INDEX,
    EXRAY_TENSOR_LAYOUT,
    EXRAY_TENSOR_MAX,
    EXRAY_TENSOR_MIN,
    EXRAY_TENSOR_NAME,
    EXRAY_TENSOR_NAN_COUNT,
    EXRAY_TENSOR_NEGINF_COUNT,
    EXRAY_TENSOR_POSINF_COUNT,
    EXRAY_TENSOR_ROLE,
    EXRAY_TENSOR_SAT_HIGH_COUNT,
    EXRAY_TENSOR_SAT_LOW_COUNT,
    EXRAY_TENSOR_SCALE,
    EXRAY_TENSOR_SHAPE,
    EXRAY_TENSOR_SUM,
    EXRAY_TENSOR_SUM2,
    EXRAY_TENSOR_SUM3,
    EXRAY_TENSOR_SUM4,
    EXRAY_TENSOR_ZERO_COUNT,
    EXRAY_TENSOR_ZERO_POINT,
    EXRAY_THREADS,
    HOST_ARCH,
    HOST_NAME,
    OS_TYPE,
    OS_VERSION,
    SERVICE_VERSION,
    VCS_REF_HEAD_NAME,
    VCS_REF_HEAD_REVISION,
)
from exray.schema.records import FrameRecord, LayerSite, Run, TensorBlock, TensorSite

Attributes = dict[str, str | int | float]
"""Attributes of a span or a resource: scalars only."""

OWN_SCOPE = "exray"
"""Instrumentation scope of exray's spans."""

INFERENCE = "inference"
"""Name of the span of one execution of a model."""

FRAME = "frame"
"""Name of the span of one input through the pipeline."""

TENSOR = "tensor"
"""Name of the span, of no duration, that carries one more tensor of its parent."""

UNMEASURED = "none"
"""Timing of a layer whose duration means nothing."""

SKETCH_PREFIX = "cs1:"
"""What a sketch's attribute begins with: its definition; base64 follows."""

REALS = {
    "sum": EXRAY_TENSOR_SUM,
    "sum2": EXRAY_TENSOR_SUM2,
    "sum3": EXRAY_TENSOR_SUM3,
    "sum4": EXRAY_TENSOR_SUM4,
    "min": EXRAY_TENSOR_MIN,
    "max": EXRAY_TENSOR_MAX,
}
"""Fields of `TENSOR_ROW` whose attribute is absent where they are NaN."""

COUNTS = {
    "count": EXRAY_TENSOR_COUNT,
    "nan_count": EXRAY_TENSOR_NAN_COUNT,
    "posinf_count": EXRAY_TENSOR_POSINF_COUNT,
    "neginf_count": EXRAY_TENSOR_NEGINF_COUNT,
    "zero_count": EXRAY_TENSOR_ZERO_COUNT,
    "sat_low_count": EXRAY_TENSOR_SAT_LOW_COUNT,
    "sat_high_count": EXRAY_TENSOR_SAT_HIGH_COUNT,
    "hash": EXRAY_TENSOR_HASH,
}
"""Fields of `TENSOR_ROW` that are integer attributes."""

RUN_ATTRIBUTES = {
    "build": SERVICE_VERSION,
    "device_id": DEVICE_ID,
    "device_model": DEVICE_MODEL_IDENTIFIER,
    "device_manufacturer": DEVICE_MANUFACTURER,
    "host_arch": HOST_ARCH,
    "host_name": HOST_NAME,
    "os_type": OS_TYPE,
    "os_version": OS_VERSION,
    "vcs_revision": VCS_REF_HEAD_REVISION,
    "vcs_ref": VCS_REF_HEAD_NAME,
    "deployment_environment": DEPLOYMENT_ENVIRONMENT_NAME,
    "role": EXRAY_ROLE,
    "model_name": EXRAY_MODEL_NAME,
    "model_sha256": EXRAY_MODEL_SHA256,
    "model_format": EXRAY_MODEL_FORMAT,
    "model_precision": EXRAY_MODEL_PRECISION,
    "runtime_name": EXRAY_RUNTIME_NAME,
    "runtime_version": EXRAY_RUNTIME_VERSION,
    "kernels": EXRAY_KERNELS,
    "delegate": EXRAY_DELEGATE,
    "threads": EXRAY_THREADS,
}
"""Fields of `Run` that its resource's attributes show."""


def run_attributes(run: Run) -> Attributes:
    """Return the resource of *run*; what is not known is absent."""
    known = {key: getattr(run, name) for name, key in RUN_ATTRIBUTES.items()}
    identity: Attributes = {EXRAY_RUN_ID: run.run_id.hex()} if any(run.run_id) else {}
    return identity | {key: value for key, value in known.items() if value not in (None, "")}


def frame_numbers(frame: FrameRecord) -> dict[str, int]:
    """Return a frame's integer attributes that are known."""
    numbers = {
        EXRAY_INPUT_KEY: frame.input_key,
        EXRAY_FRAME_INDEX: frame.frame_index,
        EXRAY_OUTPUT_HASH: frame.output_hash,
        EXRAY_OVERHEAD_NS: frame.overhead_ns,
        EXRAY_MEMORY_PEAK_BYTES: frame.memory_peak_bytes,
        EXRAY_CPU_NS: frame.cpu_ns,
    }
    return {key: value for key, value in numbers.items() if value is not None}


def frame_texts(frame: FrameRecord) -> dict[str, str]:
    """Return a frame's attributes that are text and differ from frame to frame."""
    texts = {EXRAY_INPUT_ID: frame.input_id}
    if frame.label is not None:
        texts[EXRAY_FRAME_LABEL] = frame.label
    if frame.prediction_ids is not None:
        texts[EXRAY_PREDICTION_IDS] = ",".join(map(str, frame.prediction_ids))
    if frame.prediction_scores is not None:
        texts[EXRAY_PREDICTION_SCORES] = ",".join(str(float(s)) for s in frame.prediction_scores)
    if frame.canary_id is not None:
        texts[EXRAY_CANARY_ID] = frame.canary_id
    return texts


def frame_attributes(frame: FrameRecord) -> Attributes:
    """Return what a frame's span says, without a tensor."""
    return {
        **frame_texts(frame),
        **frame_numbers(frame),
        EXRAY_LEVEL: frame.level,
        EXRAY_SAMPLE_RATE: float(frame.sample_rate),
    }


def below_frame(frame: FrameRecord) -> Attributes:
    """Return what every span below a frame repeats."""
    return {EXRAY_FRAME_ID: frame.span_id.hex(), EXRAY_INPUT_KEY: frame.input_key}


def layer_attributes(site: LayerSite, *, measured: bool) -> Attributes:
    """Return what a layer's span says, without a tensor.

    Args:
        site: The layer.
        measured: Whether the execution has a duration.
    """
    return _layer_place(site) | {EXRAY_LAYER_TIMING: site.timing if measured else UNMEASURED}


def tensor_place(site: TensorSite) -> Attributes:
    """Return what is the same of a tensor in every frame."""
    place: Attributes = {
        EXRAY_TENSOR_ROLE: site.role,
        EXRAY_TENSOR_NAME: site.name,
        EXRAY_TENSOR_INDEX: site.index,
        EXRAY_TENSOR_DTYPE: site.dtype,
        EXRAY_TENSOR_SHAPE: ",".join(map(str, site.shape)),
    }
    if site.layout is not None:
        place[EXRAY_TENSOR_LAYOUT] = site.layout
    if site.quantization is not None and len(site.quantization.scales) == 1:
        place[EXRAY_TENSOR_SCALE] = float(site.quantization.scales[0])
        place[EXRAY_TENSOR_ZERO_POINT] = int(site.quantization.zero_points[0])
    return place


def tensor_texts(block: TensorBlock) -> dict[int, Attributes]:
    """Return the attributes that some tensors of *block* have at level distribution, by row."""
    texts: dict[int, Attributes] = {}
    for key, by_row in (
        (EXRAY_TENSOR_HISTOGRAM, block.histograms),
        (EXRAY_TENSOR_CHANNELS, block.channels),
    ):
        for row, value in by_row.items():
            texts.setdefault(row, {})[key] = value
    return texts


def tensor_span_place(site: TensorSite) -> Attributes:
    """Return what a span ``tensor`` says in every frame: the layer's place too."""
    return ({} if site.layer is None else _layer_place(site.layer)) | tensor_place(site)


def _layer_place(site: LayerSite) -> Attributes:
    place: Attributes = {EXRAY_LAYER_INDEX: site.layer_index}
    if site.subgraph_index:
        place[EXRAY_LAYER_SUBGRAPH_INDEX] = site.subgraph_index
    return place | {EXRAY_LAYER_NAME: site.layer_name, EXRAY_LAYER_OP: site.op}
