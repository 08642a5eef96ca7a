"""The same spans through protobuf's own classes, one by one: slow, and plain to read.

It shares no code with the exporter, only the keys of the registry.
"""

import base64
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from exray.schema.records import FrameRecord, LayerSite, Run, TensorSite

Decoded = dict[tuple[Any, bytes, bytes], dict[str, Any]]
"""Spans by run, trace and span id: every field, attributes as a mapping."""


def decode(requests: Iterable[bytes | Sequence[bytes | memoryview]]) -> Decoded:
    """Parse requests strictly and return their spans.

    Raises:
        ValueError: A span comes twice, an attribute comes twice in one place, or a field is
            not known.
    """
    spans: Decoded = {}
    for data in requests:
        request = ExportTraceServiceRequest()
        request.ParseFromString(data if isinstance(data, bytes) else b"".join(data))
        before = request.ByteSize()
        request.DiscardUnknownFields()
        if request.ByteSize() != before:
            raise ValueError("the request has fields that OTLP does not know")
        for resource_spans in request.resource_spans:
            add_spans(resource_spans, spans)
    return spans


def add_spans(resource_spans: ResourceSpans, spans: Decoded) -> None:
    """Add the spans of one resource to *spans*."""
    resource = mapping(resource_spans.resource.attributes)
    for scope_spans in resource_spans.scope_spans:
        for span in scope_spans.spans:
            key = (resource.get("exray.run.id"), span.trace_id, span.span_id)
            if key in spans:
                raise ValueError(f"{key} comes twice")
            spans[key] = {
                "resource": resource,
                "scope": scope_spans.scope.name,
                "trace_id": span.trace_id,
                "parent": span.parent_span_id,
                "name": span.name,
                "kind": span.kind,
                "start": span.start_time_unix_nano,
                "end": span.end_time_unix_nano,
                "flags": span.flags,
                "status": (span.status.code, span.status.message),
                "attributes": mapping(span.attributes),
                "events": [(e.name, e.time_unix_nano, mapping(e.attributes)) for e in span.events],
            }


def mapping(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """Return attributes as a mapping from key to type and value.

    Raises:
        ValueError: A key comes twice.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        if pair.key in found:
            raise ValueError(f"attribute {pair.key!r} comes twice")
        kind = pair.value.WhichOneof("value")
        found[pair.key] = (kind, getattr(pair.value, kind) if kind else None)
    return found


def encode(frames: Iterable[FrameRecord], environment: dict[str, str]) -> bytes:
    """Return a request of all spans of *frames*."""
    request = ExportTraceServiceRequest()
    for frame in frames:
        for run, span in _spans(frame):
            resource_spans = request.resource_spans.add()
            resource_spans.resource.attributes.extend(_pairs(environment | _resource(run)))
            scope_spans = resource_spans.scope_spans.add()
            scope_spans.scope.name = "exray"
            scope_spans.spans.append(span)
    return bytes(request.SerializeToString())


def _spans(frame: FrameRecord) -> list[tuple[Run, Span]]:
    below = {"exray.frame.id": frame.span_id.hex(), "exray.input.key": frame.input_key}
    own = _span(frame, frame.span_id, frame.parent_span_id, "frame", frame.start_ns, frame.dur_ns)
    own.attributes.extend(_pairs(_frame_attributes(frame)))
    _set_status(own, frame.status, frame.status_message)
    spans = [(frame.run, own)]
    for stage in frame.spans:
        span = _span(
            frame, stage.span_id, stage.parent_span_id, stage.name, stage.start_ns, stage.dur_ns
        )
        span.attributes.extend(_pairs(below))
        _set_status(span, stage.status, stage.status_message)
        spans.append((stage.run or frame.run, span))
    _add_tensors(frame, frame.run, frame.tensors, spans)
    for inference in frame.inferences:
        inside = [
            _span(
                frame,
                inference.span_id,
                frame.span_id,
                "inference",
                inference.start_ns,
                inference.dur_ns,
            )
        ]
        for row in inference.layers.rows if inference.layers else ():
            assert inference.layers is not None
            site = inference.layers.sites[int(row["site"])]
            span = _span(
                frame,
                row["span_id"].tobytes(),
                inference.span_id,
                site.op,
                int(row["start_ns"]),
                int(row["dur_ns"]),
            )
            timing = site.timing if row["dur_ns"] >= 0 else "none"
            span.attributes.extend(_pairs(_layer(site) | {"exray.layer.timing": timing}))
            inside.append(span)
        for span in inside:
            span.attributes.extend(_pairs(below))
        executed = [(inference.run, span) for span in inside]
        _add_tensors(
            frame, inference.run, [inference.tensors] if inference.tensors else [], executed
        )
        spans += executed
    return spans


def _add_tensors(
    frame: FrameRecord, run: Run, blocks: Iterable[Any], spans: list[tuple[Run, Span]]
) -> None:
    """Put each tensor on the span that carries it, or on one of its own."""
    carriers = {span.span_id: span for _, span in spans}
    for block in blocks:
        for number, row in enumerate(block.rows):
            site = block.sites[int(row["site"])]
            span = carriers.get(row["span_id"].tobytes())
            if span is None:
                span = _span(
                    frame,
                    row["span_id"].tobytes(),
                    row["parent_span_id"].tobytes(),
                    "tensor",
                    int(row["start_ns"]),
                    int(row["dur_ns"]),
                )
                below = {"exray.frame.id": frame.span_id.hex(), "exray.input.key": frame.input_key}
                span.attributes.extend(_pairs(below | (_layer(site.layer) if site.layer else {})))
                spans.append((run, span))
            more = {
                "exray.tensor.histogram": block.histograms.get(number),
                "exray.tensor.channels": block.channels.get(number),
            }
            shown = _tensor(site, row, block.wide_sketches.get(number))
            span.attributes.extend(_pairs(shown | more))


def _span(
    frame: FrameRecord, span_id: bytes, parent: bytes | None, name: str, start: int, dur: int
) -> Span:
    span = Span(trace_id=frame.trace_id, span_id=span_id, parent_span_id=parent or b"")
    span.name, span.kind = _text(name), Span.SPAN_KIND_INTERNAL
    span.start_time_unix_nano, span.end_time_unix_nano = start, start + max(dur, 0)
    if parent is None or name != "frame":
        span.flags = 0x100
    return span


def _set_status(span: Span, status: str, message: str | None) -> None:
    span.status.code = {"unset": 0, "ok": 1, "error": 2}[status]  # type: ignore[assignment]
    span.status.message = message or ""


def _frame_attributes(frame: FrameRecord) -> dict[str, Any]:
    found = {
        "exray.input.id": frame.input_id,
        "exray.input.key": frame.input_key,
        "exray.frame.index": frame.frame_index,
        "exray.frame.label": frame.label,
        "exray.output.hash": frame.output_hash,
        "exray.level": frame.level,
        "exray.sample.rate": frame.sample_rate,
        "exray.overhead.ns": frame.overhead_ns,
        "exray.memory.peak_bytes": frame.memory_peak_bytes,
        "exray.cpu.ns": frame.cpu_ns,
        "exray.canary.id": frame.canary_id,
    }
    if frame.prediction_ids is not None:
        found["exray.prediction.ids"] = ",".join(str(i) for i in frame.prediction_ids)
    if frame.prediction_scores is not None:
        found["exray.prediction.scores"] = ",".join(str(s) for s in frame.prediction_scores)
    return found


def _layer(site: LayerSite) -> dict[str, Any]:
    return {
        "exray.layer.index": site.layer_index,
        "exray.layer.name": site.layer_name,
        "exray.layer.op": site.op,
        "exray.layer.subgraph_index": site.subgraph_index or None,
    }


def _tensor(site: TensorSite, row: Any, wide: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "role": site.role,
        "name": site.name,
        "index": site.index,
        "dtype": site.dtype,
        "shape": ",".join(str(n) for n in site.shape),
        "layout": site.layout,
    }
    if site.quantization and len(site.quantization.scales) == 1:
        found["scale"] = site.quantization.scales[0]
        found["zero_point"] = site.quantization.zero_points[0]
    for name in ("sum", "sum2", "sum3", "sum4", "min", "max"):
        found[name] = None if np.isnan(row[name]) else float(row[name])
    for name in ("nan", "posinf", "neginf", "zero", "sat_low", "sat_high"):
        found[f"{name}_count"] = int(row[f"{name}_count"])
    found["count"], found["hash"] = int(row["count"]), int(row["hash"])
    sketch = row["sketch"]
    shortened = [sketch[:k] for k in (8, 16, 32) if np.isnan(sketch[k:]).all()]
    for values in (wide, sketch, *shortened):
        if values is not None and not np.isnan(values).any():
            packed = np.asarray(values, "<f4").tobytes()
            found["sketch"] = "cs1:" + base64.b64encode(packed).decode()
            break
    return {f"exray.tensor.{name}": value for name, value in found.items()}


def _resource(run: Run) -> dict[str, Any]:
    return {
        "exray.run.id": run.run_id.hex(),
        "exray.role": run.role,
        "service.version": run.build,
        "exray.model.name": run.model_name,
        "exray.model.sha256": run.model_sha256,
        "exray.model.format": run.model_format or None,
        "exray.model.precision": run.model_precision or None,
        "exray.runtime.name": run.runtime_name or None,
        "exray.runtime.version": run.runtime_version or None,
        "exray.kernels": run.kernels or None,
        "exray.delegate": run.delegate,
        "exray.threads": run.threads,
        "device.id": run.device_id or None,
        "device.model.identifier": run.device_model or None,
        "device.manufacturer": run.device_manufacturer or None,
        "host.arch": run.host_arch or None,
        "host.name": run.host_name or None,
        "os.type": run.os_type or None,
        "os.version": run.os_version or None,
        "vcs.ref.head.revision": run.vcs_revision,
        "vcs.ref.head.name": run.vcs_ref,
        "deployment.environment.name": run.deployment_environment,
    }


def _pairs(values: dict[str, Any]) -> list[KeyValue]:
    return [
        KeyValue(key=key, value=_value(value)) for key, value in values.items() if value is not None
    ]


def _value(value: Any) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=_text(value))
    if isinstance(value, int):
        return AnyValue(int_value=value)
    return AnyValue(double_value=value)


def _text(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode()
