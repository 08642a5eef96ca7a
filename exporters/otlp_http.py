"""One OTLP request over HTTP, and what the server says to it."""

import email.utils
import http.client
import math
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import IO, Any

from .otlp_settings import Destination
from .typing import Buffer

RETRYABLE = frozenset({408, 429, 502, 503, 504})
"""Answers after which the same request may be taken later. The specification of OTLP names
the last four; 408 is a server that did not get the request in time."""

DENIED = frozenset({401, 403, 404, 407})
"""Answers that are no fault of the request's: a token or an address must be set right first."""

GZIP_LEVEL = 1
"""Higher levels take several times as long for a few percent: sketches are random."""

TEXT_LIMIT = 300
"""Characters kept of what a server writes."""


class Outcome(Enum):
    """What became of a request."""

    TAKEN = "taken"
    REFUSED = "refused"
    """For good: sending it again would not help."""
    LATER = "later"
    """It may be taken if it is sent again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server, or the lack of one, said to a request.

    Args:
        outcome: What became of it.
        problem: In words, empty where there is none.
        retry_after_s: How long the server wants to be left alone.
        is_denied: Whether the server refuses whoever sends, not what is sent.
    """

    outcome: Outcome
    problem: str = ""
    retry_after_s: float = 0.0
    is_denied: bool = False


class HttpSender:
    """Posts requests to one destination.

    Proxies are those of the standard variables; redirections are not followed, since a
    request would arrive there without its body.

    Args:
        destination: Where and how.
        user_agent: Name of the sender.

    Raises:
        UsageError: A certificate cannot be used.
    """

    def __init__(self, destination: Destination, user_agent: str) -> None:
        self.url = destination.url
        self._timeout_s = destination.timeout_s
        self.packs = destination.gzip
        self._headers: dict[str, str] = {
            "User-Agent": user_agent,
            **destination.headers,
            "Content-Type": "application/x-protobuf",
        }
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if self.url.startswith("https:"):
            handlers.append(urllib.request.HTTPSHandler(context=destination.ssl_context()))
        self._opener = urllib.request.build_opener(*handlers)

    def post(self, body: Sequence[Buffer]) -> Answer:
        """Send one request and return the answer; what goes wrong on the way is one too."""
        return self.send(self.pack(body), is_gzip=self.packs)

    def pack(self, body: Sequence[Buffer]) -> bytes:
        """Return a request as it is sent, in gzip where `packs` says so."""
        return gzip_parts(body) if self.packs else b"".join(body)

    def send(self, data: bytes, *, is_gzip: bool) -> Answer:
        """Send one request, packed or not, and return the answer."""
        headers = self._headers | ({"Content-Encoding": "gzip"} if is_gzip else {})
        request = urllib.request.Request(self.url, data, headers, method="POST")
        try:
            with self._opener.open(request, timeout=self._timeout_s) as response:
                return _accepted(response.read())
        except urllib.error.HTTPError as error:
            with error:
                return _refused(error)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            return Answer(Outcome.LATER, f"it cannot be reached: {reason!r}")


def gzip_parts(parts: Sequence[Buffer]) -> bytes:
    """Return *parts*, one after the other, as one gzip file."""
    packer = zlib.compressobj(GZIP_LEVEL, wbits=31)  # 31: gzip, not zlib
    return b"".join([*(packer.compress(part) for part in parts), packer.flush()])


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> None:
        """Follow nowhere: the answer is an error like others."""


def _accepted(body: bytes) -> Answer:
    rejected, message = partial_success(body)
    if not rejected and not message:
        return Answer(Outcome.TAKEN)
    return Answer(Outcome.TAKEN, f"it took all but {rejected} records: {message[:TEXT_LIMIT]}")


def _refused(error: urllib.error.HTTPError) -> Answer:
    try:
        words = error.read(TEXT_LIMIT).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        words = ""
    printable = "".join(c if c.isprintable() else " " for c in words).strip()
    problem = f"it answered {error.code} {error.reason}: {printable}".removesuffix(": ")
    if error.code not in RETRYABLE:
        return Answer(Outcome.REFUSED, problem, is_denied=error.code in DENIED)
    return Answer(Outcome.LATER, problem, _retry_after_s(error.headers.get("Retry-After")))


def _retry_after_s(text: str | None) -> float:
    """Return the seconds that a ``Retry-After`` header asks for: a number, or a date."""
    if not text:
        return 0.0
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except ValueError:
            return 0.0
    return max(seconds, 0.0) if math.isfinite(seconds) else 0.0


def partial_success(body: bytes) -> tuple[int, str]:
    """Return how many records an ``Export...ServiceResponse`` rejects, and why.

    A response that cannot be read rejects nothing: the server has taken the request.
    """
    rejected, message = 0, ""
    try:
        for number, value in _fields(body):
            if number == 1 and isinstance(value, bytes):
                inside = dict(_fields(value))
                rejected, message = int(inside.get(1, 0)), bytes(inside.get(2, b"")).decode()
    except (ValueError, IndexError, TypeError):
        return 0, ""
    return rejected, message


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each varint or length-delimited field."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        value, at = _varint(data, at)
        if tag & 7 == 2:
            yield tag >> 3, data[at : at + value]
            at += value
        elif tag & 7 == 0:
            yield tag >> 3, value
        else:
            raise ValueError("a wire type that no response has")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
