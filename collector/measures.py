"""What the collector counts of itself, for Prometheus and for its own lake."""

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from exray.exporters.otlp_settings import Signal

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Bounds of times, from one sync to a client's patience."""

PREFIX = "exray_collector_"

_TAKEN = (
    ("requests", "Requests acknowledged."),
    ("records", "Spans, points, logs acknowledged."),
    ("received_bytes", "Bytes acknowledged, as received."),
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Measures:
    """Counters of one collector, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=True)
        self._taken = _Taken()
        self._registry.register(self._taken)
        self._rejected = self._counter("rejected_records", "Left out of requests.", "signal")
        self._refused = self._counter("refused", "Requests refused.", "signal", "reason")

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}{name}", help_text, labels, registry=self._registry)

    def taken(
        self, signal: Signal, records: int, rejected: int, size_bytes: int, seconds: float
    ) -> None:
        """Count a request that was acknowledged."""
        self._taken.count(signal, records, size_bytes, seconds)
        if rejected:
            self._rejected.labels(signal).inc(rejected)

    def refused(self, signal: str, reason: str) -> None:
        """Count a request that was not."""
        self._refused.labels(signal, reason).inc()

    def watch(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Show what *read* returns at the time of asking."""
        gauge = Gauge(f"{PREFIX}{name}", help_text, registry=self._registry)
        gauge.set_function(read)

    def families(self) -> list[Metric]:
        """Return all there is to tell."""
        return list(self._registry.collect())


def text_of(families: Iterable[Metric]) -> bytes:
    """Return numbers in Prometheus's text format."""
    return generate_latest(_Shown(families))


class _Taken(Collector):
    """What was acknowledged, counted under one lock: a client of Prometheus takes one for each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, list[int]] = {}
        """Requests, records and bytes by signal."""
        self._buckets = [0] * (len(SECONDS) + 1)
        self._seconds = 0.0

    def count(self, signal: str, records: int, size_bytes: int, seconds: float) -> None:
        """Count a request."""
        with self._lock:
            counts = self._counts.get(signal)
            if counts is None:
                counts = self._counts[signal] = [0, 0, 0]
            counts[0] += 1
            counts[1] += records
            counts[2] += size_bytes
            self._buckets[bisect_left(SECONDS, seconds)] += 1
            self._seconds += seconds

    def collect(self) -> Iterable[Metric]:
        """Return the numbers."""
        with self._lock:
            counts = {signal: list(each) for signal, each in self._counts.items()}
            buckets, seconds = list(self._buckets), self._seconds
        families = [CounterMetricFamily(PREFIX + n, text, labels=["signal"]) for n, text in _TAKEN]
        for signal, each in counts.items():
            for family, value in zip(families, each, strict=True):
                family.add_metric([signal], value)
        bounds = [*(str(bound) for bound in SECONDS), "+Inf"]
        name, text = "acknowledge_seconds", "From the whole request to its acknowledgement."
        histogram = HistogramMetricFamily(PREFIX + name, text)
        filled = zip(bounds, map(float, accumulate(buckets)), strict=True)
        histogram.add_metric([], list(filled), seconds)
        return [*families, histogram]


class _Shown(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """Return what is shown."""
        return self._families
