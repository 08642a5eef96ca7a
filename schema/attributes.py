"""Keys of span, resource, metric and log attributes.

Written by ``python -m exray.schema.generate`` from ``registry/conventions``: edit that.
"""

EXRAY_INPUT_ID = "exray.input.id"
"""What the caller names the input, else the hex hash of the model input's bytes."""

EXRAY_FRAME_INDEX = "exray.frame.index"
"""Frame's number within its run."""

EXRAY_FRAME_LABEL = "exray.frame.label"
"""True class index or name."""

EXRAY_PREDICTION_IDS = "exray.prediction.ids"
"""Best classes, best first, joined with commas."""

EXRAY_PREDICTION_SCORES = "exray.prediction.scores"
"""Scores of the best classes, dequantized, joined with commas."""

EXRAY_OUTPUT_HASH = "exray.output.hash"
"""XXH3-64 of the last model's first output, as a signed integer."""

EXRAY_LEVEL = "exray.level"
"""Level the frame was recorded at."""

EXRAY_SAMPLE_RATE = "exray.sample.rate"
"""Probability with which a frame got this very level: it stands for 1 / rate frames."""

EXRAY_OVERHEAD_NS = "exray.overhead.ns"
"""Time that recording took of the frame. Unit: ns."""

EXRAY_MEMORY_PEAK_BYTES = "exray.memory.peak_bytes"
"""Peak resident memory of the process at the frame's end. Unit: By."""

EXRAY_CPU_NS = "exray.cpu.ns"
"""CPU time of the process during the frame. Unit: ns."""

EXRAY_CANARY_ID = "exray.canary.id"
"""Canary pack the input belongs to."""

EXRAY_FRAME_ID = "exray.frame.id"
"""The frame's span id, 16 hex digits."""

EXRAY_INPUT_KEY = "exray.input.key"
"""First 8 bytes of SHA-256 of the input id, little-endian, signed; joins edge and reference."""

CPU_LOGICAL_NUMBER = "cpu.logical_number"
"""Core."""

EXRAY_CPU_GOVERNOR = "exray.cpu.governor"
"""Frequency governor of the core. It may change within a series."""

HW_ID = "hw.id"
"""Sensor or battery, unique on its host."""

HW_NAME = "hw.name"
"""What the system calls it."""

HW_BATTERY_STATE = "hw.battery.state"
"""charging or discharging, absent where neither. It may change within a series."""

SYSTEM_MEMORY_STATE = "system.memory.state"
"""State of the memory that is counted."""

EXRAY_SENSOR_INDEX = "exray.sensor.index"
"""Component of a sensor's value that has several."""

EXRAY_LAYER_INDEX = "exray.layer.index"
"""Operator's index in the model's primary subgraph; for Keras the position in the flattened
layers.
"""

EXRAY_LAYER_SUBGRAPH_INDEX = "exray.layer.subgraph_index"
"""Subgraph of the operator; absent for the primary one."""

EXRAY_LAYER_NAME = "exray.layer.name"
"""Layer's name as the converter wrote it."""

EXRAY_LAYER_OP = "exray.layer.op"
"""Operator."""

EXRAY_LAYER_TIMING = "exray.layer.timing"
"""How the duration was measured."""

SERVICE_NAME = "service.name"
"""Application."""

SERVICE_VERSION = "service.version"
"""Build that shipped."""

DEVICE_ID = "device.id"
"""Device, stable over runs."""

DEVICE_MODEL_IDENTIFIER = "device.model.identifier"
"""Device model."""

DEVICE_MANUFACTURER = "device.manufacturer"
"""Device manufacturer."""

HOST_ARCH = "host.arch"
"""CPU architecture."""

HOST_NAME = "host.name"
"""Host name."""

OS_TYPE = "os.type"
"""Operating system."""

OS_VERSION = "os.version"
"""Version of the operating system."""

VCS_REF_HEAD_REVISION = "vcs.ref.head.revision"
"""Commit of the application."""

VCS_REF_HEAD_NAME = "vcs.ref.head.name"
"""Branch or tag of the application."""

DEPLOYMENT_ENVIRONMENT_NAME = "deployment.environment.name"
"""Deployment environment."""

EXRAY_RUN_ID = "exray.run.id"
"""Run, a UUIDv7 as 32 hex digits."""

EXRAY_ROLE = "exray.role"
"""Part the run plays by default; a query may choose again."""

EXRAY_MODEL_NAME = "exray.model.name"
"""Model file's name without its ending."""

EXRAY_MODEL_SHA256 = "exray.model.sha256"
"""SHA-256 of the model file, 64 hex digits."""

EXRAY_MODEL_FORMAT = "exray.model.format"
"""Format of the model file."""

EXRAY_MODEL_PRECISION = "exray.model.precision"
"""Type of most weights and activations."""

EXRAY_RUNTIME_NAME = "exray.runtime.name"
"""What executes the model."""

EXRAY_RUNTIME_VERSION = "exray.runtime.version"
"""Version of the runtime."""

EXRAY_KERNELS = "exray.kernels"
"""Kernel family: xnnpack, builtin, reference, the framework's, or ONNX Runtime's execution
provider. Kernel families of one int8 model differ by about 32 dB SQNR, so it is part of a
run's identity.
"""

EXRAY_DELEGATE = "exray.delegate"
"""Delegates the application asked for."""

EXRAY_THREADS = "exray.threads"
"""Threads the application asked for."""

EXRAY_TENSOR_ROLE = "exray.tensor.role"
"""Where the tensor was seen."""

EXRAY_TENSOR_NAME = "exray.tensor.name"
"""Tensor's name."""

EXRAY_TENSOR_INDEX = "exray.tensor.index"
"""Position among the tensors of its span."""

EXRAY_TENSOR_DTYPE = "exray.tensor.dtype"
"""Element type as stored in memory."""

EXRAY_TENSOR_SHAPE = "exray.tensor.shape"
"""Dimensions, joined with commas."""

EXRAY_TENSOR_LAYOUT = "exray.tensor.layout"
"""Meaning of the dimensions."""

EXRAY_TENSOR_SCALE = "exray.tensor.scale"
"""Quantization scale; absent where none or one per channel."""

EXRAY_TENSOR_ZERO_POINT = "exray.tensor.zero_point"
"""Zero point; absent where none or one per channel."""

EXRAY_TENSOR_COUNT = "exray.tensor.count"
"""Elements."""

EXRAY_TENSOR_SUM = "exray.tensor.sum"
"""Sum of finite elements. Sums, extremes and sketch are of dequantized values."""

EXRAY_TENSOR_SUM2 = "exray.tensor.sum2"
"""Sum of squares of finite elements."""

EXRAY_TENSOR_SUM3 = "exray.tensor.sum3"
"""Sum of cubes of finite elements."""

EXRAY_TENSOR_SUM4 = "exray.tensor.sum4"
"""Sum of fourth powers of finite elements."""

EXRAY_TENSOR_MIN = "exray.tensor.min"
"""Least finite element; absent where there is none."""

EXRAY_TENSOR_MAX = "exray.tensor.max"
"""Greatest finite element; absent where there is none."""

EXRAY_TENSOR_NAN_COUNT = "exray.tensor.nan_count"
"""Elements that are not a number."""

EXRAY_TENSOR_POSINF_COUNT = "exray.tensor.posinf_count"
"""Elements at +Inf."""

EXRAY_TENSOR_NEGINF_COUNT = "exray.tensor.neginf_count"
"""Elements at -Inf."""

EXRAY_TENSOR_ZERO_COUNT = "exray.tensor.zero_count"
"""Elements equal to zero after dequantization."""

EXRAY_TENSOR_SAT_LOW_COUNT = "exray.tensor.sat_low_count"
"""Integers at their type's low end."""

EXRAY_TENSOR_SAT_HIGH_COUNT = "exray.tensor.sat_high_count"
"""Integers at their type's high end."""

EXRAY_TENSOR_HASH = "exray.tensor.hash"
"""XXH3-64 of the raw bytes, as a signed integer."""

EXRAY_TENSOR_SKETCH = "exray.tensor.sketch"
"""Sketch: cs1, a colon, and base64 of little-endian float32. 64 values; 256 for raw, model input
and output, of which the 64 are the fold.
"""

EXRAY_TENSOR_HISTOGRAM = "exray.tensor.histogram"
"""Base-2 exponential histogram: eh1, a colon, and base64 of little-endian float32. Level
distribution only. Scale, zero count, offset and number of the positive buckets, offset and
number of the negative ones, then the counts of both.
"""

EXRAY_TENSOR_CHANNELS = "exray.tensor.channels"
"""Per-channel sums and extremes: ch1, a colon, and base64 of little-endian float32. Level
distribution only. Number of channels, elements of each, then sums, sums of squares, minima
and maxima, by channel up to 256, else by channel modulo 256.
"""
