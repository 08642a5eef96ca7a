"""The application's own OpenTelemetry spans into the table ``spans``."""

import logging
import os
import uuid
from collections.abc import Mapping, Sequence
from typing import cast

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from exray.schema.attributes import (
    EXRAY_MODEL_NAME,
    EXRAY_MODEL_SHA256,
    EXRAY_ROLE,
    EXRAY_RUN_ID,
    SERVICE_VERSION,
)
from exray.schema.records import Run, SpanRecord

from .buffer import RecordBuffer
from .lake import LakeExporter
from .plain_json import json_from_mapping, json_from_sequence

OWN_SCOPE = "exray"
"""Instrumentation scope of exray's spans, which reach the lake in bulk."""

logger = logging.getLogger(__name__)


class LakeSpanExporter(SpanExporter):
    """Keeps the spans of an application beside the frames they caused, joined by trace id.

    Give it to a `BatchSpanProcessor`. Spans are committed together with what else *target*
    buffers, so at the latest 30 s after they ended, or at `force_flush`.

    Args:
        target: A lake's folder, an exporter into one, or the buffer that exray records
            into. What is passed ready-made is not shut down.
        fallback_run: Run of spans whose resource names none.

    Raises:
        TypeError: *target* is none of these.
        MissingExtraError: pyarrow or deltalake is not installed.
        LakeError: The path is not a lake, nor can it become one.
    """

    def __init__(
        self,
        target: str | os.PathLike[str] | LakeExporter | RecordBuffer,
        *,
        fallback_run: Run | None = None,
    ) -> None:
        self._owns_buffer = not isinstance(target, RecordBuffer)
        self._buffer = _buffer_for(target)
        self._fallback_run = fallback_run
        self._runs: dict[int, tuple[Resource, Run]] = {}
        self._is_shut_down = False
        self._failure_logged = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take *spans*, except exray's own; never raises.

        Returns:
            FAILURE after `shutdown`, or when a span could not be taken.
        """
        if self._is_shut_down:
            return SpanExportResult.FAILURE
        taken = [self._take(span) for span in spans if not _is_own(span)]
        return SpanExportResult.SUCCESS if all(taken) else SpanExportResult.FAILURE

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Commit what has been taken; False if that did not succeed in time."""
        return self._buffer.flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Commit what has been taken and take no more; a second call does nothing."""
        if self._is_shut_down:
            return
        self._is_shut_down = True
        if self._owns_buffer:
            self._buffer.shutdown()
        else:
            self._buffer.flush()

    def _take(self, span: ReadableSpan) -> bool:
        try:
            return self._buffer.add_span(record_from_span(span, self._run_of(span.resource)))
        except Exception:
            if not self._failure_logged:
                self._failure_logged = True
                logger.warning("exray: a span could not be recorded", exc_info=True)
            return False

    def _run_of(self, resource: Resource) -> Run | None:
        known = self._runs.get(id(resource))
        if known is None:
            run = run_from_resource(resource, self._fallback_run)
            known = self._runs[id(resource)] = (resource, run)  # kept alive, so is its id
        return known[1]


def record_from_span(span: ReadableSpan, run: Run | None) -> SpanRecord:
    """Return a finished OpenTelemetry span as a record.

    Raises:
        ValueError: *span* has not begun or has no context.
    """
    if span.context is None or span.start_time is None:
        msg = f"span {span.name!r} has no context or start time; only finished spans are exported"
        raise ValueError(msg)
    return SpanRecord(
        name=span.name,
        trace_id=span.context.trace_id.to_bytes(16, "big"),
        span_id=span.context.span_id.to_bytes(8, "big"),
        parent_span_id=span.parent.span_id.to_bytes(8, "big") if span.parent else None,
        start_ns=span.start_time,
        dur_ns=-1 if span.end_time is None else max(span.end_time - span.start_time, 0),
        kind=span.kind.name.lower(),
        status=span.status.status_code.name.lower(),
        status_message=span.status.description,
        scope=span.instrumentation_scope.name if span.instrumentation_scope else "",
        attributes_json=json_from_mapping(span.attributes) if span.attributes else None,
        events_json=json_from_sequence([_event(e) for e in span.events]) if span.events else None,
        run=run,
    )


def run_from_resource(resource: Resource, fallback: Run | None = None) -> Run:
    """Return the run that *resource* names, else *fallback*, else an unknown run of its build."""
    attributes = resource.attributes
    run_id = _run_id(str(attributes.get(EXRAY_RUN_ID, "")))
    if run_id is None and fallback is not None:
        return fallback
    return Run(
        run_id=run_id or bytes(16),
        build=str(attributes.get(SERVICE_VERSION, "")),
        role=str(attributes.get(EXRAY_ROLE, "")),
        started_ns=0,
        model_name=str(attributes.get(EXRAY_MODEL_NAME, "")),
        model_sha256=str(attributes.get(EXRAY_MODEL_SHA256, "")),
    )


def _buffer_for(target: object) -> RecordBuffer:
    if isinstance(target, RecordBuffer):
        return target
    if isinstance(target, LakeExporter):
        return RecordBuffer(target, owns_exporter=False)
    if isinstance(target, str | os.PathLike):
        return RecordBuffer(LakeExporter(os.fspath(cast("str", target))))
    msg = f"target must be a lake's path, a LakeExporter or a RecordBuffer, got {target!r}"
    raise TypeError(msg)


def _is_own(span: ReadableSpan) -> bool:
    scope = span.instrumentation_scope
    return scope is not None and scope.name == OWN_SCOPE


def _run_id(text: str) -> bytes | None:
    try:
        return uuid.UUID(text).bytes
    except ValueError:
        return None


def _event(event: Event) -> Mapping[str, object]:
    return {"name": event.name, "time_ns": event.timestamp, "attributes": event.attributes or {}}
