"""The Rotel agent, forwarding what it is sent."""

import http.client
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from ...lake.ports import free_ports
from ..service import PROTOBUF, TRACE_METHOD, exporting
from .whole import BEGIN_NS, DUR_NS, LISTS, REMOTE, SCALARS, Whole


@dataclass(frozen=True)
class RotelAgent:
    """A running agent, and where it takes OTLP."""

    grpc: str
    http: str

    def send(self, request: ExportTraceServiceRequest, protocol: str) -> None:
        """Send a request over gRPC or HTTP."""
        body = request.SerializeToString()
        if protocol == "grpc":
            with grpc.insecure_channel(self.grpc) as channel:
                exporting(channel, TRACE_METHOD)(body, timeout=20)
            return
        connection = http.client.HTTPConnection(self.http, timeout=20)
        connection.request("POST", "/v1/traces", body, PROTOBUF)
        assert connection.getresponse().status == 200
        connection.close()


@contextmanager
def rotel_agent(folder: Path, target: str, protocol: str) -> Generator[RotelAgent]:
    """Run an agent inside the block.

    Args:
        folder: Of what it prints.
        target: Where it forwards to.
        protocol: By which it forwards, grpc or http.
    """
    package = find_spec("rotel")
    assert package is not None and package.origin is not None, "pip install rotel"
    program = Path(package.origin).with_name("rotel-agent")
    agent = RotelAgent(*(f"127.0.0.1:{port}" for port in free_ports(2)))
    with (folder / "rotel").open("wb") as said:
        process = subprocess.Popen(
            [
                str(program),
                *("start", "--batch-timeout", "100ms", "--exporter", "otlp"),
                *("--otlp-grpc-endpoint", agent.grpc, "--otlp-http-endpoint", agent.http),
                *("--otlp-exporter-endpoint", target, "--otlp-exporter-protocol", protocol),
            ],
            stdout=said,
            stderr=said,
        )
    try:
        for address in (agent.grpc, agent.http):
            wait_for_port(address)
        yield agent
    finally:
        process.terminate()
        process.wait(20)


def wait_for_port(address: str, timeout_s: float = 30.0) -> None:
    """Wait until somebody listens at *address*."""
    host, _, port = address.rpartition(":")
    end_s = time.monotonic() + timeout_s
    while True:
        try:
            socket.create_connection((host, int(port)), 1).close()
        except OSError:
            assert time.monotonic() < end_s, f"nobody listens at {address}"
            time.sleep(0.05)
        else:
            return


def whole_request(service: str) -> tuple[ExportTraceServiceRequest, Whole]:
    """Return the span with values that no SDK has, and what must stand in the lake."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    said = {"service.name": service, "service.version": "1.4.2", "shelf.sizes": [1, 2]}
    resource.resource.attributes.extend(pair(key, value) for key, value in said.items())
    scope = resource.scope_spans.add()
    scope.scope.name, scope.scope.version = "interop", "1.2.3"
    scope.scope.attributes.append(pair("team", "web"))
    trace_id, outer_id = (service * 2).encode()[:16], service.encode()[-8:]
    outer = Span(trace_id=trace_id, span_id=outer_id, name="outer", kind=Span.SPAN_KIND_SERVER)
    outer.start_time_unix_nano, outer.end_time_unix_nano = BEGIN_NS - 1000, BEGIN_NS + 2_000_000
    whole = Span(
        trace_id=trace_id,
        span_id=outer_id[::-1],
        parent_span_id=outer_id,
        name="whole",
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=BEGIN_NS,
        end_time_unix_nano=BEGIN_NS + DUR_NS,
        trace_state="vendor=1",
        dropped_attributes_count=2,
        status=Status(code=Status.STATUS_CODE_ERROR, message="it broke"),
    )
    more: dict[str, object] = {
        "raw": b"\x00\xff",
        "largest": 2**63 - 1,
        "nothing": None,
        "mixed": ["a", 1, 0.5, True, [2], {"deep": [3]}],
        "table": {"a": 1, "b": {"c": "d"}},
        "lost": float("nan"),
    }
    attributes = SCALARS | LISTS | more
    whole.attributes.extend(pair(key, value) for key, value in attributes.items())
    event = whole.events.add(name="cache miss", time_unix_nano=BEGIN_NS + 1000)
    event.attributes.extend([pair("key", "k"), pair("size", 3)])
    link = whole.links.add(
        trace_id=bytes.fromhex(REMOTE["trace_id"]),
        span_id=bytes.fromhex(REMOTE["span_id"]),
        trace_state="other=2",
    )
    link.attributes.append(pair("reason", "retry"))
    scope.spans.extend([outer, whole])
    wanted = Whole()
    wanted.attributes.update(attributes)
    wanted.attributes.update(
        {
            "raw": "AP8=",
            "lost": "NaN",
            "otel.scope.team": "web",
            "w3c.tracestate": "vendor=1",
            "otel.dropped_attributes_count": 2,
        }
    )
    assert wanted.events
    wanted.events[1]["w3c.tracestate"] = "other=2"
    return request, wanted


def pair(key: str, value: object) -> KeyValue:
    """Return an attribute."""
    return KeyValue(key=key, value=any_value(value))


def any_value(value: object) -> AnyValue:
    """Return a value as OTLP has it."""
    found = AnyValue()
    if isinstance(value, bool):
        found.bool_value = value
    elif isinstance(value, int):
        found.int_value = value
    elif isinstance(value, float):
        found.double_value = value
    elif isinstance(value, str):
        found.string_value = value
    elif isinstance(value, bytes):
        found.bytes_value = value
    elif isinstance(value, list):
        found.array_value.values.extend(any_value(item) for item in value)
    elif isinstance(value, dict):
        found.kvlist_value.values.extend(pair(str(key), item) for key, item in value.items())
    return found
