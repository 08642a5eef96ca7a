"""What the collector counts of itself, for Prometheus and for its own lake."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from exray.exporters.otlp_settings import Signal

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Bounds of times, from one sync to a client's patience."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Measures:
    """Counters of one collector, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=True)
        self._requests = self._counter("requests", "Requests acknowledged.", "signal")
        self._records = self._counter("records", "Spans, points, logs acknowledged.", "signal")
        self._rejected = self._counter("rejected_records", "Left out of requests.", "signal")
        self._bytes = self._counter("received_bytes", "Bytes acknowledged, as received.", "signal")
        self._taken: dict[Signal, tuple[Counter, ...]] = {}
        """Requests, records and bytes by signal: to look them up takes longer than to count."""
        self._refused = self._counter("refused", "Requests refused.", "signal", "reason")
        self._seconds = Histogram(
            "exray_collector_acknowledge_seconds",
            "From the whole request to its acknowledgement.",
            registry=self._registry,
            buckets=SECONDS,
        )

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"exray_collector_{name}", help_text, labels, registry=self._registry)

    def taken(
        self, signal: Signal, records: int, rejected: int, size_bytes: int, seconds: float
    ) -> None:
        """Count a request that was acknowledged."""
        counted = self._taken.get(signal)
        if counted is None:
            counts = (self._requests, self._records, self._bytes)
            counted = self._taken[signal] = tuple(count.labels(signal) for count in counts)
        for count, more in zip(counted, (1, records, size_bytes), strict=True):
            count.inc(more)
        if rejected:
            self._rejected.labels(signal).inc(rejected)
        self._seconds.observe(seconds)

    def refused(self, signal: str, reason: str) -> None:
        """Count a request that was not."""
        self._refused.labels(signal, reason).inc()

    def watch(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Show what *read* returns at the time of asking."""
        gauge = Gauge(f"exray_collector_{name}", help_text, registry=self._registry)
        gauge.set_function(read)

    def text(self) -> bytes:
        """Return all in Prometheus's text format."""
        return generate_latest(self._registry)

    def samples(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """Yield name, labels and value of each number."""
        for metric in self._registry.collect():
            for sample in metric.samples:
                yield sample.name, dict(sample.labels), float(sample.value)
