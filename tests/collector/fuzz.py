"""Requests that no exporter would write, decoded by both parsers: they must agree.

As a program it goes on for as many requests as it is told: ``fuzz.py 100000``.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from exray.collector.decode import Body, DecodedSpans, TraceDecoder
from exray.exporters.otlp_requests import RequestEncoder
from exray.schema.records import FrameRecord

STATUSES, KINDS = Status.StatusCode.values(), Span.SpanKind.values()

Random = np.random.Generator
Change = Callable[[Random, bytes], bytes]


def compared(decoded: DecodedSpans) -> tuple[list[Any], list[int], int]:
    """Return what two decoders must agree on: spans in one order, poison, rejected."""
    runs = [(o.run.run_id, o.run.build, o.run.role, o.resource_json) for o in decoded.origins]
    rows = decoded.table.to_pylist()
    for row in rows:
        row["origin"] = runs[row["origin"]]
    return sorted(map(repr, rows)), sorted(decoded.poison), decoded.rejected


def agree(bodies: list[bytes]) -> None:
    """Check that both parsers make the same of *bodies*."""
    decoder = TraceDecoder()
    requests = [Body(body, number) for number, body in enumerate(bodies)]
    together, singly = decoder.decode(requests), decoder.decode_plainly(requests)
    assert together.table.schema == singly.table.schema
    together.table.validate(full=True)
    if compared(together) != compared(singly):
        for body in bodies:
            print(body.hex(), file=sys.stderr)
        assert compared(together) == compared(singly)


def encoded(frames: list[FrameRecord]) -> list[bytes]:
    """Return a request for each frame, as the exporter writes it."""
    encoder = RequestEncoder({"service.name": "shelf"})
    return [b"".join(request) for frame in frames for request in encoder.traces([frame])]


# --- changes of the bytes -------------------------------------------------------------------


def flip_bytes(random: Random, body: bytes) -> bytes:
    """Change a few bytes."""
    changed = bytearray(body)
    for _ in range(int(random.integers(1, 4))):
        changed[int(random.integers(len(changed)))] = int(random.integers(256))
    return bytes(changed)


def flip_bit(random: Random, body: bytes) -> bytes:
    """Change one bit."""
    changed = bytearray(body)
    changed[int(random.integers(len(changed)))] ^= 1 << int(random.integers(8))
    return bytes(changed)


def truncate(random: Random, body: bytes) -> bytes:
    """Cut the end off."""
    return body[: int(random.integers(len(body)))]


def cut_out(random: Random, body: bytes) -> bytes:
    """Leave some bytes out."""
    at = int(random.integers(len(body)))
    return body[:at] + body[at + int(random.integers(1, 20)) :]


def insert(random: Random, body: bytes) -> bytes:
    """Put random bytes somewhere."""
    at = int(random.integers(len(body)))
    return body[:at] + random.bytes(int(random.integers(1, 12))) + body[at:]


# --- changes of the message -----------------------------------------------------------------


def some_span(random: Random, request: ExportTraceServiceRequest) -> Span:
    """Return one of the spans."""
    spans = [s for r in request.resource_spans for c in r.scope_spans for s in c.spans]
    return spans[int(random.integers(len(spans)))]


def some_attribute(random: Random, request: ExportTraceServiceRequest) -> KeyValue:
    """Return one of the attributes of one of the spans."""
    attributes = some_span(random, request).attributes
    if not attributes:
        attributes.add().key = "lone"
    return attributes[int(random.integers(len(attributes)))]


def other_value(random: Random, request: ExportTraceServiceRequest) -> None:
    """Give an attribute a value of any type."""
    value = some_attribute(random, request).value
    kind = int(random.integers(8))
    if kind == 0:
        value.string_value = ["", "cs1:AAAA", "猫", "0" * 16, "x" * 300][int(random.integers(5))]
    elif kind == 1:
        value.bool_value = bool(random.integers(2))
    elif kind == 2:
        value.int_value = int(random.integers(-(2**63), 2**63 - 1))
    elif kind == 3:
        value.double_value = [0.0, float("nan"), float("-inf"), 1.5][int(random.integers(4))]
    elif kind == 4:
        value.bytes_value = random.bytes(3)
    elif kind == 5:
        value.array_value.values.add().string_value = "x"
    elif kind == 6:
        value.kvlist_value.values.add().key = "inner"
    else:
        value.Clear()


def other_key(random: Random, request: ExportTraceServiceRequest) -> None:
    """Rename an attribute, perhaps to another one's name."""
    attribute = some_attribute(random, request)
    names = ["", "colour", "exray.tensor.sum", "exray.frame.id", attribute.key + "x"]
    attribute.key = names[int(random.integers(len(names)))]


def twice(random: Random, request: ExportTraceServiceRequest) -> None:
    """Say an attribute twice."""
    span = some_span(random, request)
    if span.attributes:
        span.attributes.add().CopyFrom(span.attributes[int(random.integers(len(span.attributes)))])


def dropped(random: Random, request: ExportTraceServiceRequest) -> None:
    """Leave an attribute out."""
    span = some_span(random, request)
    if span.attributes:
        del span.attributes[int(random.integers(len(span.attributes)))]


def other_id(random: Random, request: ExportTraceServiceRequest) -> None:
    """Give a span an id of another length."""
    span, size = some_span(random, request), int(random.integers(0, 20))
    field = ["trace_id", "span_id", "parent_span_id"][int(random.integers(3))]
    setattr(span, field, random.bytes(size))


def with_event(random: Random, request: ExportTraceServiceRequest) -> None:
    """Give a span events, links, a status, a state."""
    span, kind = some_span(random, request), int(random.integers(4))
    if kind == 0:
        span.events.add(name="moment", time_unix_nano=5).attributes.add().key = "why"
    elif kind == 1:
        span.links.add(trace_id=random.bytes(16), span_id=random.bytes(8))
    elif kind == 2:
        span.status.code = STATUSES[int(random.integers(3))]
        span.status.message = "so it went"
    else:
        span.trace_state, span.dropped_events_count = "a=b", 3


def other_time(random: Random, request: ExportTraceServiceRequest) -> None:
    """Give a span a time that no clock shows, another name or kind."""
    span = some_span(random, request)
    span.start_time_unix_nano = int(random.integers(0, 2**64, dtype=np.uint64))
    if random.integers(2):
        span.end_time_unix_nano = 0
    span.name = ["frame", "tensor", "", "naïve"][int(random.integers(4))]
    span.kind = KINDS[int(random.integers(6))]


def other_resource(random: Random, request: ExportTraceServiceRequest) -> None:
    """Change the resource or the scope."""
    resource_spans = request.resource_spans[int(random.integers(len(request.resource_spans)))]
    kind = int(random.integers(5))
    if kind == 0:
        resource_spans.resource.Clear()
    elif kind == 1:
        resource_spans.scope_spans[0].scope.name = "web"
    elif kind == 2:
        resource_spans.schema_url = resource_spans.scope_spans[0].schema_url = "https://x"
    elif kind == 3:
        del resource_spans.resource.attributes[: int(random.integers(1, 9))]
    else:
        resource_spans.scope_spans.add().scope.name = "empty"


MESSAGE_CHANGES = (
    other_value, other_key, twice, dropped, other_id, with_event, other_time, other_resource
)  # fmt: skip
BYTE_CHANGES: tuple[Change, ...] = (flip_bytes, flip_bit, truncate, cut_out, insert)


def changed(random: Random, body: bytes) -> bytes:
    """Return *body* with a change or a few."""
    if random.integers(2):
        request = ExportTraceServiceRequest.FromString(body)
        for _ in range(int(random.integers(1, 4))):
            MESSAGE_CHANGES[int(random.integers(len(MESSAGE_CHANGES)))](random, request)
        body = bytes(request.SerializeToString())
        if random.integers(3):
            return body
    return BYTE_CHANGES[int(random.integers(len(BYTE_CHANGES)))](random, body or b"\0")


def sweep(frames: list[FrameRecord], count: int, seed: int = 0) -> int:
    """Let both parsers read *count* changed requests among sound ones; return how many."""
    sound = encoded(frames)
    for number in range(count):
        random = np.random.default_rng((seed, number))
        chosen = [sound[i] for i in random.integers(len(sound), size=3)]
        chosen[1] = changed(random, chosen[1])
        try:
            agree(chosen)
        except Exception:
            print(f"seed {seed}, request {number}", file=sys.stderr)
            raise
    return count


if __name__ == "__main__":
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parents[1]))
    from exporters.frames import KINDS as FRAMES  # type: ignore[import-not-found]

    made = [make(number) for number, make in enumerate(FRAMES.values())]
    print(f"{sweep(made, int(sys.argv[1]))} changed requests, read alike; pyarrow {pa.__version__}")
