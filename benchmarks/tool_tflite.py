"""TensorFlow Lite's quantization debugger: how far each layer is from its float twin, in steps."""

import csv
import importlib
import io
from typing import Any

import numpy as np
from fault_rivals import Build

SUSPECT = 0.7
"""RMSE over scale from which the debugger's guide suspects a layer."""


class QuantizationDebugger:
    """`tf.lite.experimental.QuantizationDebugger` over the debug file of a build."""

    name = "QuantizationDebugger"
    needs = ("tensorflow",)

    def measure(self, build: Build) -> dict[int, float]:
        """Return RMSE over scale of each layer."""
        tf: Any = importlib.import_module("tensorflow")
        debugger = tf.lite.experimental.QuantizationDebugger(
            quant_debug_model_content=build.debug.content,
            debug_dataset=lambda: ([row[None]] for row in build.inputs),
        )
        debugger.run()
        told = io.StringIO()
        debugger.layer_statistics_dump(told)
        rows = csv.DictReader(io.StringIO(told.getvalue()))
        layers = build.debug.layers
        return {
            layers[int(row["tensor_idx"])]: float(
                np.sqrt(float(row["mean_squared_error"])) / float(row["scale"])
            )
            for row in rows
            if int(row["tensor_idx"]) in layers
        }

    def alarms(self, value: float, before: float) -> bool:
        """Whether a layer is suspect that was not in the build before."""
        return not value <= SUSPECT and before <= SUSPECT
