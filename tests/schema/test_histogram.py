from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from opentelemetry.sdk.metrics._internal.exponential_histogram.mapping.exponent_mapping import (
    ExponentMapping,
)
from opentelemetry.sdk.metrics._internal.exponential_histogram.mapping.logarithm_mapping import (
    LogarithmMapping,
)

from exray.schema.errors import DataError
from exray.schema.histogram import (
    MAX_BUCKETS,
    MAX_SCALE,
    MIN_SCALE,
    Histogram,
    bucket_indices,
    has_real_values,
    histogram,
)
from exray.schema.packed import pack_floats, unpack_floats
from exray.schema.quantization import dequantize
from exray.schema.records import Quantization

RNG = np.random.default_rng(7)


def make(array: Any, quantization: Quantization | None = None) -> Histogram:
    made = histogram(np.asarray(array), quantization)
    assert made is not None
    return made


def equal(one: Histogram, other: Histogram) -> bool:
    heads = [(h.scale, h.zero_count, h.positive_offset, h.negative_offset) for h in (one, other)]
    return (
        heads[0] == heads[1]
        and np.array_equal(one.positive, other.positive)
        and np.array_equal(one.negative, other.negative)
    )


def bounds(offset: int, buckets: int, scale: int) -> NDArray[np.float64]:
    """Return the bounds of all buckets of a side, from their definition."""
    edges: NDArray[np.float64] = np.exp2((offset + np.arange(buckets + 1)) * 2.0**-scale)
    return edges


@pytest.mark.parametrize("scale", range(MIN_SCALE, MAX_SCALE + 1))
def test_buckets_are_those_of_opentelemetrys_sdk(scale: int) -> None:
    magnitudes = np.concatenate(
        [np.exp2(RNG.uniform(-300, 300, 500)), np.exp2(np.arange(-40.0, 40.0))]
    )
    mapping = LogarithmMapping(scale) if scale > 0 else ExponentMapping(scale)

    expected = [mapping.map_to_index(value) for value in magnitudes.tolist()]

    assert bucket_indices(magnitudes, scale).tolist() == expected


@pytest.mark.parametrize("scale", [-3, 0, 5, MAX_SCALE])
def test_a_power_of_two_closes_its_bucket_and_its_neighbour_opens_the_next(scale: int) -> None:
    powers: NDArray[np.float64] = np.exp2(np.arange(-896.0, 896.0, 8.0))
    above: NDArray[np.float64] = np.nextafter(powers, np.inf)

    step = np.subtract(bucket_indices(above, scale), bucket_indices(powers, scale))

    np.testing.assert_array_equal(step, 1)


def test_every_element_lies_in_its_bucket() -> None:
    values = RNG.standard_normal(5000) * np.exp2(RNG.integers(-6, 6, 5000))
    made = make(values)

    for side, offset, counts in (
        (values[values > 0], made.positive_offset, made.positive),
        (-values[values < 0], made.negative_offset, made.negative),
    ):
        edges = bounds(offset, len(counts), made.scale)
        np.testing.assert_array_equal(np.histogram(side, edges)[0], counts)


@pytest.mark.parametrize(
    "values",
    [
        RNG.standard_normal(3000),
        RNG.uniform(100, 101, 3000),
        np.exp2(RNG.uniform(-1000, 1000, 3000)) * RNG.choice([-1, 1], 3000),
        np.array([1e-300, 1e300, -1.0]),
        np.full(10, 3.7),
    ],
)
def test_the_scale_is_the_finest_at_which_both_sides_fit(values: NDArray[np.float64]) -> None:
    made = make(values)

    assert max(len(made.positive), len(made.negative)) <= MAX_BUCKETS
    assert made.positive.sum() + made.negative.sum() + made.zero_count == values.size
    finer = [
        np.ptp(bucket_indices(side, made.scale + 1)) + 1
        for side in (values[values > 0], -values[values < 0])
        if side.size
    ]
    assert made.scale == MAX_SCALE or max(finer) > MAX_BUCKETS


def test_neighbours_merged_are_the_histogram_of_the_next_coarser_scale() -> None:
    values = np.exp(RNG.standard_normal(4000))
    made = make(values)
    indices = made.positive_offset + np.arange(len(made.positive))

    merged = np.bincount((indices >> 1) - (indices[0] >> 1), weights=made.positive)

    coarse = bucket_indices(values, made.scale - 1)
    np.testing.assert_array_equal(merged, np.bincount(coarse - coarse.min()))


def test_zeros_and_elements_that_are_not_finite_are_in_no_bucket() -> None:
    made = make(np.array([0.0, -0.0, 1.0, np.nan, np.inf, -np.inf], np.float32))

    assert made.zero_count == 2
    assert (made.positive.tolist(), made.negative.tolist()) == ([1], [])


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32])
def test_integers_count_as_the_real_values_they_stand_for(dtype: Any) -> None:
    ends = np.iinfo(dtype)
    array = RNG.integers(max(ends.min, -500), min(ends.max, 500), (2, 9, 9, 3)).astype(dtype)
    quantization = Quantization((0.25,), (3,))

    assert equal(make(array, quantization), make(dequantize(array, quantization, np.float64)))


def test_channels_with_scales_of_their_own_are_dequantized_by_channel() -> None:
    array = RNG.integers(-128, 127, (4, 3)).astype(np.int8)
    quantization = Quantization((0.25, 1.0, 8.0), (0, 1, 2), axis=1)

    assert equal(make(array, quantization), make(dequantize(array, quantization, np.float64)))


def test_what_has_no_real_values_has_no_histogram() -> None:
    assert histogram(np.array(["a"])) is None
    assert histogram(np.array([1j])) is None
    assert histogram(np.zeros((2, 2), np.int8), Quantization((1.0,) * 3, (0,) * 3, 1)) is None
    assert not has_real_values(np.array([b"x"], object))


def test_nothing_has_an_empty_histogram() -> None:
    made = make(np.zeros(0, np.float32))

    assert (made.zero_count, made.positive.size, made.negative.size) == (0, 0, 0)


def test_a_large_tensor_is_the_sum_of_its_parts() -> None:
    values = RNG.standard_normal(100_000).astype(np.float32)

    made = make(values)

    edges = bounds(made.positive_offset, len(made.positive), made.scale)
    expected = np.histogram(values[values > 0].astype(np.float64), edges)[0]
    np.testing.assert_array_equal(made.positive, expected)


@pytest.mark.parametrize(
    "values", [RNG.standard_normal(500), np.zeros(3), np.full(5, 1e-300), np.full(5, -1e300)]
)
def test_a_text_holds_the_whole_histogram(values: NDArray[np.float64]) -> None:
    made = make(values)

    assert made.encode().startswith("eh1:")
    assert equal(Histogram.decode(made.encode()), made)


def test_a_text_that_is_cut_short_is_an_error() -> None:
    text = make(np.ones(3)).encode()

    with pytest.raises(DataError, match="do not fit its head"):
        Histogram.decode(pack_floats("eh1", [unpack_floats(text, "eh1")[:-1]]))
