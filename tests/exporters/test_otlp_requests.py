import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from exray.exporters import otlp_requests, section
from exray.exporters.otlp_requests import RequestEncoder
from exray.schema.records import FrameRecord, MetricRecord

from . import frames as make
from .builders import START_NS, TRACE_ID, make_foreign_span, make_frame, make_graph, make_run
from .otlp_oracle import Decoded, decode, encode, mapping

ENVIRONMENT = {"service.name": "shelf-camera"}


def encoded(*frames: FrameRecord) -> list[bytes]:
    return [b"".join(request) for request in RequestEncoder(ENVIRONMENT).traces(frames)]


def expected(*frames: FrameRecord) -> Decoded:
    return decode([encode(frames, ENVIRONMENT)])


# --- against protobuf's own classes ---------------------------------------------------------


@pytest.mark.parametrize("kind", make.KINDS)
def test_a_frame_says_what_protobuf_would_write(kind: str) -> None:
    frame = make.KINDS[kind](3)

    assert decode(encoded(frame)) == expected(frame)


@pytest.mark.parametrize("kind", make.KINDS)
def test_many_frames_alike_keep_each_their_own_numbers(kind: str) -> None:
    frames = [make.KINDS[kind](number) for number in range(20)]

    assert decode(encoded(*frames)) == expected(*frames)


def test_frames_of_all_kinds_in_one_batch_do_not_mix() -> None:
    kinds = list(make.KINDS.values())
    frames = [kinds[number % len(kinds)](number) for number in range(3 * len(kinds))]

    assert decode(encoded(*frames)) == expected(*frames)


def test_a_template_of_one_batch_serves_the_next() -> None:
    encoder = RequestEncoder(ENVIRONMENT)
    first, second = make.outside_frame(1), make.outside_frame(2)
    share_sites(first, second)
    list(encoder.traces([first]))

    assert decode(encoder.traces([second])) == expected(second)


def test_frames_that_share_sites_but_not_form_are_told_apart() -> None:
    """A sketch missing, a layer unmeasured, a tensor elsewhere, another order, no wide sketch."""
    frames = [make.carried_frame(number, layers=4) for number in range(8)]
    share_sites(*frames)
    tensors = [frame.inferences[0].tensors for frame in frames]
    layers = [frame.inferences[0].layers for frame in frames]
    for block in (*tensors, *layers):
        assert block is not None
    tensors[1].rows["sketch"][2] = np.nan  # type: ignore[union-attr]
    layers[2].rows["dur_ns"][1] = -1  # type: ignore[union-attr]
    tensors[3].rows["span_id"][2] = 4242  # type: ignore[union-attr]
    tensors[4].rows["site"][:] = tensors[4].rows["site"][::-1].copy()  # type: ignore[union-attr]
    tensors[5].wide_sketches = {}  # type: ignore[union-attr]
    tensors[6].rows["min"][1] = np.nan  # type: ignore[union-attr]

    assert decode(encoded(*frames)) == expected(*frames)


def share_sites(*frames: FrameRecord) -> None:
    """Let the blocks of all frames refer to the first one's sites, as one model's do."""
    first = frames[0].inferences[0]
    assert first.layers is not None and first.tensors is not None
    for frame in frames[1:]:
        inference = frame.inferences[0]
        assert inference.layers is not None and inference.tensors is not None
        inference.layers.sites, inference.tensors.sites = first.layers.sites, first.tensors.sites


def test_more_forms_than_are_kept_are_encoded_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(section, "MAX_TEMPLATES", 2)
    frames = [make_frame(number, layers=1 + number % 5) for number in range(15)]

    assert decode(encoded(*frames)) == expected(*frames)


def test_random_numbers_survive_bit_by_bit() -> None:
    rng = np.random.default_rng(5)
    frames = [make.carried_frame(number, layers=9) for number in range(4)]
    for frame in frames:
        block = frame.inferences[0].tensors
        assert block is not None
        for name in ("count", "nan_count", "zero_count", "sat_high_count", "hash"):
            block.rows[name] = rng.integers(-(2**63), 2**63, len(block.rows))
        for name in ("sum", "sum2", "sum3", "sum4"):
            block.rows[name] = rng.normal(size=len(block.rows)) * 10.0 ** rng.integers(-300, 300)
        block.rows["sketch"] = rng.normal(size=(len(block.rows), 64))
        frame.input_key = int(rng.integers(-(2**63), 2**63))

    assert decode(encoded(*frames)) == expected(*frames)


@pytest.mark.parametrize("count", [2**28 - 1, 2**28, 2**40, -1])
def test_a_count_of_any_size_is_written_beside_small_ones(count: int) -> None:
    frames = [make.carried_frame(number, layers=3) for number in range(4)]
    share_sites(*frames)
    for number in (1, 3):
        block = frames[number].inferences[0].tensors
        assert block is not None
        block.rows["zero_count"][number] = count

    assert decode(encoded(*frames)) == expected(*frames)


def test_small_counts_take_four_bytes() -> None:
    small, large = make.carried_frame(1), make.carried_frame(1)
    block = large.inferences[0].tensors
    assert block is not None
    block.rows["count"][1] = 2**28

    def size(frame: FrameRecord) -> int:
        return sum(map(len, encoded(frame)))

    # Six bytes less for each of seven counts of a tensor, nothing more for lengths.
    assert size(large) - size(small) >= 6 * 7 * len(block.rows)


def test_the_comparison_sees_a_wrong_number() -> None:
    frame, other = make.carried_frame(1), make.carried_frame(1)
    block = other.inferences[0].tensors
    assert block is not None
    block.rows["sat_low_count"][2] += 1

    assert decode(encoded(other)) != expected(frame)


# --- requests -------------------------------------------------------------------------------


def test_a_request_holds_each_run_once() -> None:
    frames = [make.carried_frame(number) for number in range(5)]

    (request,) = encoded(*frames)

    assert request.count(make_run().run_id.hex().encode()) == 1


def test_large_batches_are_cut_between_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [make.carried_frame(number, layers=10) for number in range(9)]
    monkeypatch.setattr(otlp_requests, "REQUEST_BYTES", 40_000)

    requests = encoded(*frames)

    assert len(requests) > 2
    assert all(len(request) < 40_000 for request in requests)
    traces = [{span["trace_id"] for span in decode([r]).values()} for r in requests]
    assert sum(map(len, traces)) == len(set().union(*traces)) == 9
    assert decode(requests) == expected(*frames)


def test_no_frames_make_no_request() -> None:
    assert encoded() == []


def test_a_foreign_span_keeps_scope_attributes_and_events() -> None:
    span = dataclasses.replace(
        make_foreign_span(run=make_run()),
        events_json='[{"name":"retry","time_ns":17,"attributes":{"n":2}}]',
        status="error",
        status_message="timeout",
    )

    (found,) = decode(RequestEncoder(ENVIRONMENT).traces([], [span])).values()

    assert found["scope"] == "web"
    assert found["name"] == "GET /"
    assert found["kind"] == 2
    assert found["attributes"] == {"http.route": ("string_value", "/")}
    assert found["events"] == [("retry", 17, {"n": ("int_value", 2)})]
    assert found["status"] == (2, "timeout")
    assert (found["start"], found["end"]) == (START_NS, START_NS + 1_000_000)


def test_a_foreign_span_of_no_run_has_the_environment_alone() -> None:
    (found,) = decode(RequestEncoder(ENVIRONMENT).traces([], [make_foreign_span()])).values()

    assert found["resource"] == {"service.name": ("string_value", "shelf-camera")}
    assert found["trace_id"] == TRACE_ID


# --- logs and metrics -----------------------------------------------------------------------


def plain(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: plain(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind) if kind else None


def decode_logs(requests: list[bytes]) -> list[tuple[object, str, object]]:
    """Return resource, event name and body of every log record."""
    found: list[tuple[object, str, object]] = []
    for data in requests:
        for logs in ExportLogsServiceRequest.FromString(data).resource_logs:
            resource = mapping(logs.resource.attributes)["exray.run.id"][1]
            for record in logs.scope_logs[0].log_records:
                assert record.time_unix_nano == record.observed_time_unix_nano == START_NS
                found.append((resource, record.event_name, plain(record.body)))
    return found


def test_a_graph_is_a_log_record_for_each_operator() -> None:
    run = make_run()

    (request,) = RequestEncoder(ENVIRONMENT).logs([], [(run, make_graph())], START_NS)

    ((resource, name, body),) = decode_logs([b"".join(request)])
    assert resource == run.run_id.hex()
    assert name == "exray.graph.op"
    assert body == {
        "model_name": "net",
        "model_sha256": "ab" * 32,
        "subgraph_index": 0,
        "layer_index": 4,
        "layer_name": "conv",
        "op": "CONV_2D",
        "input_names": ["x"],
        "output_names": ["y", "z"],
        "output_shapes": ["1,2", "3"],
        "output_dtypes": ["int8", "float32"],
        "output_scales": [0.5, None],
        "output_zero_points": [-3, None],
        "parents": [-1],
        "macs": 10,
        "weight_bytes": 20,
        "activation_bytes": 30,
        "excluded_reason": None,
        "attributes_json": '{"stride":2}',
    }


def test_a_run_is_a_log_record_of_all_that_is_known() -> None:
    run = make_run()
    run.plain_output_equal, run.init_ns, run.preprocess_json = True, 5, '{"a": 1}'

    (request,) = RequestEncoder(ENVIRONMENT).logs([run], [], START_NS)

    ((_, name, body),) = decode_logs([b"".join(request)])
    assert name == "exray.run"
    assert isinstance(body, dict)
    known = {"run_id": run.run_id, "plain_output_equal": True, "init_ns": 5, "threads": None}
    assert known.items() <= body.items()
    assert body["recorded_ns"] == START_NS


def test_a_recorded_number_is_a_gauge_whose_exemplar_names_the_frame() -> None:
    frame = make.bare_frame(2)
    frame.metrics.append(MetricRecord(name="température", value=-1.5, time_ns=7, unit="Cel"))

    (data,) = RequestEncoder(ENVIRONMENT).metrics([frame, make_frame(1)])

    (of_run,) = ExportMetricsServiceRequest.FromString(b"".join(data)).resource_metrics
    metrics = of_run.scope_metrics[0].metrics
    assert [(m.name, m.unit) for m in metrics] == [("light", "lx"), ("température", "Cel")]
    (point,) = metrics[1].gauge.data_points
    assert (point.as_double, point.time_unix_nano) == (-1.5, 7)
    (exemplar,) = point.exemplars
    assert (exemplar.trace_id, exemplar.span_id) == (frame.trace_id, frame.span_id)
    assert (exemplar.as_double, exemplar.time_unix_nano) == (-1.5, 7)
    assert mapping(exemplar.filtered_attributes) == {
        "exray.input.key": ("int_value", frame.input_key)
    }


def test_a_number_outside_frames_is_a_gauge_of_its_run_with_its_attributes() -> None:
    one, other = make_run(1), make_run(2)
    core = {"cpu.logical_number": 3, "exray.cpu.governor": "ondemand"}
    metrics = [
        MetricRecord(name="load", value=0.5, time_ns=7, attributes=core, run=one),
        MetricRecord(name="load", value=0.25, time_ns=8, run=other),
        MetricRecord(name="light", value=2.0, time_ns=9, unit="lx", run=one),
    ]

    (data,) = RequestEncoder(ENVIRONMENT).metrics([], metrics)

    first, second = ExportMetricsServiceRequest.FromString(b"".join(data)).resource_metrics
    names = [[m.name for m in group.scope_metrics[0].metrics] for group in (first, second)]
    assert names == [["load", "light"], ["load"]]
    runs = [mapping(group.resource.attributes)["exray.run.id"] for group in (first, second)]
    assert runs == [("string_value", run.run_id.hex()) for run in (one, other)]
    (point,) = first.scope_metrics[0].metrics[0].gauge.data_points
    assert (point.as_double, point.time_unix_nano, len(point.exemplars)) == (0.5, 7, 0)
    assert mapping(point.attributes) == {
        "cpu.logical_number": ("int_value", 3),
        "exray.cpu.governor": ("string_value", "ondemand"),
    }


def test_numbers_outside_frames_are_points_of_their_runs_gauge() -> None:
    metrics = [
        MetricRecord(
            name="load", value=0.25 * i, time_ns=i, attributes={"core": i}, run=make_run(r)
        )
        for i, r in ((1, 1), (2, 1), (3, 2))
    ]

    (data,) = RequestEncoder(ENVIRONMENT).metrics(
        [], [*metrics, MetricRecord(name="x", value=1.0, time_ns=9)]
    )

    of_runs = ExportMetricsServiceRequest.FromString(b"".join(data)).resource_metrics
    points = [list(of_run.scope_metrics[0].metrics[0].gauge.data_points) for of_run in of_runs]
    assert [[p.as_double for p in of_run] for of_run in points] == [[0.25, 0.5], [0.75], [1.0]]
    assert mapping(points[0][1].attributes) == {"core": ("int_value", 2)}
    assert not points[0][0].exemplars
    assert "exray.run.id" not in mapping(of_runs[2].resource.attributes)


@pytest.mark.parametrize(
    "encode_nothing",
    [
        lambda encoder: encoder.logs([], [], 0),
        lambda encoder: encoder.metrics([make_frame(1)]),
        lambda encoder: encoder.traces([], []),
    ],
)
def test_nothing_to_say_makes_no_request(
    encode_nothing: Callable[[RequestEncoder], list[bytes]],
) -> None:
    assert list(encode_nothing(RequestEncoder(ENVIRONMENT))) == []
