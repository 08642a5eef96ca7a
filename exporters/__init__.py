"""Records and spans out of the process."""

from .buffer import RecordBuffer
from .convert import tables_from_records
from .lake import LakeExporter
from .otlp import OTLPExporter
from .readable import SpanExporterAdapter
from .spans import LakeSpanExporter
from .typing import ExportResult, RecordBatch, RecordExporter

__all__ = [
    "ExportResult",
    "LakeExporter",
    "LakeSpanExporter",
    "OTLPExporter",
    "RecordBatch",
    "RecordBuffer",
    "RecordExporter",
    "SpanExporterAdapter",
    "tables_from_records",
]
