"""Layers broken in themselves, and inputs that were seen twice, from literal rows."""

import math

from .builders import Row, Rows


def play(rows: Rows, run: Row, name: str, layer: list[float], **values: object) -> Row:
    frame = rows.frame(run, name, **values)
    rows.tensor(frame, "input", [float(len(name)), 1.0])
    rows.layer(frame, 0, layer)
    return frame


def test_layers_are_counted_over_the_newest_frames() -> None:
    rows = Rows()
    run = rows.run("e")
    play(rows, run, "a", [9.0, 9.0])
    play(rows, run, "a", [0.0, 1.0])
    play(rows, run, "bb", [0.0, math.nan])
    query = (
        "SELECT layer_index, executions, elements, nan_count, inf_count, zero_ratio, least,"
        " greatest, certain_ratio, distinct_outputs, distinct_inputs FROM layer_health('e')"
    )
    assert rows.ask(query) == [(0, 2, 2.0, 1, 0, 0.5, 0.0, 1.0, 0.5, 2, 2)]


def test_saturation_is_counted_by_element_and_by_execution() -> None:
    rows = Rows()
    frame = rows.frame(rows.run("e"))
    rows.layer(frame, 0, [1.0, 2.0, 3.0, 4.0], sat_high_count=1, sat_low_count=2)
    query = "SELECT sat_low_ratio, sat_high_ratio, high_ratio FROM layer_health('e')"
    assert rows.ask(query) == [(0.5, 0.25, 1.0)]


def repeat(rows: Rows, run: Row, value: float, output: float, name: str = "a") -> None:
    frame = rows.frame(run, name, output_hash=int(output * 10))
    rows.tensor(frame, "input", [value, 1.0])
    rows.tensor(frame, "output", [output, 1.0])


REPEATS = "SELECT input_id, same_run, pairs, differing, round(nsr, 6) FROM state_repeats('e')"


def test_equal_inputs_with_other_outputs_are_counted() -> None:
    rows = Rows()
    run = rows.run("e")
    repeat(rows, run, 1.0, 3.0)
    repeat(rows, run, 1.0, 4.0)
    assert rows.ask(REPEATS) == [("a", True, 1, 1, 0.1)]


def test_equal_inputs_with_equal_outputs_are_pairs_that_agree() -> None:
    rows = Rows()
    run = rows.run("e")
    for _ in range(3):
        repeat(rows, run, 1.0, 3.0)
    assert rows.ask(REPEATS) == [("a", True, 3, 0, 0.0)]


def test_other_bytes_under_one_name_are_no_repetition() -> None:
    rows = Rows()
    run = rows.run("e")
    repeat(rows, run, 1.0, 3.0)
    repeat(rows, run, 2.0, 4.0)
    assert rows.ask(REPEATS) == []


def test_runs_of_one_model_are_compared_and_told_apart() -> None:
    rows = Rows()
    repeat(rows, rows.run("e"), 1.0, 3.0)
    repeat(rows, rows.run("e"), 1.0, 4.0)
    repeat(rows, rows.run("e", kernels="builtin"), 1.0, 5.0)
    assert rows.ask(REPEATS) == [("a", False, 1, 1, 0.1)]


def test_shifts_of_classes_come_with_their_share() -> None:
    rows = Rows()
    edge, reference = rows.run("e"), rows.run("r", "reference")
    for name, ours, theirs in (("a", 2, 1), ("b", 6, 5), ("c", 9, 8), ("d", 4, 4)):
        rows.frame(edge, name, prediction_ids=[ours], label=str(theirs))
        rows.frame(reference, name, prediction_ids=[theirs])
    query = "SELECT against, shift, frames, frames_ratio, classes FROM outcome_shift('e', 'r')"
    assert rows.ask(query) == [
        ("label", 1, 3, 0.75, 3),
        ("label", 0, 1, 0.25, 1),
        ("reference", 1, 3, 0.75, 3),
        ("reference", 0, 1, 0.25, 1),
    ]


def test_times_are_told_one_by_one() -> None:
    rows = Rows()
    run = rows.run("e")
    frame = rows.frame(run)
    rows.span(frame, "preprocess", dur_ns=2_000_000)
    rows.span(frame, dur_ns=5_000_000)
    rows.layer_span(frame, 0, dur_ns=1_000_000)
    query = "SELECT kind, name, layer_index, op, dur_ms FROM latency_samples('e') ORDER BY dur_ms"
    assert rows.ask(query) == [
        ("layer", "l0", 0, "CONV_2D", 1.0),
        ("stage", "preprocess", None, None, 2.0),
        ("inference", "inference", None, None, 5.0),
    ]


def test_stages_come_in_the_order_in_which_they_run() -> None:
    rows = Rows()
    for name in ("a", "b"):
        frame = rows.frame(rows.run("e"), name)
        for stage in ("resize", "decode"):
            rows.span(frame, stage)
    assert rows.ask("SELECT stage FROM stage_order('e')") == [("resize",), ("decode",)]
