"""The sketch is what its definition says, obeys its laws, and needs no lock."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from exray.schema import sketch_bins as bins_module
from exray.schema.errors import UsageError
from exray.schema.sketch import CHUNK_SIZE, fold, ones_sketch, sketch
from exray.schema.sketch_bins import MAX_CACHED_ROWS, make_bins, sketch_bins

SEED = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1


def mix(i: int) -> int:
    z = (SEED + i) * 0x9E3779B97F4A7C15 & MASK
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def defined_sketch(values: NDArray[Any], family: int) -> NDArray[np.float64]:
    """The definition, element by element."""
    sums = np.zeros(256)
    for i, value in enumerate(values.ravel().astype(np.float64)):
        j, q = i % 256, i // 256 + 131 * family
        sign = -1 if mix(5 * q + 1 + j // 64) >> (j % 64) & 1 else 1
        if np.isfinite(value):
            sums[(j + (mix(5 * q) >> 56)) % 256] += sign * value
    return sums


def normal(*shape: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("family", [0, 1, 7, 15])
@pytest.mark.parametrize("count", [0, 1, 10, 255, 256, 257, 5000])
def test_sketch_equals_its_definition_element_by_element(count: int, family: int) -> None:
    values = normal(count)
    np.testing.assert_allclose(
        sketch(values, family), defined_sketch(values, family), rtol=0, atol=1e-11
    )


def test_sketch_across_chunks_equals_its_definition() -> None:
    values = np.zeros(CHUNK_SIZE + 300)
    values[[0, 5, CHUNK_SIZE - 1, CHUNK_SIZE, -1]] = [1, 2, 4, 8, 16]
    np.testing.assert_array_equal(sketch(values, 3), defined_sketch(values, 3))


def test_golden_vector_of_family_3() -> None:
    sums = sketch(np.arange(1000), 3)
    assert sums[:8].tolist() == [-910, -1158, -72, -72, 1154, 1073, 80, -167]
    assert sums.sum() == -18520
    assert fold(sums, 64)[:4].tolist() == [-2212, 2140, -2680, 1108]


def test_golden_vector_of_the_families_at_the_ends() -> None:
    values = np.arange(1, 301)
    assert sketch(values, 0)[250:].tolist() == [-170, 171, -172, 173, 174, -175]
    assert sketch(values, 15)[:6].tolist() == [-196, 197, 198, -199, 200, 201]


@pytest.mark.parametrize(("k", "theory_db"), [(64, 0.77), (256, 0.38)])
def test_one_frame_errs_by_no_more_than_the_law_says(k: int, theory_db: float) -> None:
    errors = normal(300, 28, 28, 8)
    hot = np.abs(normal(8, seed=1)) ** 3  # a few channels carry most of the error
    estimates = [
        np.square(fold(sketch(error * hot, i % 16), k)).sum() / np.square(error * hot).sum()
        for i, error in enumerate(errors)
    ]
    error_db = 10 * np.log10(estimates)
    assert abs(np.mean(estimates) - 1) < 0.03
    assert np.std(error_db) < 1.15 * theory_db


def test_families_average_out_a_systematic_difference() -> None:
    error = normal(28, 28, 8)
    energy = np.square(error).sum()
    estimates = [np.square(fold(sketch(error, f), 64)).sum() / energy for f in range(16)]
    assert abs(10 * np.log10(np.mean(estimates))) < 0.6


def test_up_to_256_elements_keep_their_distance_exactly() -> None:
    x, y = normal(2, 200)
    distance = np.linalg.norm(sketch(x, 5) - sketch(y, 5))
    assert distance == pytest.approx(np.linalg.norm(x - y))


def test_sketch_is_linear() -> None:
    x = normal(3000)
    expected = 2.5 * sketch(x, 9) - 4 * ones_sketch(3000, 9)
    np.testing.assert_allclose(sketch(2.5 * x - 4, 9), expected, atol=1e-9)


def test_ones_sketch_is_the_sketch_of_ones_and_read_only() -> None:
    ones = ones_sketch(CHUNK_SIZE + 7, 2)
    np.testing.assert_array_equal(ones, sketch(np.ones(CHUNK_SIZE + 7), 2))
    with pytest.raises(ValueError, match="read-only"):
        ones[0] = 1


def test_fold_sums_neighbours() -> None:
    sums = np.arange(256.0)
    assert fold(sums, 64)[:2].tolist() == [0 + 1 + 2 + 3, 4 + 5 + 6 + 7]
    assert fold(sums, 256).tolist() == sums.tolist()
    assert fold(np.stack([sums, sums]), 64).shape == (2, 64)


def test_folding_commutes_with_sums() -> None:
    x, y = normal(2, 1000)
    np.testing.assert_allclose(
        fold(sketch(x, 1), 64) - fold(sketch(y, 1), 64), fold(sketch(x - y, 1), 64), atol=1e-10
    )


@pytest.mark.parametrize("k", [0, 3, 512])
def test_fold_refuses_what_does_not_divide_256(k: int) -> None:
    with pytest.raises(UsageError, match=f"folded to {k}"):
        fold(np.zeros(256), k)


@pytest.mark.parametrize("family", [-1, 16])
def test_sketch_refuses_a_family_beyond_the_sixteen(family: int) -> None:
    with pytest.raises(UsageError, match=f"family {family}"):
        sketch(np.zeros(1), family)


def test_elements_that_are_not_finite_count_as_zero() -> None:
    values = normal(700)
    holes = values.copy()
    holes[[0, 300, 699]] = np.nan, np.inf, -np.inf
    values[[0, 300, 699]] = 0
    np.testing.assert_array_equal(sketch(holes, 4), sketch(values, 4))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8, np.uint8, np.int32, np.bool_])
def test_every_real_type_is_sketched_by_value(dtype: type[np.generic]) -> None:
    values = np.arange(100).reshape(10, 10).astype(dtype)
    np.testing.assert_array_equal(sketch(values, 0), sketch(values.astype(np.float64), 0))


def test_order_is_row_major_whatever_the_memory_layout() -> None:
    values = normal(20, 30)
    np.testing.assert_array_equal(sketch(np.asfortranarray(values), 1), sketch(values.ravel(), 1))


def test_the_caller_s_array_stays_as_it_was() -> None:
    values = np.array([np.nan, 1.0])
    sketch(values, 0)
    assert np.isnan(values[0])


def test_huge_tensors_use_rows_that_are_not_kept() -> None:
    count = 256 * MAX_CACHED_ROWS + 1000
    values = np.zeros(count, np.float32)
    values[-1] = 3
    q, j = divmod(count - 1, 256)
    q += 131 * 15
    sign = -1 if mix(5 * q + 1 + j // 64) >> (j % 64) & 1 else 1
    expected = np.zeros(256)
    expected[(j + (mix(5 * q) >> 56)) % 256] = 3 * sign
    np.testing.assert_array_equal(sketch(values, 15), expected)
    assert len(bins_module._cached) <= MAX_CACHED_ROWS  # pyright: ignore[reportPrivateUsage]


def test_rows_do_not_depend_on_how_the_table_grew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bins_module, "_cached", np.empty((0, 256), np.uint16))
    for first, count in [(3, 2), (0, 1), (100, 60), (7, 300)]:
        np.testing.assert_array_equal(sketch_bins(first, count), make_bins(first, count))


def test_threads_that_grow_the_table_together_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bins_module, "_cached", np.empty((0, 256), np.uint16))
    sizes = [400_000 - 30_000 * i for i in range(8)]

    def sketch_ones(n: int) -> NDArray[np.float64]:
        return sketch(np.ones(n), n % 16)

    with ThreadPoolExecutor(len(sizes)) as threads:
        sums = list(threads.map(sketch_ones, sizes))
    for n, total in zip(sizes, sums, strict=True):
        np.testing.assert_array_equal(total, sketch_ones(n))
