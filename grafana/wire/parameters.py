"""Values of a statement's parameters, as clients send them, in Python's types."""

import datetime
import math
import struct
import uuid
from collections.abc import Callable
from decimal import Context, Decimal, InvalidOperation

from . import pg_types
from .errors import FEATURE_NOT_SUPPORTED, INVALID_BINARY, INVALID_TEXT, WireError
from .messages import BINARY, TEXT

Decoder = Callable[[bytes], object]

_EPOCH = datetime.datetime(2000, 1, 1)
_EPOCH_DAY = _EPOCH.date()
_UTC_EPOCH = _EPOCH.replace(tzinfo=datetime.UTC)


def parameter_value(value: bytes | None, oid: int, format_code: int, number: int) -> object:
    """Return the value of parameter *number*, counted from 1.

    Text of a type that the client left open stays text: DuckDB fits it to its place, as
    it does with a quoted string in a statement.

    Raises:
        WireError: It cannot be read as the type that was declared.
    """
    if value is None:
        return None
    if format_code not in (TEXT, BINARY):
        msg = f"parameter ${number} has the format {format_code}; expected 0 (text) or 1 (binary)"
        raise WireError(INVALID_BINARY, msg)
    decoders = _TEXT if format_code == TEXT else _BINARY
    decode = decoders.get(oid)
    if decode is None:
        msg = (
            f"parameter ${number} has the type with OID {oid}, which is not understood as "
            f"{'text' if format_code == TEXT else 'binary'}; send it as text, and cast it in SQL"
        )
        raise WireError(FEATURE_NOT_SUPPORTED, msg)
    try:
        return decode(value)
    except (ValueError, OverflowError, struct.error, InvalidOperation) as error:
        msg = f"parameter ${number} is no {_NAMES.get(oid, 'text')}: {value[:40]!r}"
        raise WireError(INVALID_TEXT if format_code == TEXT else INVALID_BINARY, msg) from error


def _text(value: bytes) -> str:
    text = value.decode()
    if "\0" in text:
        msg = "a zero byte"
        raise ValueError(msg)
    return text


def _bool_text(value: bytes) -> bool:
    word = _text(value).strip().lower()
    if word in ("t", "true", "y", "yes", "on", "1"):
        return True
    if word in ("f", "false", "n", "no", "off", "0"):
        return False
    raise ValueError(word)


def _int_text(value: bytes) -> int:
    return int(_text(value))


def _float_text(value: bytes) -> float:
    return float(_text(value))


def _decimal_text(value: bytes) -> Decimal | float:
    return _number(Decimal(_text(value)))


def _number(number: Decimal) -> Decimal | float:
    """Return a number in a type that DuckDB has: its decimals are finite."""
    return number if number.is_finite() else float(number)


def _bytea_text(value: bytes) -> bytes:
    if value.startswith(b"\\x"):
        return bytes.fromhex(value[2:].decode())
    msg = "expected \\x and hexadecimal digits"
    raise ValueError(msg)


def _uuid_text(value: bytes) -> uuid.UUID:
    return uuid.UUID(_text(value))


def _unpacked(layout: str) -> Decoder:
    unpack = struct.Struct(layout).unpack

    def decode(value: bytes) -> object:
        return unpack(value)[0]

    return decode


def _bool_binary(value: bytes) -> bool:
    is_true: bool = struct.unpack("!?", value)[0]
    return is_true


def _date_binary(value: bytes) -> datetime.date:
    days: int = struct.unpack("!i", value)[0]
    return _EPOCH_DAY + datetime.timedelta(days=days)


def _time_binary(value: bytes) -> datetime.time:
    micros: int = struct.unpack("!q", value)[0]
    return (_EPOCH + datetime.timedelta(microseconds=micros)).time()


def _timestamp_binary(value: bytes) -> datetime.datetime:
    micros: int = struct.unpack("!q", value)[0]
    return _EPOCH + datetime.timedelta(microseconds=micros)


def _timestamptz_binary(value: bytes) -> datetime.datetime:
    micros: int = struct.unpack("!q", value)[0]
    return _UTC_EPOCH + datetime.timedelta(microseconds=micros)


def _interval_binary(value: bytes) -> str:
    micros, days, months = struct.unpack("!qii", value)
    return f"{months} months {days} days {micros} microseconds"


def _numeric_binary(value: bytes) -> Decimal | float:
    """Return a number; see `encoders.numeric_bytes`."""
    count, weight, sign, scale = struct.unpack_from("!hhHH", value)
    if sign in _NOT_FINITE:
        return _NOT_FINITE[sign]
    groups = struct.unpack(f"!{count}h", value[8:])
    digits = Decimal("".join(f"{group:04}" for group in groups) or "0")
    number = digits.scaleb(4 * (weight + 1 - count), _EXACT).quantize(
        Decimal(1).scaleb(-scale), context=_EXACT
    )
    return number.copy_negate() if sign == _NEGATIVE else number


def _uuid_binary(value: bytes) -> uuid.UUID:
    return uuid.UUID(bytes=value)


def _jsonb_binary(value: bytes) -> str:
    return _text(value[1:])  # the first byte is the format's version


_EXACT = Context(prec=1000)
_NEGATIVE = 0x4000
_NOT_FINITE = {0xC000: math.nan, 0xD000: math.inf, 0xF000: -math.inf}
"""Signs of PostgreSQL's numbers."""

_LETTERS = (
    pg_types.TEXT,
    pg_types.VARCHAR,
    pg_types.BPCHAR,
    pg_types.NAME,
    pg_types.UNKNOWN,
    pg_types.JSON,
)
_NUMBERED = {
    pg_types.INT2: (_int_text, _unpacked("!h")),
    pg_types.INT4: (_int_text, _unpacked("!i")),
    pg_types.INT8: (_int_text, _unpacked("!q")),
    pg_types.FLOAT4: (_float_text, _unpacked("!f")),
    pg_types.FLOAT8: (_float_text, _unpacked("!d")),
    pg_types.NUMERIC: (_decimal_text, _numeric_binary),
    pg_types.BOOL: (_bool_text, _bool_binary),
    pg_types.BYTEA: (_bytea_text, bytes),
    pg_types.DATE: (_text, _date_binary),
    pg_types.TIME: (_text, _time_binary),
    pg_types.TIMESTAMP: (_text, _timestamp_binary),
    pg_types.TIMESTAMPTZ: (_text, _timestamptz_binary),
    pg_types.INTERVAL: (_text, _interval_binary),
    pg_types.UUID: (_uuid_text, _uuid_binary),
    pg_types.JSONB: (_text, _jsonb_binary),
}
_TEXT: dict[int, Decoder] = {
    pg_types.UNKNOWN_OID: _text,
    **{kind.oid: _text for kind in _LETTERS},
    **{kind.oid: decoders[0] for kind, decoders in _NUMBERED.items()},
}
_BINARY: dict[int, Decoder] = {
    pg_types.UNKNOWN_OID: _text,
    **{kind.oid: _text for kind in _LETTERS},
    **{kind.oid: decoders[1] for kind, decoders in _NUMBERED.items()},
}
_NAMES = {kind.oid: kind.name for kind in (*_LETTERS, *_NUMBERED)}
