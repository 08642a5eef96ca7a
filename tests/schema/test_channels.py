from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from exray.schema.channels import Channels, channels
from exray.schema.errors import DataError
from exray.schema.packed import pack_floats, unpack_floats
from exray.schema.quantization import dequantize
from exray.schema.records import Quantization

RNG = np.random.default_rng(7)


def make(
    array: NDArray[Any], quantization: Quantization | None = None, layout: str | None = "nhwc"
) -> Channels:
    made = channels(array, quantization, layout)
    assert made is not None
    return made


def test_a_channel_is_an_index_of_the_last_dimension() -> None:
    image = RNG.standard_normal((2, 5, 4, 3)).astype(np.float32)
    rows = image.reshape(-1, 3).astype(np.float64)

    made = make(image)

    assert (made.channels, made.elements) == (3, 40)
    np.testing.assert_allclose(made.sums, rows.sum(axis=0))
    np.testing.assert_allclose(made.sums2, (rows**2).sum(axis=0))
    np.testing.assert_array_equal(made.minima, rows.min(axis=0))
    np.testing.assert_array_equal(made.maxima, rows.max(axis=0))


def test_swapped_channels_swap_their_sums() -> None:
    image = RNG.standard_normal((1, 5, 4, 3))

    np.testing.assert_allclose(make(image[..., ::-1]).sums, make(image).sums[::-1])


@pytest.mark.parametrize(
    ("shape", "layout", "has"),
    [
        ((3, 4), None, True),
        ((1, 2, 2, 4), "nhwc", True),
        ((1, 2, 2, 4), None, False),
        ((1, 2, 4), None, False),
        ((4,), None, False),
        ((0, 4), None, False),
    ],
)
def test_only_images_and_matrices_have_channels(
    shape: tuple[int, ...], layout: str | None, has: bool
) -> None:
    assert (channels(np.ones(shape), None, layout) is not None) == has


@pytest.mark.parametrize(
    "quantization", [Quantization((0.5,), (3,)), Quantization((0.5, 2.0, 4.0), (1, 2, 3), 3)]
)
def test_integers_count_as_the_real_values_they_stand_for(quantization: Quantization) -> None:
    array = RNG.integers(-128, 127, (1, 6, 6, 3)).astype(np.int8)
    real = dequantize(array, quantization, np.float64)

    made, expected = make(array, quantization), make(real)

    assert made.encode() == expected.encode()


def test_elements_that_are_not_finite_count_as_zero_and_in_no_extreme() -> None:
    made = make(np.array([[1.0, np.nan, 2.0], [np.inf, np.nan, -3.0]]))

    np.testing.assert_array_equal(made.sums, [1.0, 0.0, -1.0])
    np.testing.assert_array_equal(made.minima, [1.0, np.nan, -3.0])
    np.testing.assert_array_equal(made.maxima, [1.0, np.nan, 2.0])


def test_more_than_256_channels_are_grouped_by_their_number() -> None:
    array = RNG.standard_normal((10, 600))

    made = make(array)

    assert (made.channels, made.sums.shape) == (600, (256,))
    third = array[:, [3, 259, 515]]
    assert made.sums[3] == pytest.approx(third.sum())
    assert made.sums2[3] == pytest.approx((third**2).sum())
    assert (made.minima[3], made.maxima[3]) == (third.min(), third.max())
    assert made.sums[100] == pytest.approx(array[:, [100, 356]].sum())  # there is no 612


def test_a_large_tensor_is_the_sum_of_its_parts() -> None:
    array = RNG.standard_normal((1, 300, 300, 2))

    np.testing.assert_allclose(make(array).sums, array.sum(axis=(0, 1, 2)))


def test_what_has_no_real_values_has_no_channels() -> None:
    assert channels(np.array([["a"]])) is None
    assert channels(np.zeros((2, 2), np.int8), Quantization((1.0,) * 3, (0,) * 3, 1)) is None


def test_a_text_holds_all_statistics_as_float32() -> None:
    made = make(RNG.standard_normal((7, 300)))

    text = made.encode()
    read = Channels.decode(text)

    assert text.startswith("ch1:")
    assert (read.channels, read.elements) == (300, 7)
    np.testing.assert_allclose(read.sums, made.sums, rtol=1e-6)
    np.testing.assert_allclose(read.maxima, made.maxima, rtol=1e-6)


def test_a_text_that_is_cut_short_is_an_error() -> None:
    text = make(np.ones((3, 4))).encode()

    with pytest.raises(DataError, match="do not fit their head"):
        Channels.decode(pack_floats("ch1", [unpack_floats(text, "ch1")[:-1]]))
