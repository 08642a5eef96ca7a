"""Integers become the real values they stand for."""

import numpy as np
import pytest

from exray.schema.errors import UsageError
from exray.schema.quantization import dequantize, is_per_tensor
from exray.schema.records import Quantization


def test_one_scale_holds_for_all_elements() -> None:
    real = dequantize(np.array([[-128, 0, 127]], np.int8), Quantization((0.5,), (-128,)))
    assert real.tolist() == [[0, 64, 127.5]]
    assert real.dtype == np.float32


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_scales_stand_along_their_axis(axis: int) -> None:
    q = np.arange(6, dtype=np.int8).reshape(2, 3)
    count = q.shape[axis]
    scales = np.arange(1, count + 1) / 4
    real = dequantize(q, Quantization(tuple(scales), tuple(range(count)), axis))
    for c in range(count):
        expected = scales[c] * (q.take(c, axis).astype(np.float64) - c)
        np.testing.assert_array_equal(real.take(c, axis), expected)


def test_differences_do_not_wrap() -> None:
    real = dequantize(np.array([-128], np.int8), Quantization((1.0,), (127,)))
    assert real.tolist() == [-255]
    assert dequantize(np.array([0], np.uint8), Quantization((1.0,), (255,))).tolist() == [-255]


def test_float64_keeps_what_float32_would_round() -> None:
    scale = float(np.float32(0.1))
    real = dequantize(np.array([101], np.int16), Quantization((scale,), (0,)), np.float64)
    assert real.dtype == np.float64
    assert real[0] == scale * 101


@pytest.mark.parametrize("quantization", [None, Quantization((), ())])
def test_without_scales_values_are_real_already(quantization: Quantization | None) -> None:
    assert dequantize(np.array([3], np.uint8), quantization).tolist() == [3]


def test_floats_are_never_scaled() -> None:
    assert dequantize(np.array([3.0], np.float32), Quantization((0.5,), (1,))).tolist() == [3]


@pytest.mark.parametrize("axis", [0, 5])
def test_a_scale_too_few_is_an_error_that_says_so(axis: int) -> None:
    with pytest.raises(UsageError, match=rf"axis {axis} of shape \(3, 2\) has 2 scales"):
        dequantize(np.zeros((3, 2), np.int8), Quantization((1.0, 2.0), (0, 0), axis))


def test_per_tensor_is_told_from_per_channel() -> None:
    assert is_per_tensor(None)
    assert is_per_tensor(Quantization((1.0,), (0,)))
    assert not is_per_tensor(Quantization((1.0, 2.0), (0, 0)))
