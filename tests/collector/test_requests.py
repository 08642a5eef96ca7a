"""A lake filled through OTLP is one filled by the Parquet exporter with the same records."""

import gzip
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from exray.collector.decode import Decoded, Received, RequestDecoder
from exray.collector.messages import message_from_protobuf
from exray.exporters.convert import tables_from_records
from exray.exporters.log import Encoding
from exray.exporters.otlp_requests import RequestEncoder
from exray.exporters.otlp_settings import Signal
from exray.exporters.typing import RecordBatch
from exray.lake.validate import check_set
from exray.schema.records import FrameRecord, MetricRecord, SpanRecord, TensorBlock
from exray.schema.sketch import fold

from ..exporters import frames as make
from ..exporters.builders import START_NS, make_foreign_span, make_graph, make_run, span_word

RECEIVED_NS = START_NS + 5 * 10**9
ONLY_RECEIVED = {"received_ns", "resource_json", "clock_offset_ns", "recorded_ns"}
"""Columns of which only a receiver knows, and when a row was written."""


def requests_of(batch: RecordBatch) -> list[tuple[Signal, bytes]]:
    encoder = RequestEncoder({"service.name": "shelf"})
    run = batch.runs[0] if batch.runs else make_run()
    logs = encoder.logs(batch.runs, [(run, graph) for graph in batch.graphs], START_NS)
    found: list[tuple[Signal, bytes]] = [("logs", b"".join(r)) for r in logs]
    for request in encoder.metrics(batch.frames, batch.metrics):
        found.append(("metrics", b"".join(request)))
    for request in encoder.traces(batch.frames, batch.spans):
        found.append(("traces", b"".join(request)))
    return found


def received(
    requests: Sequence[tuple[Signal, bytes]], encoding: Encoding = Encoding.PROTOBUF
) -> list[Received]:
    return [
        Received(number, signal, encoding, RECEIVED_NS, body)
        for number, (signal, body) in enumerate(requests)
    ]


def decoded(batch: RecordBatch) -> Decoded:
    found = RequestDecoder().decode(received(requests_of(batch)))
    assert not found.poison
    return found


def consistent(frame: FrameRecord) -> FrameRecord:
    """Let what the frame's tensors repeat of the spans that carry them be so."""
    outside: list[FrameRecord | SpanRecord] = [frame, *frame.spans]
    carriers = {span_word(s.span_id): (s.parent_span_id, s.start_ns, s.dur_ns) for s in outside}
    for inference in frame.inferences:
        carriers[span_word(inference.span_id)] = (
            frame.span_id,
            inference.start_ns,
            inference.dur_ns,
        )
        if inference.layers is not None:
            for row in inference.layers.rows:
                carriers[int(row["span_id"])] = (
                    inference.span_id,
                    int(row["start_ns"]),
                    int(row["dur_ns"]),
                )
    blocks = [(block, frame.span_id) for block in frame.tensors]
    blocks += [(i.tensors, i.span_id) for i in frame.inferences if i.tensors is not None]
    for block, parent in blocks:
        for row in block.rows:
            own = carriers.get(int(row["span_id"]), (parent, int(row["start_ns"]), 0))
            row["parent_span_id"] = span_word(own[0] or bytes(8))
            row["start_ns"], row["dur_ns"] = own[1:]
        _fold_wide(block)
    return frame


def _fold_wide(block: TensorBlock) -> None:
    for row, wide in block.wide_sketches.items():
        if not np.isnan(wide).any():
            block.rows["sketch"][row] = fold(wide.astype(np.float64), 64)


def assert_same(got: dict[str, pa.Table], wanted: dict[str, pa.Table]) -> None:
    for name, table in wanted.items():
        assert sorted_rows(got[name]) == sorted_rows(table), name


def sorted_rows(table: pa.Table) -> list[str]:
    rows = [{k: v for k, v in r.items() if k not in ONLY_RECEIVED} for r in table.to_pylist()]
    return sorted(map(repr, rows))


def lake_tables(batch: RecordBatch) -> dict[str, pa.Table]:
    return tables_from_records(batch.runs, batch.graphs, batch.frames, batch.spans, batch.metrics)


# --- the same rows --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", make.KINDS)
def test_frames_become_the_rows_that_the_lake_exporter_writes(kind: str) -> None:
    frames = tuple(consistent(make.KINDS[kind](number)) for number in range(3))
    batch = RecordBatch(runs=(make_run(),), frames=frames)

    tables = decoded(batch).tables({frame.run.run_id for frame in frames} | others(frames))

    check_set(tables)
    assert_same(tables, lake_tables(batch))


def others(frames: Sequence[FrameRecord]) -> set[bytes]:
    inside = {i.run.run_id for frame in frames for i in frame.inferences}
    return inside | {s.run.run_id for frame in frames for s in frame.spans if s.run}


def test_everything_else_becomes_the_rows_that_the_lake_exporter_writes() -> None:
    run = make_run()
    batch = RecordBatch(
        runs=(run,),
        graphs=(make_graph(),),
        frames=(consistent(make.bare_frame()),),
        spans=(make_foreign_span(1), make_foreign_span(2, run)),
        metrics=(
            MetricRecord(name="temperature", value=41.5, time_ns=START_NS, unit="Cel", run=run),
            MetricRecord(name="load", value=2, time_ns=START_NS, attributes={"core": 3}, run=run),
        ),
    )

    tables = decoded(batch).tables(others(batch.frames))

    check_set(tables)
    assert_same(tables, lake_tables(batch))


def test_a_run_that_nothing_describes_is_made_of_its_resource() -> None:
    batch = RecordBatch(frames=(make.carried_frame(),))

    [row] = decoded(batch).tables()["runs"].to_pylist()

    assert (row["build"], row["role"], row["model_name"]) == ("1.4.2", "edge", "net")
    assert row["recorded_ns"] == 0  # so any other row of the run counts before it


def test_a_run_that_the_lake_knows_is_not_made_again() -> None:
    batch = RecordBatch(frames=(make.carried_frame(),))

    assert decoded(batch).tables([make_run().run_id])["runs"].num_rows == 0


# --- time -----------------------------------------------------------------------------------


@pytest.mark.parametrize("start_ns", [0, 86_400 * 10**9, 2**61], ids=["1970", "a day on", "2043"])
def test_the_day_is_that_of_receipt_whatever_the_device_says(start_ns: int) -> None:
    frame = make.carried_frame()
    frame.start_ns = start_ns
    batch = RecordBatch(runs=(make_run(),), frames=(frame,), spans=(make_foreign_span(),))

    tables = decoded(batch).tables()

    days = {name: set(tables[name]["dt"].to_pylist()) for name in ("frames", "tensors", "spans")}
    assert set(map(tuple, days.values())) == {("2026-02-01",)}
    assert tables["frames"]["start_ns"].to_pylist() == [start_ns]
    assert tables["frames"]["received_ns"].to_pylist() == [RECEIVED_NS]
    assert tables["runs"]["clock_offset_ns"].to_pylist() == [START_NS - RECEIVED_NS]


# --- encodings ------------------------------------------------------------------------------


def json_of(signal: Signal, body: bytes) -> bytes:
    """Return a request in OTLP's JSON: as protobuf's, with ids in hex."""
    content = json_format.MessageToDict(message_from_protobuf(signal, body))

    def with_hex(value: Any) -> Any:
        if isinstance(value, list):
            return [with_hex(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {
            key: base64_to_hex(item)
            if key in ("traceId", "spanId", "parentSpanId")
            else with_hex(item)
            for key, item in value.items()
        }

    return json.dumps(with_hex(content)).encode()


def base64_to_hex(text: str) -> str:
    import base64

    return base64.b64decode(text).hex()


def test_json_says_the_same_as_protobuf() -> None:
    frames = tuple(f(3) for f in (make.carried_frame, make.outside_frame, make.failed_frame))
    batch = RecordBatch((make_run(),), (make_graph(),), frames, (make_foreign_span(),))
    requests = requests_of(batch)
    as_json: list[tuple[Signal, bytes]] = [
        (signal, json_of(signal, body)) for signal, body in requests
    ]

    found = RequestDecoder().decode(received(as_json, Encoding.JSON))

    assert not found.poison
    assert_same(found.tables(), decoded(batch).tables())


def test_compressed_bodies_are_unpacked() -> None:
    batch = RecordBatch(frames=(make.carried_frame(),))
    packed: list[tuple[Signal, bytes]] = [
        (signal, gzip.compress(body)) for signal, body in requests_of(batch)
    ]

    found = RequestDecoder().decode(received(packed, Encoding.PROTOBUF_GZIP))

    assert_same(found.tables(), decoded(batch).tables())


def test_members_of_a_compressed_body_are_all_unpacked() -> None:
    batch = RecordBatch(frames=(make.carried_frame(),))
    packed: list[tuple[Signal, bytes]] = [
        (signal, gzip.compress(body[:50]) + gzip.compress(body[50:]) + bytes(3))
        for signal, body in requests_of(batch)
    ]

    found = RequestDecoder().decode(received(packed, Encoding.PROTOBUF_GZIP))

    assert_same(found.tables(), decoded(batch).tables())


@pytest.mark.parametrize(
    ("encoding", "body", "problem"),
    [
        (Encoding.PROTOBUF_GZIP, b"no gzip", "damaged gzip"),
        (Encoding.PROTOBUF_GZIP, gzip.compress(b"x" * 99, mtime=0)[:-9], "cut short"),
        (Encoding.JSON, b"{", "no JSON"),
        (Encoding.JSON, b"[]", "no JSON object"),
        (Encoding.JSON, b'{"resourceSpans": 7}', "no request of traces"),
        (
            Encoding.JSON,
            b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"xyz"}]}]}]}',
            "no hex",
        ),
        (Encoding.PROTOBUF, b"\xff", "no OTLP trace request"),
    ],
)
def test_a_body_that_cannot_be_read_is_poison_and_says_why(
    encoding: Encoding, body: bytes, problem: str
) -> None:
    found = RequestDecoder().decode(received([("traces", body)], encoding))

    assert problem in found.poison[0]


# --- numbers of others ----------------------------------------------------------------------


def test_a_histogram_becomes_the_series_that_prometheus_has() -> None:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="wait", unit="s")
    point = metric.histogram.data_points.add(count=6, sum=7.5, time_unix_nano=START_NS)
    point.explicit_bounds.extend([0.5, 2.0])
    point.bucket_counts.extend([1, 2, 3])

    found = RequestDecoder().decode(received([("metrics", request.SerializeToString())]))

    rows = found.tables()["metrics"].to_pylist()
    assert [(row["name"], row["value"], row["attributes_json"]) for row in rows] == [
        ("wait_bucket", 1.0, '{"le":"0.5"}'),
        ("wait_bucket", 3.0, '{"le":"2.0"}'),
        ("wait_bucket", 6.0, '{"le":"+Inf"}'),
        ("wait_count", 6.0, None),
        ("wait_sum", 7.5, None),
    ]
