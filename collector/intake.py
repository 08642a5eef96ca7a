"""One request from its bytes to its answer: bounds, structure, log."""

import logging
import time
from dataclasses import dataclass

from exray.exporters.log import Encoding
from exray.exporters.otlp_settings import Signal

from .commit import GroupCommitter
from .limits import Budget, Limits, Reservation, gunzip
from .measures import Measures
from .reply import Outcome, RefusedError, Reply, later, too_large
from .structure import check_request

logger = logging.getLogger(__name__)

GZIP_MAGIC = b"\x1f\x8b"
"""No protobuf and no JSON begins like this."""

_ENCODINGS = {
    (False, False): Encoding.PROTOBUF,
    (True, False): Encoding.JSON,
    (False, True): Encoding.PROTOBUF_GZIP,
    (True, True): Encoding.JSON_GZIP,
}


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as it came.

    Args:
        signal: What it carries.
        body: As received.
        is_json: OTLP's JSON, else protobuf.
        is_gzip: Whether the body is compressed.
    """

    signal: Signal
    body: bytes
    is_json: bool = False
    is_gzip: bool = False


class Intake:
    """Takes requests from any thread; `take` returns when they are on disk, or refused.

    Args:
        committer: Puts them there.
        limits: Bounds of one request.
        budget: Bound of all at once.
        measures: Counts what happens.
    """

    def __init__(
        self, committer: GroupCommitter, limits: Limits, budget: Budget, measures: Measures
    ) -> None:
        self.limits = limits
        self.budget = budget
        self.measures = measures
        self._committer = committer

    def take(self, arrival: Arrival, *, reserved_bytes: int = 0) -> Reply:
        """Store a request.

        Args:
            arrival: The request.
            reserved_bytes: What its caller has reserved of the budget for the body already.

        Returns:
            The answer; never raises.
        """
        started_s = time.perf_counter()
        try:
            with Reservation(self.budget) as reserved:
                reserved.add(max(len(arrival.body) - reserved_bytes, 0))
                reply, records = self._take(arrival, reserved)
        except RefusedError as refused:
            self.measures.refused(arrival.signal, refused.reason)
            return refused.reply
        except Exception:  # a bug of ours must not be shown, nor lose what can be sent again
            logger.exception("a request could not be taken")
            self.measures.refused(arrival.signal, "error")
            return later("the collector failed; send again", 2, "error").reply
        taken_s = time.perf_counter() - started_s
        self.measures.taken(arrival.signal, records, reply.rejected, len(arrival.body), taken_s)
        return reply

    def _take(self, arrival: Arrival, reserved: Reservation) -> tuple[Reply, int]:
        received_ns = time.time_ns()
        if len(arrival.body) > self.limits.request_bytes:
            message = f"the request is larger than {self.limits.request_bytes} bytes"
            raise too_large(message)
        data = arrival.body
        if arrival.is_gzip:
            data = gunzip(data, self.limits, reserved)
        checked = check_request(arrival.signal, data, self.limits, is_json=arrival.is_json)
        del data
        if checked.records > checked.rejected:
            encoding = _ENCODINGS[arrival.is_json, arrival.is_gzip]
            body = arrival.body
            if checked.sound is not None:
                encoding, body = Encoding.PROTOBUF, checked.sound
            self._committer.commit(arrival.signal, encoding, body, received_ns)
        reply = Reply(Outcome.TAKEN, checked.message, checked.rejected)
        return reply, checked.records - checked.rejected
