"""Records and spans out of the process."""

from .buffer import RecordBuffer
from .convert import tables_from_records
from .lake import LakeExporter
from .spans import LakeSpanExporter
from .typing import ExportResult, RecordBatch, RecordExporter

__all__ = [
    "ExportResult",
    "LakeExporter",
    "LakeSpanExporter",
    "RecordBatch",
    "RecordBuffer",
    "RecordExporter",
    "tables_from_records",
]
