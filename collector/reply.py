"""What the collector answers, before it is put into the words of gRPC or HTTP."""

from dataclasses import dataclass
from enum import Enum

from exray.exporters.wire import delimited, integer, text

RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"


class Outcome(Enum):
    """What became of a request."""

    TAKEN = "taken"
    """On disk, but for what `Reply.rejected` counts."""
    BAD = "bad"
    """It is no OTLP; sending it again is no use."""
    TOO_LARGE = "too_large"
    """It is beyond a limit; likewise."""
    UNAUTHENTICATED = "unauthenticated"
    """It carries no token that is known."""
    LATER = "later"
    """It can be taken later: send it again."""


GRPC_CODES = {
    Outcome.BAD: 3,
    Outcome.TOO_LARGE: 8,
    Outcome.LATER: 14,
    Outcome.UNAUTHENTICATED: 16,
}
"""INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNAVAILABLE, UNAUTHENTICATED: the numbers of
google.rpc.Code, which the bodies of HTTP errors carry too."""

HTTP_CODES = {
    Outcome.TAKEN: 200,
    Outcome.BAD: 400,
    Outcome.UNAUTHENTICATED: 401,
    Outcome.TOO_LARGE: 413,
    Outcome.LATER: 503,
}


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one request.

    Args:
        outcome: What became of it.
        message: In words for whoever runs the client; never of the server's insides.
        rejected: Spans, points or records of a request taken that were left out.
        retry_after_s: How long the client is to wait where it is to come again.
    """

    outcome: Outcome
    message: str = ""
    rejected: int = 0
    retry_after_s: int = 0


STORED = Reply(Outcome.TAKEN)
"""What nearly all requests are answered."""


class RefusedError(Exception):
    """A request is not taken.

    Args:
        reply: The answer to it.
        reason: One word for the counters.
    """

    def __init__(self, reply: Reply, reason: str) -> None:
        super().__init__(reply.message)
        self.reply = reply
        self.reason = reason


def bad(message: str) -> RefusedError:
    """Return the refusal of what is no OTLP."""
    return RefusedError(Reply(Outcome.BAD, message), "bad")


def too_large(message: str) -> RefusedError:
    """Return the refusal of what is beyond a limit."""
    return RefusedError(Reply(Outcome.TOO_LARGE, message), "too_large")


def later(message: str, retry_after_s: int, reason: str) -> RefusedError:
    """Return the refusal of what can be taken later."""
    return RefusedError(Reply(Outcome.LATER, message, retry_after_s=retry_after_s), reason)


def response_protobuf(reply: Reply) -> bytes:
    """Return the ``Export...ServiceResponse`` of a request that was taken."""
    if not reply.rejected and not reply.message:
        return b""
    count = integer(1, reply.rejected) if reply.rejected else b""
    return delimited(1, count + text(2, reply.message))


def status_protobuf(code: int, message: str, retry_after_s: int = 0) -> bytes:
    """Return a ``google.rpc.Status``."""
    details = b""
    if retry_after_s:
        info = delimited(1, integer(1, retry_after_s))
        details = delimited(3, text(1, RETRY_INFO) + delimited(2, info))
    return integer(1, code) + text(2, message) + details
