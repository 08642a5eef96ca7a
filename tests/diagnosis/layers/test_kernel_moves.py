"""A kernel whose weights stand elsewhere is recognised, one with other weights is not."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from exray.diagnosis.layers.kernel_moves import moved

Reals = NDArray[np.float64]

NOT_NEAR_DB = 0.0


def kernel(outputs: int = 6, inputs: int = 4, seed: int = 1) -> Reals:
    return np.random.default_rng(seed).normal(size=(outputs, 3, 3, inputs))


def rounded(values: Reals) -> Reals:
    """What 8 bits leave of a kernel."""
    step = np.abs(values).max() / 127
    result: Reals = np.rint(values / step) * step
    return result


@pytest.mark.parametrize(
    ("move", "name"),
    [
        (lambda k: k[:, ::-1, ::-1], "height and width flipped (turned by 180 degrees)"),
        (lambda k: k[:, ::-1], "height flipped"),
        (lambda k: k[:, :, ::-1], "width flipped"),
        (lambda k: k.transpose(0, 2, 1, 3), "height and width transposed"),
        (lambda k: k[[1, 0, 2, 3, 4, 5]], "output channels swapped"),
        (lambda k: k[:, :, :, [0, 2, 1, 3]], "input channels swapped"),
    ],
)
def test_a_move_is_named_through_rounding(move: Callable[[Reals], Reals], name: str) -> None:
    assert moved(rounded(move(kernel())), kernel(), NOT_NEAR_DB) == name


def test_input_and_output_channels_transposed() -> None:
    square = kernel(5, 5)
    found = moved(square.transpose(3, 1, 2, 0), square, NOT_NEAR_DB)
    assert found == "input and output channels transposed"


def test_other_weights_are_no_move() -> None:
    assert moved(kernel(seed=2), kernel(seed=1), NOT_NEAR_DB) is None


def test_a_kernel_that_is_as_near_unmoved_is_no_move() -> None:
    symmetric = np.ones((4, 3, 3, 2))
    assert moved(symmetric, symmetric, 140.0) is None
