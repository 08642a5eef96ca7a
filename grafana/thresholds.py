"""What the dashboards colour and the alert rules fire on, each with its reason.

None is an absolute distance: what a sound layer's SQNR is depends on the layer.
"""

LOSS_WARN_DB = 1.0
"""SQNR lost against the median of the builds before: above what sixteen frames measure by chance."""

LOSS_FAIL_DB = 3.0
"""SQNR lost that names the first bad layer: noise doubled."""

ACCURACY_DROP = 0.01
"""Accuracy lost against the build before: one point."""

P99_RATIO = 1.2
"""99th percentile of a frame's time against the build before."""

P50_RATIO = 1.2
"""Median time of a layer against the median of the builds before."""

OVERHEAD_RATIO = 0.02
"""Share of the time that recording may take: the default of ``overhead_budget``."""

SILENT_HOURS = 24
"""Hours without a frame after which a device counts as silent."""

LAG_MINUTES = 30
"""Minutes that the newest frame in the lake may be behind: records are written every 30 s, and
what could not be sent is tried again for minutes."""
