"""A collector: its servers, its log, their beginning and end."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from exray.exporters.log_writer import LogWriter
from exray.schema.errors import UsageError

from .address import Address, check_exposure, listen, parse_address
from .board import Board
from .commit import GroupCommitter
from .figures import Figures, Health
from .grpc_server import GrpcServer
from .http_app import HttpApp
from .http_quick import QuickPath
from .http_server import HttpLimits, HttpServer
from .intake import Intake
from .limits import Budget
from .measures import Measures
from .settings import Settings
from .tls import Tls
from .tokens import Tokens
from .turn import Turn

logger = logging.getLogger(__name__)

GRACE_S = 10.0
"""Longest time that a stop waits for requests under way."""


@dataclass(frozen=True, slots=True)
class Shared:
    """Of one of several processes that listen at the same addresses.

    Args:
        number: Which one it is.
        board: Where they tell each other their numbers.
    """

    number: int
    board: Board


class Collector:
    """Listens as its settings say, from `start` to `stop`.

    Args:
        settings: The settings.
        on_step: Called with the name of each step on the way to disk, for trials.
        shared: Where it is one of several; None for one alone.

    Raises:
        UsageError: Settings do not go together, an address is taken, a file is missing.
        LogError: The log is in use, or cannot be written.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        on_step: Callable[[str], None] = lambda step: None,
        shared: Shared | None = None,
    ) -> None:
        addresses = addresses_of(settings)
        tls = _tls(settings)
        check_exposure(
            addresses,
            has_tls=tls is not None,
            has_token=settings.token_file is not None or settings.client_ca is not None,
            insecure=settings.insecure,
        )
        tokens = Tokens(settings.token_file)
        self._stopping = threading.Event()
        is_shared = shared is not None
        self._bound = (
            listen(addresses["http"], "--http", is_shared=is_shared)
            if "http" in addresses
            else None
        )
        self._grpc: GrpcServer | None = None
        self._http: HttpServer | None = None
        try:
            self.writer = LogWriter(settings.wal)
        except BaseException:
            self._close_socket()
            raise
        if self.writer.torn_bytes:
            logger.warning("cut %d bytes off the log's end", self.writer.torn_bytes)
        self.committer = GroupCommitter(
            self.writer,
            max_bytes=settings.max_log_bytes,
            when_full=settings.when_full,
            retry_after_s=settings.retry_after_s,
            on_step=on_step,
        )
        self.measures = Measures()
        budget = Budget(settings.max_inflight_bytes, settings.retry_after_s)
        self._watch(budget)
        turn = Turn(shared.board.descriptor if shared is not None else None)
        self.intake = intake = Intake(
            self.committer, settings.limits(), budget, self.measures, turn
        )
        try:
            if "grpc" in addresses:
                self._grpc = GrpcServer(
                    addresses["grpc"], intake, tokens, tls, settings.threads, is_shared=is_shared
                )
        except BaseException:
            self._close_socket()
            self.committer.close()
            raise
        self._pool = ThreadPoolExecutor(settings.threads, "exray-take")
        health = Health(self._is_alive, self._is_ready)
        board, number = (shared.board, shared.number) if shared else (None, 0)
        self.figures = Figures(self.measures, health, board, number)
        if self._bound is not None:
            app = HttpApp(intake, tokens, self.figures, self._pool, settings.body_timeout_s)
            limits = HttpLimits(
                settings.max_connections, settings.max_request_bytes, settings.body_timeout_s
            )
            quick = QuickPath(intake, tokens)
            self._http = HttpServer(app, quick, self._bound, tls, limits)

    @property
    def grpc_address(self) -> Address | None:
        """Where gRPC is taken."""
        return self._grpc.address if self._grpc is not None else None

    @property
    def http_address(self) -> Address | None:
        """Where HTTP is taken."""
        if self._bound is None:
            return None
        host, port = self._bound.getsockname()[:2]
        return Address(host, port)

    def start(self) -> None:
        """Take requests from now on."""
        if self._grpc is not None:
            self._grpc.start()
        if self._http is not None:
            self._http.start()
        self.figures.start()

    def stop(self) -> None:
        """Take no more, bring what is under way to disk, close the log."""
        self._stopping.set()
        if self._grpc is not None:
            self._grpc.stop(GRACE_S)
        if self._http is not None:
            self._http.stop()
        self._pool.shutdown()
        self.committer.close()
        self.figures.stop()

    def _is_alive(self) -> bool:
        return self.committer.is_alive

    def _is_ready(self) -> bool:
        return not self._stopping.is_set() and self.committer.is_working

    def _close_socket(self) -> None:
        if self._bound is not None:
            self._bound.close()

    def _watch(self, budget: Budget) -> None:
        counts, watch = self.committer.counts, self.measures.watch
        watch("log_bytes", "Bytes of the log.", lambda: self.committer.size_bytes)
        watch("unread_sequences", "Log not read yet.", lambda: self.committer.unread_records)
        watch("inflight_bytes", "Bytes of requests under way.", lambda: budget.used_bytes)
        watch("syncs", "Syncs of the log.", lambda: counts.syncs)
        watch("sync_seconds", "Time in syncs of the log.", lambda: counts.sync_s)
        watch("dropped_records", "Requests given up for room.", lambda: counts.dropped_records)
        watch("dropped_bytes", "Bytes given up for room.", lambda: counts.dropped_bytes)
        watch("log_failures", "Failed writes of the log.", lambda: counts.failures)
        watch("torn_bytes", "Cut off at opening.", lambda: self.writer.torn_bytes)


def addresses_of(settings: Settings) -> dict[str, Address]:
    """Return where a collector is to listen, by protocol.

    Raises:
        UsageError: Nowhere, or what is named is no address.
    """
    addresses = {
        name: parse_address(text, f"--{name}")
        for name, text in (("grpc", settings.grpc), ("http", settings.http))
        if text != "none"
    }
    if not addresses:
        msg = "--grpc none and --http none leave nothing to listen at; give one an address"
        raise UsageError(msg)
    return addresses


def _tls(settings: Settings) -> Tls | None:
    if settings.tls_cert is None and settings.tls_key is None:
        if settings.client_ca is not None:
            msg = "--client-ca needs --tls-cert and --tls-key"
            raise UsageError(msg)
        return None
    if settings.tls_cert is None or settings.tls_key is None:
        msg = "--tls-cert and --tls-key go together; give both"
        raise UsageError(msg)
    tls = Tls(settings.tls_cert, settings.tls_key, settings.client_ca)
    tls.check()
    return tls
