"""OTLP's JSON into the messages that protobuf's own parser makes of the other encoding.

It is protobuf's JSON but for ids, which are hex and not base64.
https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

import base64
import json
from typing import Any, TypeVar, cast

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from exray.exporters.otlp_settings import Signal
from exray.schema.errors import DataError

REQUESTS: dict[Signal, type[Any]] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}
"""Message of each signal."""

Request = TypeVar(
    "Request", ExportTraceServiceRequest, ExportMetricsServiceRequest, ExportLogsServiceRequest
)

_IDS = frozenset(("traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"))

_MAX_DEPTH = 100
"""Objects and arrays within one another, as protobuf's own parser has it."""


def request_from_json(body: bytes | str, message: type[Request]) -> Request:
    """Return what a JSON request says.

    Args:
        body: One JSON object.
        message: What it should be.

    Raises:
        DataError: It is not one, or of another shape.
    """
    try:
        content: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        msg = f"it is no JSON: {error}"
        raise DataError(msg) from error
    if not isinstance(content, dict):
        msg = f"it is no JSON object but {str(content)[:40]!r}"
        raise DataError(msg)
    return request_from_object(cast("dict[str, object]", content), message)


def request_from_object(content: dict[str, object], message: type[Request]) -> Request:
    """Return what a JSON request says that has been read already; its ids are changed in place.

    Raises:
        DataError: It is of another shape.
    """
    _recode_ids(content, 0)
    request = message()
    try:
        json_format.ParseDict(content, request, ignore_unknown_fields=True)
    except (json_format.ParseError, ValueError, TypeError, RecursionError) as error:
        msg = f"it is no {message.__name__}: {str(error)[:200]}"
        raise DataError(msg) from error
    return request


def _recode_ids(value: object, depth: int) -> None:
    """Turn the ids in *value* from hex into base64, which is what protobuf reads."""
    if depth > _MAX_DEPTH:
        msg = f"its objects are nested more than {_MAX_DEPTH} deep"
        raise DataError(msg)
    if isinstance(value, list):
        for item in cast("list[object]", value):
            _recode_ids(item, depth + 1)
    elif isinstance(value, dict):
        pairs = cast("dict[str, object]", value)
        for key, item in pairs.items():
            if key in _IDS:
                pairs[key] = _base64_from_hex(item)
            elif isinstance(item, list | dict):
                _recode_ids(cast("object", item), depth + 1)


def _base64_from_hex(value: object) -> str:
    try:
        return base64.b64encode(bytes.fromhex(cast("str", value or ""))).decode("ascii")
    except (ValueError, TypeError):
        msg = f"the id {str(value)[:40]!r} is not hex"
        raise DataError(msg) from None
