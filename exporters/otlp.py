"""Batches of records to an OTLP server."""

import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter

from exray.schema.errors import LogError
from exray.schema.records import Graph, Run

from .log import Encoding
from .otlp_http import HttpSender, Outcome
from .otlp_requests import Request, RequestEncoder
from .otlp_settings import SIGNALS, Signal, destination, environment_attributes
from .spool import Spool
from .spool_sender import SpoolSender
from .typing import ExportResult, RecordBatch

logger = logging.getLogger(__name__)


class OTLPExporter:
    """Posts each batch to an OTLP server over HTTP: a collector, or any other that takes it.

    Runs and graphs go as logs, recorded numbers as metrics, all else as traces. One call at
    a time does the work; others wait. Of a batch that was cut short, what the server has
    taken is not sent again.

    With a spool, a batch is taken when it is on disk there, and sent from there for as long
    as it takes, by the next process too. Without one it stays with the caller.

    Args:
        endpoint: Base of the URLs, such as ``http://collector:4318``; None asks
            OpenTelemetry's variables, which say the rest (headers, timeout, compression,
            certificates) in any case.
        environment: Attributes of every resource that a run does not say itself; None asks
            OpenTelemetry's variables.
        spool: Where what was not taken yet is kept; closed by `shutdown`.
        is_paused: Asked before each request from the spool whether it must wait, such as on
            a metered network.

    Raises:
        UsageError: An address is no HTTP URL, or a variable has a value that it cannot have.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        environment: Mapping[str, object] | None = None,
        spool: Spool | None = None,
        is_paused: Callable[[], bool] = lambda: False,
    ) -> None:
        self._encoder = RequestEncoder(
            environment_attributes() if environment is None else environment
        )
        self._senders: dict[Signal, HttpSender] = {
            signal: HttpSender(destination(signal, endpoint), "exray") for signal in SIGNALS
        }
        self._lock = threading.Lock()
        self._is_shut_down = False
        self._logged: set[tuple[Signal, str]] = set()
        self._retry_at_s = 0.0
        self._unfinished: weakref.ref[RecordBatch] | None = None
        self._sent = 0
        self._described = _Described()
        self._spool: SpoolSender | None = None
        self._dropped_requests = 0
        if spool is not None:
            self._spool = SpoolSender(
                spool, self._senders, is_paused=is_paused, report=self._report
            )
            self._spool.send_in_background()  # what an earlier process has left

    @property
    def url(self) -> str:
        """Where traces go."""
        return self._senders["traces"].url

    def export(self, batch: RecordBatch) -> ExportResult:
        """Send *batch*, or log why not; never raises.

        Returns:
            SUCCESS when the server has taken it, or refused it for good: then it is dropped.
            FAILURE when it may be taken later: pass the same object again. Also FAILURE
            after `shutdown`.
        """
        if self._is_shut_down:
            return ExportResult.FAILURE
        try:
            with self._lock:
                return self._export(batch)
        except Exception as error:  # noqa: BLE001  whatever a bad value makes an encoder raise
            self._report("traces", f"a batch is dropped, it cannot be encoded: {error!r}")
            return ExportResult.SUCCESS

    def shutdown(self) -> None:
        """Send no more; a second call does nothing."""
        self._is_shut_down = True
        if self._spool is not None:
            self._spool.shutdown()

    def _keep(self, batch: RecordBatch, spool: SpoolSender) -> ExportResult:
        """Put *batch* into the spool, and send from there what goes now."""
        if spool.spool.dropped_requests > self._dropped_requests:
            self._dropped_requests = spool.spool.dropped_requests
            self._report("traces", "the spool is full: the oldest requests are dropped")
            self._described.repeat()  # what describes the runs may have been among them
        if self._unfinished is None or self._unfinished() is not batch:
            self._unfinished = weakref.ref(batch)
            self._described.learn(batch)
        for signal, group in groupby(self._requests(batch), itemgetter(0)):
            sender = self._senders[signal]
            encoding = Encoding.PROTOBUF_GZIP if sender.packs else Encoding.PROTOBUF
            packed: list[tuple[Signal, bytes]] = [(signal, sender.pack(body)) for _, body in group]
            try:
                spool.keep(packed, encoding)
            except LogError as error:
                self._report(signal, f"{error} The records wait in memory.")
                return ExportResult.FAILURE
        self._described.settle()
        self._unfinished = None
        if not spool.send_due():
            spool.send_in_background()
        return ExportResult.SUCCESS

    def _export(self, batch: RecordBatch) -> ExportResult:
        if self._spool is not None:
            return self._keep(batch, self._spool)
        if time.monotonic() < self._retry_at_s:
            return ExportResult.FAILURE
        if self._unfinished is None or self._unfinished() is not batch:
            self._unfinished, self._sent = weakref.ref(batch), 0
            self._described.learn(batch)
        for number, (signal, body) in enumerate(self._requests(batch)):
            if number < self._sent:
                continue
            answer = self._senders[signal].post(body)
            if answer.outcome is Outcome.LATER:
                self._report(signal, f"{answer.problem}. The records wait and are sent again.")
                self._retry_at_s = time.monotonic() + answer.retry_after_s
                return ExportResult.FAILURE
            if answer.outcome is Outcome.REFUSED:
                self._report(signal, f"{answer.problem}. Such records are dropped.")
            elif answer.problem:
                self._report(signal, answer.problem)
            self._sent = number + 1
        self._described.settle()
        self._unfinished = None
        return ExportResult.SUCCESS

    def _requests(self, batch: RecordBatch) -> Iterator[tuple[Signal, Request]]:
        """Yield the same requests in the same order each time that *batch* is tried."""
        graphs = self._described.missing()
        runs = {run.run_id: run for run in (*(run for run, _ in graphs), *batch.runs)}
        for body in self._encoder.logs(runs.values(), graphs, time.time_ns()):
            yield "logs", body
        for body in self._encoder.metrics(batch.frames, batch.metrics):
            yield "metrics", body
        for body in self._encoder.traces(batch.frames, batch.spans):
            yield "traces", body

    def _report(self, signal: Signal, problem: str) -> None:
        """Log *problem* the first time that one of its kind comes."""
        kind = (signal, problem.partition(":")[0])
        if kind not in self._logged:
            self._logged.add(kind)
            logger.warning("exray: sending to %s: %s", self._senders[signal].url, problem)


class _Described:
    """Which models have been described to the server: each once for every run of it."""

    def __init__(self) -> None:
        self._graphs: dict[str, Graph] = {}
        self._runs: dict[bytes, Run] = {}
        self._done: dict[bytes, Run] = {}

    def learn(self, batch: RecordBatch) -> None:
        """Take note of the graphs and runs of a batch."""
        self._graphs |= {graph.model_sha256: graph for graph in batch.graphs}
        self._runs |= {run.run_id: run for run in batch.runs if run.run_id not in self._done}

    def missing(self) -> list[tuple[Run, Graph]]:
        """Return the graphs that are to be sent, with the runs they are of."""
        return [
            (run, self._graphs[run.model_sha256])
            for run in self._runs.values()
            if run.model_sha256 in self._graphs
        ]

    def settle(self) -> None:
        """Remember that what `missing` returned has been sent."""
        sent = [run.run_id for run, _ in self.missing()]
        for run_id in sent:
            self._done[run_id] = self._runs.pop(run_id)

    def repeat(self) -> None:
        """Have all described again."""
        self._runs = self._done | self._runs
        self._done = {}
