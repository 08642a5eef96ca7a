"""Messages from the client: read with a bound on their length, and taken apart.

Layouts: PostgreSQL 16 documentation, chapter 55.7, "Message Formats".
"""

import asyncio
import struct
from dataclasses import dataclass

from .errors import PROTOCOL_VIOLATION, WireError

SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
CANCEL_REQUEST = 80877102
PROTOCOL_MAJOR = 3

MAX_STARTUP_BYTES = 10_000
"""PostgreSQL's own bound."""

MAX_PASSWORD_BYTES = 4096
"""An answer of SCRAM's takes a few hundred."""


@dataclass(frozen=True, slots=True)
class Startup:
    """What a client says first.

    Args:
        code: The protocol's version, or a request of another kind.
        body: What follows.
    """

    code: int
    body: bytes

    @property
    def major(self) -> int:
        """The protocol's major version."""
        return self.code >> 16

    @property
    def minor(self) -> int:
        """The protocol's minor version."""
        return self.code & 0xFFFF

    def options(self) -> dict[str, str]:
        """Return user, database and settings.

        Raises:
            WireError: They are cut short.
        """
        words = _decoded(self.body).split("\0")
        if len(words) < 2 or words[-1] or words[-2]:
            raise _malformed("the startup message does not end with a zero byte")
        words = words[:-2]
        if len(words) % 2:
            raise _malformed("a setting in the startup message has no value")
        return dict(zip(words[::2], words[1::2], strict=True))


@dataclass(frozen=True, slots=True)
class Parse:
    """A statement to prepare; *oids* as far as the client declares its parameters."""

    name: str
    text: str
    oids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Bind:
    """A portal of a prepared statement and its parameters."""

    portal: str
    statement: str
    parameter_formats: tuple[int, ...]
    parameters: tuple[bytes | None, ...]
    result_formats: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """What is described or closed: *kind* is S, a statement, or P, a portal."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Execute:
    """A portal to read; 0 rows are all of them."""

    portal: str
    max_rows: int


async def read_startup(reader: asyncio.StreamReader) -> Startup:
    """Read what a client sends before anything else.

    Raises:
        WireError: Its length is impossible.
        asyncio.IncompleteReadError: The connection ended.
    """
    length, code = struct.unpack("!iI", await reader.readexactly(8))
    if not 8 <= length <= MAX_STARTUP_BYTES:
        msg = f"the startup message claims {length} bytes; expected 8 to {MAX_STARTUP_BYTES}"
        raise WireError(PROTOCOL_VIOLATION, msg, is_fatal=True)
    return Startup(code, await reader.readexactly(length - 8))


async def read_message(reader: asyncio.StreamReader, max_bytes: int) -> tuple[bytes, bytes]:
    """Read the letter and the body of a message of at most *max_bytes*.

    Raises:
        WireError: It claims to be longer, or shorter than its own length.
        asyncio.IncompleteReadError: The connection ended.
    """
    kind, length = struct.unpack("!ci", await reader.readexactly(5))
    if not 4 <= length <= max_bytes:
        msg = f"a message claims {length} bytes; expected 4 to {max_bytes}"
        raise WireError(PROTOCOL_VIOLATION, msg, is_fatal=True)
    return kind, await reader.readexactly(length - 4)


def query_text(body: bytes) -> str:
    """Return the text of a Query message."""
    fields = _Fields(body)
    text = fields.string()
    fields.end()
    return text


def parse_message(body: bytes) -> Parse:
    """Take a Parse message apart."""
    fields = _Fields(body)
    parsed = Parse(fields.string(), fields.string(), fields.numbers("I"))
    fields.end()
    return parsed


def bind_message(body: bytes) -> Bind:
    """Take a Bind message apart."""
    fields = _Fields(body)
    portal, statement = fields.string(), fields.string()
    formats = fields.numbers("h")
    values = tuple(fields.value() for _ in range(fields.number("!H")))
    bind = Bind(portal, statement, formats, values, fields.numbers("h"))
    fields.end()
    if len(formats) > 1 and len(formats) != len(values):
        msg = f"a Bind message has {len(formats)} formats for {len(values)} parameters"
        raise _malformed(msg)
    return bind


def named_message(body: bytes) -> Named:
    """Take a Describe or Close message apart."""
    fields = _Fields(body)
    kind = fields.letter()
    if kind not in ("S", "P"):
        raise _malformed(f"a message names neither a statement (S) nor a portal (P): {kind!r}")
    named = Named(kind, fields.string())
    fields.end()
    return named


def execute_message(body: bytes) -> Execute:
    """Take an Execute message apart; no limit, or one below zero, is all rows."""
    fields = _Fields(body)
    execute = Execute(fields.string(), max(0, fields.number("!i")))
    fields.end()
    return execute


def cancel_key(body: bytes) -> tuple[int, int]:
    """Return process id and secret of a request to cancel."""
    fields = _Fields(body)
    key = fields.number("!i"), fields.number("!I")
    fields.end()
    return key


def sasl_initial(body: bytes) -> tuple[str, bytes]:
    """Return mechanism and data of the first message of SASL."""
    fields = _Fields(body)
    mechanism, data = fields.string(), fields.value()
    fields.end()
    return mechanism, data or b""


class _Fields:
    """The fields of one message, one after the other."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def string(self) -> str:
        end = self._body.find(b"\0", self._at)
        if end < 0:
            raise _malformed("a string does not end within its message")
        text = _decoded(self._body[self._at : end])
        self._at = end + 1
        return text

    def letter(self) -> str:
        return chr(self.number("!B"))

    def number(self, layout: str) -> int:
        try:
            number: int = struct.unpack_from(layout, self._body, self._at)[0]
        except struct.error as error:
            raise _malformed("a message ends in the middle of a number") from error
        self._at += struct.calcsize(layout)
        return number

    def numbers(self, letter: str) -> tuple[int, ...]:
        count = self.number("!H")
        if count * struct.calcsize(letter) > len(self._body) - self._at:
            raise _malformed(f"a message claims {count} numbers, more than it holds")
        return tuple(self.number(f"!{letter}") for _ in range(count))

    def value(self) -> bytes | None:
        length = self.number("!i")
        if length < 0:
            return None
        if length > len(self._body) - self._at:
            raise _malformed(f"a value claims {length} bytes, more than its message holds")
        self._at += length
        return self._body[self._at - length : self._at]

    def end(self) -> None:
        if self._at != len(self._body):
            raise _malformed(f"a message has {len(self._body) - self._at} bytes too many")


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        msg = f"text is not UTF-8: {data[error.start : error.start + 8]!r}"
        raise WireError("22021", msg) from error


def _malformed(message: str) -> WireError:
    return WireError(PROTOCOL_VIOLATION, message)
