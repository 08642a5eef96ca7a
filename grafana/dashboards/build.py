"""One model over its builds: what got worse, when, and at which layer."""

from exray.grafana.thresholds import Thresholds

from .board import Board, Column, Link
from .panels import rising, table, time_series, trend
from .variables import DEVICE, KERNELS, MODEL, OF_GROUP, ROLE

TO_MODEL = Link("Layers of this build", "model", {"build": "build", "device": "device"})
TO_LAYER = Link(
    "This layer", "layer", {"build": "build", "device": "device", "layer": "layer_index"}
)
TO_BUILDS_LAYERS = Link("Layers of the newest build", "model")
TO_LATENCY = Link("Where the time goes", "latency")

IN_RANGE = f"WHERE $__timeFilter(started) AND {OF_GROUP}"
SERIES = "QUALIFY dense_rank() OVER (ORDER BY device, kernels) <= 30"


def build_board(t: Thresholds) -> Board:
    """Return the board, coloured by these thresholds."""
    return Board(
        name="build",
        title="exray / Builds",
        description="One model over its builds: what got worse, when, and at which layer first.",
        variables=(MODEL, ROLE, DEVICE, KERNELS),
        panels=(
            table(
                "First bad build of a layer",
                f"Layers that lost {t.loss_fail_db:g} dB or more of SQNR against the median of the five"
                " builds before; of each build and device the first in the model's order comes first."
                " Healthy: empty.",
                "SELECT build, started, device, kernels, layer_index, layer_name, op, sqnr_db,"
                " usual_sqnr_db, loss_db, drop_db FROM layer_trend"
                f" {IN_RANGE} AND loss_db >= {t.loss_fail_db}"
                " ORDER BY started DESC, device, kernels, layer_index LIMIT 100",
                Column("build", "Build", link=TO_MODEL),
                Column("started", "First frame"),
                Column("device", "Device"),
                Column("kernels", "Kernels"),
                Column("layer_index", "#", width=50),
                Column("layer_name", "Layer", link=TO_LAYER),
                Column("op", "Operator"),
                Column("sqnr_db", "SQNR", "dB", decimals=1),
                Column("usual_sqnr_db", "Before", "dB", decimals=1),
                Column(
                    "loss_db",
                    "Loss",
                    "dB",
                    decimals=1,
                    steps=rising(t.loss_warn_db, t.loss_fail_db),
                ),
                Column("drop_db", "Drop in the layer", "dB", decimals=1),
                height=8,
            ),
            time_series(
                "Loss by layer",
                "SQNR that each layer lost against the median of the five builds before, the ten"
                " layers with the greatest loss, the worst of the chosen devices. Healthy: all near"
                f" zero; a layer above the line at {t.loss_fail_db:g} dB got worse in that build.",
                "WITH loss AS (SELECT started, build, layer_name, max(loss_db) OVER"
                " (PARTITION BY build, layer_name) AS loss_db, max(loss_db) OVER"
                " (PARTITION BY layer_name) AS greatest, min(started) OVER (PARTITION BY build)"
                f" AS begun FROM layer_trend {IN_RANGE} AND loss_db IS NOT NULL)"
                ' SELECT begun AS "time", layer_name AS metric, CAST(max(loss_db) AS DOUBLE) AS value'
                " FROM loss GROUP BY begun, layer_name, greatest"
                " QUALIFY dense_rank() OVER (ORDER BY greatest DESC, layer_name) <= 10"
                " ORDER BY 1, 2 LIMIT 1000",
                unit="dB",
                steps=rising(t.loss_warn_db, t.loss_fail_db),
                links=(TO_BUILDS_LAYERS,),
            ),
            trend(
                "Distance from the reference, build by build",
                "SQNR of the model's output and of its input against the reference, by number of the"
                " build, without the gaps between releases; the worst of the chosen devices."
                " Healthy: level lines; the input's far above the output's.",
                "SELECT CAST(row_number() OVER (ORDER BY min(started), build) AS BIGINT) AS number,"
                " CAST(min(output_sqnr_db) AS DOUBLE) AS output_db,"
                " CAST(min(input_sqnr_db) AS DOUBLE) AS input_db"
                f" FROM build_trend {IN_RANGE} GROUP BY build ORDER BY 1 LIMIT 1000",
                "number",
                Column("output_db", "Output"),
                Column("input_db", "Model input"),
                unit="dB",
            ),
            time_series(
                "Accuracy",
                "Top-1 accuracy of each build over its labelled inputs, by device and kernels."
                " Healthy: level or rising; a step down at one build is a regression of that build.",
                "SELECT started AS \"time\", device || ' · ' || kernels AS metric,"
                f" CAST(top1_ratio AS DOUBLE) AS value FROM build_trend {IN_RANGE}"
                f" AND top1_ratio IS NOT NULL {SERIES} ORDER BY 1, 2 LIMIT 1000",
                unit="percentunit",
                links=(TO_BUILDS_LAYERS,),
            ),
            time_series(
                "Accuracy less the reference's",
                "How much more often a build is right than its reference, on inputs of both, by"
                " device. Healthy: within a point of zero, build after build.",
                "SELECT started AS \"time\", device || ' · ' || kernels AS metric,"
                f" CAST(reference_top1_delta AS DOUBLE) AS value FROM build_trend {IN_RANGE}"
                f" AND reference_top1_delta IS NOT NULL {SERIES} ORDER BY 1, 2 LIMIT 1000",
                unit="percentunit",
                links=(TO_BUILDS_LAYERS,),
            ),
            time_series(
                "Time of a frame, p99",
                "99th percentile of a frame's time in each build, by device and kernels."
                " Healthy: level or falling.",
                "SELECT started AS \"time\", device || ' · ' || kernels AS metric,"
                f" CAST(p99_ms AS DOUBLE) AS value FROM build_trend {IN_RANGE}"
                f" AND p99_ms IS NOT NULL {SERIES} ORDER BY 1, 2 LIMIT 1000",
                unit="ms",
                minimum=0,
                links=(TO_LATENCY,),
            ),
            time_series(
                "Overhead of recording",
                "Share of the time of all frames that recording took, by device and kernels."
                f" Healthy: below the line, the budget of {t.overhead_ratio:.0%}.",
                "SELECT started AS \"time\", device || ' · ' || kernels AS metric,"
                f" CAST(overhead_ratio AS DOUBLE) AS value FROM build_trend {IN_RANGE}"
                f" AND overhead_ratio IS NOT NULL {SERIES} ORDER BY 1, 2 LIMIT 1000",
                unit="percentunit",
                minimum=0,
                steps=(("green", None), ("red", t.overhead_ratio)),
            ),
            table(
                "Builds",
                "Every build of the chosen devices, the newest first. Healthy: paired frames in every"
                " row, for without them nothing can be said of layers.",
                "SELECT build, started, device, kernels, devices, frames, failed_frames,"
                " measured_frames, reference_build, paired_frames, top1_ratio, worst_layer,"
                f" worst_loss_db, nonfinite_count, p50_ms, p99_ms FROM build_trend {IN_RANGE}"
                " ORDER BY started DESC, device, kernels LIMIT 500",
                Column("build", "Build", link=TO_MODEL),
                Column("started", "First frame"),
                Column("device", "Device"),
                Column("kernels", "Kernels"),
                Column("devices", "Devices"),
                Column("frames", "Frames"),
                Column("failed_frames", "Failed", steps=rising(1, 10)),
                Column("measured_frames", "Measured"),
                Column("reference_build", "Reference"),
                Column("paired_frames", "Paired"),
                Column("top1_ratio", "Top-1", "percentunit", decimals=1),
                Column("worst_layer", "Worst layer"),
                Column(
                    "worst_loss_db",
                    "Loss",
                    "dB",
                    decimals=1,
                    steps=rising(t.loss_warn_db, t.loss_fail_db),
                ),
                Column("nonfinite_count", "NaN, Inf", steps=rising(1, 1)),
                Column("p50_ms", "p50", "ms", decimals=2),
                Column("p99_ms", "p99", "ms", decimals=2),
            ),
        ),
    )
