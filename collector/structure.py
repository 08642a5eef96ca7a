"""Whether a request is what it says to be, before it is acknowledged.

Most requests are sound, and told so without being parsed. What cannot be parsed is refused
whole. A span that no table can hold, because its ids are not of 16 and 8 bytes or it has too
much of something, is rejected by itself: the request is stored without it, so that all of the
log is to be decoded.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from exray.exporters.otlp_settings import Signal
from exray.schema.errors import DataError

from .limits import Limits
from .messages import message_from_protobuf
from .otlp_json import message_from_json
from .quick_check import count_sound
from .reply import bad, too_large
from .turn import Turn

DENSE_BYTES = 1 << 20
"""Smaller requests are parsed as they are: the worst takes some 100 MB."""

MOST_PARTS = 2_000_000
"""Small messages of one request: the worst takes some 400 MB."""

_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)

_BAD_IDS = "ids that are not of 16 and 8 bytes, or zero"


@dataclass(frozen=True, slots=True)
class Checked:
    """A request that can be stored.

    Args:
        records: Spans, points or log records in it.
        rejected: Those that were left out.
        message: Why; empty where all are there.
        sound: The request without them, as protobuf; None where it is good as it came.
    """

    records: int
    rejected: int = 0
    message: str = ""
    sound: bytes | None = None


def check_request(
    signal: Signal, data: bytes, limits: Limits, turn: Turn, *, is_json: bool
) -> Checked:
    """Look at a request, unpacked.

    Args:
        signal: What it carries.
        data: The request.
        limits: What it may have.
        turn: Awaited to parse it: that takes more memory than its bytes.
        is_json: Whether it is JSON, else protobuf.

    Raises:
        RefusedError: It is none, or too large as a whole.
    """
    if is_json and len(data) > limits.unpacked_bytes // 4:
        raise too_large(f"the JSON is larger than {limits.unpacked_bytes // 4} bytes")
    if not is_json:
        records = count_sound(signal, data, limits)
        if records is not None:
            return Checked(records)
        _check_density(data)
    with turn:
        return parse_and_check(signal, data, limits, is_json=is_json)


def parse_and_check(signal: Signal, data: bytes, limits: Limits, *, is_json: bool) -> Checked:
    """Look at a request by parsing it.

    Raises:
        RefusedError: It is none, or has too many records.
    """
    parse = message_from_json if is_json else message_from_protobuf
    try:
        request = parse(signal, data)
    except DataError as error:
        raise bad(str(error)) from None
    if isinstance(request, ExportTraceServiceRequest):
        return _check_spans(request, len(data), limits)
    if isinstance(request, ExportMetricsServiceRequest):
        return _check_points(request, len(data), limits)
    assert isinstance(request, ExportLogsServiceRequest)
    return _check_logs(request, len(data), limits)


def _check_density(data: bytes) -> None:
    """Refuse a request of more small messages than memory should hold.

    A span without content takes two bytes on the wire and a hundred times that once parsed.
    A message begins with a tag of wire type 2 and its length; where that is below 32, or
    written longer than it need be, the pair of bytes is counted.
    """
    if len(data) <= DENSE_BYTES:
        return
    octets = np.frombuffer(data, np.uint8)
    count = 0
    for start in range(0, len(octets), DENSE_BYTES):
        some = octets[start : start + DENSE_BYTES + 1]
        is_small = (some[1:] + np.uint8(128)) < 160  # wraps: below 32, or 128 and more
        count += int(np.count_nonzero(((some[:-1] & 7) == 2) & is_small))
    if count > MOST_PARTS:
        raise too_large("the request is cut into too many small parts; send smaller requests")


def _check_spans(request: ExportTraceServiceRequest, size: int, limits: Limits) -> Checked:
    """Check spans; the loop runs for every span there is, so it is written out."""
    count = 0
    reasons: list[str] = []
    may_be_long = size > limits.attribute_bytes
    most = limits.attributes
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            spans = scope.spans
            count += len(spans)
            if count > limits.records:
                raise _too_many(limits)
            unfit: list[int] = []
            for number, span in enumerate(spans):
                trace_id, span_id = span.trace_id, span.span_id
                if (
                    len(trace_id) != 16
                    or len(span_id) != 8
                    or trace_id == _NO_TRACE
                    or span_id == _NO_SPAN
                    or len(span.parent_span_id) not in (0, 8)
                ):
                    reason = _BAD_IDS
                elif len(span.attributes) > most or (
                    may_be_long and _is_too_long(span, limits.attribute_bytes)
                ):
                    reason = _beyond(limits)
                else:
                    continue
                unfit.append(number)
                reasons.append(reason)
            for number in reversed(unfit):
                del spans[number]
    return _checked(request, count, reasons, "spans")


def _check_logs(request: ExportLogsServiceRequest, size: int, limits: Limits) -> Checked:
    scopes = [scope for resource in request.resource_logs for scope in resource.scope_logs]
    lists = [scope.log_records for scope in scopes]
    return _check_lists(request, lists, size, limits, "log records")


def _check_points(request: ExportMetricsServiceRequest, size: int, limits: Limits) -> Checked:
    scopes = [scope for resource in request.resource_metrics for scope in resource.scope_metrics]
    lists = [_points(metric) for scope in scopes for metric in scope.metrics]
    return _check_lists(request, lists, size, limits, "data points")


def _points(metric: Metric) -> Any:
    kind = metric.WhichOneof("data")
    return getattr(metric, kind).data_points if kind else []


def _check_lists(
    request: Message, lists: Sequence[Any], size: int, limits: Limits, what: str
) -> Checked:
    """Check log records or data points, which have no ids that they could not do without."""
    count = sum(map(len, lists))
    if count > limits.records:
        raise _too_many(limits)
    reasons: list[str] = []
    may_be_long = size > limits.attribute_bytes
    for records in lists:
        unfit = [
            number
            for number, record in enumerate(records)
            if len(record.attributes) > limits.attributes
            or (may_be_long and _is_too_long(record, limits.attribute_bytes))
        ]
        reasons += [_beyond(limits)] * len(unfit)
        for number in reversed(unfit):
            del records[number]
    return _checked(request, count, reasons, what)


def _is_too_long(record: Any, most: int) -> bool:
    """Tell whether an attribute, or the body of a log record, is longer than *most* bytes."""
    if record.ByteSize() <= most:
        return False
    parts = cast("Iterable[Message]", record.attributes)
    body = getattr(record, "body", None)
    return any(part.ByteSize() > most for part in (*parts, *([body] if body else [])))


def _checked(request: Message, count: int, reasons: Sequence[str], what: str) -> Checked:
    if not reasons:
        return Checked(count)
    kinds = "; ".join(f"{reasons.count(reason)} with {reason}" for reason in dict.fromkeys(reasons))
    message = f"{len(reasons)} of {count} {what} were rejected: {kinds}"
    return Checked(count, len(reasons), message, request.SerializeToString())


def _beyond(limits: Limits) -> str:
    return (
        f"more than {limits.attributes} attributes, or one of more than "
        f"{limits.attribute_bytes} bytes"
    )


def _too_many(limits: Limits) -> Exception:
    return too_large(f"the request has more than {limits.records} records; send smaller ones")
