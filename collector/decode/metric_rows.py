"""Metric requests into rows of ``metrics``: one number at one time.

A histogram or a summary becomes several series, as Prometheus writes them: ``name_bucket``
with the attribute ``le``, ``name_sum``, ``name_count``; ``name`` with ``quantile``.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from exray.exporters.rows import Row, metric_row
from exray.schema.attributes import EXRAY_INPUT_KEY
from exray.schema.records import MetricRecord

from .origin import Origin, Origins, mapping_of
from .plain import MAX_NS

_NO_VALUE = 1
"""Flag of a point that says there was none."""

_Number = tuple[str, float, Mapping[str, object]]
"""What is appended to a metric's name, a value, and what tells its series apart."""


def metric_rows(
    request: ExportMetricsServiceRequest, received_ns: int, origins: Origins
) -> list[Row]:
    """Return the rows of a request."""
    return [
        row
        for resource_metrics in request.resource_metrics
        for scope_metrics in resource_metrics.scope_metrics
        for metric in scope_metrics.metrics
        for row in _rows(metric, origins.of(resource_metrics.resource), received_ns)
    ]


def _rows(metric: Metric, origin: Origin, received_ns: int) -> Iterator[Row]:
    kind = metric.WhichOneof("data")
    if kind is None:
        return
    points: Sequence[Any] = getattr(metric, kind).data_points
    for point in points:
        if point.flags & _NO_VALUE:
            continue
        attributes = mapping_of(point.attributes)
        for ending, value, more in _NUMBERS[kind](point):
            record = MetricRecord(
                name=metric.name + ending,
                value=value,
                time_ns=min(point.time_unix_nano, MAX_NS),
                unit=metric.unit or "1",
                attributes=attributes | more,
                run=origin.run_or_none,
            )
            yield {
                **metric_row(record),
                "build": origin.run.build or None,
                "received_ns": received_ns,
                **_frame(point),
            }


def _frame(point: Any) -> Row:
    """Return the frame in which a number was recorded: its only exemplar names it."""
    if not hasattr(point, "exemplars") or len(point.exemplars) != 1:
        return {}
    [exemplar] = point.exemplars
    key = mapping_of(exemplar.filtered_attributes).get(EXRAY_INPUT_KEY)
    if len(exemplar.trace_id) != 16 or len(exemplar.span_id) != 8 or not isinstance(key, int):
        return {}
    return {
        "trace_id": exemplar.trace_id,
        "frame_span_id": exemplar.span_id,
        "input_key": key,
    }


def _scalar(point: Any) -> Iterator[_Number]:
    kind = point.WhichOneof("value")
    if kind is not None:
        yield "", float(getattr(point, kind)), {}


def _histogram(point: Any) -> Iterator[_Number]:
    total = 0
    bounds = [*map(str, point.explicit_bounds), "+Inf"]
    counts: list[int] = list(point.bucket_counts)
    for bound, count in zip(bounds, counts, strict=False):
        total += count
        yield "_bucket", float(total), {"le": bound}
    yield from _totals(point)


def _exponential(point: Any) -> Iterator[_Number]:
    """Yield cumulated counts below each bucket's upper bound, from the least to the greatest.

    Bucket i holds values in (base**i, base**(i + 1)], base = 2**(2**-scale).
    https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram
    """
    total = 0
    negative: list[int] = list(point.negative.bucket_counts)
    positive: list[int] = list(point.positive.bucket_counts)
    for place, count in reversed(list(enumerate(negative))):
        total += count
        yield "_bucket", float(total), {"le": _bound(point, point.negative.offset + place, -1)}
    total += int(point.zero_count)
    yield "_bucket", float(total), {"le": str(point.zero_threshold)}
    for place, count in enumerate(positive):
        total += count
        yield "_bucket", float(total), {"le": _bound(point, point.positive.offset + place + 1, 1)}
    yield from _totals(point)


def _bound(point: Any, index: int, sign: int) -> str:
    try:
        return str(sign * 2.0 ** (index * 2.0**-point.scale))
    except OverflowError:
        return "+Inf" if sign > 0 else "-Inf"


def _totals(point: Any) -> Iterator[_Number]:
    yield "_count", float(point.count), {}
    for name in ("sum", "min", "max"):
        if point.HasField(name):
            yield f"_{name}", float(getattr(point, name)), {}


def _summary(point: Any) -> Iterator[_Number]:
    for quantile in point.quantile_values:
        yield "", quantile.value, {"quantile": str(quantile.quantile)}
    yield "_count", float(point.count), {}
    yield "_sum", point.sum, {}


_NUMBERS: dict[str, Any] = {
    "gauge": _scalar,
    "sum": _scalar,
    "histogram": _histogram,
    "exponential_histogram": _exponential,
    "summary": _summary,
}
