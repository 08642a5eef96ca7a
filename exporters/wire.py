"""Protobuf's wire format, as much of it as OTLP needs, with holes to be filled later.

A message is a `Piece`: its bytes, and where in them a number will be patched in. A hole
has a fixed width, so that filling one moves nothing: ids, times and doubles have one by
nature, integers are written as varints of ten bytes, of which any value of 64 bits takes
that many or fewer, small ones as varints of four. A varint longer than it need be is valid: parsers read up to ten bytes
(https://protobuf.dev/programming-guides/encoding/#varints).
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from .plain_json import plain_text

WORD, LONG, SHORT = "word", "long", "short"
"""Holes of 8 bytes, and of a long and a short varint."""

LONG_VARINT, SHORT_VARINT = b"\x80" * 9 + b"\x00", b"\x80" * 3 + b"\x00"
"""Varints of ten and of four bytes; here 0."""


@dataclass(frozen=True, slots=True)
class Hole:
    """A place in a message.

    Args:
        kind: What fills it: a word, a varint, or a text of a known size.
        offset: Its first byte in the message.
        source: Column of the values, in the array of that kind, which fills it.
    """

    kind: str
    offset: int
    source: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a message."""

    data: bytes
    holes: tuple[Hole, ...] = ()


def join(pieces: Iterable[Piece]) -> Piece:
    """Return pieces one after the other."""
    holes: list[Hole] = []
    data = bytearray()
    for piece in pieces:
        holes += [Hole(h.kind, h.offset + len(data), h.source) for h in piece.holes]
        data += piece.data
    return Piece(bytes(data), tuple(holes))


def message(field: int, content: Piece) -> Piece:
    """Return *content* as the length-delimited field number *field*."""
    return join([Piece(prefix(field, len(content.data))), content])


# --- plain bytes --------------------------------------------------------------------------


def varint(value: int) -> bytes:
    """Return an unsigned integer; a negative one counts as its two's complement.

    >>> varint(300)
    b'\\xac\\x02'
    """
    value &= (1 << 64) - 1
    if value < 0x80:
        return bytes((value,))
    data = bytearray()
    while value >= 0x80:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


@lru_cache(maxsize=4096)
def prefix(field: int, size: int) -> bytes:
    """Return what stands before a length-delimited field of *size* bytes."""
    return varint(field << 3 | 2) + varint(size)


def delimited(field: int, content: bytes) -> bytes:
    """Return bytes or a nested message."""
    return prefix(field, len(content)) + content


def text(field: int, value: str) -> bytes:
    """Return a string; what UTF-8 cannot hold is spelled out."""
    return delimited(field, utf8(value))


def utf8(value: str) -> bytes:
    """Return *value* in UTF-8; what that cannot hold is spelled out."""
    try:
        return value.encode()
    except UnicodeEncodeError:
        return plain_text(value).encode()


def integer(field: int, value: int) -> bytes:
    """Return a varint field."""
    return varint(field << 3) + varint(value)


def fixed64(field: int, value: int) -> bytes:
    """Return a fixed64 field."""
    return varint(field << 3 | 1) + struct.pack("<Q", value & (1 << 64) - 1)


def double(field: int, value: float) -> bytes:
    """Return a double field."""
    return varint(field << 3 | 1) + struct.pack("<d", value)


# --- OTLP's values and attributes ---------------------------------------------------------


def any_value(value: object) -> bytes:
    """Return an ``AnyValue``: None is an empty one, what OTLP has no type for its text."""
    if value is None:
        return b""
    if isinstance(value, str):
        return text(1, value)
    if isinstance(value, bool):
        return integer(2, value)
    if isinstance(value, int):
        return integer(3, value)
    if isinstance(value, float):
        return double(4, value)
    if isinstance(value, bytes):
        return delimited(7, value)
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return delimited(6, b"".join(key_value(1, str(key), item) for key, item in pairs))
    if isinstance(value, Sequence):
        items = cast("Sequence[object]", value)
        return delimited(5, b"".join(delimited(1, any_value(item)) for item in items))
    return text(1, str(value))


def key_value(field: int, key: str, value: object) -> bytes:
    """Return a ``KeyValue``."""
    return delimited(field, text(1, key) + delimited(2, any_value(value)))


@lru_cache(maxsize=4096)
def _text_head(field: int, key: str, size: int) -> bytes:
    """Return a ``KeyValue`` up to its text of *size* bytes."""
    inside = text(1, key) + prefix(2, len(prefix(1, size)) + size) + prefix(1, size)
    return prefix(field, len(inside) + size) + inside


def text_attribute(field: int, key: str, value: str) -> bytes:
    """Return a ``KeyValue`` of text, as `key_value` does, faster."""
    content = utf8(value)
    return _text_head(field, key, len(content)) + content


def attributes(field: int, values: Mapping[str, object]) -> bytes:
    """Return one ``KeyValue`` for each of *values*."""
    return b"".join(key_value(field, key, value) for key, value in values.items())


# --- with holes ---------------------------------------------------------------------------


def word_hole(before: bytes, *sources: int) -> Piece:
    """Return *before* and a hole of 8 bytes for each of *sources*."""
    at = len(before)
    holes = tuple(Hole(WORD, at + 8 * i, source) for i, source in enumerate(sources))
    return Piece(before + bytes(8 * len(sources)), holes)


def attribute_hole(field: int, key: str, value: Piece) -> Piece:
    """Return a ``KeyValue`` whose ``AnyValue`` is *value*."""
    return message(field, join([Piece(text(1, key)), message(2, value)]))


def double_hole(source: int) -> Piece:
    """Return an ``AnyValue`` that holds a double."""
    return word_hole(b"\x21", source)


def long_hole(source: int) -> Piece:
    """Return an ``AnyValue`` that holds an integer, as a long varint."""
    return Piece(b"\x18" + LONG_VARINT, (Hole(LONG, 1, source),))


def short_hole(source: int) -> Piece:
    """Return an ``AnyValue`` that holds an integer, as a short varint."""
    return Piece(b"\x18" + SHORT_VARINT, (Hole(SHORT, 1, source),))


def string_hole(size: int, kind: str, source: int, before: bytes = b"") -> Piece:
    """Return an ``AnyValue`` that holds *before* and *size* bytes of text."""
    head = prefix(1, len(before) + size) + before
    return Piece(head + bytes(size), (Hole(kind, len(head), source),))
