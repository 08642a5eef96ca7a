"""Changed requests, looked at by the native library and by protobuf's own parser.

What the library says is sound must be so: it goes into the log unparsed. As a program it goes
on for as many requests as it is told: ``quick_fuzz.py 100000``.
"""

import sys

import numpy as np
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from exray.collector import structure
from exray.collector.limits import Limits
from exray.collector.quick_check import count_sound
from exray.collector.reply import RefusedError
from exray.exporters.otlp_settings import Signal

LIMITS = Limits(records=20, attributes=6, attribute_bytes=200)

Random = np.random.Generator


def values() -> list[AnyValue]:
    """Return a value of each type."""
    several = AnyValue()
    several.array_value.values.add().string_value = "naïve"
    several.kvlist_value.SetInParent()
    named = AnyValue()
    named.kvlist_value.values.add(key="inner").value.bytes_value = b"\xff"
    return [
        AnyValue(string_value="猫" * 9),
        AnyValue(bool_value=True),
        AnyValue(int_value=-5),
        AnyValue(double_value=0.5),
        several,
        named,
        AnyValue(),
    ]


def trace_request(random: Random) -> ExportTraceServiceRequest:
    """Return spans that say all that a span may."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add(schema_url="https://x")
    resource.resource.attributes.add(key="service.name").value.string_value = "shelf"
    scope = resource.scope_spans.add()
    scope.scope.name, scope.scope.version = "web", "1"
    for number in range(int(random.integers(1, 5))):
        span = scope.spans.add(
            trace_id=random.bytes(16), span_id=random.bytes(8), name="naïve", kind=number % 6
        )
        span.parent_span_id = random.bytes(8) if number % 2 else b""
        span.start_time_unix_nano, span.flags = int(random.integers(2**62)), 257
        for value in values()[: int(random.integers(8))]:
            span.attributes.add(key="colour").value.CopyFrom(value)
        span.events.add(name="moment", time_unix_nano=5).attributes.add(key="why")
        span.links.add(trace_id=random.bytes(16), span_id=random.bytes(8), trace_state="a=b")
        span.status.code, span.status.message = Status.STATUS_CODE_ERROR, "so it went"
    return request


def metric_request(random: Random) -> ExportMetricsServiceRequest:
    """Return metrics of every kind."""
    request = ExportMetricsServiceRequest()
    metrics = request.resource_metrics.add().scope_metrics.add().metrics
    gauge = metrics.add(name="heat", unit="C").gauge.data_points.add(as_double=21.5)
    gauge.attributes.add(key="room").value.string_value = "é"
    gauge.exemplars.add(as_int=-3, span_id=b"12345678")
    metrics.add(name="sum").sum.data_points.add(as_int=int(random.integers(-(2**62), 2**62)))
    histogram = metrics.add(name="times").histogram.data_points.add(count=3, sum=1.5)
    histogram.bucket_counts.extend([1, 2])
    histogram.explicit_bounds.append(0.5)
    scaled = metrics.add(name="e").exponential_histogram.data_points.add(scale=-3, zero_count=1)
    scaled.positive.bucket_counts.extend([0, 300, 2**60])
    summary = metrics.add(name="s").summary.data_points.add(count=1)
    summary.quantile_values.add(quantile=0.5, value=2.0)
    return request


def log_request(random: Random) -> ExportLogsServiceRequest:
    """Return log records with bodies of every type."""
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for value in values():
        record = records.add(severity_number=9, severity_text="INFO", event_name="e")
        record.body.CopyFrom(value)
        record.trace_id = random.bytes(16) if random.integers(2) else b""
        record.attributes.add(key="colour").value.CopyFrom(value)
    return request


MAKERS: dict[Signal, "type[Message]"] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}


def sound_request(signal: Signal, random: Random) -> bytes:
    """Return a request as an exporter might send it."""
    make = {"traces": trace_request, "metrics": metric_request, "logs": log_request}[signal]
    return make(random).SerializeToString()


def damaged(random: Random, body: bytes) -> bytes:
    """Change a few bytes: overwrite, cut out, repeat, put in, cut off."""
    content = bytearray(body)
    for _ in range(int(random.integers(1, 3))):
        at, size = int(random.integers(len(content) + 1)), int(random.integers(1, 24))
        kind = int(random.integers(6))
        if kind == 0:
            content[at : at + 1] = random.bytes(1)
        elif kind == 1 and at < len(content):
            content[at] ^= 1 << int(random.integers(8))
        elif kind == 2:
            del content[at : at + size]
        elif kind == 3:
            content[at:at] = content[at : at + size]
        elif kind == 4:
            content[at:at] = random.bytes(size)
        elif kind == 5 and random.integers(4) == 0:
            del content[at:]
    return bytes(content)


def agree(signal: Signal, body: bytes) -> bool:
    """Check that what the library finds sound is; return whether it finds it so."""
    found = count_sound(signal, body, LIMITS)
    if found is None:
        return False
    try:
        checked = structure.parse_and_check(signal, body, LIMITS, is_json=False)
    except RefusedError as refused:
        raise AssertionError(f"{body.hex()}: {refused}") from refused
    assert checked == structure.Checked(found), body.hex()
    return True


def sweep(count: int, seed: int = 0) -> int:
    """Look at *count* changed requests; return how many of them are told to be sound."""
    sound = 0
    for number in range(count):
        random = np.random.default_rng((seed, number))
        signal: Signal = ("traces", "metrics", "logs")[number % 3]
        body = sound_request(signal, random)
        sound += agree(signal, damaged(random, body))
    return sound


if __name__ == "__main__":
    wanted = int(sys.argv[1])
    print(f"{wanted} changed requests, {sweep(wanted)} told to be sound, all of which are")
