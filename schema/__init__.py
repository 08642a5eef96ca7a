"""Names and types that every component relies on.

The functions of `exray.schema.sketch` stay in their module: one bears its name. Keys of
attributes are constants of `exray.schema.attributes`.
"""

from .arrow import arrow_schema
from .columns import Column, ColumnType, Encoding, Table
from .errors import (
    CommitError,
    DataError,
    ExrayError,
    GrafanaError,
    LakeError,
    LakeFullError,
    LakeUnreachableError,
    LogError,
    LogFullError,
    MissingExtraError,
    ModelError,
    SelectionError,
    SpecError,
    UsageError,
)
from .identity import (
    file_sha256,
    input_key,
    new_run_id,
    new_span_id,
    new_span_ids,
    new_trace_id,
    sketch_family,
    tensor_hash,
)
from .quantization import dequantize
from .records import (
    LAYER_ROW,
    SKETCH_SIZE,
    TENSOR_ROW,
    WIDE_SKETCH_SIZE,
    FrameRecord,
    Graph,
    GraphOp,
    InferenceRecord,
    LayerBlock,
    LayerSite,
    MetricRecord,
    Quantization,
    Run,
    SpanRecord,
    TensorBlock,
    TensorSite,
)
from .statistics import summarize_into
from .tables import TABLES

__all__ = [
    "LAYER_ROW",
    "SKETCH_SIZE",
    "TABLES",
    "TENSOR_ROW",
    "WIDE_SKETCH_SIZE",
    "Column",
    "ColumnType",
    "CommitError",
    "DataError",
    "Encoding",
    "ExrayError",
    "FrameRecord",
    "GrafanaError",
    "Graph",
    "GraphOp",
    "InferenceRecord",
    "LakeError",
    "LakeFullError",
    "LakeUnreachableError",
    "LayerBlock",
    "LayerSite",
    "LogError",
    "LogFullError",
    "MetricRecord",
    "MissingExtraError",
    "ModelError",
    "Quantization",
    "Run",
    "SelectionError",
    "SpanRecord",
    "SpecError",
    "Table",
    "TensorBlock",
    "TensorSite",
    "UsageError",
    "arrow_schema",
    "dequantize",
    "file_sha256",
    "input_key",
    "new_run_id",
    "new_span_id",
    "new_span_ids",
    "new_trace_id",
    "sketch_family",
    "summarize_into",
    "tensor_hash",
]
