"""One collector in the foreground: from the command's options to its last signal."""

import logging
import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType

from exray.lake import Lake
from exray.schema.errors import LakeUnreachableError, UsageError

from .drain_process import DrainProcess
from .own_metrics import OwnMetrics
from .receivers import Receivers
from .settings import Settings
from .stderr_log import log_to_stderr

logger = logging.getLogger("exray.collector")


def serve(
    settings: Settings,
    ready: Callable[[str], None],
    *,
    on_step: Callable[[str], None] = lambda step: None,
    drain_command: Sequence[str] | None = None,
    receiver_command: Sequence[str] | None = None,
) -> None:
    """Collect until SIGTERM or Ctrl-C, then finish the log.

    Args:
        settings: The settings.
        ready: Told in words where requests are taken and where they go.
        on_step: Called with the name of each step on the way to disk, for trials.
        drain_command: What drains the logs, for trials.
        receiver_command: What takes requests beside this process, for trials.

    Raises:
        UsageError: Settings are wrong or do not go together.
        LogError: The log cannot be written.
        LakeError: The lake cannot be made or opened.
    """
    if settings.lake is None:
        msg = "no lake is named; give --lake DIR, or 'lake: DIR' in the file of --config"
        raise UsageError(msg)
    log_to_stderr(settings.log_format)
    _prepare(settings.lake)
    receivers = Receivers(settings, on_step, receiver_command)
    collector = receivers.first
    decoders = settings.decoder_count(receivers.count)
    drain = DrainProcess(settings.wal, settings.lake, drain_command, decoders=decoders)
    _watch(receivers, drain)
    own = OwnMetrics(collector, settings.self_metrics_s, settings.metrics_endpoint)
    ended = threading.Event()
    previous = {
        number: signal.signal(number, lambda number, frame: _on_signal(ended, number, frame))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        drain.start()
        receivers.start()
        own.start()
        ready(_where(receivers, settings.lake))
        ended.wait()
        logger.info("stopping: no request is taken any more, the log is finished")
    finally:
        own.stop()
        receivers.stop()
        drain.stop()
        for number, handler in previous.items():
            signal.signal(number, handler)


def _prepare(lake: str) -> None:
    """Make the lake, or say what is wrong with it before any request is taken.

    A bucket that cannot be reached now may be later: requests wait in the log until then.
    """
    try:
        Lake.open_or_create(lake)
    except LakeUnreachableError as error:
        logger.warning("%s; requests wait in the log until it can", error)


def _on_signal(ended: threading.Event, number: int, frame: FrameType | None) -> None:
    """End at the first signal; the second one does not wait for the log."""
    if ended.is_set():
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
    ended.set()


def _where(receivers: Receivers, lake: str) -> str:
    collector = receivers.first
    named = {"gRPC": collector.grpc_address, "HTTP": collector.http_address}
    taken = ", ".join(f"{name} {address}" for name, address in named.items() if address)
    log = str(collector.writer.folder)
    return f"taking OTLP at {taken}; log {log!r}, lake {lake!r}, receivers {receivers.count}"


def _watch(receivers: Receivers, drain: DrainProcess) -> None:
    watch = receivers.first.measures.watch
    for name, text in (
        ("spans", "Spans committed to the lake."),
        ("repeated_spans", "Spans dropped that had come before."),
        ("rejected_spans", "Spans that no table can hold."),
        ("quarantined", "Requests and damaged parts kept aside."),
        ("commit_s", "Seconds of the last commit."),
    ):
        watch(f"lake_{name}", text, lambda name=name: drain.figure(name))  # type: ignore[misc]
    watch("drain_deaths", "Drains that ended unasked.", lambda: drain.deaths)
    watch("receiver_deaths", "Receivers that ended unasked.", lambda: receivers.deaths)
