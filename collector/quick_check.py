"""Sound requests told by the native library: most are, and need not be parsed for it.

The library knows nothing of OTLP: it walks over a request by a table of its messages, which is
made here of protobuf's own descriptors.
"""

import ctypes
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from exray.exporters.otlp_settings import Signal
from exray.exporters.typing import Buffer

from .limits import Limits
from .messages import new_request
from .native_library import otlp_library

RECORDS = (
    "opentelemetry.proto.trace.v1.Span",
    "opentelemetry.proto.logs.v1.LogRecord",
    "opentelemetry.proto.metrics.v1.NumberDataPoint",
    "opentelemetry.proto.metrics.v1.HistogramDataPoint",
    "opentelemetry.proto.metrics.v1.ExponentialHistogramDataPoint",
    "opentelemetry.proto.metrics.v1.SummaryDataPoint",
)
"""Messages that are counted, and whose attributes are limited."""

_SPAN = RECORDS[0]

_VARINT, _FIXED32, _FIXED64, _TEXT, _BYTES, _MESSAGE, _VARINTS, _FIXED64S = range(1, 9)

_KINDS = {  # by google.protobuf.FieldDescriptorProto.Type, and whether there are several
    (1, False): _FIXED64,  # double
    (6, False): _FIXED64,  # fixed64
    (16, False): _FIXED64,  # sfixed64
    (1, True): _FIXED64S,
    (6, True): _FIXED64S,
    (16, True): _FIXED64S,
    (7, False): _FIXED32,  # fixed32
    (3, False): _VARINT,  # int64
    (4, False): _VARINT,  # uint64
    (5, False): _VARINT,  # int32
    (8, False): _VARINT,  # bool
    (13, False): _VARINT,  # uint32
    (14, False): _VARINT,  # enum
    (17, False): _VARINT,  # sint32
    (18, False): _VARINT,  # sint64
    (3, True): _VARINTS,
    (4, True): _VARINTS,
    (5, True): _VARINTS,
    (13, True): _VARINTS,
    (9, False): _TEXT,
    (9, True): _TEXT,
    (12, False): _BYTES,
    (12, True): _BYTES,
    (11, False): _MESSAGE,
    (11, True): _MESSAGE,
}
"""Of other types a field is unknown here, and its request parsed."""

_ROLES = {"trace_id": 1, "span_id": 2, "parent_span_id": 3}
_ATTRIBUTE, _BODY = 4, 5
_REPEATED = 0xFF
_MOST_NUMBER = 1000
"""Of a field; one of a larger number is unknown here."""


class _Field(ctypes.Structure):
    _fields_ = (
        ("kind", ctypes.c_uint8),
        ("role", ctypes.c_uint8),
        ("once", ctypes.c_uint8),
        ("reserved", ctypes.c_uint8),
        ("message", ctypes.c_int32),
    )


class _Message(ctypes.Structure):
    _fields_ = (
        ("first", ctypes.c_int32),
        ("count", ctypes.c_int32),
        ("is_record", ctypes.c_uint8),
        ("needs_ids", ctypes.c_uint8),
        ("reserved", ctypes.c_uint16),
    )


class _Limits(ctypes.Structure):
    _fields_ = (
        ("records", ctypes.c_uint64),
        ("attributes", ctypes.c_uint64),
        ("attribute_bytes", ctypes.c_uint64),
    )


def count_sound(signal: Signal, data: Buffer, limits: Limits) -> int | None:
    """Return how many records a request has, if all of it is sound and within the limits.

    Returns:
        None where that is not known: the request is to be parsed, which may well find it sound.
    """
    library = otlp_library().handle
    if library is None:
        return None
    import pyarrow as pa

    messages, fields = _table(signal)
    records = ctypes.c_uint64()
    is_sound = library.exray_otlp_check(
        pa.py_buffer(data).address,
        len(data),
        messages,
        fields,
        _bounds(limits),
        ctypes.byref(records),
    )
    return records.value if is_sound else None


@lru_cache
def _bounds(limits: Limits) -> Any:
    """Return limits as the library has them."""
    return ctypes.byref(_Limits(limits.records, limits.attributes, limits.attribute_bytes))


@lru_cache
def _table(signal: Signal) -> tuple[Any, Any]:
    """Return the messages of a request, itself the first, and their fields."""
    table = _Table()
    table.number_of(new_request(signal).DESCRIPTOR)
    return (
        (_Message * len(table.messages))(*table.messages),
        (_Field * len(table.fields))(*table.fields),
    )


@dataclass
class _Table:
    """Messages by their descriptors, each once."""

    messages: list[_Message] = field(default_factory=list[_Message])
    fields: list[_Field] = field(default_factory=list[_Field])
    numbers: dict[str, int] = field(default_factory=dict[str, int])

    def number_of(self, descriptor: Any) -> int:
        """Return the number of a message; it and those within it are added where new."""
        name = descriptor.full_name
        if name in self.numbers:
            return self.numbers[name]
        number = self.numbers[name] = len(self.messages)
        message = _Message(is_record=name in RECORDS, needs_ids=name == _SPAN)
        self.messages.append(message)
        known = [f for f in descriptor.fields if f.number <= _MOST_NUMBER]
        rows = [
            _Field(once=_REPEATED) for _ in range(max((f.number for f in known), default=0) + 1)
        ]
        once: dict[str, int] = {}
        for one in known:
            group = one.containing_oneof.full_name if one.containing_oneof else one.full_name
            is_list = one.is_repeated
            rows[one.number] = _Field(
                kind=_KINDS.get((one.type, is_list), 0),
                role=_role(name, one.name),
                once=_REPEATED if is_list else once.setdefault(group, len(once)),
                message=self.number_of(one.message_type) if one.message_type else 0,
            )
        message.first, message.count = len(self.fields), len(rows)
        self.fields += rows
        return number


def _role(message: str, name: str) -> int:
    if message not in RECORDS:
        return 0
    if name == "attributes":
        return _ATTRIBUTE
    if name == "body":
        return _BODY
    return _ROLES.get(name, 0) if message == _SPAN else 0
