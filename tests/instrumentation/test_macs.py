"""Multiply-accumulates against counts made by hand."""

import pytest

from exray.instrumentation.macs import Shape, tflite_macs


@pytest.mark.parametrize(
    ("op", "inputs", "output", "macs"),
    [
        ("CONV_2D", [(1, 4, 4, 3), (8, 3, 3, 3), (8,)], (1, 4, 4, 8), 4 * 4 * 8 * 27),
        ("CONV_2D", [(1, 4, 4, 6), (8, 3, 3, 2)], (1, 4, 4, 8), 4 * 4 * 8 * 18),  # three groups
        ("DEPTHWISE_CONV_2D", [(1, 4, 4, 3), (1, 3, 3, 6)], (1, 2, 2, 6), 2 * 2 * 6 * 9),
        ("FULLY_CONNECTED", [(2, 5), (7, 5), ()], (2, 7), 2 * 7 * 5),
        ("TRANSPOSE_CONV", [(4,), (8, 2, 2, 3), (1, 4, 4, 3)], (1, 8, 8, 8), 16 * 3 * 4 * 8),
        ("BATCH_MATMUL", [(2, 3, 4), (2, 4, 5)], (2, 3, 5), 2 * 3 * 5 * 4),
        ("CONV_3D", [(1, 4, 4, 4, 2), (2, 2, 2, 2, 3)], (1, 3, 3, 3, 3), 81 * 16),
        (
            "CONV_3D_TRANSPOSE",
            [(5,), (2, 2, 2, 3, 2), (1, 4, 4, 4, 2)],
            (1, 8, 8, 8, 3),
            64 * 2 * 8 * 3,
        ),
        ("ADD", [(1, 4), (1, 4)], (1, 4), 0),
    ],
)
def test_tflite_macs_counts_products(
    op: str, inputs: list[Shape], output: Shape, macs: int
) -> None:
    assert tflite_macs(op, inputs, output, {}) == macs


def test_tflite_macs_takes_the_inner_dimension_of_a_transposed_left_side() -> None:
    assert tflite_macs("BATCH_MATMUL", [(4, 3), (4, 5)], (3, 5), {"adj_x": True}) == 3 * 5 * 4


@pytest.mark.parametrize("inputs", [[], [(1, 4, 4, 3)], [(), (8, 3, 3, 3)]])
def test_tflite_macs_without_shapes_is_zero(inputs: list[Shape]) -> None:
    assert tflite_macs("CONV_2D", inputs, (1, 4, 4, 8), {}) == 0


def test_tflite_macs_of_an_unknown_output_is_zero() -> None:
    assert tflite_macs("FULLY_CONNECTED", [(2, 5), (7, 5)], (), {}) == 0
