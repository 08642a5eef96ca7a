"""Distances of edge and reference over paired frames, from literal tensors."""

import math

import numpy as np
import pytest

from exray.schema.identity import input_key, sketch_family
from exray.schema.sketch import fold, sketch

from .builders import Row, Rows

Pair = tuple[Row, Row]


def two_models(*parents: list[int]) -> tuple[Rows, Pair]:
    """An edge model "aa" and a reference "bb" of the same layers, aligned in order."""
    rows = Rows()
    runs = rows.run("e", model_sha256="aa"), rows.run("r", "reference", model_sha256="bb")
    rows.graph("aa", *parents)
    rows.graph("bb", *parents)
    rows.align("aa", "bb", {i: i for i in range(len(parents))})
    return rows, runs


def frames(rows: Rows, runs: Pair, input_id: str = "a.png", **values: object) -> Pair:
    """A frame of the same input on both sides."""
    return rows.frame(runs[0], input_id, **values), rows.frame(runs[1], input_id, **values)


def layers(
    rows: Rows, pair: Pair, index: int, edge: list[float], reference: list[float], **values: object
) -> None:
    """Both sides' output of a layer; *values* are the edge's."""
    rows.layer(pair[0], index, edge, **values)
    rows.layer(pair[1], index, reference)


def inputs(rows: Rows, pair: Pair, edge: list[float], reference: list[float]) -> None:
    """Both sides' model input."""
    rows.tensor(pair[0], "input", edge)
    rows.tensor(pair[1], "input", reference)


def say(rows: Rows, columns: str, query: str = "layer_divergence") -> list[tuple[object, ...]]:
    """Those columns of a divergence."""
    return rows.ask(f"SELECT {columns} FROM {query}('e', 'r')")


def near(*values: object) -> tuple[object, ...]:
    """A row to compare with; sketches are float32."""
    return tuple(
        pytest.approx(v, rel=1e-5, abs=1e-6) if isinstance(v, float) else v for v in values
    )


def test_distance_is_relative_to_the_reference() -> None:
    rows, runs = two_models([-1])
    layers(rows, frames(rows, runs), 0, edge=[3.0, 4.5], reference=[3.0, 4.0])
    # d = [0, 0.5]: 0.25 / 25; gain <e, r> / <r, r> = 27 / 25; range 4.5 - 3
    found = say(rows, "frames, nsr, sqnr_db, gain, rmse, nrmse, reason")
    rmse = math.sqrt(0.125)
    assert found == [near(1, 0.01, 20.0, 1.08, rmse, rmse / 1.5, None)]


def test_equal_layers_are_at_the_end_of_the_scale() -> None:
    rows, runs = two_models([-1])
    layers(rows, frames(rows, runs), 0, [1.0, -2.0], [1.0, -2.0])
    found = say(rows, "nsr, sqnr_db, cosine, gain, rmse, nrmse")
    assert found == [near(0.0, 140.0, 1.0, 1.0, 0.0, 0.0)]


def test_mean_is_of_ratios_over_frames() -> None:
    rows, runs = two_models([-1])
    layers(rows, frames(rows, runs, "a"), 0, [11.0], [10.0])  # 0.01
    layers(rows, frames(rows, runs, "b"), 0, [1.2], [1.0])  # 0.04
    assert say(rows, "frames, effective_frames, nsr") == [near(2, 2.0, 0.025)]


def test_frames_are_weighted_by_their_rarer_side() -> None:
    rows, runs = two_models([-1])
    layers(rows, frames(rows, runs, "a"), 0, [11.0], [10.0])
    rare = rows.frame(runs[0], "b", sample_rate=0.25), rows.frame(runs[1], "b")
    layers(rows, rare, 0, [12.0], [10.0])
    # weights 1 and 4: (0.01 + 4 * 0.04) / 5, effective 25 / 17
    assert say(rows, "frames, effective_frames, nsr") == [near(2, 25 / 17, 0.034)]


def test_drop_is_against_the_mean_of_the_inputs() -> None:
    rows, runs = two_models([-1], [-1], [0, 1])
    pair = frames(rows, runs)
    inputs(rows, pair, [10.0], [10.0])
    layers(rows, pair, 0, [11.0], [10.0])  # 0.01
    layers(rows, pair, 1, [13.0], [10.0])  # 0.09
    layers(rows, pair, 2, [15.0], [10.0])  # 0.25, inputs 0.05
    found = say(rows, "layer_index, input_nsr, drop_db, rank_drop_db")
    drop = 10 * math.log10(5)
    assert found == [
        near(0, 0.0, 120.0, 20.0),
        near(1, 0.0, 140 - 10 * math.log10(1 / 0.09), 40 - 10 * math.log10(1 / 0.09)),
        near(2, 0.05, drop, drop),
    ]


def test_drop_walks_past_layers_that_were_not_measured() -> None:
    rows, runs = two_models([-1], [0], [1], [2, -1])
    pair = frames(rows, runs)
    inputs(rows, pair, [10.3], [10.0])  # 0.0009
    layers(rows, pair, 0, [11.0], [10.0])  # 0.01; layers 1 and 2 were not recorded
    layers(rows, pair, 3, [12.0], [10.0])  # 0.04
    found = say(rows, "layer_index, nsr, input_nsr, reason")
    why = "no paired frame recorded it on both sides"
    assert found == [
        near(0, 0.01, 0.0009, None),
        near(1, None, 0.01, why),
        near(2, None, 0.01, why),
        near(3, 0.04, (0.01 + 0.0009) / 2, None),
    ]


def test_layer_without_measured_inputs_has_no_drop() -> None:
    rows, runs = two_models([-1])
    layers(rows, frames(rows, runs), 0, [11.0], [10.0])
    assert say(rows, "sqnr_db, input_nsr, drop_db, rank_drop_db") == [near(20.0, None, None, None)]


def test_layer_without_counterpart_is_listed_with_the_reason() -> None:
    rows, runs = two_models([-1], [0])
    rows.tables["alignments"].clear()
    rows.align("aa", "bb", {0: 0, 1: None})
    pair = frames(rows, runs)
    layers(rows, pair, 0, [1.0], [1.0])
    layers(rows, pair, 1, [2.0], [1.0])
    assert say(rows, "layer_index, frames, sqnr_db, reason") == [
        near(0, 1, 140.0, None),
        near(1, 0, None, "no name alike"),
    ]


def test_layers_are_compared_as_aligned() -> None:
    rows, runs = two_models([-1], [0])
    rows.tables["alignments"].clear()
    rows.align("aa", "bb", {0: 1, 1: 0})
    pair = frames(rows, runs)
    layers(rows, pair, 0, edge=[7.0], reference=[3.0])
    layers(rows, pair, 1, edge=[3.0], reference=[7.0])
    assert say(rows, "layer_index, reference_layer_index, sqnr_db") == [
        near(0, 1, 140.0),
        near(1, 0, 140.0),
    ]


def test_one_model_needs_no_alignment_and_no_graph() -> None:
    rows = Rows()
    runs = rows.run("e", kernels="builtin"), rows.run("r", "reference")
    layers(rows, frames(rows, runs), 5, [11.0], [10.0])
    assert say(rows, "layer_index, layer_name, reference_layer_index, nsr") == [
        near(5, "l5", 5, 0.01)
    ]


def test_operator_without_activations_has_no_distance() -> None:
    rows, runs = two_models([-1], [0, 2], [0])
    rows.tables["graphs"][2]["excluded_reason"] = "shape arithmetic"
    pair = frames(rows, runs)
    layers(rows, pair, 0, [11.0], [10.0])
    layers(rows, pair, 1, [12.0], [10.0])
    layers(rows, pair, 2, [1.0], [1.0])
    # layer 1 reads 0 and, through 2, again 0: the equal shapes are no good input
    assert say(rows, "layer_index, nsr, input_nsr, reason") == [
        near(0, 0.01, None, None),
        near(1, 0.04, 0.01, None),
        near(2, None, 0.01, "shape arithmetic"),
    ]


def test_elements_that_are_not_finite_are_counted_and_take_the_distance_away() -> None:
    rows, runs = two_models([-1], [0])
    pair = frames(rows, runs, "a")
    layers(rows, pair, 0, [math.nan, 1.0, math.inf], [1.0, -math.inf, 1.0])
    layers(rows, pair, 1, [1.0], [1.0])
    layers(rows, frames(rows, runs, "b"), 0, [1.0, 1.0, 1.0], [1.0, 1.0, 1.0])
    columns = (
        "layer_index, frames, nonfinite_executions, nsr, sqnr_db, cosine, gain, rmse, nrmse,"
        " edge_nan_count, edge_inf_count, reference_nan_count, reference_inf_count, reason"
    )
    assert say(rows, columns) == [
        near(0, 2, 1, *[None] * 6, 1, 1, 0, 1, "elements that are not finite"),
        near(1, 1, 0, 0.0, 140.0, 1.0, 1.0, 0.0, 0.0, 0, 0, 0, 0, None),
    ]
    frame_rows = say(rows, "input_id, layer_index, nsr", "layer_frame_divergence")
    assert frame_rows == [near("a", 0, None), near("a", 1, 0.0), near("b", 0, 0.0)]


def test_outputs_of_different_size_have_no_distance() -> None:
    rows, runs = two_models([-1])
    layers(rows, frames(rows, runs), 0, [1.0, 2.0], [1.0, 2.0, 0.0])
    assert say(rows, "frames, nsr, reason") == [near(1, None, "element counts differ")]


@pytest.mark.parametrize("gone", [{"sketch": None}, {"sketch_version": "cs2"}])
def test_tensors_without_comparable_sketches_have_no_distance(gone: dict[str, object]) -> None:
    rows, runs = two_models([-1])
    layers(rows, frames(rows, runs), 0, [1.0], [1.0], **gone)
    assert say(rows, "frames, nsr, reason") == [near(1, None, "no sketch to compare")]


def test_reference_of_only_zeros() -> None:
    rows, runs = two_models([-1], [0])
    pair = frames(rows, runs)
    layers(rows, pair, 0, [0.0, 0.0], [0.0, 0.0])
    layers(rows, pair, 1, [0.0, 1.0], [0.0, 0.0])
    assert say(rows, "sqnr_db, cosine, gain, edge_zero_ratio, reference_zero_ratio") == [
        near(140.0, None, None, 1.0, 1.0),
        near(-20.0, None, None, 0.5, 1.0),
    ]


def test_quantized_layer_is_measured_in_steps_and_saturation() -> None:
    rows, runs = two_models([-1])
    quantized = {"scale": 0.5, "sat_low_count": 1, "sat_high_count": 2}
    layers(rows, frames(rows, runs), 0, [1.0, 2.0, 3.0, 4.5], [1.0, 2.0, 3.0, 4.0], **quantized)
    columns = "rmse_scale, edge_sat_low_count, edge_sat_high_count, edge_sat_ratio"
    assert say(rows, columns) == [near(0.5, 1, 2, 0.75)]


def test_nrmse_is_over_the_larger_range_of_all_frames() -> None:
    rows, runs = two_models([-1])
    layers(rows, frames(rows, runs, "a"), 0, [0.0, 1.0], [0.0, 0.0])
    layers(rows, frames(rows, runs, "b"), 0, [4.0, 4.0], [4.0, 4.0])
    assert say(rows, "rmse, nrmse") == [near(0.5, 0.125)]


def test_frame_below_level_summary_does_not_count() -> None:
    rows, runs = two_models([-1])
    layers(rows, frames(rows, runs, level="latency"), 0, [1.0], [1.0])
    assert say(rows, "frames, nsr") == [(0, None)]


def test_tensor_whose_frame_is_not_written_does_not_count() -> None:
    rows, runs = two_models([-1])
    layers(rows, frames(rows, runs, "a"), 0, [1.0], [1.0])
    layers(rows, frames(rows, runs, "b"), 0, [1.0], [1.0])
    rows.tables["frames"].pop()
    assert say(rows, "frames") == [(1,)]


@pytest.mark.parametrize("table", ["tensors", "frames", "graphs", "alignments", "runs"])
def test_repeated_rows_change_nothing(table: str) -> None:
    rows, runs = two_models([-1], [0])
    for name, change in (("a", 1.0), ("b", 2.0)):
        pair = frames(rows, runs, name)
        inputs(rows, pair, [10.0], [10.0])
        layers(rows, pair, 0, [10.0 + change], [10.0])
        layers(rows, pair, 1, [5.0], [5.0])
    before = say(rows, "*"), say(rows, "*", "input_divergence")
    rows.tables[table] *= 2
    assert (say(rows, "*"), say(rows, "*", "input_divergence")) == before


def test_second_execution_of_a_model_meets_its_like() -> None:
    rows, runs = two_models([-1])
    pair = frames(rows, runs)
    # on the edge another model ran first, so the same executions have other numbers
    for edge_index, index, value in ((1, 0, 5.0), (3, 1, 7.0)):
        rows.layer(pair[0], 0, [value], inference_index=edge_index)
        rows.layer(pair[1], 0, [value], inference_index=index)
    assert say(rows, "frames, nsr") == [(1, 0.0)]
    found = say(rows, "execution, nsr", "layer_frame_divergence")
    assert found == [(1, 0.0), (2, 0.0)]


def test_further_outputs_of_a_layer_do_not_count() -> None:
    rows, runs = two_models([-1])
    pair = frames(rows, runs)
    layers(rows, pair, 0, [1.0], [1.0])
    layers(rows, pair, 0, [9.0], [1.0], tensor_index=1)
    assert say(rows, "nsr") == [(0.0,)]


def test_wide_sketches_are_preferred_where_both_sides_have_one() -> None:
    rows, runs = two_models([-1])
    rng = np.random.default_rng(0)
    reference = rng.normal(size=200)
    edge = reference + rng.normal(size=200) * 0.1
    pair = frames(rows, runs)
    inputs(rows, pair, edge.tolist(), reference.tolist())
    exact = float(np.square(edge - reference).sum() / np.square(reference).sum())
    ((nsr,),) = say(rows, "nsr", "input_divergence")
    assert nsr == pytest.approx(exact, rel=1e-5)  # 256 values hold 200 elements exactly


def test_estimates_are_within_a_decibel_of_full_tensors() -> None:
    rows, runs = two_models([-1])
    rng = np.random.default_rng(1)
    exact: list[float] = []
    for number in range(16):
        reference = rng.normal(size=5000)
        edge = reference + rng.normal(size=5000) * 0.05
        layers(rows, frames(rows, runs, f"{number}"), 0, edge.tolist(), reference.tolist())
        exact.append(float(np.square(edge - reference).sum() / np.square(reference).sum()))
    ((sqnr_db,),) = say(rows, "sqnr_db")
    assert sqnr_db == pytest.approx(-10 * math.log10(np.mean(exact)), abs=1)


def test_input_says_which_affine_map_it_went_through() -> None:
    rows, runs = two_models([-1])
    rng = np.random.default_rng(2)
    for name in ("a", "b"):
        reference = rng.uniform(-1, 1, 3000)
        inputs(rows, frames(rows, runs, name), (0.5 * reference + 0.5).tolist(), reference.tolist())
    found = say(rows, "sqnr_db < 5, gain, offset_value, affine_db > 100", "input_divergence")
    assert found == [(True, pytest.approx(0.5, abs=1e-4), pytest.approx(0.5, abs=1e-4), True)]


def test_constant_input_has_no_affine_map() -> None:
    rows, runs = two_models([-1])
    inputs(rows, frames(rows, runs), [2.0, 2.0], [1.0, 1.0])
    found = say(rows, "nsr, gain, offset_value, affine_db", "input_divergence")
    assert found == [near(1.0, None, None, None)]


def test_tensors_outside_layers_meet_by_role_and_name() -> None:
    rows, runs = two_models([-1])
    pair = frames(rows, runs)
    for frame, name in zip(pair, ("serving_input:0", "input_1"), strict=True):
        rows.tensor(frame, "input", [1.0], tensor_name=name)
        rows.tensor(frame, "raw", [3.0], tensor_name="raw")
        rows.tensor(frame, "stage", [2.0], tensor_name="resize")
        rows.tensor(frame, "stage", [4.0], tensor_name="resize")
    rows.tensor(pair[0], "stage", [9.0], tensor_name="only on the edge")
    columns = "tensor_role, tensor_name, reference_tensor_name, frames, equal_frames, sqnr_db"
    assert say(rows, columns, "input_divergence") == [
        ("raw", "raw", "raw", 1, 1, 140.0),
        ("stage", "resize", "resize", 1, 1, 140.0),
        ("input", "serving_input:0", "input_1", 1, 1, 140.0),
    ]


def test_outputs_of_the_model_are_no_inputs() -> None:
    rows, runs = two_models([-1])
    pair = frames(rows, runs)
    rows.tensor(pair[0], "output", [1.0])
    rows.tensor(pair[1], "output", [1.0])
    assert say(rows, "*", "input_divergence") == []


def test_selectors_that_name_nothing_find_nothing() -> None:
    rows, runs = two_models([-1])
    layers(rows, frames(rows, runs), 0, [1.0], [1.0])
    assert rows.ask("SELECT * FROM layer_divergence('e', 'x')") == []
    assert rows.ask("SELECT * FROM input_divergence('', '')") == []


def test_second_model_of_a_frame_meets_a_reference_that_runs_it_alone() -> None:
    rows = Rows()
    detector = rows.run("e", model_name="det", model_sha256="d0")
    classifier = rows.run("e", model_name="cls", model_sha256="aa")
    reference = rows.run("r", "reference", model_name="cls", model_sha256="aa")
    edge_frame, reference_frame = rows.frame(detector), rows.frame(reference)
    for number, (run, value) in enumerate(((detector, 5.0), (classifier, 11.0))):
        rows.span(edge_frame, run_id=run["run_id"])
        shared = {"run_id": run["run_id"], "model_sha256": run["model_sha256"]}
        rows.layer(edge_frame, 0, [value], inference_index=number, **shared)
    rows.layer(reference_frame, 0, [10.0])
    classifier_id = f"{2:032x}"
    query = f"SELECT edge_model, frames, nsr FROM layer_divergence('{classifier_id}', 'r')"
    assert rows.ask(query) == [near("cls", 1, 0.01)]


def test_a_sketch_that_privacy_shortened_is_compared_at_its_length() -> None:
    """The distance is that of both sketches folded to the shorter one's length."""
    rng = np.random.default_rng(1)
    edge, reference = rng.standard_normal(490), rng.standard_normal(490)
    family = sketch_family(input_key("a.png"))
    rows = Rows()
    for build, role, values in (("e", "edge", edge), ("r", "reference", reference)):
        row = rows.tensor(rows.frame(rows.run(build, role)), "input", values.tolist())
        if role == "edge":
            row["sketch"] = fold(sketch(values, family), 16).astype(np.float32).tolist()
            row["sketch_256"] = None

    ((nsr, gain),) = rows.ask("SELECT nsr, gain FROM input_divergence('e', 'r')")

    difference = fold(sketch(edge - reference, family), 16)
    assert nsr == pytest.approx((difference**2).sum() / (reference**2).sum(), rel=1e-5)
    assert gain is not None


def test_without_any_sketch_the_reason_says_so() -> None:
    rows = Rows()
    for build, role in (("e", "edge"), ("r", "reference")):
        row = rows.tensor(rows.frame(rows.run(build, role)), "input", [1.0, 2.0])
        row["sketch"] = row["sketch_256"] = row["sketch_version"] = None

    query = "SELECT nsr, reason FROM input_divergence('e', 'r')"
    assert rows.ask(query) == [(None, "no sketch to compare")]


def test_model_inputs_are_shown_most_different_first() -> None:
    rows, runs = two_models([-1])
    inputs(rows, frames(rows, runs, "near.png"), edge=[3.0, 4.5], reference=[3.0, 4.0])
    inputs(rows, frames(rows, runs, "far.png"), edge=[4.0, 3.0], reference=[3.0, 4.0])
    assert say(rows, "input_id, nsr, edge_count", "input_sketches") == [
        near("far.png", 2 / 25, 2),
        near("near.png", 0.25 / 25, 2),
    ]


def test_model_inputs_of_two_sizes_have_no_distance_but_are_shown() -> None:
    rows, runs = two_models([-1])
    inputs(rows, frames(rows, runs), edge=[3.0, 4.0, 5.0], reference=[3.0, 4.0])
    assert say(rows, "nsr, edge_count, reference_count", "input_sketches") == [(None, 3, 2)]
