"""Two builds side by side."""

from exray.grafana.thresholds import Thresholds

from .board import Board, Column, Link
from .panels import bar_chart, falling, rising, table
from .variables import BASELINE, BUILD, DEVICE, KERNELS, MODEL, OF_BUILD, OF_GROUP, ROLE

TO_LAYER = Link("This layer", "layer", {"layer": "layer_index", "device": "device"})
TO_MODEL = Link("All layers", "model", {"device": "device"})

OF_BASELINE = f"{OF_GROUP} AND build = ${{baseline:sqlstring}}"
PAIRED_BUILDS = (
    f"FROM (SELECT * FROM build_trend WHERE {OF_BUILD}) AS a INNER JOIN"
    f" (SELECT * FROM build_trend WHERE {OF_BASELINE}) AS b"
    " ON a.device = b.device AND a.kernels = b.kernels"
)
PAIRED_LAYERS = (
    f"FROM (SELECT * FROM layer_trend WHERE {OF_BUILD}) AS a INNER JOIN"
    f" (SELECT * FROM layer_trend WHERE {OF_BASELINE}) AS b ON"
    " a.layer_name = b.layer_name AND a.device = b.device AND a.kernels = b.kernels"
)


def compare_board(t: Thresholds) -> Board:
    """Return the board, coloured by these thresholds."""
    return Board(
        name="compare",
        title="exray / Compare",
        description="Two builds of one model: what changed in answers, numbers and time.",
        variables=(MODEL, ROLE, DEVICE, KERNELS, BUILD, BASELINE),
        annotated=False,
        panels=(
            table(
                "Builds",
                "Both builds on each device that ran both. Healthy: no red cell.",
                "SELECT a.device, a.kernels, a.frames, b.frames AS baseline_frames, a.top1_ratio,"
                " a.top1_ratio - b.top1_ratio AS top1_change, a.output_sqnr_db,"
                " b.output_sqnr_db - a.output_sqnr_db AS output_loss_db, a.p50_ms, a.p99_ms,"
                " a.p99_ms / nullif(b.p99_ms, 0) AS p99_ratio, a.overhead_ratio,"
                f" b.overhead_ratio AS baseline_overhead_ratio, a.nonfinite_count {PAIRED_BUILDS}"
                " ORDER BY a.device, a.kernels LIMIT 200",
                Column("device", "Device", link=TO_MODEL),
                Column("kernels", "Kernels"),
                Column("frames", "Frames"),
                Column("baseline_frames", "Frames of baseline"),
                Column("top1_ratio", "Top-1", "percentunit", decimals=1),
                Column(
                    "top1_change",
                    "Change",
                    "percentunit",
                    decimals=1,
                    steps=falling(-t.accuracy_drop, -t.accuracy_drop / 2),
                ),
                Column("output_sqnr_db", "Output", "dB", decimals=1),
                Column(
                    "output_loss_db",
                    "Lost",
                    "dB",
                    decimals=1,
                    steps=rising(t.loss_warn_db, t.loss_fail_db),
                ),
                Column("p50_ms", "p50", "ms", decimals=2),
                Column("p99_ms", "p99", "ms", decimals=2),
                Column(
                    "p99_ratio",
                    "p99 / baseline",
                    decimals=2,
                    steps=rising(t.p99_warn_ratio, t.p99_ratio),
                ),
                Column("overhead_ratio", "Overhead", "percentunit", decimals=1),
                Column(
                    "baseline_overhead_ratio", "Overhead of baseline", "percentunit", decimals=1
                ),
                Column("nonfinite_count", "NaN, Inf", steps=rising(1, 1)),
                height=7,
            ),
            bar_chart(
                "SQNR lost by layer",
                "What each layer lost against the baseline, the worst of the chosen devices, in the"
                " model's order. Healthy: nothing beyond a decibel; the first tall bar is the fault.",
                "SELECT a.layer_name, CAST(max(b.sqnr_db - a.sqnr_db) AS DOUBLE) AS lost_db"
                f" {PAIRED_LAYERS} GROUP BY a.layer_name HAVING max(b.sqnr_db - a.sqnr_db) IS NOT NULL"
                " ORDER BY min(a.layer_index) LIMIT 200",
                "layer_name",
                Column("lost_db", "Lost"),
                unit="dB",
            ),
            bar_chart(
                "Time by layer",
                "Median time of each layer, the build beside the baseline, the mean of the chosen"
                " devices, in the model's order. Healthy: the same profile twice.",
                "SELECT a.layer_name, CAST(avg(a.p50_ms) AS DOUBLE) AS build_ms,"
                f" CAST(avg(b.p50_ms) AS DOUBLE) AS baseline_ms {PAIRED_LAYERS}"
                " GROUP BY a.layer_name HAVING max(a.p50_ms) IS NOT NULL"
                " ORDER BY min(a.layer_index) LIMIT 200",
                "layer_name",
                Column("build_ms", "Build"),
                Column("baseline_ms", "Baseline"),
                unit="ms",
            ),
            table(
                "Worst layers",
                "Layers by what they lost against the baseline, the first in the model's order before"
                " those that inherit. Healthy: nothing above a decibel.",
                "SELECT a.layer_index, a.layer_name, a.op, a.device, a.kernels, a.sqnr_db,"
                " b.sqnr_db AS baseline_sqnr_db, b.sqnr_db - a.sqnr_db AS lost_db,"
                " a.drop_db - b.drop_db AS own_loss_db, a.p50_ms, b.p50_ms AS baseline_p50_ms,"
                f" a.p50_ms / nullif(b.p50_ms, 0) AS p50_ratio {PAIRED_LAYERS}"
                " ORDER BY own_loss_db DESC NULLS LAST, p50_ratio DESC NULLS LAST, a.layer_index,"
                " a.device LIMIT 100",
                Column("layer_index", "#", width=50),
                Column("layer_name", "Layer", link=TO_LAYER),
                Column("op", "Operator"),
                Column("device", "Device"),
                Column("kernels", "Kernels"),
                Column("sqnr_db", "SQNR", "dB", decimals=1),
                Column("baseline_sqnr_db", "Baseline", "dB", decimals=1),
                Column(
                    "lost_db",
                    "Lost",
                    "dB",
                    decimals=1,
                    steps=rising(t.loss_warn_db, t.loss_fail_db),
                ),
                Column(
                    "own_loss_db",
                    "Lost in the layer",
                    "dB",
                    decimals=1,
                    steps=rising(t.loss_warn_db, t.loss_fail_db),
                ),
                Column("p50_ms", "p50", "ms", decimals=3),
                Column("baseline_p50_ms", "Baseline", "ms", decimals=3),
                Column(
                    "p50_ratio",
                    "p50 / baseline",
                    decimals=2,
                    steps=rising(t.p50_warn_ratio, t.p50_ratio),
                ),
            ),
            table(
                "Answers that changed",
                "Inputs that both builds classified and differently, those that became wrong first."
                " Healthy: few, and about as many for the better as for the worse.",
                "SELECT input_id, label, edge_top1, edge_correct, reference_top1, reference_correct"
                " FROM build_flips(${build:sqlstring}, ${baseline:sqlstring})"
                " WHERE edge_model = ${model:sqlstring}"
                " ORDER BY reference_correct DESC NULLS LAST, edge_correct, input_id LIMIT 200",
                Column("input_id", "Input"),
                Column("label", "Label"),
                Column("edge_top1", "Answer"),
                Column("edge_correct", "Right"),
                Column("reference_top1", "Baseline's answer"),
                Column("reference_correct", "Baseline right"),
                height=8,
            ),
        ),
    )
