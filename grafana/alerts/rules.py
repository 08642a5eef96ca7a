"""What is watched. Each query gives thirty series at most, those that are worst."""

from exray.grafana.thresholds import Thresholds

from .rule import Rule

NOW = "CAST(now() AS TIMESTAMP)"
NEWEST = "FROM build_trend WHERE $__timeFilter(started) AND role = 'edge' AND newest"
OF_BUILD = "model_name || ' ' || build || ' on ' || device || ' (' || kernels || ')'"
LEAST_FRAMES = 20
"""Frames below which a 99th percentile says nothing."""


def _worst(value: str, where: str, rows: str = NEWEST, metric: str = OF_BUILD) -> str:
    # Not in time: the rows of all series have the same one.
    return (
        f'SELECT {NOW} AS "time", {metric} AS metric, CAST({value} AS DOUBLE) AS value'
        f" {rows} AND {where} ORDER BY 1, value DESC, metric LIMIT 30"
    )


def rules(t: Thresholds) -> tuple[Rule, ...]:
    """Return all rules, the gravest first, which fire above these thresholds."""
    return (
        Rule(
            name="layer-divergence",
            title="A layer lost accuracy against the builds before",
            summary="{{ $labels.metric }} lost {{ $values.B.Value }} dB of SQNR against the median of"
            " up to five builds before",
            sql=_worst(
                "worst_loss_db",
                "worst_loss_db IS NOT NULL",
                metric=f"{OF_BUILD} || coalesce(', ' || worst_layer, '')",
            ),
            above=t.loss_fail_db,
            wait_s=0,
            board="build",
        ),
        Rule(
            name="accuracy-drop",
            title="A build is right less often than the one before",
            summary="{{ $labels.metric }} lost {{ $values.B.Value }} of its top-1 accuracy, more than"
            " chance explains",
            sql=_worst("top1_loss", "top1_loss IS NOT NULL"),
            above=t.accuracy_drop,
            wait_s=0,
            board="fleet",
        ),
        Rule(
            name="latency-p99",
            title="Frames take longer than in the build before",
            summary="{{ $labels.metric }}: the 99th percentile is {{ $values.B.Value }} times that of"
            " the build before",
            sql=_worst("p99_ratio", f"p99_ratio IS NOT NULL AND frames >= {LEAST_FRAMES}"),
            above=t.p99_ratio,
            wait_s=0,
            board="latency",
            severity="warning",
        ),
        Rule(
            name="overhead",
            title="Recording takes more than its budget",
            summary="{{ $labels.metric }}: recording takes {{ $values.B.Value }} of the time",
            sql=_worst("overhead_ratio", "overhead_ratio IS NOT NULL"),
            above=t.overhead_ratio,
            wait_s=0,
            board="build",
            severity="warning",
        ),
        Rule(
            name="not-finite",
            title="A layer puts out NaN or Inf",
            summary="{{ $labels.metric }}: {{ $values.B.Value }} elements of layers' outputs are not"
            " finite",
            sql=_worst("nonfinite_count", "nonfinite_count IS NOT NULL"),
            above=0,
            wait_s=0,
            board="model",
        ),
        Rule(
            name="device-silent",
            title="A device says nothing",
            summary="{{ $labels.metric }} has sent no frame for {{ $values.B.Value }} hours",
            sql=_worst(
                f"date_diff('minute', last_seen, {NOW}) / 60.0",
                "last_seen IS NOT NULL",
                rows="FROM device_list WHERE $__timeFilter(last_seen)",
                metric="device_id || ' (' || device || ', ' || build || ')'",
            ),
            above=t.silent_hours,
            wait_s=900,
            board="fleet",
            days=14,
            severity="warning",
        ),
        Rule(
            name="lake-lag",
            title="Nothing new reaches the lake",
            summary="The newest frame in the lake is {{ $values.B.Value }} minutes old",
            sql=(
                f"SELECT {NOW} AS \"time\", 'lake' AS metric,"
                f" CAST(date_diff('second', max(last_seen), {NOW}) / 60.0 AS DOUBLE) AS value"
                " FROM device_list WHERE $__timeFilter(last_seen)"
                " HAVING max(last_seen) IS NOT NULL LIMIT 1"
            ),
            above=t.lag_minutes,
            wait_s=300,
            board="fleet",
            days=14,
            severity="warning",
        ),
    )


RULES = rules(Thresholds())
"""Those that fire above the thresholds that hold where no policy says otherwise."""
