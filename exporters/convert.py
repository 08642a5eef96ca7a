"""Records into the lake's tables."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from exray.schema.records import FrameRecord, Graph, MetricRecord, Run, SpanRecord

from .arrays import table_from_rows
from .blocks import layer_spans_table, tensors_table
from .rows import frame_row, frame_span_rows, graph_rows, metric_row, run_row, span_row

if TYPE_CHECKING:
    import pyarrow as pa


def tables_from_records(
    runs: Sequence[Run],
    graphs: Sequence[Graph],
    frames: Sequence[FrameRecord],
    spans: Sequence[SpanRecord],
    metrics: Sequence[MetricRecord] = (),
) -> "dict[str, pa.Table]":
    """Return records as tables that `exray.lake.Lake.commit` takes.

    Every row carries the identity of the run that made it, and all rows of a frame the
    UTC date of its start.

    Args:
        runs: Rows of ``runs``; the last one of a run counts.
        graphs: Models whose operators become rows of ``graphs``.
        frames: Frames with all that is below them.
        spans: Spans outside frames: the application's own.
        metrics: Numbers outside frames: host readings, sensors' values.

    Returns:
        One table per kind of row, some of them empty.

    Raises:
        MissingExtraError: pyarrow is not installed.
        ValueError, TypeError, pyarrow.ArrowException: A record has a value that its column
            cannot hold.
    """
    recorded_ns = time.time_ns()
    newest = {run.run_id: run for run in runs}
    frame_spans = [row for frame in frames for row in frame_span_rows(frame)]
    frame_metrics = [metric_row(metric, frame) for frame in frames for metric in frame.metrics]
    return {
        "runs": table_from_rows("runs", [run_row(run, recorded_ns) for run in newest.values()]),
        "graphs": table_from_rows("graphs", [row for graph in graphs for row in graph_rows(graph)]),
        "tensors": tensors_table(frames),
        "layer_spans": layer_spans_table(frames),
        "spans": table_from_rows("spans", [*frame_spans, *map(span_row, spans)]),
        "metrics": table_from_rows("metrics", [*frame_metrics, *map(metric_row, metrics)]),
        "frames": table_from_rows("frames", [frame_row(frame) for frame in frames]),
    }
