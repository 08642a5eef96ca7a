"""The native library's summaries are numpy's: exact for octets, to rounding for the rest."""

import ctypes
from collections.abc import Iterator
from typing import Any
from unittest.mock import MagicMock

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from exray.instrumentation.native_library import native_library
from exray.instrumentation.native_summary import summarize_into
from exray.schema import statistics
from exray.schema.errors import UsageError
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
        magnitudes = np.abs(dequantize(np.atleast_1d(array), quantization, np.float64))
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
    norm = float(np.linalg.norm(np.nan_to_num(expected.astype(np.float64))))
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


@pytest.mark.parametrize("zero_point", [0, 3, -128, 255, -1000, 70_000, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("dtype", INTEGERS)
def test_quantized_per_tensor(dtype: Dtype, zero_point: int) -> None:
    assert_equals_numpy(make_array(dtype, 3000), Quantization((0.03125,), (zero_point,)))


@pytest.mark.parametrize("scale", [-0.5, 0.0, 2.0**100, 2.0**-140, np.inf, np.nan])
@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
def test_scales_of_every_kind(dtype: Dtype, scale: float) -> None:
    assert_equals_numpy(make_array(dtype, 300), Quantization((scale,), (5,)))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
@pytest.mark.parametrize("dtype", INTEGERS)
def test_quantized_per_channel(dtype: Dtype, axis: int) -> None:
    array = make_array(dtype, 4 * 50 * 8).reshape(4, 50, 8)
    channels = array.shape[axis]
    scales = tuple(0.25 * (c - 2) for c in range(channels))  # one of them 0, two negative
    zero_points = (2**31 - 1, -(2**31), *range(-1, channels - 3))
    assert_equals_numpy(array, Quantization(scales, zero_points, axis))


@pytest.mark.parametrize("axis", [0, 1, 2, -3])
def test_scales_that_fit_no_axis_leave_no_real_values(axis: int) -> None:
    array = np.full((3, 2), -128, np.int8)
    row, wide = of(summarize_into, array, Quantization((1.0,) * 4, (0,) * 4, axis), 3)

    assert (row["count"], row["sat_low_count"], row["zero_count"]) == (6, 6, 0)
    assert np.isnan([row[name] for name in (*SUMS, "min", "max")]).all()
    assert np.isnan(wide).all() and np.isnan(row["sketch"]).all()


@pytest.mark.parametrize("count", [7, 256, 5000])
@pytest.mark.parametrize("dtype", FLOATS)
def test_elements_that_are_not_finite(dtype: Dtype, count: int) -> None:
    array = make_array(dtype, count)
    array[[0, 2, count // 2, count - 1]] = np.nan, np.inf, -np.inf, -np.nan
    assert_equals_numpy(array)
    assert_equals_numpy(np.full(count, np.nan, dtype))


@pytest.mark.parametrize("dtype", FLOATS)
def test_any_bits_make_a_float(dtype: Dtype) -> None:
    size = 3000 * np.dtype(dtype).itemsize
    octets = np.random.default_rng(4).integers(0, 256, size, np.uint8)
    assert_equals_numpy(octets.view(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_denormal_values_are_no_zeros(dtype: type[np.floating[Any]]) -> None:
    array = np.full(300, np.finfo(dtype).smallest_subnormal)
    array[::3] *= -2
    row, _ = of(summarize_into, array, None, 3)

    assert row["zero_count"] == 0
    assert_equals_numpy(array)


def test_huge_values_overflow_as_numpys_do() -> None:
    array = np.array([1e200, -1e200, 3.0])
    row, wide = of(summarize_into, array, None, 3)

    assert (row["sum2"], row["max"], row["nan_count"]) == (np.inf, 1e200, 0)
    assert np.isfinite(wide).all()
    assert_equals_numpy(np.full(700, np.finfo(np.float32).max))


@pytest.mark.parametrize("dtype", (*OCTETS, np.int16, np.uint16))
@pytest.mark.parametrize("zero_point", [0, -128, 100_000])
@pytest.mark.parametrize("end", ["min", "max", "random"])
def test_sums_of_small_integers_are_exact(
    dtype: type[np.integer[Any]], zero_point: int, end: str
) -> None:
    if end == "random":
        array = make_array(dtype, 20_001)
    else:
        array = np.full(200_001, getattr(np.iinfo(dtype), end), dtype)
    row, _ = of(summarize_into, array, Quantization((1.0,), (zero_point,)), 3)

    values, counts = np.unique(array, return_counts=True)
    pairs = [(int(q) - zero_point, int(n)) for q, n in zip(values, counts, strict=True)]
    for power, name in enumerate(SUMS, 1):
        assert row[name] == float(sum(n * d**power for d, n in pairs)), name


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.int32, np.uint32])
@pytest.mark.parametrize("end", ["min", "max"])
def test_large_integers_do_not_wrap(dtype: type[np.integer[Any]], end: str) -> None:
    assert_equals_numpy(np.full(70_001, getattr(np.iinfo(dtype), end), dtype))


@pytest.mark.parametrize("offset", [1, 3, 7])
@pytest.mark.parametrize("dtype", DTYPES)
def test_data_may_lie_anywhere(dtype: Dtype, offset: int) -> None:
    array = make_array(dtype, 1000)
    memory = np.zeros(array.nbytes + offset, np.uint8)
    memory[offset:] = array.view(np.uint8)
    assert_equals_numpy(memory[offset:].view(dtype))


def test_strided_arrays_and_scalars_count_in_row_major_order() -> None:
    array = make_array(np.float32, 6000).reshape(2, 30, 100)
    assert_equals_numpy(array[:, ::2, ::-1])
    assert_equals_numpy(np.asfortranarray(array))
    assert_equals_numpy(np.array(-2.0, np.float32))


def test_all_kernels_hash_alike(library: ctypes.CDLL) -> None:
    for count in (0, 3, 16, 100, 240, 241, 1024, 100_000):
        assert_equals_numpy(make_array(np.uint8, count))


def test_the_row_lies_in_memory_as_numpy_thinks(library: ctypes.CDLL) -> None:
    offsets = (ctypes.c_int32 * 64)()

    count = library.exray_tensor_row_layout(offsets, len(offsets))

    fields = TENSOR_ROW.fields
    assert fields is not None
    expected = sorted(field[1] for field in fields.values())
    assert offsets[:count] == [*expected, TENSOR_ROW.itemsize]


@pytest.mark.parametrize(
    ("array", "quantization"),
    [
        (np.array(["a", "bc"]), None),
        (np.array([1 + 2j, 3]), None),
        (np.array([1, 2], ml_dtypes.int4), None),
        (np.array([1.5, 2.5], ">f4"), None),
        (np.array([1, 2], np.int8), Quantization((0.1,), (3,))),  # 0.1 is no float32
        (np.array([1, 2], np.int8), Quantization((0.5,), (2**31,))),
        (np.array([1, 2], np.int8), Quantization((0.5, 0.5), (0,))),
    ],
)
def test_numpy_does_what_the_library_cannot(
    array: NDArray[Any], quantization: Quantization | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, expected_wide = of(statistics.summarize_into, array, quantization, 3)
    numpys = MagicMock(wraps=statistics.summarize_into)
    monkeypatch.setattr(statistics, "summarize_into", numpys)

    row, wide = of(summarize_into, array, quantization, 3)

    numpys.assert_called_once()
    np.testing.assert_equal(row, expected)
    np.testing.assert_array_equal(wide, expected_wide)


@pytest.mark.parametrize("family", [-1, 16])
def test_a_family_that_is_none_is_refused_as_by_numpy(family: int) -> None:
    with pytest.raises(UsageError, match="no sketch family"):
        of(summarize_into, np.zeros(3, np.float32), None, family)
