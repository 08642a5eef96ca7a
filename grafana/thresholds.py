"""What the dashboards colour and the alert rules fire on, each with its reason.

None is an absolute distance: what a sound layer's SQNR is depends on the layer.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Values from which a number is worth a look, and from which it is wrong.

    Args:
        loss_warn_db: SQNR lost against the median of the builds before: above what sixteen
            frames measure by chance.
        loss_fail_db: SQNR lost that names the first bad layer: noise doubled.
        accuracy_drop: Accuracy lost against the build before: one point.
        p99_ratio: 99th percentile of a frame's time against the build before.
        p50_ratio: Median time of a layer against the median of the builds before.
        overhead_ratio: Share of the time that recording may take: the default of
            ``overhead_budget``.
        silent_hours: Hours without a frame after which a device counts as silent.
        lag_minutes: Minutes that the newest frame in the lake may be behind: records are
            written every 30 s, and what could not be sent is tried again for minutes.
    """

    loss_warn_db: float = 1.0
    loss_fail_db: float = 3.0
    accuracy_drop: float = 0.01
    p99_ratio: float = 1.2
    p50_ratio: float = 1.2
    overhead_ratio: float = 0.02
    silent_hours: int = 24
    lag_minutes: int = 30

    @property
    def p99_warn_ratio(self) -> float:
        """Half of the way from no change to `p99_ratio`."""
        return (1 + self.p99_ratio) / 2

    @property
    def p50_warn_ratio(self) -> float:
        """Half of the way from no change to `p50_ratio`."""
        return (1 + self.p50_ratio) / 2
