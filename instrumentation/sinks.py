"""Where records go: to a lake, to an OTLP server, or to both."""

import os
import time
from collections.abc import Callable, Sequence

from exray.exporters.buffer import RecordBuffer
from exray.exporters.lake import LakeExporter
from exray.exporters.otlp import OTLPExporter
from exray.exporters.otlp_settings import check_endpoint, endpoint_from_environment
from exray.exporters.spool import Spool
from exray.exporters.typing import RecordExporter
from exray.schema.errors import ExrayError, MissingExtraError, UsageError
from exray.schema.records import FrameRecord, Graph, LaterFrames, MetricRecord, Run

from .config import Config
from .guard import log_once
from .recorder import RecordSink


def endpoint_of(endpoint: str | None, *, lake_named: bool) -> str | None:
    """Return the OTLP server that records go to, None for none.

    An explicit argument comes first, then ``EXRAY_ENDPOINT``. OpenTelemetry's variables are
    for all of an application's telemetry: they decide where neither an endpoint nor a lake
    is named for exray's own.

    Args:
        endpoint: The argument of `exray.configure()`.
        lake_named: Whether argument or variable names a lake.

    Raises:
        UsageError: *endpoint* is no HTTP URL. A variable that is none is logged.
    """
    if endpoint is not None:
        return check_endpoint(str(endpoint), "endpoint")
    named = os.environ.get("EXRAY_ENDPOINT", "").strip()
    if named:
        return _checked(named, "EXRAY_ENDPOINT")
    general = None if lake_named else endpoint_from_environment()
    return _checked(general, "OTEL_EXPORTER_OTLP_ENDPOINT") if general else None


def _checked(endpoint: str, name: str) -> str | None:
    try:
        return check_endpoint(endpoint, name)
    except UsageError as error:
        log_once(name, f"{error}; it is ignored.")
        return None


def is_lake_named(lake: object) -> bool:
    """Tell whether the user names a lake, by the argument *lake* or by variable."""
    return lake is not None or bool(os.environ.get("EXRAY_LAKE", "").strip())


def open_sink(
    config: Config,
    endpoint: str | None,
    *,
    into_lake: bool,
    is_paused: Callable[[], bool] = lambda: False,
) -> RecordSink | None:
    """Open what records go to; log what cannot be opened.

    Args:
        config: Names lake and spool.
        endpoint: OTLP server, None for none.
        into_lake: Whether the lake gets them.
        is_paused: Whether nothing may be sent now.

    Returns:
        None where nothing could be opened.
    """
    sinks: list[RecordSink] = []
    if into_lake:
        exporter = _open_lake(config)
        if exporter is not None:
            sinks.append(RecordBuffer(exporter))
    if endpoint is not None:
        exporter = _open_endpoint(endpoint, config, is_paused)
        if exporter is not None:
            sinks.append(RecordBuffer(exporter))
    return sinks[0] if len(sinks) == 1 else Tee(sinks) if sinks else None


def _open_lake(config: Config) -> RecordExporter | None:
    try:
        return LakeExporter(config.lake, full_ring_bytes=config.full_ring_bytes)
    except MissingExtraError as error:
        log_once("lake extra", f"{error}. Nothing is recorded; the application runs on.")
    except ExrayError as error:
        log_once("lake", f"{error} Nothing is recorded; the application runs on.")
    return None


def _open_endpoint(
    endpoint: str, config: Config, is_paused: Callable[[], bool]
) -> RecordExporter | None:
    # The variable of traces alone has a path of its own, which a base would hide.
    base = None if endpoint == endpoint_from_environment() else endpoint
    try:
        return OTLPExporter(base, spool=_open_spool(config), is_paused=is_paused)
    except ExrayError as error:
        log_once("endpoint", f"{error} Nothing is sent; the application runs on.")
    return None


def _open_spool(config: Config) -> Spool | None:
    """Open the spool; a device whose disk takes nothing sends from memory."""
    if config.spool is None:
        return None
    try:
        return Spool(config.spool, max_bytes=config.spool_bytes)
    except ExrayError as error:
        log_once("spool", f"{error} What cannot be sent at once waits in memory.")
        return None


class Tee:
    """Gives every record to several sinks, each of which waits and tries again by itself.

    Args:
        sinks: Where records go.
    """

    def __init__(self, sinks: Sequence[RecordSink]) -> None:
        self._sinks = tuple(sinks)

    def add_run(self, run: Run) -> None:
        """Give all a run."""
        for sink in self._sinks:
            sink.add_run(run)

    def add_graph(self, graph: Graph) -> None:
        """Give all a model's operators."""
        for sink in self._sinks:
            sink.add_graph(graph)

    def add_frame(self, frame: FrameRecord) -> None:
        """Give all a complete frame."""
        for sink in self._sinks:
            sink.add_frame(frame)

    @property
    def add_frames_later(self) -> Callable[[LaterFrames], None] | None:
        """Gives all frames whose records are made later; None where one has no such time."""
        takers: list[Callable[[LaterFrames], None]] = []
        for sink in self._sinks:
            taker = getattr(sink, "add_frames_later", None)
            if taker is None:
                return None
            takers.append(taker)

        def add(frames: LaterFrames) -> None:
            for take in takers:
                take(frames)

        return add

    def add_metrics(self, metrics: Sequence[MetricRecord]) -> None:
        """Give all numbers outside any frame."""
        for sink in self._sinks:
            sink.add_metrics(metrics)

    def flush(self, timeout_s: float) -> bool:
        """Flush all, one after the other; return whether all was written in time."""
        deadline_s = time.monotonic() + timeout_s
        done = [sink.flush(max(deadline_s - time.monotonic(), 0.0)) for sink in self._sinks]
        return all(done)

    def shutdown(self) -> None:
        """Shut all down."""
        for sink in self._sinks:
            sink.shutdown()
