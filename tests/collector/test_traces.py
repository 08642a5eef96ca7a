import json
from typing import Any

import numpy as np
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from exray.collector.decode import Body, TraceDecoder, plain, traces
from exray.collector.decode.origin import Origin
from exray.exporters.otlp_requests import RequestEncoder

from ..exporters.builders import make_foreign_span
from ..exporters.frames import KINDS, carried_frame
from .fuzz import agree, changed, compared, encoded, sweep

HEALTHY = [make(number) for number, make in enumerate(KINDS.values())]


def decoded(*bodies: bytes) -> traces.DecodedSpans:
    return TraceDecoder().decode([Body(body, 5) for body in bodies])


def foreign_request() -> bytes:
    [request] = RequestEncoder({}).traces([], [make_foreign_span()])
    return b"".join(request)


# --- both parsers ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_spans_of_exray_are_read_together_as_protobuf_reads_them(kind: str) -> None:
    agree(encoded([KINDS[kind](number) for number in range(4)]))


def test_changed_requests_are_read_as_protobuf_reads_them() -> None:
    assert sweep(HEALTHY, 150, seed=1) == 150


@pytest.mark.usefixtures("without_otlp_library")
@pytest.mark.parametrize("kind", KINDS)
def test_spans_are_read_the_same_without_the_native_library(kind: str) -> None:
    agree(encoded([KINDS[kind](number) for number in range(4)]))


@pytest.mark.usefixtures("without_otlp_library")
def test_changed_requests_are_read_the_same_without_the_native_library() -> None:
    assert sweep(HEALTHY, 100, seed=2) == 100


def test_a_difference_between_parsers_would_show() -> None:
    body = encoded([carried_frame(1)])[0]
    differing = [changed(np.random.default_rng(seed), body) for seed in range(40)]

    same = [compared(decoded(body)) == compared(decoded(other)) for other in differing]

    assert same.count(False) > 30  # some changes say the same in other bytes


def test_usual_spans_need_no_parser_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = encoded([carried_frame(number) for number in range(4)])
    monkeypatch.setattr(traces, "span_row", None)

    assert decoded(*bodies).table.num_rows == 4 * 6


def test_one_unusual_span_does_not_slow_down_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    request = ExportTraceServiceRequest.FromString(encoded([carried_frame(1)])[0])
    spans = [s for r in request.resource_spans for c in r.scope_spans for s in c.spans]
    spans[3].attributes.add(key="colour").value.string_value = "red"
    singly: list[Span] = []

    def read(span: Span, origin: Origin, scope: InstrumentationScope) -> dict[str, Any]:
        singly.append(span)
        return plain.span_row(span, origin, scope)

    monkeypatch.setattr(traces, "span_row", read)

    table = decoded(request.SerializeToString()).table

    assert [span.span_id for span in singly] == [spans[3].span_id]
    assert table.num_rows == len(spans)


# --- what cannot be read --------------------------------------------------------------------


def test_a_request_that_is_none_is_poison_and_harms_no_other() -> None:
    sound = encoded([carried_frame(1), carried_frame(2)])

    found = decoded(sound[0], b"\xff\xff\xff", sound[1])

    assert list(found.poison) == [1]
    assert found.table.num_rows == 12


def test_a_request_with_one_damaged_span_is_poison_as_a_whole() -> None:
    body = bytearray(encoded([carried_frame(1)])[0])
    at = body.index(b"CONV_2D", body.index(b"exray.layer.op"))
    body[at] = 0xFF  # no UTF-8

    found = decoded(bytes(body))

    assert list(found.poison) == [0]
    assert found.table.num_rows == 0


def test_spans_without_whole_ids_are_rejected_and_counted() -> None:
    request = ExportTraceServiceRequest()
    scope_spans = request.resource_spans.add().scope_spans.add()
    scope_spans.spans.add(trace_id=b"short", span_id=bytes(8))
    scope_spans.spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, name="whole")

    found = decoded(request.SerializeToString())

    assert found.rejected == 1
    assert found.table["name"].to_pylist() == ["whole"]


def test_no_requests_are_no_spans() -> None:
    assert decoded().table.num_rows == 0


# --- spans of others ------------------------------------------------------------------------


def test_a_foreign_span_keeps_its_attributes_as_json() -> None:
    [row] = decoded(foreign_request()).table.to_pylist()

    assert (row["name"], row["kind"], row["scope"]) == ("GET /", "server", "web")
    assert row["attributes_json"] == '{"http.route":"/"}'


def test_what_a_foreign_span_says_outside_its_attributes_stands_among_them() -> None:
    request = ExportTraceServiceRequest.FromString(foreign_request())
    scope_spans = request.resource_spans[0].scope_spans[0]
    scope_spans.scope.version = "1.2"
    scope_spans.scope.attributes.add(key="team").value.string_value = "web"
    span = scope_spans.spans[0]
    span.trace_state = "vendor=1"
    span.dropped_attributes_count = 3
    span.links.add(trace_id=b"l" * 16, span_id=b"m" * 8, trace_state="other=2")

    [row] = decoded(request.SerializeToString()).table.to_pylist()

    assert json.loads(row["attributes_json"]) == {
        "http.route": "/",
        "otel.scope.version": "1.2",
        "otel.scope.team": "web",
        "w3c.tracestate": "vendor=1",
        "otel.dropped_attributes_count": 3,
    }
    link = json.loads(row["events_json"])[-1]
    assert link["link"] == {"trace_id": (b"l" * 16).hex(), "span_id": (b"m" * 8).hex()}
    assert link["w3c.tracestate"] == "other=2"


def test_a_span_in_exrays_scope_that_says_more_is_kept_whole_as_a_foreign_one() -> None:
    request = ExportTraceServiceRequest.FromString(encoded([carried_frame(1)])[0])
    layer = request.resource_spans[0].scope_spans[0].spans[-1]
    layer.attributes.add(key="exray.tensor.min").value.string_value = "low"

    rows = decoded(request.SerializeToString()).table.to_pylist()

    [row] = [row for row in rows if row["span_id"] == layer.span_id]
    assert row["layer_index"] is None
    assert '"exray.layer.index":2' in row["attributes_json"]
    assert '"exray.tensor.min":"low"' in row["attributes_json"]
