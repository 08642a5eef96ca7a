"""The protobuf messages of OTLP's requests."""

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from exray.exporters.otlp_settings import Signal
from exray.schema.errors import DataError

_REQUESTS: dict[Signal, type[Message]] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}


def new_request(signal: Signal) -> Message:
    """Return an empty request of a signal."""
    return _REQUESTS[signal]()


def message_from_protobuf(signal: Signal, data: bytes) -> Message:
    """Parse a request.

    Raises:
        DataError: It is none.
    """
    request = new_request(signal)
    try:
        request.ParseFromString(data)
    except DecodeError:
        msg = f"the body is no protobuf of a request of {signal}"
        raise DataError(msg) from None
    return request
