"""Messages from the server to the client, as bytes.

Layouts: PostgreSQL 16 documentation, chapter 55.7, "Message Formats".
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .pg_types import PgType

AUTHENTICATION_OK = 0
AUTHENTICATION_SASL = 10
AUTHENTICATION_SASL_CONTINUE = 11
AUTHENTICATION_SASL_FINAL = 12

TEXT = 0
BINARY = 1
"""Formats of a value."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a result as the client is told of it."""

    name: str
    type: PgType
    format: int = TEXT


def message(kind: bytes, body: bytes = b"") -> bytes:
    """Return one message of *kind*, a letter."""
    return kind + struct.pack("!i", len(body) + 4) + body


def c_string(text: str) -> bytes:
    """Return *text* as a zero-terminated string; a zero inside would end it early."""
    return text.replace("\0", "").encode() + b"\0"


def authentication(code: int, body: bytes = b"") -> bytes:
    """Return a request for authentication, or that it is done."""
    return message(b"R", struct.pack("!i", code) + body)


def parameter_status(name: str, value: str) -> bytes:
    """Return what the server says about one of its settings."""
    return message(b"S", c_string(name) + c_string(value))


def backend_key(process_id: int, secret: int) -> bytes:
    """Return what a client needs to cancel its statements."""
    return message(b"K", struct.pack("!iI", process_id, secret))


def negotiate_version(minor: int, unknown_options: Sequence[str]) -> bytes:
    """Return the newest minor version spoken, and the options that are not understood."""
    names = b"".join(map(c_string, unknown_options))
    return message(b"v", struct.pack("!ii", minor, len(unknown_options)) + names)


def ready(status: str) -> bytes:
    """Return that the next statement may come; *status* is I, T or E."""
    return message(b"Z", status.encode())


def error_response(state: str, text: str, severity: str = "ERROR") -> bytes:
    """Return an error with its SQLSTATE."""
    return message(b"E", _notice_fields(severity, state, text))


def notice(text: str) -> bytes:
    """Return a warning."""
    return message(b"N", _notice_fields("WARNING", "01000", text))


def _notice_fields(severity: str, state: str, text: str) -> bytes:
    fields = (("S", severity), ("V", severity), ("C", state), ("M", text))
    return b"".join(name.encode() + c_string(value) for name, value in fields) + b"\0"


def row_description(fields: Iterable[Field]) -> bytes:
    """Return the columns of a result."""
    parts = [
        c_string(field.name)
        + struct.pack("!ihihih", 0, 0, field.type.oid, field.type.size, -1, field.format)
        for field in fields
    ]
    return message(b"T", struct.pack("!h", len(parts)) + b"".join(parts))


def parameter_description(oids: Sequence[int]) -> bytes:
    """Return the types of a statement's parameters."""
    return message(b"t", struct.pack(f"!h{len(oids)}I", len(oids), *oids))


def command_complete(tag: str) -> bytes:
    """Return that a statement is done."""
    return message(b"C", c_string(tag))


EMPTY_QUERY = message(b"I")
PARSE_COMPLETE = message(b"1")
BIND_COMPLETE = message(b"2")
CLOSE_COMPLETE = message(b"3")
NO_DATA = message(b"n")
PORTAL_SUSPENDED = message(b"s")
