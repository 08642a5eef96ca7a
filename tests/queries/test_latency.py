"""Times of frames, stages, inferences, layers and operators."""

import pytest

from .builders import Rows

MS = 1_000_000


def test_frames_at_level_latency_count_alone_where_there_are_any() -> None:
    rows = Rows()
    run = rows.run("e")
    for level, dur_ms in (("latency", 2), ("latency", 4), ("summary", 100)):
        rows.frame(run, level, level=level, dur_ns=dur_ms * MS)
    query = "SELECT frames, mean_ms, p50_ms, max_ms, inflated FROM frame_latency('e')"
    assert rows.ask(query) == [(2, 3.0, 2.0, 4.0, False)]


def test_without_level_latency_all_frames_count_and_are_said_to_be_inflated() -> None:
    rows = Rows()
    run = rows.run("e")
    rows.frame(run, dur_ns=100 * MS)
    query = "SELECT frames, mean_ms, inflated FROM frame_latency('e')"
    assert rows.ask(query) == [(1, 100.0, True)]


def test_level_latency_of_another_device_does_not_hide_this_one() -> None:
    rows = Rows()
    rows.frame(rows.run("e", device_model="pi5"), level="latency", dur_ns=2 * MS)
    rows.frame(rows.run("e", device_model="pixel"), level="summary", dur_ns=9 * MS)
    query = "SELECT device, mean_ms, inflated FROM frame_latency('e')"
    assert rows.ask(query) == [("pi5", 2.0, False), ("pixel", 9.0, True)]


def test_failed_frame_has_no_latency() -> None:
    rows = Rows()
    rows.frame(rows.run("e"), status="error", level="latency")
    assert rows.ask("SELECT * FROM frame_latency('e')") == []


def test_each_frame_counts_as_those_that_it_stands_for() -> None:
    """A short frame for 2 frames, a long one for 10; a summarised one for none of these."""
    rows = Rows()
    run = rows.run("e")
    for level, dur_ms, rate in (("latency", 2, 0.5), ("latency", 10, 0.1), ("summary", 99, 0.01)):
        rows.frame(run, level, level=level, dur_ns=dur_ms * MS, sample_rate=rate)
    query = "SELECT frames, effective_frames, mean_ms, p50_ms, inflated FROM frame_latency('e')"
    ((frames, effective, mean_ms, p50_ms, inflated),) = rows.ask(query)
    assert (frames, p50_ms, inflated) == (2, 10.0, False)
    assert effective == pytest.approx(12 * 12 / (4 + 100))
    assert mean_ms == pytest.approx((2 * 2 + 10 * 10) / 12)


def test_summarised_frames_are_weighted_too_where_they_are_all_there_is() -> None:
    rows = Rows()
    run = rows.run("e")
    rows.frame(run, "a", dur_ns=4 * MS, sample_rate=0.25)
    rows.frame(run, "b", dur_ns=9 * MS)
    query = "SELECT frames, mean_ms, p50_ms, p99_ms, inflated FROM frame_latency('e')"
    assert rows.ask(query) == [(2, 5.0, 4.0, 9.0, True)]


def test_stages_inferences_and_layers_weigh_what_their_frame_does() -> None:
    rows = Rows()
    run = rows.run("e")
    for name, dur_ms, rate in (("a", 2, 1.0), ("b", 6, 1 / 3)):
        frame = rows.frame(run, name, level="latency", sample_rate=rate)
        rows.span(frame, "preprocess", dur_ns=dur_ms * MS)
        rows.span(frame, "inference", dur_ns=dur_ms * MS)
        rows.layer_span(frame, 0, dur_ns=dur_ms * MS)
        rows.layer_span(frame, 1, dur_ns=8 * MS, op="ADD")
    wanted = "{}, round({}, 6), mean_ms, p50_ms, p99_ms FROM "
    expected = (2, 1.6, 5.0, 6.0, 6.0)
    for view in ("stage_latency", "layer_latency"):
        query = f"SELECT {wanted.format('executions', 'effective_executions')} {view}('e')"
        assert rows.ask(query)[0] == expected
    query = f"SELECT {wanted.format('inferences', 'effective_inferences')} inference_latency('e')"
    assert rows.ask(query) == [expected]
    ops = "SELECT op, round(effective_frames, 6), frame_ms, time_ratio FROM op_latency('e')"
    assert rows.ask(ops) == [("ADD", 1.6, 8.0, 8 / 13), ("CONV_2D", 1.6, 5.0, 5 / 13)]


def test_layers_that_only_summarised_frames_show_count_and_are_said_to_be_inflated() -> None:
    """As in Keras, beside frames at level latency whose whole times count alone."""
    rows = Rows()
    run = rows.run("e")
    rows.frame(run, "a", level="latency", dur_ns=2 * MS)
    summarised = rows.frame(run, "b", level="summary", dur_ns=50 * MS)
    rows.layer_span(summarised, 0, dur_ns=3 * MS, timing="eager")
    assert rows.ask("SELECT mean_ms, inflated FROM layer_latency('e')") == [(3.0, True)]
    assert rows.ask("SELECT mean_ms, inflated FROM frame_latency('e')") == [(2.0, False)]


def test_layers_of_frames_at_level_latency_count_alone_where_there_are_any() -> None:
    rows = Rows()
    run = rows.run("e")
    for level, dur_ms in (("latency", 2), ("summary", 7)):
        frame = rows.frame(run, level, level=level)
        rows.layer_span(frame, 0, dur_ns=dur_ms * MS, timing="eager")
    query = "SELECT executions, mean_ms, inflated FROM layer_latency('e')"
    assert rows.ask(query) == [(1, 2.0, False)]


def test_quantiles_are_exact() -> None:
    rows = Rows()
    run = rows.run("e")
    for number in range(101):
        rows.frame(run, str(number), level="latency", dur_ns=number * MS)
    ((p50, p99),) = rows.ask("SELECT p50_ms, p99_ms FROM frame_latency('e')")
    assert (p50, p99) == (pytest.approx(50), pytest.approx(99))


def test_stages_are_told_from_inferences_and_foreign_spans() -> None:
    rows = Rows()
    frame = rows.frame(rows.run("e"), level="latency")
    rows.span(frame, "preprocess", dur_ns=3 * MS)
    rows.span(frame, "preprocess", dur_ns=5 * MS)
    rows.span(frame, "inference", dur_ns=8 * MS)
    rows.span(frame, "SELECT", dur_ns=50 * MS, scope="sqlalchemy")
    stages = rows.ask("SELECT stage, frames, executions, mean_ms, inflated FROM stage_latency('e')")
    assert stages == [("preprocess", 1, 2, 4.0, False)]
    inferences = rows.ask("SELECT inferences, mean_ms, max_ms FROM inference_latency('e')")
    assert inferences == [(1, 8.0, 8.0)]


def test_inferences_are_those_of_their_own_model() -> None:
    rows = Rows()
    detector = rows.run("e", model_name="det", model_sha256="d0")
    classifier = rows.run("e", model_name="cls", model_sha256="c0")
    frame = rows.frame(detector, level="latency")
    rows.span(frame, run_id=detector["run_id"], dur_ns=7 * MS)
    rows.span(frame, run_id=classifier["run_id"], dur_ns=3 * MS)
    query = "SELECT model_name, inferences, mean_ms FROM inference_latency('e')"
    assert rows.ask(query) == [("cls", 1, 3.0), ("det", 1, 7.0)]


def test_layers_show_their_share_and_those_not_measured_are_left_out() -> None:
    rows = Rows()
    frame = rows.frame(rows.run("e"), level="latency")
    rows.layer_span(frame, 0, dur_ns=3 * MS)
    rows.layer_span(frame, 1, dur_ns=1 * MS)
    rows.layer_span(frame, 2, dur_ns=None, timing="none")
    query = "SELECT layer_index, layer_name, timing, executions, p50_ms, time_ratio FROM "
    assert rows.ask(query + "layer_latency('e')") == [
        (0, "l0", "probe", 1, 3.0, 0.75),
        (1, "l1", "probe", 1, 1.0, 0.25),
    ]


@pytest.mark.parametrize(("timing", "inflated"), [("probe", False), ("eager", True)])
def test_times_of_the_probe_are_never_inflated(timing: str, inflated: bool) -> None:
    rows = Rows()
    frame = rows.frame(rows.run("e"), level="summary")
    rows.layer_span(frame, 0, timing=timing)
    assert rows.ask("SELECT inflated FROM layer_latency('e')") == [(inflated,)]
    assert rows.ask("SELECT inflated FROM op_latency('e')") == [(inflated,)]


def test_operators_sum_their_layers_per_frame() -> None:
    rows = Rows()
    run = rows.run("e")
    for name in ("a", "b"):
        frame = rows.frame(run, name, level="latency")
        rows.layer_span(frame, 0, dur_ns=2 * MS)
        rows.layer_span(frame, 1, dur_ns=4 * MS)
        rows.layer_span(frame, 2, dur_ns=2 * MS, op="ADD")
    query = "SELECT op, layers, executions, frame_ms, time_ratio FROM op_latency('e')"
    assert rows.ask(query) == [("CONV_2D", 2, 4, 6.0, 0.75), ("ADD", 1, 2, 2.0, 0.25)]


def test_repeated_rows_count_once() -> None:
    rows = Rows()
    frame = rows.frame(rows.run("e"), level="latency")
    rows.span(frame, "preprocess", dur_ns=3 * MS)
    rows.layer_span(frame, 0)
    for table in rows.tables:
        rows.tables[table] *= 2
    assert rows.ask("SELECT frames FROM frame_latency('e')") == [(1,)]
    assert rows.ask("SELECT executions FROM stage_latency('e')") == [(1,)]
    assert rows.ask("SELECT executions FROM layer_latency('e')") == [(1,)]
