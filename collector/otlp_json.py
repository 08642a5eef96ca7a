"""OTLP's JSON as protobuf messages.

The encoding is protobuf's own but for ids, which are hex where that has base64
(https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
"""

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from google.protobuf import json_format
from google.protobuf.message import Message

from exray.exporters.otlp_settings import Signal
from exray.schema.errors import DataError

from .messages import new_request

_IDS = ("traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id")

_Object = dict[str, Any]

MAX_DEPTH = 90
"""Of nested values; protobuf's own parsers stop at 100."""


def message_from_json(signal: Signal, data: bytes) -> Message:
    """Return a request in OTLP's JSON as the message it stands for.

    Raises:
        DataError: It is no JSON, or none that such a request may be.
    """
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError) as error:
        msg = f"the body is no JSON: {_first_line(error)}"
        raise DataError(msg) from None
    if not isinstance(parsed, dict):
        msg = "the body is no JSON object"
        raise DataError(msg)
    request = new_request(signal)
    try:
        _IDS_OF[signal](cast("_Object", parsed))
        json_format.ParseDict(
            cast("_Object", parsed),
            request,
            ignore_unknown_fields=True,
            max_recursion_depth=MAX_DEPTH,
        )
    except (json_format.ParseError, ValueError, TypeError, RecursionError, AttributeError) as error:
        msg = f"the body is no request of {signal}: {_first_line(error)}"
        raise DataError(msg) from None
    return request


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


def _each(parents: Sequence[_Object], *keys: str) -> Iterator[_Object]:
    """Yield the objects in the lists that stand under one of *keys*."""
    for parent in parents:
        for key in keys:
            found: object = parent.get(key)
            if isinstance(found, list):
                members = cast("list[object]", found)
                yield from (cast("_Object", m) for m in members if isinstance(m, dict))


def _to_base64(holder: _Object) -> None:
    for key in _IDS:
        value = holder.get(key)
        if isinstance(value, str) and value:
            try:
                holder[key] = base64.b64encode(binascii.unhexlify(value)).decode()
            except (binascii.Error, ValueError):
                msg = f"{key} {value[:40]!r} is no hex"
                raise ValueError(msg) from None


def _trace_ids(request: _Object) -> None:
    scopes = [*_each([*_each([request], "resourceSpans")], "scopeSpans")]
    for span in _each(scopes, "spans"):
        _to_base64(span)
        for link in _each([span], "links"):
            _to_base64(link)


def _log_ids(request: _Object) -> None:
    scopes = [*_each([*_each([request], "resourceLogs")], "scopeLogs")]
    for record in _each(scopes, "logRecords"):
        _to_base64(record)


_POINT_HOLDERS = ("gauge", "sum", "histogram", "exponentialHistogram", "summary")


def _metric_ids(request: _Object) -> None:
    scopes = [*_each([*_each([request], "resourceMetrics")], "scopeMetrics")]
    for metric in _each(scopes, "metrics"):
        holders = [metric[kind] for kind in _POINT_HOLDERS if isinstance(metric.get(kind), dict)]
        for exemplar in _each([*_each(holders, "dataPoints")], "exemplars"):
            _to_base64(exemplar)


_IDS_OF: dict[Signal, Callable[[_Object], None]] = {
    "traces": _trace_ids,
    "metrics": _metric_ids,
    "logs": _log_ids,
}
