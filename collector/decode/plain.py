"""Spans read one by one, as protobuf parses them: whatever they hold, and the truth of it.

The parser that reads many at once must end in just the same rows, and leaves to this one all
that it does not know.
"""

from collections.abc import Mapping
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from exray.exporters.plain_json import json_from_mapping, json_from_sequence
from exray.exporters.span_content import OWN_SCOPE
from exray.schema.errors import DataError

from .known import FOREIGN, KNOWN, Known, kind_of
from .origin import Origin, mapping_of
from .packed_texts import (
    folded,
    integers_from_text,
    is_wide,
    reals_from_text,
    sketch_from_text,
    span_id_from_text,
)

MAX_NS = 2**63 - 1
"""Latest time that the lake can hold."""

TRACE_STATE = "w3c.tracestate"
"""Where a span's or a link's trace state stands, as Zipkin's and Jaeger's exporters have it."""

_KINDS = {2: "server", 3: "client", 4: "producer", 5: "consumer"}
_STATUSES = {1: "ok", 2: "error"}
_FIELDS = {
    "text": "string_value",
    "integer": "int_value",
    "small": "int_value",
    "real": "double_value",
}


def span_row(span: Span, origin: Origin, scope: InstrumentationScope) -> dict[str, Any]:
    """Return a span as a row of the table of spans, without its origin and time of receipt.

    Raises:
        DataError: Its ids are not of 16 and 8 bytes.
    """
    if len(span.trace_id) != 16 or len(span.span_id) != 8:
        msg = (
            f"span {span.name!r} has a trace id of {len(span.trace_id)} and a span id of "
            f"{len(span.span_id)} bytes; expected 16 and 8"
        )
        raise DataError(msg)
    kind, own = FOREIGN, dict[str, Any]()
    if scope.name == OWN_SCOPE and origin.is_run:
        kind, own = _own_values(span)
    common = _common(span, scope.name) | {"span_kind": kind}
    return common | (own if kind else _foreign(span, scope))


def _common(span: Span, scope: str) -> dict[str, Any]:
    start, end = min(span.start_time_unix_nano, MAX_NS), min(span.end_time_unix_nano, MAX_NS)
    return {
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_span_id": span.parent_span_id if len(span.parent_span_id) == 8 else None,
        "name": span.name,
        "kind": _KINDS.get(span.kind, "internal"),
        "status": _STATUSES.get(span.status.code, "unset"),
        "status_message": span.status.message or None,
        "scope": scope,
        "start_ns": start,
        "dur_ns": max(end - start, 0) if end else -1,
    }


def _foreign(span: Span, scope: InstrumentationScope) -> dict[str, Any]:
    events: list[Mapping[str, object]] = [
        {"name": e.name, "time_ns": e.time_unix_nano, "attributes": mapping_of(e.attributes)}
        for e in span.events
    ]
    events += [_link(link) for link in span.links]
    attributes = mapping_of(span.attributes) | _said_beside(span, scope)
    return {
        "attributes_json": json_from_mapping(attributes) if attributes else None,
        "events_json": json_from_sequence(events) if events else None,
    }


def _link(link: Span.Link) -> dict[str, object]:
    shown: dict[str, object] = {
        "link": {"trace_id": link.trace_id.hex(), "span_id": link.span_id.hex()},
        "attributes": mapping_of(link.attributes),
    }
    return shown | ({TRACE_STATE: link.trace_state} if link.trace_state else {})


def _said_beside(span: Span, scope: InstrumentationScope) -> dict[str, object]:
    """Return what a span and its scope say outside their attributes, under OpenTelemetry's names.

    The names are those that its specification gives to formats without such fields.
    """
    said: dict[str, object] = {
        "otel.scope.version": scope.version,
        TRACE_STATE: span.trace_state,
        "otel.dropped_attributes_count": span.dropped_attributes_count,
        "otel.dropped_events_count": span.dropped_events_count,
        "otel.dropped_links_count": span.dropped_links_count,
    }
    own = {f"otel.scope.{key}": value for key, value in mapping_of(scope.attributes).items()}
    return own | {key: value for key, value in said.items() if value}


def _own_values(span: Span) -> tuple[int, dict[str, Any]]:
    """Return the kind of a span in exray's scope, and its attributes by column."""
    if span.events or span.links or span.kind != Span.SPAN_KIND_INTERNAL:
        return FOREIGN, {}
    mask, values = 0, dict[str, Any]()
    for pair in span.attributes:
        known = KNOWN.get(pair.key)
        if known is None or not _put(known, pair.value, values):
            return FOREIGN, {}
        mask |= 1 << known.bit
    return kind_of(span.name, mask), values


def _put(known: Known, value: AnyValue, values: dict[str, Any]) -> bool:
    """Add one attribute to *values*; False where it is not what it should be."""
    if value.WhichOneof("value") != _FIELDS[known.kind]:
        return False
    found: Any = getattr(value, _FIELDS[known.kind])
    if known.kind == "small" and not -(2**31) <= found < 2**31:
        return False
    if known.column == "sketch":
        found = sketch_from_text(found)
        if found is not None:
            values["sketch_256"] = found if is_wide(found) else None
            found = folded(found) if is_wide(found) else found
    elif known.column in _READERS:
        found = _READERS[known.column](found)
    values[known.column] = found
    return found is not None


_READERS: dict[str, Any] = {
    "frame_id": span_id_from_text,
    "prediction_ids": integers_from_text,
    "prediction_scores": reals_from_text,
}
