"""Without the native library everything is recorded all the same, by numpy."""

import numpy as np
import pytest

from exray.instrumentation import native_summary
from exray.instrumentation.capture import Carrier, TensorRecorder
from exray.instrumentation.native_library import NativeLibrary
from exray.instrumentation.native_summary import summarize_into
from exray.schema import statistics
from exray.schema.records import TENSOR_ROW, Quantization, TensorSite

QUANTIZATION = Quantization((0.5,), (3,))


@pytest.fixture(autouse=True)
def _no_library(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] - autouse
    monkeypatch.setattr(native_summary, "native_library", lambda: NativeLibrary(None, "a test"))


def test_numpy_summarises() -> None:
    array = np.arange(-100, 100, dtype=np.int8)
    rows = np.zeros(2, TENSOR_ROW)

    wide = summarize_into(rows, 0, array, quantization=QUANTIZATION, family=3)

    expected = statistics.summarize_into(rows, 1, array, quantization=QUANTIZATION, family=3)
    assert rows[0] == rows[1]
    np.testing.assert_array_equal(wide, expected)


def test_tensors_are_recorded() -> None:
    recorder = TensorRecorder()
    site = TensorSite("output", "x", 0, "int8", (2,), quantization=QUANTIZATION)

    recorder.add(site, np.array([3, 5], np.int8), Carrier(1, 2, 3), 5)

    assert recorder.block().rows[0]["sum"] == 1.0
