"""Tensors of one network in two layouts become one."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from exray.schema.layout import canonical, canonical_quantization
from exray.schema.quantization import dequantize
from exray.schema.records import Quantization
from exray.schema.sketch import sketch


def images(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(3).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("layout", "order"),
    [("ncw", (0, 2, 1)), ("nchw", (0, 3, 1, 2)), ("ncdhw", (0, 4, 1, 2, 3))],
)
def test_channels_first_has_the_sketch_of_channels_last(
    layout: str, order: tuple[int, ...]
) -> None:
    last = images(2, 5, 4, 3, 6)[(0,) * (5 - len(order))]
    first = np.ascontiguousarray(last.transpose(order))
    assert np.array_equal(sketch(canonical(first, layout), 5), sketch(last, 5))
    assert not np.array_equal(sketch(first, 5), sketch(last, 5))


@pytest.mark.parametrize("layout", [None, "nhwc", "ncw"])
def test_other_layouts_and_ranks_stay_as_they_are(layout: str | None) -> None:
    array = images(1, 3, 4, 5)
    assert canonical(array, layout) is array


@pytest.mark.parametrize("axis", range(4))
def test_scales_follow_their_axis(axis: int) -> None:
    array: NDArray[Any] = np.random.default_rng(1).integers(-9, 9, (2, 3, 4, 5)).astype(np.int8)
    scales = tuple(float(np.float32(0.1 * (1 + i))) for i in range(array.shape[axis]))
    quantization = Quantization(scales, (1,) * len(scales), axis)
    moved = canonical_quantization(quantization, "nchw", 4)
    expected = canonical(dequantize(array, quantization), "nchw")
    assert np.array_equal(dequantize(canonical(array, "nchw"), moved), expected)
