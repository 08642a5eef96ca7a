"""One layer across builds, devices and frames."""

from exray.grafana.thresholds import Thresholds

from .board import Board, Column, Link
from .panels import rising, table, time_series
from .variables import (
    BUILD,
    CHOSEN_LAYER,
    DEVICE,
    KERNELS,
    LAYER,
    MODEL,
    OF_GROUP,
    REFERENCE,
    ROLE,
)

TO_FRAME = Link("This frame", "frame", {"trace": "trace_id"})
TO_TENSOR = Link("Distribution", "tensor")
TO_MODEL = Link("All layers of the build", "model", {"build": "build"})

ROWS = f"FROM layer_trend WHERE $__timeFilter(started) AND {OF_GROUP} AND {CHOSEN_LAYER}"
SERIES = "QUALIFY dense_rank() OVER (ORDER BY device, kernels) <= 30"
FRAMES = (
    "FROM layer_frames(${build:sqlstring}, ${reference:sqlstring},"
    " TRY_CAST(${layer:sqlstring} AS INTEGER))"
    " WHERE list_contains([${device:sqlstring}], device)"
    " AND list_contains([${kernels:sqlstring}], kernels)"
)


def _over_builds(column: str) -> str:
    return (
        "SELECT started AS \"time\", device || ' · ' || kernels AS metric,"
        f" CAST({column} AS DOUBLE) AS value {ROWS} AND {column} IS NOT NULL {SERIES}"
        " ORDER BY 1, 2 LIMIT 1000"
    )


def layer_board(t: Thresholds) -> Board:
    """Return the board, coloured by these thresholds."""
    return Board(
        name="layer",
        title="exray / Layer",
        description="One layer across builds and devices, and the frames in which it is worst.",
        variables=(MODEL, ROLE, DEVICE, KERNELS, BUILD, REFERENCE, LAYER),
        panels=(
            time_series(
                "SQNR",
                "SQNR of the layer's output against the reference, by build, device and kernels."
                " Healthy: level lines, those of one kernel family together.",
                _over_builds("sqnr_db"),
                unit="dB",
                links=(TO_TENSOR,),
            ),
            time_series(
                "Lost within the layer",
                "SQNR of the layer's inputs less its own output's. Healthy: level; a rise means that"
                " the fault is here, not above.",
                _over_builds("drop_db"),
                unit="dB",
                links=(TO_TENSOR,),
            ),
            time_series(
                "Time, median",
                "Median time of an execution, by build, device and kernels. Healthy: level.",
                _over_builds("p50_ms"),
                unit="ms",
                minimum=0,
                width=8,
            ),
            time_series(
                "Range of the output",
                "Standard deviation of the output's elements. Healthy: level; what falls to zero is"
                " a dead layer, what jumps another weight or scale.",
                _over_builds("std"),
                width=8,
                links=(TO_TENSOR,),
            ),
            time_series(
                "Saturated elements",
                "Share of the output's elements at either end of their integer type. Healthy: near"
                " zero, or near what the activation clamps on purpose.",
                _over_builds("sat_ratio"),
                unit="percentunit",
                minimum=0,
                width=8,
            ),
            table(
                "Worst frames",
                "The layer in each measured frame of the chosen build, the greatest distance from the"
                " reference first. Healthy: all alike; a few bad ones are inputs to look at.",
                "SELECT started, input_id, device, kernels, sqnr_db, mean, std, min, max,"
                f" nonfinite_count, sat_ratio, zero_ratio, trace_id {FRAMES}"
                " ORDER BY nonfinite_count > 0 DESC, sqnr_db NULLS LAST, started, trace_id LIMIT 200",
                Column("started", "Began"),
                Column("input_id", "Input", link=TO_FRAME),
                Column("device", "Device"),
                Column("kernels", "Kernels"),
                Column("sqnr_db", "SQNR", "dB", decimals=1),
                Column("mean", "Mean", decimals=4),
                Column("std", "Deviation", decimals=4),
                Column("min", "Least", decimals=4),
                Column("max", "Greatest", decimals=4),
                Column("nonfinite_count", "NaN, Inf", steps=rising(1, 1)),
                Column("sat_ratio", "Saturated", "percentunit", decimals=2),
                Column("zero_ratio", "Zero", "percentunit", decimals=1),
                Column("trace_id", "Trace", hidden=True),
                height=11,
            ),
            table(
                "Builds",
                "The layer in every build of the time range, the newest first. Healthy: no red cell.",
                "SELECT build, started, device, kernels, frames, sqnr_db, usual_sqnr_db, loss_db,"
                " drop_db, cosine, nrmse, rmse_scale, mean, std, min, max, scale,"
                " coalesce(nan_count, 0) AS nan_count, coalesce(inf_count, 0) AS inf_count, p50_ms,"
                f" p99_ms {ROWS} ORDER BY started DESC, device, kernels LIMIT 500",
                Column("build", "Build", link=TO_MODEL),
                Column("started", "First frame"),
                Column("device", "Device"),
                Column("kernels", "Kernels"),
                Column("frames", "Paired"),
                Column("sqnr_db", "SQNR", "dB", decimals=1),
                Column("usual_sqnr_db", "Before", "dB", decimals=1),
                Column(
                    "loss_db",
                    "Lost",
                    "dB",
                    decimals=1,
                    steps=rising(t.loss_warn_db, t.loss_fail_db),
                ),
                Column("drop_db", "Lost / inputs", "dB", decimals=1),
                Column("cosine", "Cosine", decimals=4),
                Column("nrmse", "nRMSE", decimals=4),
                Column("rmse_scale", "RMSE / step", decimals=3),
                Column("mean", "Mean", decimals=4),
                Column("std", "Deviation", decimals=4),
                Column("min", "Least", decimals=4),
                Column("max", "Greatest", decimals=4),
                Column("scale", "Scale", decimals=6),
                Column("nan_count", "NaN", steps=rising(1, 1)),
                Column("inf_count", "Inf", steps=rising(1, 1)),
                Column("p50_ms", "p50", "ms", decimals=3),
                Column("p99_ms", "p99", "ms", decimals=3),
            ),
        ),
    )
