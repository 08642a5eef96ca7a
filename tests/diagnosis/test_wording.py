"""Numbers and names as reports write them."""

import pytest

from exray.diagnosis.comparison import Coverage, Place, StageTime, Unmatched
from exray.diagnosis.wording import (
    coverage_lines,
    flips_line,
    number,
    places_and_times,
    side_names,
    sqnr_cell,
    times_line,
    unmatched_lines,
)

from .builders import make_comparison, make_input, make_layer, make_lost_layer, make_raw, make_side


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (9.06, "9.1"), (-0.04, "0.0"), (-7.0, "-7.0")]
)
def test_number_has_fixed_digits_and_no_negative_zero(value: float | None, text: str) -> None:
    assert number(value, 1) == text


def test_sides_are_named_by_their_build() -> None:
    assert side_names(make_comparison()) == ("e", "r")


def test_runs_of_one_build_are_told_apart_by_the_beginning_of_their_ids() -> None:
    edge = make_side("b", run_ids=("0123456789" + "a" * 22,))
    reference = make_side("b", "reference", run_ids=("0123456789" + "b" * 22,))
    names = side_names(make_comparison(edge=edge, reference=reference))
    assert names == ("b (run 0123456789a)", "b (run 0123456789b)")


def test_a_run_against_itself_is_named_by_role() -> None:
    side = make_side("b")
    names = side_names(make_comparison(edge=side, reference=side))
    assert names == ("b (edge)", "b (reference)")


def test_flips_are_counted_only_with_labels() -> None:
    assert "no flips" in flips_line(make_comparison())
    told = flips_line(make_comparison(flips=22, mcnemar_p=4.77e-7))
    assert told == "Flips (right on one side only): 22, McNemar p = 4.77e-07"


def test_times_are_explained_only_where_summaries_made_them_longer() -> None:
    assert times_line(make_comparison()) is None
    told = times_line(make_comparison(edge=make_side("e", times_inflated=True)))
    assert told is not None
    assert told.startswith("Times of e were taken while")


def test_coverage_tells_which_side_saw_unpaired_frames() -> None:
    coverage = Coverage(frames_paired=5, frames_edge_only=2, frames_reference_only=1)
    frames, _ = coverage_lines(make_comparison(coverage=coverage))
    assert frames.endswith("3 unpaired: 2 on the edge, 1 on the reference.")


def test_coverage_says_that_a_build_is_compared_with_itself() -> None:
    side = make_side()
    runs, *_ = coverage_lines(make_comparison(edge=side, reference=side))
    assert runs == "Runs: edge and reference are the same, so no difference says nothing."


def test_coverage_says_which_frames_count_where_a_side_has_several_runs() -> None:
    several = make_side(run_ids=("01" * 16, "03" * 16))
    runs, *_ = coverage_lines(make_comparison(edge=several))
    assert runs.startswith("Runs: 2 of e on the edge; of an input that several saw, the newest")


def test_places_and_times_are_joined_by_name_the_inference_last() -> None:
    decode, inference = StageTime("decode", 1.0, 2.0), StageTime("inference", 3.0, 4.0)
    resize, seen = StageTime("resize", 5.0, 6.0), Place("resize", "stage", 30.0)
    comparison = make_comparison(
        places=[make_raw(), seen, make_input()], stages=(inference, resize, decode)
    )
    assert places_and_times(comparison) == [
        ("decode", None, decode),
        ("raw", make_raw(), None),
        ("resize", seen, resize),
        ("model input", make_input(), None),
        ("inference", None, inference),
    ]


def test_everything_that_was_not_compared_is_listed_with_its_reason() -> None:
    coverage = Coverage(
        layers_unaligned=(Unmatched(1, "lost", "ADD", "no name alike"),),
        layers_excluded=(Unmatched(2, "shape", "SHAPE", "shape arithmetic"),),
    )
    layers = [
        make_layer(0),
        make_lost_layer(1),
        make_layer(3, None, None, reason="element counts differ"),
    ]
    raw = make_raw(None, reason="uint8 on one side, float32 on the other")
    comparison = make_comparison(layers, [raw], coverage=coverage)
    assert unmatched_lines(comparison) == [
        ("unaligned", "1", "lost", "no name alike"),
        ("excluded", "2", "shape", "shape arithmetic"),
        ("not compared", "3", layers[2].layer, "element counts differ"),
        ("not compared", "", "raw", "uint8 on one side, float32 on the other"),
    ]


def test_elements_that_are_not_finite_are_counted_where_they_forbid_a_distance() -> None:
    broken = make_layer(0, None, None, edge_nonfinite_count=12)
    assert sqnr_cell(broken) == "12 NaN/Inf"
    broken = make_layer(0, None, None, reference_nonfinite_count=3)
    assert sqnr_cell(broken) == "3 NaN/Inf in reference"
    assert sqnr_cell(make_layer(0, 30.04)) == "30.0"
