"""Types that exporters and their callers share."""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from exray.schema.records import FrameRecord, Graph, MetricRecord, Run, SpanRecord

Buffer = bytes | memoryview
"""A part of a request, or all of one."""


class ExportResult(Enum):
    """What became of a batch."""

    SUCCESS = "success"
    """It is where it belongs; forget it."""

    FAILURE = "failure"
    """It is not, or not all of it: keep it and export the same object again."""


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class RecordBatch:
    """Records that are exported together.

    A batch is the unit of a retry and known by its identity: to try again, pass the same
    object, and what a cut-short attempt has written is not written twice.
    """

    runs: tuple[Run, ...] = ()
    graphs: tuple[Graph, ...] = ()
    frames: tuple[FrameRecord, ...] = ()
    spans: tuple[SpanRecord, ...] = ()
    metrics: tuple[MetricRecord, ...] = ()

    def is_empty(self) -> bool:
        """Tell whether there is nothing in it."""
        return not (self.runs or self.graphs or self.frames or self.spans or self.metrics)


class RecordExporter(Protocol):
    """Where batches go: a lake, a collector, a list in a test."""

    def export(self, batch: RecordBatch) -> ExportResult:
        """Take *batch*, or say that it could not be taken; never raise."""
        ...

    def shutdown(self) -> None:
        """Let go of what the exporter holds; later calls do nothing."""
        ...
