"""Batches as OTLP requests: traces, logs and metrics, as the bytes that a server receives."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from exray.schema.attributes import (
    EXRAY_INPUT_KEY,
    EXRAY_MODEL_NAME,
    EXRAY_MODEL_SHA256,
    EXRAY_RUN_ID,
)
from exray.schema.records import FrameRecord, Graph, MetricRecord, Run, SpanRecord, TensorBlock

from .otlp_span import encode_span
from .otlp_spans import FrameEncoder
from .rows import UNKNOWN_RUN, graph_rows, run_row
from .span_content import OWN_SCOPE, Attributes, run_attributes
from .typing import Buffer
from .wire import any_value, attributes, delimited, double, fixed64, prefix, text

logger = logging.getLogger(__name__)

REQUEST_BYTES = 3 * 1024 * 1024
"""Estimated size at which a request is cut: servers accept 4 MiB unless told otherwise."""

FRAMES_AT_ONCE = 32
"""Most frames encoded together: more would leave the cache between one pass and the next."""

Request = Sequence[Buffer]
"""The bytes of a request, in parts that follow one another: to put them into one piece takes a
tenth of the time that it takes to encode them."""

GRAPH_EVENT = "exray.graph.op"
"""Log record of one operator of a model, sent once per model and run."""

RUN_EVENT = "exray.run"
"""Log record of what is known of a run."""

_RESOURCE, _SCOPED, _SCOPE, _RECORD = 1, 2, 1, 2
"""Fields of a resource, its scopes, a scope and its records: the same in all three signals."""

_MAX_RESOURCES = 64
"""Encoded resources kept; a process rarely has more runs at a time."""

_LAYER_BYTES, _TENSOR_BYTES, _FRAME_BYTES = 400, 1000, 2000


@dataclass(frozen=True, slots=True)
class _Scoped:
    """Encoded records of one run and scope."""

    run: Run
    scope: str
    records: Sequence[Buffer]


class RequestEncoder:
    """Encodes batches as requests, each good until the next one is asked for.

    Args:
        environment: Attributes of every resource that a run does not say itself, such as
            ``service.name``.
    """

    def __init__(self, environment: Mapping[str, object]) -> None:
        self._environment = environment
        self._frames = FrameEncoder()
        self._failure_logged = False
        self._resources: dict[bytes, tuple[Attributes, bytes]] = {}

    def traces(
        self, frames: Sequence[FrameRecord], spans: Sequence[SpanRecord] = ()
    ) -> Iterator[Request]:
        """Yield ``ExportTraceServiceRequest`` messages: frames whole, then other spans."""
        for some in _cut(frames):
            yield from self._of_frames(some)
        if spans:
            yield self._request(
                _Scoped(run, scope, [encode_span(span) for span in those])
                for (run, scope), those in _by_origin(spans)
            )

    def _of_frames(self, frames: Sequence[FrameRecord]) -> Iterator[Request]:
        """Yield a request of *frames*, without those that cannot be encoded."""
        try:
            encoded = self._frames.encode(frames).values()
            request = self._request(_Scoped(run, OWN_SCOPE, parts) for run, parts in encoded)
        except Exception as error:  # noqa: BLE001  whatever a bad value makes numpy raise
            if len(frames) > 1:  # one must not hold up the others
                for frame in frames:
                    yield from self._of_frames([frame])
            elif not self._failure_logged:
                self._failure_logged = True
                logger.warning("exray: a frame is left out, it cannot be encoded: %r", error)
        else:
            yield request

    def logs(
        self, runs: Iterable[Run], graphs: Iterable[tuple[Run, Graph]], time_ns: int
    ) -> Iterator[Request]:
        """Yield ``ExportLogsServiceRequest`` messages.

        Args:
            runs: What is known of each.
            graphs: Models, each with the run that executes it.
            time_ns: When they were recorded.
        """
        records = [
            _Scoped(run, OWN_SCOPE, [_log_record(RUN_EVENT, time_ns, run_row(run, time_ns), run)])
            for run in runs
        ]
        records += [
            _Scoped(
                run,
                OWN_SCOPE,
                [_log_record(GRAPH_EVENT, time_ns, row, run) for row in graph_rows(graph)],
            )
            for run, graph in graphs
        ]
        if records:
            yield self._request(records)

    def metrics(
        self, frames: Iterable[FrameRecord], metrics: Iterable[MetricRecord] = ()
    ) -> Iterator[Request]:
        """Yield ``ExportMetricsServiceRequest`` messages, a gauge for each name of a run.

        Args:
            frames: Those whose numbers have an exemplar each, which names trace and frame.
            metrics: Numbers outside frames.
        """
        gauges: dict[bytes, tuple[Run, dict[tuple[str, str], list[bytes]]]] = {}
        recorded = [(metric, frame) for frame in frames for metric in frame.metrics]
        for metric, frame in [*recorded, *((metric, None) for metric in metrics)]:
            run = (frame.run if frame else metric.run) or UNKNOWN_RUN
            of_run = gauges.setdefault(run.run_id, (run, {}))[1]
            of_run.setdefault((metric.name, metric.unit), []).append(_point(metric, frame))
        if gauges:
            yield self._request(
                _Scoped(run, OWN_SCOPE, [_gauge(*named, points) for named, points in those.items()])
                for run, those in gauges.values()
            )

    def _request(self, scoped: Iterable[_Scoped]) -> Request:
        return [part for group in scoped for part in self._of_resource(group)]

    def _resource_of(self, run: Run) -> bytes:
        """Return the resource of *run*, encoded when it is first seen or has changed."""
        said = run_attributes(run)
        known = self._resources.get(run.run_id)
        if known is None or known[0] != said:
            if len(self._resources) >= _MAX_RESOURCES:
                self._resources.clear()
            encoded = delimited(_RESOURCE, attributes(1, {**self._environment, **said}))
            known = self._resources[run.run_id] = (said, encoded)
        return known[1]

    def _of_resource(self, group: _Scoped) -> list[Buffer]:
        """Return the records of one resource as a field of a request."""
        head = self._resource_of(group.run)
        version = text(2, group.run.exray_version) if group.scope == OWN_SCOPE else b""
        scope = delimited(_SCOPE, text(1, group.scope) + version)
        records_bytes = sum(map(len, group.records))
        inside = prefix(_SCOPED, len(scope) + records_bytes) + scope
        size = len(head) + len(inside) + records_bytes
        return [prefix(1, size), head, inside, *group.records]


def _cut(frames: Sequence[FrameRecord]) -> Iterator[Sequence[FrameRecord]]:
    """Cut *frames* into runs of no more than a request should hold, at least one each."""
    start = size = 0
    for position, frame in enumerate(frames):
        more = _encoded_bytes(frame)
        if position > start and (size + more > REQUEST_BYTES or position - start == FRAMES_AT_ONCE):
            yield frames[start:position]
            start, size = position, 0
        size += more
    if start < len(frames):
        yield frames[start:]


def _encoded_bytes(frame: FrameRecord) -> int:
    """Return roughly how large *frame* becomes."""
    size = _FRAME_BYTES * (1 + len(frame.spans))
    for inference in frame.inferences:
        layers, tensors = inference.layers, inference.tensors
        if layers is not None:
            size += _LAYER_BYTES * len(layers.rows)
        if tensors is not None:
            size += _tensor_bytes(tensors)
    for block in frame.tensors:
        size += _tensor_bytes(block)
    return size


def _tensor_bytes(block: TensorBlock) -> int:
    size = _TENSOR_BYTES * (len(block.rows) + len(block.wide_sketches))
    if block.histograms or block.channels:
        size += sum(map(len, (*block.histograms.values(), *block.channels.values())))
    return size


def _by_origin(
    spans: Sequence[SpanRecord],
) -> Iterator[tuple[tuple[Run, str], Sequence[SpanRecord]]]:
    groups: dict[tuple[bytes, str], list[SpanRecord]] = {}
    for span in spans:
        run = span.run or UNKNOWN_RUN
        groups.setdefault((run.run_id, span.scope), []).append(span)
    for (_, scope), members in groups.items():
        yield (members[0].run or UNKNOWN_RUN, scope), members


def _log_record(event: str, time_ns: int, body: Mapping[str, object], run: Run) -> bytes:
    named: dict[str, object] = {EXRAY_RUN_ID: run.run_id.hex()}
    if event == GRAPH_EVENT:
        named |= {EXRAY_MODEL_NAME: run.model_name, EXRAY_MODEL_SHA256: run.model_sha256}
    return delimited(
        _RECORD,
        fixed64(1, time_ns)
        + delimited(5, any_value(body))
        + attributes(6, named)
        + fixed64(11, time_ns)
        + text(12, event),
    )


def _gauge(name: str, unit: str, points: Sequence[bytes]) -> bytes:
    return delimited(_RECORD, text(1, name) + text(3, unit) + delimited(5, b"".join(points)))


def _point(metric: MetricRecord, frame: FrameRecord | None) -> bytes:
    """Return a number as a field of a gauge."""
    point = [fixed64(3, metric.time_ns), double(4, metric.value), attributes(7, metric.attributes)]
    if frame is not None:
        exemplar = [
            fixed64(2, metric.time_ns),
            double(3, metric.value),
            delimited(4, frame.span_id),
            delimited(5, frame.trace_id),
            attributes(7, {EXRAY_INPUT_KEY: frame.input_key}),
        ]
        point.append(delimited(5, b"".join(exemplar)))
    return delimited(1, b"".join(point))
