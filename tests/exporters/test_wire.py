import numpy as np
import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from exray.exporters import wire
from exray.exporters.varints import long_varints, short_varints


@pytest.mark.parametrize("value", [0, 1, -1, 127, 128, -(2**63), 2**63 - 1, 2**56, -(2**56)])
def test_a_varint_of_ten_bytes_is_read_as_the_number_it_is(value: int) -> None:
    data = b"\x18" + long_varints(np.array([value])).tobytes()

    assert len(data) == 11
    assert AnyValue.FromString(data).int_value == value


def test_a_varint_of_ten_bytes_ends_where_strict_parsers_want_it() -> None:
    """Go's and Rust's refuse a tenth byte above 1, and any byte after it."""
    values = np.array([0, -1, 2**63 - 1, -(2**63), 12345])

    for data in map(bytes, long_varints(values)):
        assert all(byte & 0x80 for byte in data[:9])
        assert data[9] <= 1


@pytest.mark.parametrize("value", [0, 1, 127, 128, 2**14 - 1, 2**14, 2**21, 2**28 - 1])
def test_a_varint_of_four_bytes_is_read_as_the_number_it_is(value: int) -> None:
    data = b"\x18" + short_varints(np.array([value], np.uint32)).tobytes()

    assert len(data) == 5
    assert AnyValue.FromString(data).int_value == value


@pytest.mark.parametrize(
    "value", ["", "naïve", True, 0, -5, 2.5, b"\xff", [1, "a", None], {"a": {"b": [1.5]}}, None]
)
def test_a_value_is_written_as_protobuf_writes_it(value: object) -> None:
    data = wire.key_value(3, "ключ", value)

    parsed = KeyValue.FromString(data[2:])
    assert parsed.key == "ключ"
    assert parsed.SerializeToString() == data[2:]


@pytest.mark.parametrize("size", [0, 1, 80, 100, 127, 128, 300, 20_000])
def test_a_text_attribute_is_a_key_value_of_any_size(size: int) -> None:
    value = "é" * size

    assert wire.text_attribute(9, "key", value) == wire.key_value(9, "key", value)


def test_text_that_utf8_cannot_hold_is_spelled_out() -> None:
    assert wire.text(1, "caf\udce9") == b"\x0a\x09caf\\udce9"


def test_what_otlp_has_no_type_for_becomes_its_text() -> None:
    assert AnyValue.FromString(wire.any_value(1 + 2j)).string_value == "(1+2j)"


def test_holes_move_with_the_message_around_them() -> None:
    inner = wire.word_hole(b"\x21", 7)

    outer = wire.message(2, wire.join([wire.Piece(b"abc"), inner]))

    assert outer.data == b"\x12\x0cabc\x21" + bytes(8)
    assert outer.holes == (wire.Hole("word", 6, 7),)
