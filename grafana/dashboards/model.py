"""The layers of one build against a baseline."""

from exray.grafana.thresholds import Thresholds

from .board import Board, Column, Link
from .panels import bar_chart, limit, rising, stat, table
from .variables import BASELINE, BUILD, DEVICE, KERNELS, MODEL, OF_BUILD, OF_GROUP, ROLE

TO_LAYER = Link("This layer", "layer", {"layer": "layer_index", "device": "device"})
TO_TENSOR = Link("Its distribution", "tensor", {"layer": "layer_index"})
TO_COMPARE = Link("Both builds side by side", "compare")
TO_FRAMES = Link("Its frames", "frame")

OF_BASELINE = f"{OF_GROUP} AND build = ${{baseline:sqlstring}}"


def model_board(t: Thresholds) -> Board:
    """Return the board, coloured by these thresholds."""
    return Board(
        name="model",
        title="exray / Model",
        description="The layers of one build, how far each is from the reference, and how a baseline"
        " stood.",
        variables=(MODEL, ROLE, DEVICE, KERNELS, BUILD, BASELINE),
        annotated=False,
        panels=(
            stat(
                "Worst loss in a layer",
                "The greatest loss of SQNR of a layer against the median of the five builds before."
                f" Healthy: below {t.loss_warn_db:g} dB.",
                f"SELECT CAST(max(worst_loss_db) AS DOUBLE) AS loss_db FROM build_trend WHERE {OF_BUILD}",
                unit="dB",
                decimals=1,
                steps=rising(t.loss_warn_db, t.loss_fail_db),
                links=(TO_COMPARE,),
            ),
            stat(
                "Model input",
                "SQNR of the model's input against the reference's, the worst of the chosen devices."
                " Healthy: 30 dB or more; below, look at the preprocessing before any layer.",
                "SELECT CAST(min(input_sqnr_db) AS DOUBLE) AS input_db FROM build_trend"
                f" WHERE {OF_BUILD}",
                unit="dB",
                decimals=1,
                steps=(("red", None), ("orange", 20), ("green", 30)),
            ),
            stat(
                "Output",
                "SQNR of the last layer measured, the worst of the chosen devices. Healthy: what the"
                " baseline has; there is no level that is good for every model.",
                "SELECT CAST(min(output_sqnr_db) AS DOUBLE) AS output_db FROM build_trend"
                f" WHERE {OF_BUILD}",
                unit="dB",
                decimals=1,
            ),
            stat(
                "Top-1",
                "Accuracy over the labelled inputs of the chosen devices. Healthy: the baseline's.",
                "SELECT CAST(sum(top1_ratio * judged) / nullif(sum(judged), 0) AS DOUBLE) AS top1"
                f" FROM build_trend WHERE {OF_BUILD}",
                unit="percentunit",
                decimals=1,
            ),
            stat(
                "NaN and Inf",
                "Elements of layers' outputs that are not finite. Healthy: none.",
                "SELECT CAST(coalesce(sum(nonfinite_count), 0) AS BIGINT) AS elements"
                f" FROM build_trend WHERE {OF_BUILD}",
                steps=limit(1),
            ),
            stat(
                "Paired frames",
                "Inputs of which both this build and the reference recorded tensors. Healthy: 16 or"
                " more, for then SQNR is known to 0.2 dB.",
                "SELECT CAST(min(paired_frames) AS BIGINT) AS paired FROM build_trend"
                f" WHERE {OF_BUILD}",
                steps=(("red", None), ("orange", 4), ("green", 16)),
                links=(TO_FRAMES,),
            ),
            table(
                "Layers",
                "Each layer in the model's order, by device: SQNR against the reference, what it lost"
                " against the baseline, what it lost against its own inputs, and its time. Healthy:"
                " no red cell. The first red layer is where to look, for those below inherit.",
                "SELECT a.layer_index, a.layer_name, a.op, a.device, a.kernels, a.sqnr_db,"
                " b.sqnr_db - a.sqnr_db AS baseline_loss_db, a.loss_db, a.drop_db, a.cosine, a.nrmse,"
                " a.sat_ratio, coalesce(a.nan_count, 0) + coalesce(a.inf_count, 0) AS nonfinite_count,"
                " a.p50_ms, a.p50_ms / nullif(b.p50_ms, 0) AS p50_ratio, a.time_ratio"
                f" FROM (SELECT * FROM layer_trend WHERE {OF_BUILD}) AS a LEFT JOIN"
                f" (SELECT * FROM layer_trend WHERE {OF_BASELINE}) AS b ON"
                " a.layer_name = b.layer_name AND a.device = b.device AND a.kernels = b.kernels"
                " ORDER BY a.layer_index, a.device, a.kernels LIMIT 1000",
                Column("layer_index", "#", width=50),
                Column("layer_name", "Layer", link=TO_LAYER),
                Column("op", "Operator", link=TO_TENSOR),
                Column("device", "Device"),
                Column("kernels", "Kernels"),
                Column("sqnr_db", "SQNR", "dB", decimals=1),
                Column(
                    "baseline_loss_db",
                    "Lost / baseline",
                    "dB",
                    decimals=1,
                    steps=rising(t.loss_warn_db, t.loss_fail_db),
                ),
                Column(
                    "loss_db",
                    "Lost / before",
                    "dB",
                    decimals=1,
                    steps=rising(t.loss_warn_db, t.loss_fail_db),
                ),
                Column("drop_db", "Lost / inputs", "dB", decimals=1),
                Column("cosine", "Cosine", decimals=4),
                Column("nrmse", "nRMSE", decimals=4),
                Column("sat_ratio", "Saturated", "percentunit", decimals=2),
                Column("nonfinite_count", "NaN, Inf", steps=limit(1)),
                Column("p50_ms", "p50", "ms", decimals=3),
                Column(
                    "p50_ratio",
                    "p50 / baseline",
                    decimals=2,
                    steps=rising(t.p50_warn_ratio, t.p50_ratio),
                ),
                Column("time_ratio", "Share of time", "percentunit", gauge=True),
                height=14,
            ),
            bar_chart(
                "SQNR along the network",
                "SQNR of each layer against the reference, this build beside the baseline, the worst"
                " of the chosen devices, in the model's order. Healthy: the same profile twice."
                " A step down that stays is the layer at fault.",
                "SELECT a.layer_name, CAST(min(a.sqnr_db) AS DOUBLE) AS build_db,"
                " CAST(min(b.sqnr_db) AS DOUBLE) AS baseline_db"
                f" FROM (SELECT * FROM layer_trend WHERE {OF_BUILD}) AS a LEFT JOIN"
                f" (SELECT * FROM layer_trend WHERE {OF_BASELINE}) AS b ON"
                " a.layer_name = b.layer_name AND a.device = b.device AND a.kernels = b.kernels"
                " GROUP BY a.layer_name HAVING min(a.sqnr_db) IS NOT NULL"
                " ORDER BY min(a.layer_index) LIMIT 200",
                "layer_name",
                Column("build_db", "This build"),
                Column("baseline_db", "Baseline"),
                unit="dB",
                width=16,
            ),
            bar_chart(
                "Time by operator",
                "Mean time of each operator type per frame, the mean of the chosen devices."
                " Healthy: what the hardware is made for takes most of it.",
                "SELECT op, CAST(sum(mean_ms) / nullif(count(DISTINCT device || kernels), 0) AS DOUBLE)"
                f" AS op_ms FROM layer_trend WHERE {OF_BUILD} AND mean_ms IS NOT NULL"
                " GROUP BY op ORDER BY 2 DESC LIMIT 30",
                "op",
                Column("op_ms", "Time"),
                unit="ms",
                horizontal=True,
                width=8,
            ),
            table(
                "Loss over the last builds",
                "What each layer lost against the median of the five builds before, this build and"
                " the seven before it, the worst of the chosen devices. Healthy: no colour; a red"
                " column is a bad build, a red row a layer that every build breaks.",
                "WITH builds AS (SELECT build, row_number() OVER (ORDER BY min(started) DESC, build)"
                f" AS age FROM build_trend WHERE {OF_GROUP} AND started <= (SELECT max(c.started)"
                " FROM build_trend AS c WHERE c.build = ${build:sqlstring}"
                " AND c.model_name = ${model:sqlstring}) GROUP BY build)"
                " SELECT min(t.layer_index) AS layer_index, t.layer_name,"
                + ",".join(
                    f" CAST(max(t.loss_db) FILTER (WHERE n.age = {age}) AS DOUBLE) AS before_{age - 1}"
                    for age in range(8, 0, -1)
                )
                + f" FROM (SELECT * FROM layer_trend WHERE {OF_GROUP}) AS t"
                " INNER JOIN builds AS n ON t.build = n.build WHERE n.age <= 8"
                " GROUP BY t.layer_name ORDER BY 1, 2 LIMIT 500",
                Column("layer_index", "#", width=50),
                Column(
                    "layer_name",
                    "Layer",
                    link=Link("This layer", "layer", {"layer": "layer_index"}),
                ),
                *(
                    Column(
                        f"before_{age}",
                        "This build" if age == 0 else f"{age} before",
                        "dB",
                        decimals=1,
                        steps=rising(t.loss_warn_db, t.loss_fail_db),
                    )
                    for age in range(7, -1, -1)
                ),
                height=12,
            ),
        ),
    )
