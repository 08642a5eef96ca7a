import numpy as np
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from exray.collector import structure
from exray.collector.limits import Limits
from exray.collector.native_library import otlp_library
from exray.collector.quick_check import count_sound
from exray.collector.turn import Turn
from exray.exporters.otlp_settings import Signal

from ..exporters.frames import carried_frame
from .fuzz import encoded
from .quick_fuzz import LIMITS, sound_request, sweep

SIGNALS: tuple[Signal, ...] = ("traces", "metrics", "logs")

needs_library = pytest.mark.skipif(
    otlp_library().handle is None, reason=f"no native library: {otlp_library().reason}"
)


def random() -> np.random.Generator:
    return np.random.default_rng(5)


def span_request(**fields: object) -> bytes:
    """Return a request of one span, sound but for *fields*."""
    request = ExportTraceServiceRequest()
    span = (
        request.resource_spans.add()
        .scope_spans.add()
        .spans.add(trace_id=b"t" * 16, span_id=b"s" * 8)
    )
    for name, value in fields.items():
        setattr(span, name, value)
    return request.SerializeToString()


@needs_library
@pytest.mark.parametrize("signal", SIGNALS)
def test_sound_requests_are_counted_without_being_parsed(
    signal: Signal, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = sound_request(signal, random())
    parsed = structure.parse_and_check(signal, body, Limits(), is_json=False)
    monkeypatch.setattr(structure, "parse_and_check", None)

    found = structure.check_request(signal, body, Limits(), Turn(), is_json=False)

    assert found == parsed
    assert found.records > 0


@needs_library
def test_requests_of_devices_are_counted_without_being_parsed() -> None:
    [body] = encoded([carried_frame(1)])

    assert count_sound("traces", body, Limits()) == 6


@pytest.mark.usefixtures("without_otlp_library")
def test_without_the_library_every_request_is_parsed() -> None:
    body = sound_request("traces", random())

    assert count_sound("traces", body, Limits()) is None
    assert structure.check_request("traces", body, Limits(), Turn(), is_json=False).records > 0


@needs_library
@pytest.mark.parametrize(
    "fields",
    [
        {"trace_id": b"short"},
        {"trace_id": b""},
        {"trace_id": bytes(16)},
        {"span_id": b"s" * 9},
        {"span_id": bytes(8)},
        {"parent_span_id": b"p"},
    ],
    ids=str,
)
def test_spans_that_are_to_be_rejected_are_not_told_to_be_sound(fields: dict[str, object]) -> None:
    assert count_sound("traces", span_request(), Limits()) == 1
    assert count_sound("traces", span_request(**fields), Limits()) is None


@needs_library
def test_requests_beyond_a_limit_are_not_told_to_be_sound() -> None:
    request = ExportTraceServiceRequest.FromString(span_request())
    span = request.resource_spans[0].scope_spans[0].spans[0]
    for number in range(LIMITS.attributes):
        span.attributes.add(key=f"key.{number}").value.int_value = 1
    assert count_sound("traces", request.SerializeToString(), LIMITS) == 1

    span.attributes.add(key="one more")
    many = request.SerializeToString()
    del span.attributes[1:]
    span.attributes[0].value.string_value = "x" * LIMITS.attribute_bytes
    long = request.SerializeToString()
    span.attributes[0].value.Clear()
    request.resource_spans[0].scope_spans[0].spans.extend([span] * LIMITS.records)

    assert count_sound("traces", many, LIMITS) is None
    assert count_sound("traces", long, LIMITS) is None
    assert count_sound("traces", request.SerializeToString(), LIMITS) is None


@pytest.mark.parametrize(
    "tail",
    [
        b"\x0a\x05ab",  # a length beyond the end
        b"\x0b\x0c",  # a group, which protobuf takes
        b"\xfa\x3f\x00",  # a field that there is not
        b"\x08\x01",  # a message as a number
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",  # a length of more than 64 bits
        b"\x0a\x03\x12\x01\x0a",  # cut short within
    ],
)
def test_what_is_unusual_is_left_to_protobuf(tail: bytes) -> None:
    assert count_sound("traces", span_request() + tail, Limits()) is None


@needs_library
def test_values_nested_deep_are_left_to_protobuf() -> None:
    def nested(depth: int) -> bytes:
        request = ExportTraceServiceRequest.FromString(span_request())
        value = request.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="k").value
        for _ in range(depth):
            value = value.array_value.values.add()
        return request.SerializeToString()

    assert count_sound("traces", nested(5), Limits()) == 1
    assert count_sound("traces", nested(40), Limits()) is None


@needs_library
def test_changed_requests_are_told_to_be_sound_only_where_they_are() -> None:
    sound = sweep(3000, seed=7)

    assert 100 < sound < 2000
