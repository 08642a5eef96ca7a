"""All models and devices at a glance."""

from exray.grafana.thresholds import Thresholds

from .board import Board, Column, Link
from .panels import falling, limit, rising, stat, state_timeline, table

TO_BUILD = Link(
    "Trend over builds",
    "build",
    {"model": "model_name", "role": "role", "device": "device", "kernels": "kernels"},
)
TO_MODEL = Link(
    "Layers of this build",
    "model",
    {
        "model": "model_name",
        "role": "role",
        "device": "device",
        "kernels": "kernels",
        "build": "build",
    },
)
TO_LATENCY = Link(
    "Where the time goes",
    "latency",
    {
        "model": "model_name",
        "role": "role",
        "device": "device",
        "kernels": "kernels",
        "build": "build",
    },
)

NEWEST = "FROM build_trend WHERE $__timeFilter(started) AND role = 'edge' AND newest"


def _verdict(t: Thresholds) -> str:
    """Return 2 where numbers went wrong, 1 where they came close or time did, else 0."""
    return (
        "CASE"
        f" WHEN nonfinite_count > 0 OR worst_loss_db >= {t.loss_fail_db}"
        f" OR top1_loss > {t.accuracy_drop} THEN 2"
        f" WHEN worst_loss_db >= {t.loss_warn_db} OR p99_ratio > {t.p99_ratio}"
        f" OR overhead_ratio > {t.overhead_ratio} THEN 1"
        " ELSE 0 END"
    )


def fleet_board(t: Thresholds) -> Board:
    """Return the board, coloured by these thresholds."""
    return Board(
        name="fleet",
        title="exray / Fleet",
        description="Every model on every kind of device: what the newest build lost, and when.",
        variables=(),
        panels=(
            stat(
                "Devices",
                "Devices that recorded a frame in the time range. Healthy: as many as are out there.",
                "SELECT CAST(count(*) AS BIGINT) AS devices FROM device_list"
                " WHERE $__timeFilter(last_seen)",
            ),
            stat(
                "Builds",
                "Builds whose first frame lies in the time range. Healthy: one for each release.",
                "SELECT CAST(count(DISTINCT build) AS BIGINT) AS builds FROM build_trend"
                " WHERE $__timeFilter(started) AND role = 'edge'",
            ),
            stat(
                "Frames",
                "Frames recorded by builds of the time range. Healthy: growing with every build.",
                "SELECT CAST(coalesce(sum(frames), 0) AS BIGINT) AS frames FROM build_trend"
                " WHERE $__timeFilter(started) AND role = 'edge'",
                unit="short",
            ),
            stat(
                "Worst loss in a layer",
                "The greatest loss of SQNR of any layer of a newest build against the median of the"
                f" five builds before. Healthy: below {t.loss_warn_db:g} dB, which chance explains.",
                f"SELECT CAST(max(worst_loss_db) AS DOUBLE) AS loss_db {NEWEST}",
                unit="dB",
                decimals=1,
                steps=rising(t.loss_warn_db, t.loss_fail_db),
            ),
            stat(
                "Worst change of accuracy",
                "The greatest fall of top-1 accuracy of a newest build against the build before."
                " Healthy: zero, which also stands for what the number of labelled inputs leaves to"
                " chance (two standard errors).",
                f"SELECT CAST(min(-top1_loss) AS DOUBLE) AS change {NEWEST}",
                unit="percentunit",
                decimals=1,
                steps=falling(-t.accuracy_drop, 0.0),
            ),
            stat(
                "Highest overhead",
                "Share of the time that recording took, in the newest build where it was highest."
                f" Healthy: below the budget of {t.overhead_ratio:.0%}.",
                f"SELECT CAST(max(overhead_ratio) AS DOUBLE) AS overhead {NEWEST}",
                unit="percentunit",
                decimals=1,
                steps=limit(t.overhead_ratio),
            ),
            table(
                "Newest builds",
                "The newest build of each model, kernel family and device model, the worst first."
                " Healthy: no red cell. A click on a build leads to its layers, on a device to its"
                " builds, on a time to where it goes.",
                "SELECT model_name, role, device, kernels, build, started, devices, frames,"
                " top1_ratio, -top1_loss AS top1_change,"
                " worst_layer, worst_loss_db, nonfinite_count, p99_ms, p99_ratio, overhead_ratio"
                f" {NEWEST} ORDER BY {_verdict(t)} DESC, worst_loss_db DESC NULLS LAST, model_name, device"
                " LIMIT 200",
                Column("model_name", "Model"),
                Column("role", "Role", hidden=True),
                Column("device", "Device", link=TO_BUILD),
                Column("kernels", "Kernels"),
                Column("build", "Build", link=TO_MODEL),
                Column("started", "First frame"),
                Column("devices", "Devices"),
                Column("frames", "Frames"),
                Column("top1_ratio", "Top-1", "percentunit", decimals=1),
                Column(
                    "top1_change",
                    "Change",
                    "percentunit",
                    decimals=1,
                    steps=falling(-t.accuracy_drop, -t.accuracy_drop / 2),
                ),
                Column("worst_layer", "Worst layer"),
                Column(
                    "worst_loss_db",
                    "Loss",
                    "dB",
                    decimals=1,
                    steps=rising(t.loss_warn_db, t.loss_fail_db),
                    link=TO_MODEL,
                ),
                Column("nonfinite_count", "NaN, Inf", steps=limit(1)),
                Column("p99_ms", "p99", "ms", decimals=2, link=TO_LATENCY),
                Column(
                    "p99_ratio",
                    "p99 / before",
                    decimals=2,
                    steps=rising(t.p99_warn_ratio, t.p99_ratio),
                    link=TO_LATENCY,
                ),
                Column(
                    "overhead_ratio",
                    "Overhead",
                    "percentunit",
                    decimals=1,
                    steps=limit(t.overhead_ratio),
                ),
            ),
            state_timeline(
                "Builds over time",
                "Whether each build passed, by model, device and kernels, from its first frame on:"
                " failed where a layer lost"
                f" {t.loss_fail_db:g} dB, accuracy {t.accuracy_drop:.0%}, or where NaN appeared; warned where time,"
                " overhead or a layer came close. Healthy: green throughout. Thirty bands at most.",
                "SELECT started AS \"time\", model_name || ' · ' || device || ' · ' || kernels AS"
                f" metric, CAST({_verdict(t)} AS DOUBLE) AS value FROM build_trend"
                " WHERE $__timeFilter(started) AND role = 'edge'"
                " QUALIFY dense_rank() OVER (ORDER BY model_name, device, kernels) <= 30"
                " ORDER BY 1, 2 LIMIT 1000",
                (("0", "pass", "green"), ("1", "warn", "orange"), ("2", "fail", "red")),
            ),
            table(
                "Silent devices",
                f"Devices without a frame for {t.silent_hours} hours or more, the longest silent first,"
                " 100 at most. Healthy: none but those switched off for good.",
                "SELECT device_id, device, model_name, 'edge' AS role, kernels, build, last_seen,"
                " CAST(date_diff('hour', last_seen, CAST(now() AS TIMESTAMP)) AS BIGINT)"
                " AS silent_hours"
                " FROM device_list WHERE $__timeFilter(last_seen) AND last_seen <"
                f" CAST(now() AS TIMESTAMP) - INTERVAL {t.silent_hours} HOUR"
                " ORDER BY last_seen, device_id LIMIT 100",
                Column("device_id", "Device"),
                Column("device", "Kind", link=TO_BUILD),
                Column("model_name", "Model"),
                Column("role", "Role", hidden=True),
                Column("kernels", "Kernels"),
                Column("build", "Build", link=TO_MODEL),
                Column("last_seen", "Last frame"),
                Column(
                    "silent_hours", "Silent", "h", steps=rising(t.silent_hours, 7 * t.silent_hours)
                ),
                height=8,
            ),
        ),
    )
