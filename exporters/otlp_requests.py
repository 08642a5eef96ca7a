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
from exray.schema.records import FrameRecord, Graph, MetricRecord, Run, SpanRecord

from .otlp_span import encode_span
from .otlp_spans import Buffer, FrameEncoder
from .rows import UNKNOWN_RUN, graph_rows, run_row
from .span_content import OWN_SCOPE, run_attributes
from .wire import any_value, attributes, delimited, double, fixed64, prefix, text

logger = logging.getLogger(__name__)

REQUEST_BYTES = 2 * 1024 * 1024
"""Estimated size at which a request is cut: servers accept 4 MiB unless told otherwise."""

FRAMES_AT_ONCE = 16
"""Most frames encoded together: more would leave the cache between one pass and the next."""

GRAPH_EVENT = "exray.graph.op"
"""Log record of one operator of a model, sent once per model and run."""

RUN_EVENT = "exray.run"
"""Log record of what is known of a run."""

_RESOURCE, _SCOPED, _SCOPE, _RECORD = 1, 2, 1, 2
"""Fields of a resource, its scopes, a scope and its records: the same in all three signals."""

_LAYER_BYTES, _TENSOR_BYTES, _FRAME_BYTES = 400, 1000, 2000


@dataclass(frozen=True, slots=True)
class _Scoped:
    """Encoded records of one run and scope."""

    run: Run
    scope: str
    records: Sequence[Buffer]


class RequestEncoder:
    """Encodes batches as requests.

    Args:
        environment: Attributes of every resource that a run does not say itself, such as
            ``service.name``.
    """

    def __init__(self, environment: Mapping[str, object]) -> None:
        self._environment = environment
        self._frames = FrameEncoder()
        self._failure_logged = False

    def traces(
        self, frames: Sequence[FrameRecord], spans: Sequence[SpanRecord] = ()
    ) -> Iterator[bytes]:
        """Yield ``ExportTraceServiceRequest`` messages: frames whole, then other spans."""
        for some in _cut(frames):
            yield from self._of_frames(some)
        if spans:
            yield self._request(
                _Scoped(run, scope, [encode_span(span) for span in those])
                for (run, scope), those in _by_origin(spans)
            )

    def _of_frames(self, frames: Sequence[FrameRecord]) -> Iterator[bytes]:
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
    ) -> Iterator[bytes]:
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
    ) -> Iterator[bytes]:
        """Yield ``ExportMetricsServiceRequest`` messages: numbers with frames and outside them.

        Each is a gauge; an exemplar names trace and frame where there is one.
        """
        gauges = [
            _Scoped(frame.run, OWN_SCOPE, [_gauge(metric, frame) for metric in frame.metrics])
            for frame in frames
            if frame.metrics
        ]
        outside: dict[bytes, tuple[Run, list[Buffer]]] = {}
        for metric in metrics:
            run = metric.run or UNKNOWN_RUN
            outside.setdefault(run.run_id, (run, []))[1].append(_gauge(metric))
        gauges += [_Scoped(run, OWN_SCOPE, records) for run, records in outside.values()]
        if gauges:
            yield self._request(gauges)

    def _request(self, scoped: Iterable[_Scoped]) -> bytes:
        return b"".join(part for group in scoped for part in self._of_resource(group))

    def _of_resource(self, group: _Scoped) -> list[Buffer]:
        """Return the records of one resource as a field of a request."""
        resource = {**self._environment, **run_attributes(group.run)}
        head = delimited(_RESOURCE, attributes(1, resource))
        version = text(2, group.run.exray_version) if group.scope == OWN_SCOPE else b""
        scope = delimited(_SCOPE, text(1, group.scope) + version)
        inside = prefix(_SCOPED, len(scope) + sum(map(len, group.records))) + scope
        size = len(head) + len(inside) + sum(map(len, group.records))
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
    layers = sum(len(i.layers.rows) for i in frame.inferences if i.layers)
    blocks = [*frame.tensors, *(i.tensors for i in frame.inferences if i.tensors)]
    tensors = sum(len(block.rows) + len(block.wide_sketches) for block in blocks)
    return _FRAME_BYTES * (1 + len(frame.spans)) + _LAYER_BYTES * layers + _TENSOR_BYTES * tensors


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


def _gauge(metric: MetricRecord, frame: FrameRecord | None = None) -> bytes:
    point = fixed64(3, metric.time_ns) + double(4, metric.value)
    if frame is not None:
        point += delimited(5, _exemplar(metric, frame))
    point += attributes(7, metric.attributes)
    return delimited(
        _RECORD,
        text(1, metric.name) + text(3, metric.unit) + delimited(5, delimited(1, point)),
    )


def _exemplar(metric: MetricRecord, frame: FrameRecord) -> bytes:
    return (
        fixed64(2, metric.time_ns)
        + double(3, metric.value)
        + delimited(4, frame.span_id)
        + delimited(5, frame.trace_id)
        + attributes(7, {EXRAY_INPUT_KEY: frame.input_key})
    )
