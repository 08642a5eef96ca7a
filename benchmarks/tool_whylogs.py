"""whylogs: profiles of each layer's output, and their drift from those of the build before."""

import importlib
from typing import Any

import numpy as np
from fault_rivals import Array, Build

DRIFTED = 0.05
"""p below which whylogs says that a column may have drifted."""


class Whylogs:
    """whylogs' Kolmogorov-Smirnov test between profiles."""

    name = "whylogs"
    needs = ("whylogs", "pandas", "scipy")

    def __init__(self) -> None:
        self._before: Any = None

    def measure(self, build: Build) -> dict[int, float]:
        """Return how surely each layer's values drifted: 1 - p; of the first build none."""
        drift: Any = importlib.import_module("whylogs.viz.drift.column_drift_algorithms")
        view = _profile(build.outputs())
        if build.is_sound:
            self._before = view
        scores = drift.calculate_drift_scores(view, self._before, with_thresholds=True)
        return {int(name): 1.0 - float(score["pvalue"]) for name, score in scores.items() if score}

    def alarms(self, value: float, before: float) -> bool:
        """Whether a layer's values drifted."""
        return value > 1.0 - DRIFTED


def _profile(outputs: dict[int, Array]) -> Any:
    core: Any = importlib.import_module("whylogs.core")
    pandas: Any = importlib.import_module("pandas")
    profile = core.DatasetProfile()
    for layer, values in outputs.items():
        column = np.asarray(values, np.float64).ravel()
        profile.track(pandas.DataFrame({str(layer): column}))
    return profile.view()
