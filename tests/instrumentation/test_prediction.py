import numpy as np
import pytest

from exray.instrumentation.prediction import TOP, best_classes
from exray.schema.records import Quantization


def test_the_five_best_classes_come_best_first() -> None:
    scores = np.array([[0.05, 0.3, 0.1, 0.25, 0.02, 0.2, 0.08]])

    ids, values = best_classes(scores, None)

    assert ids == (1, 3, 5, 2, 6)
    assert values == (0.3, 0.25, 0.2, 0.1, 0.08)


def test_fewer_classes_than_five_are_all_kept() -> None:
    assert best_classes(np.array([0.1, 0.9]), None)[0] == (1, 0)


def test_integers_are_dequantized() -> None:
    output = np.array([[-128, 127, 0]], np.int8)

    ids, scores = best_classes(output, Quantization((1 / 256,), (-128,)))

    assert ids == (1, 2, 0)
    assert scores == (255 / 256, 0.5, 0.0)


def test_a_negative_scale_turns_the_order_as_it_turns_the_values() -> None:
    ids, _ = best_classes(np.array([1, 5, 3], np.int8), Quantization((-1.0,), (0,)))

    assert ids == (0, 2, 1)


def test_floats_are_taken_as_they_are() -> None:
    assert best_classes(np.array([0.2, 0.8]), Quantization((9.0,), (1,)))[1] == (0.8, 0.2)


def test_a_single_element_is_the_probability_of_class_1() -> None:
    assert best_classes(np.array([[0.75]]), None) == ((1, 0), (0.75, 0.25))


def test_a_single_quantized_element_is_a_probability_too() -> None:
    assert best_classes(np.array([[-64]], np.int8), Quantization((1 / 256,), (-128,))) == (
        (0, 1),
        (0.75, 0.25),
    )


def test_a_single_integer_without_quantization_is_the_class_itself() -> None:
    assert best_classes(np.array([7]), None) == ((7,), (1.0,))


def test_on_a_tie_the_lower_index_comes_first() -> None:
    assert best_classes(np.zeros(100), None)[0] == (0, 1, 2, 3, 4)


def test_a_score_that_is_no_number_names_no_class() -> None:
    assert best_classes(np.array([0.1, np.nan, 0.9]), None) == ((2, 0), (0.9, 0.1))


@pytest.mark.parametrize("output", [[np.nan, np.nan], [np.nan], []])
def test_where_no_score_is_a_number_there_is_no_class(output: list[float]) -> None:
    assert best_classes(np.array(output), None) == ((), ())


def test_an_infinite_score_is_the_best_as_argmax_has_it() -> None:
    assert best_classes(np.array([0.1, np.inf, 0.9]), None)[0] == (1, 2, 0)


def test_a_large_output_is_ranked_as_a_full_sort_would() -> None:
    scores = np.random.default_rng(3).integers(0, 50, 10_000).astype(np.float32)

    assert best_classes(scores, None)[0] == tuple(np.argsort(-scores, kind="stable")[:TOP])
