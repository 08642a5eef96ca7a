"""The collector's own numbers by OTLP: into its own log, or to another server."""

import logging
import threading
import time
from collections.abc import Iterable, Mapping

from exray.exporters.otlp_http import HttpSender, Outcome
from exray.exporters.otlp_settings import destination
from exray.exporters.wire import attributes, delimited, double, fixed64, text
from exray.schema.attributes import SERVICE_NAME

from .intake import Arrival
from .service import Collector

logger = logging.getLogger(__name__)

SERVICE = "exray-collector"


class OwnMetrics:
    """Sends the numbers that ``/metrics`` shows, as gauges, from time to time.

    Args:
        collector: Whose numbers.
        period_s: Time between two; 0 for never.
        endpoint: Another OTLP server, None for the collector's own log.
    """

    def __init__(self, collector: Collector, period_s: float, endpoint: str | None) -> None:
        self._collector = collector
        self._period_s = period_s
        self._sender = HttpSender(destination("metrics", endpoint), SERVICE) if endpoint else None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="exray-metrics", daemon=True)

    def start(self) -> None:
        """Send from now on."""
        if self._period_s > 0:
            self._thread.start()

    def stop(self) -> None:
        """Send no more; a second call does nothing."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        while not self._stopping.wait(self._period_s):
            samples = self._collector.figures.samples()
            body = metrics_request(samples, self._collector.writer.log_id, time.time_ns())
            if self._sender is None:
                self._collector.intake.take(Arrival("metrics", body))
                continue
            answer = self._sender.post([body])
            if answer.outcome is not Outcome.TAKEN:
                logger.warning("own metrics to %s: %s", self._sender.url, answer.problem)


def metrics_request(
    samples: Iterable[tuple[str, Mapping[str, str], float]], instance: str, time_ns: int
) -> bytes:
    """Return numbers as an ``ExportMetricsServiceRequest``, each a gauge of one point."""
    gauges = b"".join(
        delimited(2, text(1, name) + delimited(5, delimited(1, point)))
        for name, point in (
            (name, fixed64(3, time_ns) + double(4, value) + attributes(7, labels))
            for name, labels, value in samples
            if not name.endswith("_created")
        )
    )
    resource = attributes(1, {SERVICE_NAME: SERVICE, "service.instance.id": instance})
    scope = delimited(1, text(1, SERVICE))
    return delimited(1, delimited(1, resource) + delimited(2, scope + gauges))
