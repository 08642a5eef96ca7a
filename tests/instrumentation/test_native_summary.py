"""The native library's summaries are numpy's: exact for octets, to rounding for the rest."""

import ctypes
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from exray.instrumentation.native_library import native_library
from exray.instrumentation.native_summary import summarize_into
from exray.schema import statistics
from exray.schema.quantization import dequantize
from exray.schema.records import TENSOR_ROW, Quantization

SCALAR, AVX2, NEON = 1, 2, 3
FAMILIES = (0, 7, 15)
SIZES = (0, 1, 10, 255, 256, 257, 5000)
LARGE = 1_000_003
FLOATS = (np.float16, np.float32, np.float64, ml_dtypes.bfloat16)
OCTETS = (np.int8, np.uint8)
INTEGERS = (*OCTETS, *(np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64))
DTYPES = (*FLOATS, *INTEGERS, np.bool_)
COUNTS = tuple(name for name in TENSOR_ROW.names or () if name.endswith("count"))
SUMS = ("sum", "sum2", "sum3", "sum4")
ROUNDING = 1e-12
"""Of the sum of magnitudes: float64 sums taken in another order."""

Dtype = type[np.generic]
Summary = tuple[dict[str, Any], NDArray[np.float32]]


def usable_paths() -> list[int]:
    """The sets of kernels that this processor has; none where there is no library."""
    handle = native_library().handle
    if handle is None:
        return []
    paths = [path for path in (SCALAR, AVX2, NEON) if handle.exray_summary_path(path) == path]
    handle.exray_summary_path(0)
    return paths


@pytest.fixture(params=usable_paths(), ids="path{}".format, autouse=True)
def library(request: pytest.FixtureRequest) -> Iterator[ctypes.CDLL]:
    """The library, with each set of kernels in turn."""
    handle = native_library().handle
    assert handle is not None
    assert handle.exray_summary_path(request.param) == request.param
    yield handle
    handle.exray_summary_path(0)


def of(
    summarize: Any, array: NDArray[Any], quantization: Quantization | None, family: int
) -> Summary:
    rows = np.zeros(3, TENSOR_ROW)
    wide = summarize(rows, 1, array, quantization=quantization, family=family)
    assert not rows[[0, 2]].tobytes().strip(b"\0"), "only the row named is written"
    return {name: rows[name][1] for name in TENSOR_ROW.names or ()}, wide


def assert_equals_numpy(
    array: NDArray[Any], quantization: Quantization | None = None, family: int = 3
) -> None:
    """Compare every field with numpy's, and fail where the library did not do the work."""
    expected, expected_wide = of(statistics.summarize_into, array, quantization, family)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "summarize_into", None)
        actual, wide = of(summarize_into, array, quantization, family)
    for name in (*COUNTS, "hash", "min", "max"):
        np.testing.assert_array_equal(actual[name], expected[name], err_msg=name)
    with np.errstate(all="ignore"):
        magnitudes = np.abs(dequantize(array, quantization, np.float64))
        magnitudes[~np.isfinite(magnitudes)] = 0
        for power, name in enumerate(SUMS, 1):
            bound = float(ROUNDING * np.sum(magnitudes**power))
            if not np.isfinite(bound):
                assert np.isfinite(actual[name]) == np.isfinite(expected[name])
                continue
            assert actual[name] == pytest.approx(expected[name], abs=bound, nan_ok=True), name
    assert_sketch_equals(wide, expected_wide)
    assert_sketch_equals(actual["sketch"], expected["sketch"])


def assert_sketch_equals(actual: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    norm = float(np.linalg.norm(expected.astype(np.float64)))
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-7 * norm)


def make_array(dtype: Dtype, count: int, seed: int = 0) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    if issubclass(dtype, np.integer):
        ends = np.iinfo(dtype)
        return rng.integers(ends.min, ends.max, count, dtype, endpoint=True)
    if dtype is np.bool_:
        return rng.integers(0, 2, count).astype(dtype)
    return rng.normal(size=count).clip(-0.5).astype(dtype)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_and_size(dtype: Dtype, count: int, family: int) -> None:
    assert_equals_numpy(make_array(dtype, count), None, family)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_million_elements(dtype: Dtype) -> None:
    assert_equals_numpy(make_array(dtype, LARGE))
