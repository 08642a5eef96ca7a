"""The verdict sentence: what is said, and what is not claimed."""

from dataclasses import replace

import pytest

from exray.diagnosis.comparison import SIZES_DIFFER, Coverage, Place, Unmatched
from exray.diagnosis.verdict import judge, same_values, worst_layer

from .builders import (
    INT8_ROUNDING,
    make_comparison,
    make_input,
    make_layer,
    make_lost_layer,
    make_raw,
    make_side,
)


def test_without_common_inputs_nothing_is_compared() -> None:
    coverage = Coverage(frames_edge_only=3, frames_reference_only=4)
    finding = judge(make_comparison(places=[], coverage=coverage))
    assert finding.sentence == (
        "'e' and 'r' share no input, so nothing can be compared: run both over inputs of the same "
        "names."
    )
    assert (finding.place, finding.layer) == (None, None)


@pytest.mark.parametrize(("count", "told"), [(1, "1 input"), (5, "5 inputs")])
def test_frames_without_tensors_say_what_to_record(count: int, told: str) -> None:
    coverage = Coverage(frames_paired=count, frames_measured=0)
    finding = judge(make_comparison(places=[], coverage=coverage))
    assert finding.sentence == (
        f"'e' and 'r' share {told}, but of none were tensors recorded on both sides, so only "
        "outcome and times are compared: record both at level summary."
    )


def test_an_input_that_differs_on_the_same_raw_points_to_the_preprocessing() -> None:
    finding = judge(make_comparison([make_layer(0, -3.0, 20.0)], [make_raw(), make_input(4.04)]))
    assert finding.sentence == (
        "'e' and 'r' part before the model: the raw inputs are the same, but at 4.0 dB SQNR the "
        "model input already differs, so look at the preprocessing."
    )
    assert finding.place is not None
    assert finding.place.name == "model input"
    assert finding.layer is None  # what layers do with a wrong input is no finding


def test_an_affine_map_that_explains_the_input_is_told() -> None:
    wrong_range = make_input(7.0, gain=0.5, offset=-0.5, affine_db=38.0)
    told = judge(make_comparison(places=[wrong_range])).sentence
    assert "(the edge's is 0.5 times the reference's minus 0.5: another value range)" in told


def test_an_affine_map_that_does_not_explain_the_input_is_not_told() -> None:
    swapped = make_input(7.0, gain=0.9, offset=0.1, affine_db=8.0)
    assert "times" not in judge(make_comparison(places=[swapped])).sentence


def test_raw_inputs_that_differ_come_first() -> None:
    finding = judge(make_comparison(places=[make_raw(12.0), make_input(4.0)]))
    assert finding.sentence == (
        "'e' and 'r' part before the preprocessing: the raw inputs differ (12.0 dB SQNR), and at "
        "4.0 dB SQNR the model input already differs."
    )
    assert finding.place is not None
    assert finding.place.name == "raw"


def test_raw_inputs_of_different_sizes_are_said_to_be_so() -> None:
    raw = make_raw(None, reason=SIZES_DIFFER)
    told = judge(make_comparison(places=[raw, make_input(4.0)])).sentence
    assert "before the preprocessing: the raw inputs have different sizes, and" in told


@pytest.mark.parametrize("places", [[], [make_raw(None, reason="no sketch to compare")]])
def test_raw_inputs_that_were_not_compared_are_not_spoken_of(places: list[Place]) -> None:
    told = judge(make_comparison(places=[*places, make_input(4.0)])).sentence
    assert told == (
        "'e' and 'r' part before the model: at 4.0 dB SQNR the model input already differs."
    )


def test_model_inputs_of_different_sizes_part_before_the_model() -> None:
    finding = judge(make_comparison(places=[make_input(None, reason=SIZES_DIFFER)]))
    assert finding.sentence == (
        "'e' and 'r' part before the model: the model inputs have different sizes."
    )


def test_one_of_several_inputs_that_differs_is_named() -> None:
    second = Place("model input 1", "input", 3.0)
    told = judge(make_comparison(places=[make_input(), second])).sentence
    assert "at 3.0 dB SQNR the model input 1 already differs" in told


def test_rounding_to_coarse_integers_is_no_difference() -> None:
    coarse = make_input(31.0, rmse_per_scale=INT8_ROUNDING)
    assert same_values(coarse)
    told = judge(make_comparison([make_layer(0, 20.0, 11.0)], [coarse])).sentence
    assert told.startswith("'e' and 'r' get the same model input and part most at layer 0")


def test_more_than_rounding_is_a_difference() -> None:
    assert not same_values(make_input(31.0, rmse_per_scale=0.6))
    assert not same_values(make_input(31.0))
    assert not same_values(make_input(None))


def test_an_input_with_nan_is_not_blamed_on_either_side() -> None:
    place = make_input(None, nonfinite_frames=7, reason="elements that are not finite")
    finding = judge(make_comparison(places=[place]))
    assert finding.sentence == (
        "The model input of 'e', of 'r' or of both holds values that are NaN or infinite in 7 of "
        "60 inputs."
    )
    assert finding.place is place


def test_the_first_layer_with_nan_is_named() -> None:
    layers = [
        make_layer(0),
        make_layer(1, None, None, edge_nonfinite_count=12),
        make_layer(2, None, None, edge_nonfinite_count=500),
    ]
    finding = judge(make_comparison(layers))
    assert finding.sentence == (
        "Layer 1 'block_1/Relu6' (CONV_2D) of 'e' is the first that holds values that are NaN or "
        "infinite: 12, where 'r' has none."
    )
    assert finding.layer is layers[1]


def test_nan_on_both_sides_is_told_of_both() -> None:
    layer = make_layer(1, None, None, edge_nonfinite_count=12, reference_nonfinite_count=12)
    assert judge(make_comparison([layer])).sentence.endswith("infinite: 12, where 'r' has 12.")


def test_nan_of_the_reference_alone_is_not_put_on_the_edge() -> None:
    layer = make_layer(1, None, None, reference_nonfinite_count=3)
    assert judge(make_comparison([layer])).sentence == (
        "The counterpart of layer 1 'block_1/Relu6' (CONV_2D) in 'r' holds 3 values that are NaN "
        "or infinite, 'e' none: look at the reference first."
    )


def test_nan_behind_an_input_that_differs_is_not_the_first_thing_to_say() -> None:
    layer = make_layer(1, None, None, edge_nonfinite_count=12)
    assert "before the model" in judge(make_comparison([layer], [make_input(4.0)])).sentence


def test_inputs_that_were_not_recorded_leave_the_place_open() -> None:
    layers = [make_layer(0, 20.0, None, rank_drop_db=None), make_layer(1, 12.0, 8.0)]
    finding = judge(make_comparison(layers, places=[]))
    assert finding.sentence == (
        "The model inputs of 'e' and 'r' were not recorded on both sides, so whether the two part "
        "before the model cannot be said; within the model the largest loss is at layer 1 "
        "'block_1/Relu6' (CONV_2D), 12.0 dB SQNR, 8.0 dB below its inputs."
    )
    assert finding.layer is layers[1]


def test_inputs_without_sketch_say_why_they_were_not_compared() -> None:
    place = make_input(None, reason="no sketch to compare")
    assert judge(make_comparison(places=[place])).sentence == (
        "The model inputs of 'e' and 'r' could not be compared (no sketch to compare), so whether "
        "the two part before the model cannot be said; no layer could be compared either."
    )


def test_one_unknown_input_forbids_to_call_the_inputs_the_same() -> None:
    unknown = Place("model input 1", "input", None, reason="no sketch to compare")
    told = judge(make_comparison([make_layer()], [make_input(), unknown])).sentence
    assert "cannot be said" in told


def test_inputs_alone_do_not_make_the_models_agree() -> None:
    told = judge(make_comparison([make_lost_layer()])).sentence
    assert told == (
        "'e' and 'r' get the same model input (46.0 dB SQNR), but no layer could be compared: see "
        "coverage."
    )


def test_a_broken_layer_is_named_with_the_end_of_its_name() -> None:
    layers = [make_layer(0, 38.0, 2.0), make_layer(1, 9.06, 12.3), make_layer(2, 8.0, 1.0)]
    finding = judge(make_comparison(layers))
    assert finding.sentence == (
        "'e' and 'r' get the same model input and part most at layer 1 'block_1/Relu6' (CONV_2D): "
        "9.1 dB SQNR, 12.3 dB below its inputs."
    )
    assert finding.layer is layers[1]


def test_a_sound_quantization_is_not_called_broken() -> None:
    layers = [make_layer(0, 38.5, 1.5), make_layer(1, 36.1, 2.4), make_layer(2, 34.0, 2.1)]
    finding = judge(make_comparison(layers))
    assert finding.sentence == (
        "'e' and 'r' get the same model input and part little by little: in all 3 layers none "
        "loses more than 2.4 dB against its inputs, and the lowest is layer 2 'block_2/Relu6' "
        "(CONV_2D) at 34.0 dB SQNR."
    )
    assert finding.layer is None


def test_identical_runs_show_no_difference() -> None:
    layers = [make_layer(i, 140.0, 0.0) for i in range(3)]
    told = judge(make_comparison(layers, [make_input(140.0)])).sentence
    assert told == "'e' and 'r' get the same model input and show no difference in all 3 layers."


def test_other_kernels_of_a_float_model_agree_though_the_first_layer_drops() -> None:
    first = make_layer(0, 120.0, 20.0, rank_drop_db=-80.0)
    told = judge(make_comparison([first, make_layer(1, 118.0, 2.0)])).sentence
    assert told == (
        "'e' and 'r' get the same model input and agree in all 2 layers: the lowest is layer 1 "
        "'block_1/Relu6' (CONV_2D) at 118.0 dB SQNR."
    )


def test_agreement_does_not_cover_layers_without_counterpart() -> None:
    coverage = Coverage(
        frames_paired=9, frames_measured=9, layers_unaligned=(Unmatched(1, "x", "ADD", "why"),)
    )
    layers = [make_layer(0, 140.0, 0.0), make_lost_layer(1)]
    told = judge(make_comparison(layers, coverage=coverage)).sentence
    assert told.endswith("show no difference in the 1 of 2 layers that could be compared.")


def test_excluded_operators_do_not_lessen_agreement() -> None:
    layers = [make_layer(0, 140.0, 0.0), make_lost_layer(1, "shape arithmetic")]
    told = judge(make_comparison(layers)).sentence
    assert told.endswith("show no difference in its one layer.")


def test_the_layer_that_loses_most_counts_not_the_lowest() -> None:
    layers = [make_layer(0, 20.0, 15.0), make_layer(1, 3.0, 4.0)]
    assert worst_layer(make_comparison(layers)) is layers[0]
    assert worst_layer(make_comparison([make_lost_layer()])) is None


def test_names_cannot_break_out_of_the_sentence() -> None:
    edge = make_side("e\x1b[2J\nSecond line")
    assert "\x1b" not in judge(make_comparison(edge=edge)).sentence
    assert "\n" not in judge(make_comparison(edge=edge)).sentence


def test_json_of_a_finding_says_what_it_speaks_of() -> None:
    layer = make_layer(4, 9.0, 12.0)
    document = judge(make_comparison([layer])).to_json()
    assert document["layer_index"] == 4
    assert document["place"] is None
    second = replace(make_input(2.0), name="model input 1")
    assert judge(make_comparison(places=[second])).to_json()["place"] == "model input 1"
