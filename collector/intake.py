"""One request from its bytes to its answer: bounds, structure, log."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from exray.exporters.log import Encoding
from exray.exporters.log_packing import Packing, pack
from exray.exporters.otlp_settings import Signal
from exray.exporters.typing import Buffer

from .commit import GroupCommitter
from .entry import Entry, LoopWait, OnDone, ThreadWait
from .limits import Budget, Limits, Reservation, gunzip
from .measures import Measures
from .quick_check import count_sound
from .reply import STORED, Outcome, RefusedError, Reply, later, too_large
from .structure import Checked, check_request
from .turn import Turn

logger = logging.getLogger(__name__)

GZIP_MAGIC = b"\x1f\x8b"
"""No protobuf and no JSON begins like this."""

QUICK_BYTES = 2 << 20
"""Up to here a sound request is checked and packed where it came in: in two milliseconds, and
to have another thread do it takes longer where all cores are at work."""

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
    """Takes requests, in threads that wait or in tasks that do.

    Args:
        committer: Puts them there.
        limits: Bounds of one request.
        budget: Bound of all at once.
        measures: Counts what happens.
        turn: Of the requests that have to be parsed.
    """

    def __init__(
        self,
        committer: GroupCommitter,
        limits: Limits,
        budget: Budget,
        measures: Measures,
        turn: Turn,
    ) -> None:
        self.limits = limits
        self.budget = budget
        self.measures = measures
        self._committer = committer
        self._turn = turn

    def waits(self, loop: asyncio.AbstractEventLoop) -> LoopWait:
        """Return how requests that come in an event loop are stored."""
        return LoopWait(loop, self._committer.submit)

    def take(self, arrival: Arrival) -> Reply:
        """Store a request; returns when it is on disk, or refused.

        Returns:
            The answer; never raises.
        """
        started_s = time.perf_counter()
        try:
            with Reservation(self.budget) as reserved:
                reserved.add(len(arrival.body))
                ready = self._prepare(arrival, reserved)
                if ready.body is not None:
                    waiter = ThreadWait()
                    entry = ready.entry(waiter.on_done)
                    self._committer.submit([entry])
                    waiter.wait()
                    if entry.refusal is not None:
                        raise entry.refusal
        except Exception as error:  # noqa: BLE001  a bug must not be shown to a client
            return self._refusal(arrival.signal, error)
        return self._taken(arrival.signal, len(arrival.body), ready.checked, started_s)

    async def take_soon(
        self, arrival: Arrival, waits: LoopWait, pool: Executor, reserved: Reservation
    ) -> Reply:
        """Store a request without a thread that waits for it.

        Args:
            arrival: The request.
            waits: Of the running event loop.
            pool: Does what takes its time.
            reserved: Has the body already.

        Returns:
            The answer; never raises.
        """
        started_s = time.perf_counter()
        try:
            is_plain = not (arrival.is_gzip or arrival.is_json)
            records = self._sound_records(arrival.signal, arrival.body) if is_plain else 0
            if records:
                ready = _ready(arrival.signal, Encoding.PROTOBUF, arrival.body, Checked(records))
            else:
                loop = asyncio.get_running_loop()
                ready = await loop.run_in_executor(pool, self._prepare, arrival, reserved)
            if ready.body is not None:
                future, on_done = waits.future()
                entry = ready.entry(on_done)
                waits.submit(entry)
                await future
                if entry.refusal is not None:
                    raise entry.refusal
        except Exception as error:  # noqa: BLE001  likewise
            return self._refusal(arrival.signal, error)
        return self._taken(arrival.signal, len(arrival.body), ready.checked, started_s)

    def take_quickly(
        self, signal: Signal, body: Buffer, waits: LoopWait, answer: Callable[[Reply], None]
    ) -> bool:
        """Store a sound request of protobuf that is not large, without a task of its own.

        Args:
            signal: What it carries.
            body: The request; its memory may be used again afterwards.
            waits: Of the running event loop.
            answer: Called in the loop when it is on disk, or refused.

        Returns:
            False where it is no such request, or finds no memory: nothing has been done.
        """
        started_s = time.perf_counter()
        size_bytes = len(body)
        try:
            records = self._sound_records(signal, body)
            if not records:
                return False
            packing, stored = pack(body)
            self.budget.take(size_bytes)
        except Exception:  # noqa: BLE001  whoever takes it the other way finds out
            return False

        def go_on(entry: Entry) -> None:
            self.budget.give_back(size_bytes)
            if entry.refusal is not None:
                answer(self._refusal(signal, entry.refusal))
            else:
                taken_s = time.perf_counter() - started_s
                self.measures.taken(signal, records, 0, size_bytes, taken_s)
                answer(STORED)

        on_done = waits.then(go_on)
        entry = Entry(signal, Encoding.PROTOBUF, packing, stored, time.time_ns(), on_done)
        waits.submit(entry)
        return True

    def _refusal(self, signal: Signal, error: Exception) -> Reply:
        if isinstance(error, RefusedError):
            self.measures.refused(signal, error.reason)
            return error.reply
        # What is a bug of ours can be sent again.
        logger.error("a request could not be taken", exc_info=error)
        self.measures.refused(signal, "error")
        return later("the collector failed; send again", 2, "error").reply

    def _taken(self, signal: Signal, size_bytes: int, checked: Checked, started_s: float) -> Reply:
        taken_s = time.perf_counter() - started_s
        records = checked.records - checked.rejected
        self.measures.taken(signal, records, checked.rejected, size_bytes, taken_s)
        return Reply(Outcome.TAKEN, checked.message, checked.rejected)

    def _sound_records(self, signal: Signal, body: Buffer) -> int:
        """Return how many records a sound request of protobuf has, 0 of a large one."""
        if len(body) > min(QUICK_BYTES, self.limits.request_bytes):
            return 0
        return count_sound(signal, body, self.limits) or 0

    def _prepare(self, arrival: Arrival, reserved: Reservation) -> "_Ready":
        if len(arrival.body) > self.limits.request_bytes:
            message = f"the request is larger than {self.limits.request_bytes} bytes"
            raise too_large(message)
        data = arrival.body
        if arrival.is_gzip:
            data = gunzip(data, self.limits, reserved)
        checked = check_request(
            arrival.signal, data, self.limits, self._turn, is_json=arrival.is_json
        )
        del data
        if checked.records == checked.rejected:
            return _Ready(arrival.signal, Encoding.PROTOBUF, Packing.NONE, None, 0, checked)
        if checked.sound is not None:
            return _ready(arrival.signal, Encoding.PROTOBUF, checked.sound, checked)
        encoding = _ENCODINGS[arrival.is_json, arrival.is_gzip]
        return _ready(arrival.signal, encoding, arrival.body, checked)


@dataclass(frozen=True, slots=True)
class _Ready:
    """A request that was checked; without a body where nothing of it is to be stored."""

    signal: Signal
    encoding: Encoding
    packing: Packing
    body: Buffer | None
    received_ns: int
    checked: Checked

    def entry(self, on_done: OnDone) -> Entry:
        """Return what the log takes."""
        assert self.body is not None
        return Entry(self.signal, self.encoding, self.packing, self.body, self.received_ns, on_done)


def _ready(signal: Signal, encoding: Encoding, body: Buffer, checked: Checked) -> _Ready:
    packing, stored = (Packing.NONE, body) if encoding.is_gzip else pack(body)
    return _Ready(signal, encoding, packing, stored, time.time_ns(), checked)
