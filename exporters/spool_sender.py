"""What a spool holds, sent to a server for as long as it takes."""

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from exray.schema.errors import LogError

from .log import Encoding
from .otlp_http import Answer, Outcome
from .otlp_settings import Signal
from .spool import Spool

logger = logging.getLogger(__name__)

FIRST_RETRY_S, LONGEST_RETRY_S = 1.0, 60.0
"""Pause after a failure; it doubles with each. A server back after days is found in a minute."""

PAUSED_S = 5.0
"""How often the application is asked whether sending may go on."""


class Sender(Protocol):
    """Sends requests to one destination."""

    url: str

    def send(self, data: bytes, *, is_gzip: bool) -> Answer:
        """Send a request as it is; never raises."""
        ...


class SpoolSender:
    """Keeps requests in a spool and sends them, oldest first, one at a time.

    A thread tries again what could not be sent. Nothing is given up but for want of room,
    or because the server refuses it for good; a server that denies the sender is asked again.

    Args:
        spool: Where they are kept; closed by `shutdown`.
        senders: Of each signal.
        is_paused: Whether nothing may be sent now, such as on a metered network.
        clock: Monotonic seconds.
        report: Told of each problem.
    """

    def __init__(
        self,
        spool: Spool,
        senders: Mapping[Signal, Sender],
        *,
        is_paused: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
        report: Callable[[Signal, str], None] = lambda signal, problem: None,
    ) -> None:
        self.spool = spool
        self._senders = senders
        self._is_paused = is_paused
        self._clock = clock
        self._report = report
        self._start_anew()

    def _start_anew(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._changed = threading.Condition()
        self._is_shut_down = False
        self._thread: threading.Thread | None = None
        self._retry_s, self._retry_at_s = FIRST_RETRY_S, 0.0

    def keep(self, requests: Sequence[tuple[Signal, bytes]], encoding: Encoding) -> None:
        """Put requests on disk.

        Raises:
            LogError: They are not, or not all of them.
        """
        self._be_own_process()
        with self._lock:
            for signal, body in requests:
                self.spool.append(signal, encoding, body, time.time_ns())
            self.spool.sync()

    def send_due(self) -> bool:
        """Send what there is, until a server wants to be left alone.

        Returns:
            Whether nothing is left.
        """
        self._be_own_process()
        with self._sending:
            while not self._is_shut_down:
                with self._lock:
                    spooled = self.spool.oldest()
                if spooled is None:
                    return True
                if self._clock() < self._retry_at_s or self._is_paused():
                    return False
                record = spooled.record
                answer = self._senders[record.signal].send(
                    record.body, is_gzip=record.encoding.is_gzip
                )
                if answer.outcome is Outcome.LATER or answer.is_denied:
                    self._wait_longer(answer.retry_after_s)
                    self._report(record.signal, f"{answer.problem}. What waits is on disk.")
                    return False
                self._retry_s = FIRST_RETRY_S
                if answer.problem:
                    lost = "" if answer.outcome is Outcome.TAKEN else ". It is dropped."
                    self._report(record.signal, f"{answer.problem}{lost}")
                with self._lock:
                    try:
                        self.spool.finish(spooled)
                    except LogError as error:
                        self._report(record.signal, str(error))
            return False

    def send_in_background(self) -> None:
        """Have the thread send what is left, and go on trying."""
        with self._changed:
            if self._thread is None and not self._is_shut_down:
                self._thread = threading.Thread(target=self._work, name="exray-spool", daemon=True)
                self._thread.start()
            self._changed.notify()

    def shutdown(self) -> None:
        """Send no more; what is left is on disk. A second call does nothing."""
        with self._changed:
            if self._is_shut_down:
                return
            self._is_shut_down = True
            self._changed.notify()
        with self._sending, self._lock:
            try:
                self.spool.close()
            except LogError as error:
                logger.warning("exray: %s", error)

    def _work(self) -> None:
        while not self._is_shut_down:
            try:
                is_done = self.send_due()
            except Exception:  # nothing may end what sends
                logger.warning("exray: the spool could not be sent", exc_info=True)
                is_done = False
                self._wait_longer(0.0)
            with self._changed:
                if not self._is_shut_down:
                    self._changed.wait(None if is_done else self._pause_s())

    def _pause_s(self) -> float:
        left_s = self._retry_at_s - self._clock()
        return left_s if left_s > 0 else PAUSED_S

    def _wait_longer(self, asked_s: float) -> None:
        # Devices that lost one server must not all come back in the same second.
        pause_s = max(self._retry_s * random.uniform(0.75, 1.25), asked_s)
        self._retry_at_s = self._clock() + pause_s
        self._retry_s = min(2 * self._retry_s, LONGEST_RETRY_S)

    def _be_own_process(self) -> None:
        if self._pid != os.getpid():
            self._start_anew()
            self.spool.reopen_in_child()
