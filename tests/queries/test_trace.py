"""One frame's spans, one layer's frames."""

import math

import numpy as np
import pytest

from .builders import Rows

ARRAY = np.random.default_rng(1).standard_normal(256)
NOISE = np.random.default_rng(2).standard_normal(256)


def noisy(sqnr_db: float) -> list[float]:
    norm = float(np.linalg.norm(ARRAY) / np.linalg.norm(NOISE))
    values: list[float] = (ARRAY + NOISE * norm * 10 ** (-sqnr_db / 20)).tolist()
    return values


def test_a_trace_has_its_frame_stages_and_layers_in_order() -> None:
    rows = Rows()
    frame = rows.frame(rows.run("e"), "cat.jpg")
    rows.span(frame, "preprocess")
    inference = rows.span(frame, "inference")
    layer = rows.layer_span(frame, 0, parent_span_id=inference["span_id"], dur_ns=2_000_000)
    rows.layer(frame, 0, [1.0, math.nan, -3.0], span_id=layer["span_id"])
    trace = frame["trace_id"]
    assert isinstance(trace, bytes)
    query = (
        "SELECT kind, name, parent_span_id IS NULL, dur_ms, output_min, nonfinite_count"
        f" FROM trace_spans('{trace.hex()}', 'e')"
    )
    assert rows.ask(query) == [
        ("frame", "cat.jpg", True, 1.0, None, None),
        ("span", "preprocess", False, 1.0, None, None),
        ("span", "inference", False, 1.0, None, None),
        ("layer", "l0", False, 2.0, -3.0, 1),
    ]


def test_a_parent_that_the_lake_does_not_hold_is_none() -> None:
    rows = Rows()
    frame = rows.frame(rows.run("e"), parent_span_id=b"\x09" * 8)
    trace = frame["trace_id"]
    assert isinstance(trace, bytes)
    query = f"SELECT parent_span_id FROM trace_spans('{trace.hex()}', 'e')"
    assert rows.ask(query) == [(None,)]


@pytest.mark.parametrize("trace", ["", "no hex", "ff" * 16])
def test_an_unknown_trace_has_no_spans(trace: str) -> None:
    rows = Rows()
    rows.frame(rows.run("e"))
    assert rows.ask(f"SELECT * FROM trace_spans('{trace}', 'e')") == []


def test_frames_of_a_layer_come_worst_first_with_their_distance() -> None:
    rows = Rows()
    edge, reference = rows.run("e"), rows.run("r", "reference")
    for name, sqnr_db in (("good", 40.0), ("bad", 10.0)):
        rows.layer(rows.frame(edge, name), 3, noisy(sqnr_db))
        rows.layer(rows.frame(reference, name), 3, ARRAY.tolist())
    rows.layer(rows.frame(edge, "alone"), 3, ARRAY.tolist())
    found = rows.ask("SELECT input_id, sqnr_db FROM layer_frames('e', 'r', 3)")
    assert [row[0] for row in found] == ["bad", "good", "alone"]
    assert found[0][1] == pytest.approx(10.0, abs=2.0)
    assert found[1][1] == pytest.approx(40.0, abs=2.0)
    assert found[2][1] is None


def test_a_layer_of_another_model_file_meets_the_one_that_alignments_name() -> None:
    rows = Rows()
    edge = rows.run("e", model_sha256="int8")
    reference = rows.run("r", "reference", model_sha256="float")
    rows.align("int8", "float", {3: 5})
    rows.layer(rows.frame(edge, "a"), 3, noisy(20.0))
    rows.layer(frame := rows.frame(reference, "a"), 5, ARRAY.tolist())
    rows.layer(frame, 3, (-ARRAY).tolist())
    ((sqnr_db,),) = rows.ask("SELECT sqnr_db FROM layer_frames('e', 'r', 3)")
    assert sqnr_db == pytest.approx(20.0, abs=2.0)


def test_a_layer_with_elements_that_are_not_finite_has_no_distance_but_a_count() -> None:
    rows = Rows()
    rows.layer(rows.frame(rows.run("e"), "a"), 0, [math.inf, 1.0])
    rows.layer(rows.frame(rows.run("r", "reference"), "a"), 0, [1.0, 1.0])
    query = "SELECT sqnr_db, nonfinite_count FROM layer_frames('e', 'r', 0)"
    assert rows.ask(query) == [(None, 1)]


def test_without_a_reference_the_statistics_stand_alone() -> None:
    rows = Rows()
    rows.layer(rows.frame(rows.run("e"), "a"), 0, [1.0, 3.0])
    query = "SELECT mean, std, min, max, sqnr_db FROM layer_frames('e', '', 0)"
    assert rows.ask(query) == [(2.0, 1.0, 1.0, 3.0, None)]


def test_times_of_frames_name_device_and_weight() -> None:
    rows = Rows()
    rows.frame(rows.run("e"), "a", sample_rate=0.25, label="3", prediction_ids=[3])
    query = "SELECT device, kernels, weight, dur_ms, correct FROM frame_times"
    assert rows.ask(query) == [("pi5", "xnnpack", 4.0, 1.0, True)]
