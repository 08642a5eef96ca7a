"""One span as an OTLP message, without a template: for those that come singly."""

import json
from collections.abc import Mapping
from typing import cast

from exray.schema.records import FrameRecord, SpanRecord

from .span_content import below_frame, frame_texts
from .wire import attributes, delimited, fixed64, integer, text, text_attribute, varint

SPANS = 2
"""Field of a span in ``ScopeSpans``."""

ATTRIBUTES = 9
"""Field of the attributes in ``Span``."""

KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
"""Numbers of the kinds of span."""

STATUSES = {"unset": 0, "ok": 1, "error": 2}
"""Numbers of the status codes."""

LOCAL_PARENT = varint(16 << 3 | 5) + (0x100).to_bytes(4, "little")
"""Flags that say: the parent, if there is one, is known to be of this process."""


def frame_tail(frame: FrameRecord) -> bytes:
    """Return what closes a frame's span: its text attributes, status and flags."""
    flags = LOCAL_PARENT if frame.parent_span_id is None else b""  # a parent may be remote
    texts = [text_attribute(ATTRIBUTES, *item) for item in frame_texts(frame).items()]
    return b"".join(texts) + status(frame.status, frame.status_message) + flags


def status(code: str, description: str | None) -> bytes:
    """Return a span's status, nothing where it is unset."""
    if code == "unset" and not description:
        return b""
    words = text(2, description) if description else b""
    return delimited(15, words + integer(3, STATUSES[code]))


def encode_span(span: SpanRecord, frame: FrameRecord | None = None) -> bytes:
    """Return a span as a field of ``ScopeSpans``.

    Args:
        span: Any span; a foreign one has its attributes and events as JSON.
        frame: The frame that it is below, if it is one of exray's.
    """
    own = below_frame(frame) if frame is not None else _mapping(span.attributes_json)
    body = [
        delimited(1, span.trace_id),
        delimited(2, span.span_id),
        delimited(4, span.parent_span_id) if span.parent_span_id else b"",
        text(5, span.name) + integer(6, KINDS[span.kind]),
        fixed64(7, span.start_ns),
        fixed64(8, span.start_ns + max(span.dur_ns, 0)),
        attributes(ATTRIBUTES, own),
        *(delimited(11, _event(event)) for event in json.loads(span.events_json or "[]")),
        status(span.status, span.status_message),
        LOCAL_PARENT if frame is not None else b"",
    ]
    return delimited(SPANS, b"".join(body))


def _mapping(text_json: str | None) -> Mapping[str, object]:
    return cast("Mapping[str, object]", json.loads(text_json)) if text_json else {}


def _event(event: Mapping[str, object]) -> bytes:
    named = text(2, str(event["name"]))
    values = attributes(3, cast("Mapping[str, object]", event["attributes"]))
    return fixed64(1, cast("int", event["time_ns"])) + named + values
