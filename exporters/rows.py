"""Rows of the small tables, one mapping each: runs, graphs, frames, spans, metrics."""

from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from exray.schema.attributes import EXRAY_CPU_GOVERNOR, HW_BATTERY_STATE
from exray.schema.records import FrameRecord, Graph, GraphOp, MetricRecord, Run, SpanRecord
from exray.schema.tables import TABLES

from .plain_json import json_from_mapping, plain_text

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = dict[str, Any]
"""Values of one row by column, as Python objects."""

UNKNOWN_RUN = Run(run_id=bytes(16), build="", role="", started_ns=0)
"""Run of a foreign span whose resource names none."""


_DESCRIPTIVE = {EXRAY_CPU_GOVERNOR, HW_BATTERY_STATE}
"""Attributes that change while the series stays the same: a core has one frequency over time,
whoever governs it."""


def _shared(table: str, record: "type[DataclassInstance]") -> tuple[str, ...]:
    """Return the columns of *table* that are fields of *record* too."""
    names = {field.name for field in fields(record)}
    return tuple(column.name for column in TABLES[table].columns if column.name in names)


_RUN_COLUMNS = _shared("runs", Run)
_GRAPH_COLUMNS = _shared("graphs", GraphOp)
_FRAME_COLUMNS = _shared("frames", FrameRecord)
_SPAN_COLUMNS = _shared("spans", SpanRecord)


def run_row(run: Run, recorded_ns: int) -> Row:
    """Return *run* as a row of ``runs``; *recorded_ns* tells which row of a run is newest."""
    return {name: getattr(run, name) for name in _RUN_COLUMNS} | {"recorded_ns": recorded_ns}


def graph_rows(graph: Graph) -> Iterator[Row]:
    """Yield *graph*'s operators as rows of ``graphs``."""
    for op in graph.ops:
        yield {name: getattr(op, name) for name in _GRAPH_COLUMNS} | {
            "model_name": graph.model_name,
            "model_sha256": graph.model_sha256,
            "attributes_json": json_from_mapping(op.attributes) if op.attributes else None,
        }


def frame_row(frame: FrameRecord) -> Row:
    """Return *frame* as a row of ``frames``."""
    stages = [s for s in frame.spans if s.scope == "exray" and s.parent_span_id == frame.span_id]
    return {
        **{name: getattr(frame, name) for name in _FRAME_COLUMNS},
        **identity_row(frame, frame.run),
        "dur_ns": measured(frame.dur_ns),
        "stage_ns": sum(max(stage.dur_ns, 0) for stage in stages),
        "model_ns": sum(max(inference.dur_ns, 0) for inference in frame.inferences),
    }


def frame_span_rows(frame: FrameRecord) -> Iterator[Row]:
    """Yield *frame*'s stages and inferences as rows of ``spans``."""
    for span in frame.spans:
        yield _span_row(span) | identity_row(frame, span.run or frame.run)
    for inference in frame.inferences:
        span = SpanRecord(
            name="inference",
            trace_id=frame.trace_id,
            span_id=inference.span_id,
            parent_span_id=frame.span_id,
            start_ns=inference.start_ns,
            dur_ns=inference.dur_ns,
        )
        yield _span_row(span) | identity_row(frame, inference.run)


def span_row(span: SpanRecord) -> Row:
    """Return a span outside any frame of ours as a row of ``spans``."""
    return _span_row(span) | {
        **_run_identity(span.run or UNKNOWN_RUN),
        "frame_span_id": None,
        "input_key": None,
        "dt": utc_date(span.start_ns),
    }


def metric_row(metric: MetricRecord, frame: FrameRecord | None = None) -> Row:
    """Return *metric*, recorded in *frame* or outside any, as a row of ``metrics``."""
    run = frame.run if frame else metric.run
    # Sorted, so that equal attributes are equal texts.
    attributes = dict(sorted(metric.attributes.items()))
    return {
        "series_hash": series_hash(metric, run or UNKNOWN_RUN),
        "time_ns": metric.time_ns,
        "name": metric.name,
        "unit": metric.unit,
        "value": metric.value,
        "run_id": run.run_id if run else None,
        "build": run.build if run else None,
        "trace_id": frame.trace_id if frame else None,
        "frame_span_id": frame.span_id if frame else None,
        "input_key": frame.input_key if frame else None,
        "attributes_json": json_from_mapping(attributes) if attributes else None,
        "dt": utc_date(frame.start_ns if frame else metric.time_ns),
    }


def identity_row(frame: FrameRecord, run: Run) -> Row:
    """Return what every row of *frame* made by *run* begins with, and its partition."""
    return {
        **_run_identity(run),
        "role": run.role,
        "trace_id": frame.trace_id,
        "frame_span_id": frame.span_id,
        "input_key": frame.input_key,
        "dt": utc_date(frame.start_ns),
    }


def series_hash(metric: MetricRecord, run: Run) -> int:
    """Return the key of *metric*'s series, signed.

    XXH3-64 of name, unit, run and attributes, but for those that only describe.
    """
    identifying = {k: v for k, v in sorted(metric.attributes.items()) if k not in _DESCRIPTIVE}
    attributes = json_from_mapping(identifying) if identifying else ""
    text = f"{metric.name}\0{metric.unit}\0{run.run_id.hex()}\0{attributes}"
    unsigned = xxhash.xxh3_64_intdigest(plain_text(text).encode())
    return unsigned - (1 << 64) if unsigned >= 1 << 63 else unsigned


def utc_date(time_ns: int) -> str:
    """Return the UTC date of a time since 1970.

    >>> utc_date(1_767_225_599_999_999_999)
    '2025-12-31'
    """
    return str(np.datetime64(time_ns, "ns").astype("datetime64[D]"))


def measured(dur_ns: int) -> int | None:
    """Return *dur_ns*, or None where it was not measured."""
    return None if dur_ns < 0 else dur_ns


def _run_identity(run: Run) -> Row:
    return {
        "run_id": run.run_id,
        "build": run.build,
        "model_name": run.model_name,
        "model_sha256": run.model_sha256,
    }


def _span_row(span: SpanRecord) -> Row:
    return {name: getattr(span, name) for name in _SPAN_COLUMNS} | {"dur_ns": measured(span.dur_ns)}
