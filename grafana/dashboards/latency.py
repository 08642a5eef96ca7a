"""Where the time of a frame goes."""

from exray.grafana.thresholds import Thresholds

from .board import Board, Column, Link
from .panels import bar_chart, rising, table, time_series
from .variables import BUILD, DEVICE, KERNELS, MODEL, OF_BUILD, OF_GROUP, ROLE

TO_LAYER = Link("This layer", "layer", {"layer": "layer_index", "device": "device"})
TO_FRAME = Link("This frame", "frame", {"trace": "trace_id", "build": "build"})

BUCKET = "time_bucket(to_milliseconds(greatest($__interval_ms, 1000)), {})"
FRAMES = f"FROM frame_times WHERE $__timeFilter(started) AND {OF_GROUP} AND status <> 'error'"
TIMED = "AND level = 'latency' AND dur_ms IS NOT NULL"
HOUR_MS = 3_600_000
SERIES = "QUALIFY dense_rank() OVER (ORDER BY device, kernels) <= 10"


def _over_time(share: float) -> str:
    """Return the quantile of times over time: from the rollup, which knows the hour, or finer."""
    of_hours = f"$__timeFilter(hour) AND {OF_GROUP} AND $__interval_ms >= {HOUR_MS}"
    return (
        f"WITH timed AS (SELECT {BUCKET.format('hour')} AS began, device, kernels, dur_ms, frames"
        f" FROM frame_hours WHERE {of_hours}"
        f" UNION ALL SELECT {BUCKET.format('started')} AS began, device, kernels, dur_ms,"
        f" 1 AS frames {FRAMES} {TIMED} AND $__interval_ms < {HOUR_MS}),"
        " placed AS (SELECT began, device, kernels, dur_ms, sum(frames) OVER (PARTITION BY began,"
        " device, kernels ORDER BY dur_ms) AS upto, sum(frames) OVER (PARTITION BY began, device,"
        " kernels) AS total FROM timed)"
        " SELECT began AS \"time\", device || ' · ' || kernels AS metric,"
        f" CAST(min(dur_ms) FILTER (WHERE upto >= {share} * total) AS DOUBLE) AS value FROM placed"
        f" GROUP BY 1, device, kernels {SERIES} ORDER BY 1, 2 LIMIT 1000"
    )


def latency_board(t: Thresholds) -> Board:
    """Return the board, coloured by these thresholds."""
    return Board(
        name="latency",
        title="exray / Latency",
        description="How long frames take, on which devices, and in which layers.",
        variables=(MODEL, ROLE, DEVICE, KERNELS, BUILD),
        start="now-30d",
        panels=(
            time_series(
                "Time of a frame, median",
                "Median time of frames at level latency, by device and kernels, ten at most."
                " Healthy: level; a rise that follows the temperature is throttling.",
                _over_time(0.5),
                unit="ms",
                minimum=0,
                points=100,
            ),
            time_series(
                "Time of a frame, p99",
                "99th percentile of frames at level latency, by device and kernels, ten at most."
                " Healthy: near the median; far above it something else uses the processor.",
                _over_time(0.99),
                unit="ms",
                minimum=0,
                points=100,
            ),
            table(
                "Layers by time",
                "The layers of the build that take most of a frame, by device, and how their median"
                " stands against the builds before. Healthy: no red cell.",
                "SELECT layer_index, layer_name, op, device, kernels, timing, executions, p50_ms,"
                " p99_ms, usual_p50_ms, p50_ratio, time_ratio FROM layer_trend"
                f" WHERE {OF_BUILD} AND p50_ms IS NOT NULL"
                " ORDER BY p50_ratio > "
                f"{t.p50_ratio} DESC, time_ratio DESC, layer_index, device LIMIT 200",
                Column("layer_index", "#", width=50),
                Column("layer_name", "Layer", link=TO_LAYER),
                Column("op", "Operator"),
                Column("device", "Device"),
                Column("kernels", "Kernels"),
                Column("timing", "Measured by"),
                Column("executions", "Executions"),
                Column("p50_ms", "p50", "ms", decimals=3),
                Column("p99_ms", "p99", "ms", decimals=3),
                Column("usual_p50_ms", "p50 before", "ms", decimals=3),
                Column(
                    "p50_ratio",
                    "p50 / before",
                    decimals=2,
                    steps=rising(t.p50_warn_ratio, t.p50_ratio),
                ),
                Column("time_ratio", "Share of time", "percentunit", gauge=True),
                width=16,
                height=12,
            ),
            bar_chart(
                "Time by operator and device",
                "Mean time of each operator type per frame on the three devices with most frames."
                " Healthy: the same order on each; an operator that stands out on one has no fast"
                " kernel there.",
                "WITH place AS (SELECT device, row_number() OVER (ORDER BY sum(frames) DESC, device)"
                f" AS n FROM build_trend WHERE {OF_BUILD} GROUP BY device)"
                " SELECT l.op, CAST(sum(l.mean_ms) FILTER (WHERE p.n = 1) AS DOUBLE) AS first_ms,"
                " CAST(sum(l.mean_ms) FILTER (WHERE p.n = 2) AS DOUBLE) AS second_ms,"
                " CAST(sum(l.mean_ms) FILTER (WHERE p.n = 3) AS DOUBLE) AS third_ms"
                f" FROM (SELECT * FROM layer_trend WHERE {OF_BUILD}) AS l"
                " INNER JOIN place AS p ON l.device = p.device WHERE l.mean_ms IS NOT NULL"
                " GROUP BY l.op ORDER BY sum(l.mean_ms) DESC LIMIT 30",
                "op",
                Column("first_ms", "Device with most frames"),
                Column("second_ms", "Second"),
                Column("third_ms", "Third"),
                unit="ms",
                horizontal=True,
                width=8,
                height=12,
            ),
            table(
                "Slowest frames",
                "The frames of the build that took longest in the time range, recorded at level"
                " latency. Healthy: a few times the median; a click shows where the time went.",
                "SELECT started, input_id, device, device_id, build, dur_ms, stage_ms, model_ms,"
                f" overhead_ms, trace_id {FRAMES} {TIMED} AND build = ${{build:sqlstring}}"
                " ORDER BY dur_ms DESC, trace_id LIMIT 100",
                Column("started", "Began"),
                Column("input_id", "Input", link=TO_FRAME),
                Column("device", "Device"),
                Column("device_id", "Device id"),
                Column("build", "Build"),
                Column("dur_ms", "Frame", "ms", decimals=2),
                Column("stage_ms", "Stages", "ms", decimals=2),
                Column("model_ms", "Model", "ms", decimals=2),
                Column("overhead_ms", "Recording", "ms", decimals=2),
                Column("trace_id", "Trace", hidden=True),
            ),
            table(
                "Frames by build",
                "Times of whole frames by build, device and kernels in the time range, the newest"
                " build first. Healthy: no build slower than the one before.",
                "SELECT build, started, device, kernels, frames, mean_ms, p50_ms, p99_ms, p99_ratio,"
                f" inflated FROM build_trend WHERE $__timeFilter(started) AND {OF_GROUP}"
                " ORDER BY started DESC, device, kernels LIMIT 500",
                Column("build", "Build"),
                Column("started", "First frame"),
                Column("device", "Device"),
                Column("kernels", "Kernels"),
                Column("frames", "Frames"),
                Column("mean_ms", "Mean", "ms", decimals=2),
                Column("p50_ms", "p50", "ms", decimals=2),
                Column("p99_ms", "p99", "ms", decimals=2),
                Column(
                    "p99_ratio",
                    "p99 / before",
                    decimals=2,
                    steps=rising(t.p99_warn_ratio, t.p99_ratio),
                ),
                Column("inflated", "Includes summaries"),
            ),
        ),
    )
