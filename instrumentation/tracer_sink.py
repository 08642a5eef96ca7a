"""Frames into an application's own tracer provider, and so to whatever it exports to."""

from collections.abc import Sequence
from typing import Any

from opentelemetry import trace as otel_trace
from opentelemetry.sdk.resources import Resource

from exray.exporters.buffer import RecordBuffer
from exray.exporters.readable import ReadableSpans, readable_spans
from exray.exporters.typing import ExportResult, RecordBatch
from exray.schema.records import FrameRecord, Graph, MetricRecord, Run

from .guard import log_once

PERIOD_S = 1.0
"""Longest time that a frame waits before its spans are handed to the provider."""

SPANS_BEFORE_FLUSH = 1024
"""Spans handed over before the provider is asked to export: its batch processor keeps 2048 and
drops what comes beyond."""

FLUSH_TIMEOUT_MS = 10_000


class TracerSink:
    """Takes records and ends their spans with a tracer provider's processors.

    Spans are built in a thread of their own, not in the application's. They have no start
    event: processors see them when they are over.

    Args:
        provider: The tracer provider; None for the global one, whichever it is by then.
    """

    def __init__(self, provider: Any = None) -> None:
        self._provider = provider
        self._buffer = RecordBuffer(_ProviderExporter(self._find_provider), period_s=PERIOD_S)

    def _find_provider(self) -> Any:
        return self._provider or otel_trace.get_tracer_provider()

    def add_run(self, run: Run) -> None:
        """Do nothing: a run is the resource of its spans."""

    def add_graph(self, graph: Graph) -> None:
        """Do nothing: a graph is no span."""

    def add_frame(self, frame: FrameRecord) -> None:
        """Take a frame, if the application's sampler wants its trace."""
        if _is_sampled(frame, self._find_provider()):
            self._buffer.add_frame(frame)

    def add_metrics(self, metrics: Sequence[MetricRecord]) -> None:
        """Do nothing: a number is no span."""

    def flush(self, timeout_s: float) -> bool:
        """End what was taken, and have the provider export it."""
        done = self._buffer.flush(timeout_s)
        return _flush(self._find_provider(), round(timeout_s * 1000)) and done

    def shutdown(self) -> None:
        """End what was taken; the provider is the application's, and stays."""
        self._buffer.shutdown()


class _ProviderExporter:
    """Ends each batch's spans with the processors of the provider that *find* returns."""

    def __init__(self, find: Any) -> None:
        self._find = find
        self._resource: Resource | None = None
        self._spans = ReadableSpans(Resource.get_empty())

    def export(self, batch: RecordBatch) -> ExportResult:
        """Hand over *batch*; what a processor raises is logged by the buffer."""
        provider = self._find()
        # The provider itself offers no way in but starting every span.
        processor = getattr(provider, "_active_span_processor", None)
        if processor is None:
            log_once(
                "no provider",
                f"the tracer provider is a {type(provider).__name__}, which ends no spans: frames "
                "are not recorded. Set an SDK TracerProvider, or run with opentelemetry-instrument.",
            )
            return ExportResult.SUCCESS
        if provider.resource is not self._resource:
            self._resource = provider.resource
            self._spans = ReadableSpans(provider.resource)
        for number, span in enumerate(readable_spans(batch, self._spans), 1):
            processor.on_end(span)
            if number % SPANS_BEFORE_FLUSH == 0:
                _flush(provider, FLUSH_TIMEOUT_MS)
        return ExportResult.SUCCESS

    def shutdown(self) -> None:
        """Do nothing: the provider is the application's."""


def _flush(provider: Any, timeout_ms: int) -> bool:
    flush = getattr(provider, "force_flush", None)
    return flush is None or bool(flush(timeout_ms))


def _is_sampled(frame: FrameRecord, provider: Any) -> bool:
    """Tell whether the application's sampler takes the trace that *frame* is in."""
    above = otel_trace.get_current_span().get_span_context()
    if frame.parent_span_id == above.span_id.to_bytes(8, "big"):
        return above.trace_flags.sampled
    sampler = getattr(provider, "sampler", None)
    if sampler is None:
        return True
    trace_id = int.from_bytes(frame.trace_id, "big")
    return bool(sampler.should_sample(None, trace_id, "frame").decision.is_sampled())
