"""One frame: its spans as a waterfall, and what each put out."""

from .board import Board, Column, Link
from .panels import rising, table, traces
from .variables import BUILD, MODEL, ROLE, TRACE

TO_LAYER = Link("This layer", "layer", {"layer": "layer_index"})
TO_TENSOR = Link("Its distribution", "tensor", {"layer": "layer_index"})
TO_FRAME = Link("This frame", "frame", {"trace": "trace_id"})

SPANS = "FROM trace_spans(${trace:sqlstring}, ${build:sqlstring})"

FRAME = Board(
    name="frame",
    title="exray / Frame",
    description="One frame: where its time went, and what each layer put out.",
    variables=(MODEL, ROLE, BUILD, TRACE),
    start="now-30d",
    annotated=False,
    panels=(
        traces(
            "Where the time went",
            "Stages, inference and layers of the frame. Healthy: the model takes most of it, with"
            " no gaps between layers; a red mark is a span that failed or put out NaN or Inf.",
            'SELECT trace_id AS "traceID", span_id AS "spanID",'
            ' parent_span_id AS "parentSpanID", name AS "operationName",'
            ' model_name AS "serviceName", start_ms AS "startTime", dur_ms AS "duration",'
            " to_json([{'key': 'op', 'value': coalesce(op, kind)},"
            " {'key': 'layer', 'value': coalesce(CAST(layer_index AS VARCHAR), '')},"
            " {'key': 'timing', 'value': coalesce(timing, '')},"
            " {'key': 'shape', 'value': coalesce(output_shape, '')},"
            " {'key': 'nonfinite', 'value': CAST(coalesce(nonfinite_count, 0) AS VARCHAR)}])"
            " AS \"tags\", to_json([{'key': 'build', 'value': build}]) AS \"serviceTags\","
            " CAST(CASE WHEN status = 'error' OR nonfinite_count > 0 THEN 2 ELSE 0 END AS BIGINT)"
            f' AS "statusCode" {SPANS} ORDER BY start_ms, layer_index NULLS FIRST LIMIT 1000',
        ),
        table(
            "Spans",
            "The same spans in numbers, in the order in which they began. Healthy: every layer"
            " measured, nothing NaN, and ranges that fit the element type.",
            "SELECT kind, name, op, layer_index, timing, dur_ms, output_dtype, output_shape,"
            f" output_min, output_max, sat_ratio, nonfinite_count, status {SPANS}"
            " ORDER BY start_ms, layer_index NULLS FIRST LIMIT 1000",
            Column("kind", "Kind"),
            Column("name", "Name", link=TO_LAYER),
            Column("op", "Operator", link=TO_TENSOR),
            Column("layer_index", "#", width=50),
            Column("timing", "Measured by"),
            Column("dur_ms", "Time", "ms", decimals=3),
            Column("output_dtype", "Type"),
            Column("output_shape", "Shape"),
            Column("output_min", "Least", decimals=4),
            Column("output_max", "Greatest", decimals=4),
            Column("sat_ratio", "Saturated", "percentunit", decimals=2),
            Column("nonfinite_count", "NaN, Inf", steps=rising(1, 1)),
            Column("status", "Status"),
            height=14,
        ),
        table(
            "Frames of this build",
            "The newest frames of the build in the time range. Healthy: right answers, no errors."
            " A click opens the frame above.",
            "SELECT started, input_id, device, device_id, level, dur_ms, model_ms, label, top1,"
            " correct, status, trace_id FROM frame_times"
            " WHERE $__timeFilter(started) AND model_name = ${model:sqlstring}"
            " AND build = ${build:sqlstring} AND role = ${role:sqlstring}"
            " ORDER BY started DESC, trace_id LIMIT 200",
            Column("started", "Began"),
            Column("input_id", "Input", link=TO_FRAME),
            Column("device", "Device"),
            Column("device_id", "Device id"),
            Column("level", "Level"),
            Column("dur_ms", "Frame", "ms", decimals=2),
            Column("model_ms", "Model", "ms", decimals=2),
            Column("label", "Label"),
            Column("top1", "Answer"),
            Column("correct", "Right"),
            Column("status", "Status"),
            Column("trace_id", "Trace", hidden=True),
        ),
    ),
)
