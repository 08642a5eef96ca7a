"""What OpenTelemetry's SDKs, agents and tools send stands in the lake, with all that it says."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Generator
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
    OTLPSpanExporter as GrpcSpanExporter,
)
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
    OTLPSpanExporter as HttpSpanExporter,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import (
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from ...instrumentation.builders import TINY_LAYERS
from ...instrumentation.test_instrumentors import APPLICATION, make_entry_points
from .rotel_agent import rotel_agent, whole_request
from .running import Running, client_environment
from .whole import (
    BEGIN_NS,
    DUR_NS,
    LISTS,
    SCALARS,
    Whole,
    check_pair,
    check_whole,
    exact,
    spelled,
)

HERE = Path(__file__).parent

CLIENTS = Path(os.environ.get("EXRAY_INTEROP_CLIENTS", HERE.parents[2] / "build/interop"))
"""Where ``make interop-clients`` puts what is not Python, or not of this Python."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Generator[Running]:
    """One collector for all: each client is a service of its own."""
    one = Running(tmp_path_factory.mktemp("collector"))
    yield one
    one.stop()


def installed(path: str, program: str) -> Path:
    """Return a client that was installed beside; skip where *program*, which it needs, is absent."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed here")
    if not (CLIENTS / path).exists():
        message = f"{CLIENTS / path} is missing; make interop-clients"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return CLIENTS / path


TRACED = """
from opentelemetry import trace

with trace.get_tracer("shelf").start_as_current_span("look", attributes={"aisle": 7}):
"""
"""Around a program without a word of tracing: a span of its own."""


# --- Python ---------------------------------------------------------------------------------


def send_whole(exporter: SpanExporter, service: str) -> None:
    """Send the span by Python's SDK."""
    resource = Resource(
        {"service.name": service, "service.version": "1.4.2", "shelf.sizes": [1, 2]}
    )
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("interop", "1.2.3", attributes={"team": "web"})
    outer = tracer.start_span("outer", kind=SpanKind.SERVER, start_time=BEGIN_NS - 1000)
    remote = SpanContext(
        0x0123456789ABCDEF0123456789ABCDEF,
        0x0123456789ABCDEF,
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    attributes: Any = SCALARS | LISTS
    whole = tracer.start_span(
        "whole",
        set_span_in_context(outer),
        SpanKind.CLIENT,
        attributes,
        [Link(remote, {"reason": "retry"})],
        BEGIN_NS,
    )
    whole.add_event("cache miss", {"key": "k", "size": 3}, BEGIN_NS + 1000)
    whole.set_status(Status(StatusCode.ERROR, "it broke"))
    whole.end(BEGIN_NS + DUR_NS)
    outer.end(BEGIN_NS + 2_000_000)
    provider.shutdown()


def python_wanted() -> Whole:
    """Return what Python's SDK says: scopes have attributes there."""
    wanted = Whole()
    wanted.attributes["otel.scope.team"] = "web"
    return wanted


@pytest.mark.parametrize("packing", [None, grpc.Compression.Gzip])
def test_python_sdk_over_grpc(running: Running, packing: grpc.Compression | None) -> None:
    service = f"python-grpc-{packing}"
    endpoint = f"http://{running.grpc}"
    send_whole(GrpcSpanExporter(endpoint=endpoint, insecure=True, compression=packing), service)
    check_pair(running.spans(service, 2), python_wanted())


@pytest.mark.parametrize("packing", [Compression.NoCompression, Compression.Gzip])
def test_python_sdk_over_http(running: Running, packing: Compression) -> None:
    service = f"python-http-{packing.value}"
    endpoint = f"http://{running.http}/v1/traces"
    send_whole(HttpSpanExporter(endpoint=endpoint, compression=packing), service)
    check_pair(running.spans(service, 2), python_wanted())


def test_a_value_that_did_not_arrive_is_noticed(running: Running) -> None:
    send_whole(HttpSpanExporter(endpoint=f"http://{running.http}/v1/traces"), "twin")
    rows = running.spans("twin", 2)
    for key, other in (("count", 2.0**53 - 1), ("flags", [1, 0]), ("missing", "")):
        wanted = python_wanted()
        wanted.attributes[key] = other
        with pytest.raises(AssertionError):
            check_pair(rows, wanted)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_program_traced_from_outside(running: Running, tmp_path: Path, protocol: str) -> None:
    pytest.importorskip("ai_edge_litert")
    (tmp_path / "app.py").write_text(TRACED + textwrap.indent(APPLICATION, "    "))
    service = f"instrumented-{protocol}"
    endpoint = running.grpc if protocol == "grpc" else running.http
    environment = client_environment(
        OTEL_SERVICE_NAME=service,
        OTEL_RESOURCE_ATTRIBUTES="service.version=1.4.2,team=vision",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{endpoint}",
        OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
        OTEL_METRICS_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
        EXRAY_SAMPLING="all",
        PYTHONPATH=os.pathsep.join([str(make_entry_points(tmp_path)), *sys.path]),
    )
    instrument = Path(sys.executable).with_name("opentelemetry-instrument")
    subprocess.run(
        [instrument, sys.executable, "app.py"],
        cwd=tmp_path,
        env=environment,
        check=True,
        timeout=100,
    )
    [row] = running.spans(service, 1)
    assert (row["name"], row["scope"], row["build"]) == ("look", "shelf", "1.4.2")
    assert exact(row["attributes_json"]) == spelled({"aisle": 7})
    assert json.loads(row["resource_json"])["team"] == "vision"
    assert running.layers(row["trace_id"], row["span_id"]) == TINY_LAYERS


# --- Node -----------------------------------------------------------------------------------


@pytest.mark.parametrize("exporter", ["proto", "http", "grpc"])
def test_node_sdk(running: Running, exporter: str) -> None:
    modules = installed("node/node_modules", "node")
    service = f"node-{exporter}"
    endpoint = running.grpc if exporter == "grpc" else f"{running.http}/v1/traces"
    subprocess.run(
        ["node", HERE / "node/send.js", exporter, f"http://{endpoint}", service],
        env=client_environment(NODE_PATH=str(modules)),
        check=True,
        timeout=100,
    )
    check_pair(running.spans(service, 2))


# --- an agent between -----------------------------------------------------------------------


@pytest.mark.parametrize("arriving", ["grpc", "http"])
@pytest.mark.parametrize("leaving", ["grpc", "http"])
def test_rotel_forwards(running: Running, tmp_path: Path, arriving: str, leaving: str) -> None:
    service = f"rotel-{arriving}-{leaving}"
    request, wanted = whole_request(service)
    target = running.grpc if leaving == "grpc" else running.http
    with rotel_agent(tmp_path, f"http://{target}", leaving) as agent:
        agent.send(request, arriving)
        check_pair(running.spans(service, 2), wanted)


# --- a tool ---------------------------------------------------------------------------------


def test_otel_cli(running: Running) -> None:
    otel = installed("otel-cli/bin/otel", "python3")
    subprocess.run(
        [
            str(otel),
            *("span", "whole", "--service", "otel-cli"),
            *("--start", str(BEGIN_NS), "--end", str(BEGIN_NS + DUR_NS)),
            *("--trace-id", "ab" * 16, "--span-id", "cd" * 8),
            *("--status", "ERROR", "--message", "it broke"),
            *("-a", "text=grüße", "-a", "int:count=7", "-a", "float:ratio=0.1"),
            *("-a", "bool:flag=true", "-a", "int[]:counts=1,2,3"),
        ],
        env=client_environment(
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{running.grpc}",
            PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION="python",
        ),
        check=True,
        timeout=100,
    )
    [row] = running.spans("otel-cli", 1)
    assert (row["trace_id"], row["span_id"]) == (b"\xab" * 16, b"\xcd" * 8)
    attributes = {"text": "grüße", "count": 7, "ratio": 0.1, "flag": True, "counts": [1, 2, 3]}
    assert (row["kind"], row["scope"], row["build"]) == ("internal", "otel-cli-python", "0.4.0")
    check_whole(
        row | {"kind": "client", "scope": "interop", "build": "1.4.2"},
        Whole(attributes | {"otel.scope.version": "0.4.0"}, None, {"service.name": "otel-cli"}),
    )
