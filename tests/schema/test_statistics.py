"""A summary says of a tensor what a plain computation over its real values says."""

import warnings
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from exray.schema.identity import tensor_hash
from exray.schema.quantization import dequantize
from exray.schema.records import TENSOR_ROW, Quantization
from exray.schema.sketch import CHUNK_SIZE, fold, sketch
from exray.schema.statistics import summarize_into

NUMBERS = ("sum", "sum2", "sum3", "sum4", "min", "max")


def summary(
    array: NDArray[Any], quantization: Quantization | None = None, family: int = 3
) -> tuple[dict[str, Any], NDArray[np.float32]]:
    rows = np.zeros(3, TENSOR_ROW)
    wide = summarize_into(rows, 1, array, quantization=quantization, family=family)
    assert not rows[[0, 2]].tobytes().strip(b"\0"), "only the row named is written"
    return {name: rows[name][1] for name in TENSOR_ROW.names or ()}, wide


def assert_summary_is_of(
    real: NDArray[np.float64], array: NDArray[Any], quantization: Quantization | None = None
) -> None:
    """Compare a summary with plain numpy over the finite real values."""
    row, wide = summary(array, quantization)
    finite = real[np.isfinite(real)]
    assert row["count"] == real.size
    for power in range(1, 5):
        name = "sum" if power == 1 else f"sum{power}"
        magnitude = np.sum(np.abs(finite) ** power)
        assert row[name] == pytest.approx(np.sum(finite**power), abs=1e-12 * magnitude)
    assert row["min"] == pytest.approx(finite.min())
    assert row["max"] == pytest.approx(finite.max())
    assert row["nan_count"] == np.isnan(real).sum()
    assert row["posinf_count"] == np.isposinf(real).sum()
    assert row["neginf_count"] == np.isneginf(real).sum()
    assert row["zero_count"] == (real == 0).sum()
    assert row["hash"] == tensor_hash(array)
    expected = sketch(real, 3)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(wide, expected, rtol=1e-6, atol=1e-6 * scale)
    np.testing.assert_allclose(row["sketch"], fold(expected, 64), rtol=1e-6, atol=1e-6 * scale)


def relu_output(count: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=count).clip(-0.5)


SIZES = [1, 255, 256, 1000, CHUNK_SIZE, CHUNK_SIZE + 1, 3 * CHUNK_SIZE + 77]


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_floats_of_every_size(count: int, dtype: type[np.generic]) -> None:
    array = relu_output(count).astype(dtype)
    assert_summary_is_of(array.astype(np.float64), array)


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.int64])
def test_integers_quantized_per_tensor(count: int, dtype: type[np.signedinteger[Any]]) -> None:
    low, high = max(np.iinfo(dtype).min, -5000), min(np.iinfo(dtype).max, 5000)
    array = np.random.default_rng(1).integers(low, high, count, endpoint=True).astype(dtype)
    quantization = Quantization((0.0235,), (low // 2 + high // 2 + 3,))
    assert_summary_is_of(dequantize(array, quantization, np.float64), array, quantization)


@pytest.mark.parametrize("axis", [0, 2])
@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_integers_quantized_per_channel(axis: int, dtype: type[np.signedinteger[Any]]) -> None:
    array = np.random.default_rng(2).integers(-128, 128, (4, 50, 8)).astype(dtype)
    channels = array.shape[axis]
    scales = tuple(0.01 * (c + 1) for c in range(channels))
    quantization = Quantization(scales, tuple(range(-2, channels - 2)), axis)
    assert_summary_is_of(dequantize(array, quantization, np.float64), array, quantization)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.uint64, np.bool_])
def test_integers_without_quantization_are_real(dtype: type[np.generic]) -> None:
    array = np.random.default_rng(3).integers(0, 120, 700).astype(dtype)
    assert_summary_is_of(array.astype(np.float64), array)


def test_integer_sums_are_exact() -> None:
    array = np.full(1_000_000, -128, np.int8)
    row, _ = summary(array)
    assert [row[n] for n in NUMBERS[:4]] == [-128e6, 128**2 * 1e6, -(128**3) * 1e6, 128**4 * 1e6]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.int64])
def test_saturation_is_counted_at_the_types_ends(dtype: type[np.signedinteger[Any]]) -> None:
    ends = np.iinfo(dtype)
    array = np.array([ends.min, ends.min, 7, ends.max], dtype)
    row, _ = summary(array)
    assert (row["sat_low_count"], row["sat_high_count"]) == (2, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.bool_])
def test_saturation_means_nothing_for_other_types(dtype: type[np.generic]) -> None:
    row, _ = summary(np.array([0, 1, 1], dtype))
    assert (row["sat_low_count"], row["sat_high_count"]) == (0, 0)


def test_per_channel_saturation_is_of_the_integers() -> None:
    array = np.array([[-128, 127], [0, 127]], np.int8)
    row, _ = summary(array, Quantization((0.5, 0.25), (0, 0), 1))
    assert (row["sat_low_count"], row["sat_high_count"]) == (1, 2)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_elements_that_are_not_finite_are_counted_apart(dtype: type[np.generic]) -> None:
    real = relu_output(CHUNK_SIZE + 500)
    real[[0, 9, CHUNK_SIZE + 1]] = np.nan, np.inf, -np.inf
    array = real.astype(dtype)
    assert_summary_is_of(array.astype(np.float64), array)


@pytest.mark.parametrize("array", [np.array([np.nan, np.inf]), np.zeros((0, 4)), np.zeros(0, "i1")])
def test_extremes_are_nan_without_a_finite_element(array: NDArray[Any]) -> None:
    row, wide = summary(array)
    assert np.isnan([row["min"], row["max"]]).all()
    assert [row[name] for name in ("count", *NUMBERS[:4])] == [array.size, 0, 0, 0, 0]
    assert not wide.any()


def test_a_scalar_is_one_element() -> None:
    row, _ = summary(np.array(-2.0, np.float32))
    assert [row[name] for name in ("count", *NUMBERS)] == [1, -2, 4, -8, 16, -2, -2]


@pytest.mark.parametrize(
    "array",
    [
        np.array(["a", "bc"]),
        np.array([b"a", "b", None], object),
        np.array([1 + 2j, 3]),
        np.array(["2020-01-01"], "datetime64[D]"),
        np.zeros(2, [("a", "i4"), ("b", "f8")]),
        np.array([1, 2], ml_dtypes.int4),
    ],
)
def test_types_without_real_values_get_count_and_hash(array: NDArray[Any]) -> None:
    row, wide = summary(array)
    assert (row["count"], row["hash"]) == (array.size, tensor_hash(array))
    assert np.isnan([row[name] for name in NUMBERS]).all()
    assert np.isnan(wide).all()
    assert np.isnan(row["sketch"]).all()


def test_scales_that_fit_no_channel_leave_no_real_values() -> None:
    row, _ = summary(np.zeros((3, 2), np.int8), Quantization((1.0, 2.0), (0, 0), 0))
    assert (row["count"], row["zero_count"]) == (6, 0)
    assert np.isnan(row["sum"])


def test_huge_values_overflow_in_silence() -> None:
    row, wide = summary(np.array([1e200, -1e200, 3.0]))
    assert (row["sum"], row["sum2"], row["nan_count"]) == (3, np.inf, 0)
    assert (row["min"], row["max"]) == (-1e200, 1e200)
    assert np.isfinite(wide).all(), "a distance to infinity would be none"


def test_strided_arrays_count_in_row_major_order() -> None:
    array = relu_output(6000).astype(np.float32).reshape(2, 30, 100)[:, ::2, ::-1]
    assert_summary_is_of(array.astype(np.float64), array)


def test_big_endian_values_are_read_as_such() -> None:
    array = relu_output(500).astype(">f4")
    assert_summary_is_of(array.astype(np.float64), array)


def test_scale_zero_leaves_all_elements_zero() -> None:
    row, _ = summary(np.array([1, 2, 2], np.int8), Quantization((0.0,), (2,)))
    assert (row["sum"], row["min"], row["max"], row["zero_count"]) == (0, 0, 0, 2)


def test_the_input_is_not_changed() -> None:
    array = np.array([np.nan, 1.0, 2.0])
    summary(array)
    assert np.isnan(array[0])


@pytest.mark.realdata
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_every_output_of_mobilenet_v2_gets_finite_sums(data: Path, dtype: str) -> None:
    outputs = mobilenet_v2_outputs(data)
    if dtype == "float32":
        outputs = [(dequantize(array, quantization), None) for array, quantization in outputs]
    rows = np.zeros(len(outputs), TENSOR_ROW)
    for i, (array, quantization) in enumerate(outputs):
        summarize_into(rows, i, array, quantization=quantization, family=3)
    assert rows["count"].sum() > 6_000_000
    assert np.isfinite(rows["sum4"]).all()


def mobilenet_v2_outputs(data: Path) -> list[tuple[NDArray[Any], Quantization | None]]:
    """Every layer's output of one inference on noise, with its quantization."""
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    path = data / "google-coral" / "tf2_mobilenet_v2_1.0_224_ptq.tflite"
    with warnings.catch_warnings():  # preserved tensors cost memory, says a warning
        warnings.simplefilter("ignore")
        interpreter = litert.Interpreter(str(path), experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    (entry,) = interpreter.get_input_details()
    noise = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), np.uint8)
    interpreter.set_tensor(entry["index"], noise)
    interpreter.invoke()
    outputs: list[tuple[NDArray[Any], Quantization | None]] = []
    for tensor in interpreter.get_tensor_details():
        scale, zero_point = tensor["quantization"]
        if tensor["shape"].size and tensor["shape"][0] == 1 and scale:
            array = interpreter.get_tensor(tensor["index"])
            outputs.append((array, Quantization((float(scale),), (int(zero_point),))))
    return outputs
