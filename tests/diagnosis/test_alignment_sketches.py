"""Distances between layer outputs, and when the nearest is evidence."""

import numpy as np
import pytest

from exray.diagnosis.alignment_sketches import (
    COMMON_INPUT,
    OTHER_INPUT,
    Nearest,
    distances_from_sketches,
    nearest,
)


def test_distances_are_the_root_of_the_mean_normalised_square() -> None:
    rng = np.random.default_rng(0)
    edge, reference = rng.normal(size=(3, 2, 8)), rng.normal(size=(3, 4, 8))
    expected = [
        [
            np.sqrt(
                np.mean(
                    [
                        np.sum((edge[f, i] - reference[f, j]) ** 2) / np.sum(reference[f, j] ** 2)
                        for f in range(3)
                    ]
                )
            )
            for j in range(4)
        ]
        for i in range(2)
    ]
    np.testing.assert_allclose(distances_from_sketches(edge, reference), expected)


def test_distances_leave_out_frames_that_one_side_lacks() -> None:
    edge = np.array([[[1.0, 1.0]], [[np.nan, np.nan]]])
    reference = np.array([[[2.0, 0.0]], [[5.0, 5.0]]])
    np.testing.assert_allclose(distances_from_sketches(edge, reference), [[np.sqrt(0.5)]])


def test_distances_without_a_common_frame_or_a_reference_signal_are_nan() -> None:
    edge = np.array([[[1.0, 1.0], [np.nan, np.nan], [0.0, 0.0]]])
    reference = np.zeros((1, 1, 2))
    np.testing.assert_array_equal(
        distances_from_sketches(edge, reference), [[np.nan], [np.nan], [0.0]]
    )


def test_distances_keep_what_is_almost_equal() -> None:
    reference = np.full((1, 1, 64), 1e6)
    edge = reference * (1 + 1e-9)
    np.testing.assert_allclose(distances_from_sketches(edge, reference), [[1e-9]], rtol=1e-4)


@pytest.mark.parametrize("shape", [(2, 3, 8), (1, 3, 4), (3, 8)])
def test_distances_of_other_frames_or_sizes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="the same frames and the same k"):
        distances_from_sketches(np.zeros((1, 2, 8)), np.zeros(shape))


def test_nearest_returns_all_that_hold_the_same_values() -> None:
    row = np.array([0.9, 0.0500, 0.0501, np.nan])
    assert nearest(row, [0, 1, 2, 3], COMMON_INPUT) == Nearest((1, 2), True)


@pytest.mark.parametrize(
    ("row", "decides", "decides_elsewhere"),
    [
        ([0.05, 0.90], True, True),
        ([0.45, 0.60], True, False),  # near enough on one input, not on others
        ([0.60, 0.66], False, False),  # a close second
        ([0.98, 9.00], False, False),  # unrelated
        ([0.05], True, True),
        ([np.nan, np.nan], False, False),
    ],
)
def test_nearest_decides_only_if_near_and_alone(
    row: list[float], decides: bool, decides_elsewhere: bool
) -> None:
    positions = list(range(len(row)))
    assert nearest(np.array(row), positions, COMMON_INPUT).is_decisive is decides
    assert nearest(np.array(row), positions, OTHER_INPUT).is_decisive is decides_elsewhere
