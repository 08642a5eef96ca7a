"""What the host and its sensors said of frames and builds."""

import math

import pytest

from .builders import START_NS, Row, Rows

S = 1_000_000_000


def frame(rows: Rows, run: Row, name: str, at_s: float) -> Row:
    """Add a frame that begins so long after the start."""
    return rows.frame(run, name, start_ns=START_NS + int(at_s * S))


def test_a_frame_has_the_last_reading_at_or_before_its_start() -> None:
    rows = Rows()
    run = rows.run("e")
    for time_s, celsius in ((0, 40.0), (5, 50.0), (10, 60.0)):
        rows.metric(run, "hw.temperature", celsius, time_s)
    for name, at_s in (("a", 4.9), ("b", 5), ("c", 9), ("d", 30)):
        frame(rows, run, name, at_s)
    query = "SELECT input_id, value, age_s, in_frame FROM host_frame('e')"
    assert rows.ask(query) == [
        ("a", 40.0, pytest.approx(4.9), False),
        ("b", 50.0, 0.0, False),
        ("c", 50.0, 4.0, False),
        ("d", 60.0, 20.0, False),
    ]


def test_a_frame_before_the_first_reading_or_long_after_the_last_has_none() -> None:
    rows = Rows()
    run = rows.run("e")
    rows.metric(run, "hw.temperature", 40.0, 10)
    for name, at_s in (("early", 9), ("fresh", 70), ("late", 71)):
        frame(rows, run, name, at_s)
    assert rows.ask("SELECT input_id FROM host_frame('e')") == [("fresh",)]
    query = "SELECT input_id FROM host_frame('e', max_age_s := 61)"
    assert rows.ask(query) == [("fresh",), ("late",)]


def test_each_series_has_its_own_last_reading() -> None:
    rows = Rows()
    run = rows.run("e")
    rows.metric(run, "system.cpu.utilization", 0.1, 0, '{"cpu.logical_number":0}')
    rows.metric(run, "system.cpu.utilization", 0.2, 1, '{"cpu.logical_number":1}')
    rows.metric(run, "light", 310.0, 2, unit="lx")
    frame(rows, run, "a", 3)
    assert rows.ask("SELECT metric, attributes, unit, value FROM host_frame('e')") == [
        ("light", None, "lx", 310.0),
        ("system.cpu.utilization", '{"cpu.logical_number":0}', "1", 0.1),
        ("system.cpu.utilization", '{"cpu.logical_number":1}', "1", 0.2),
    ]


def test_a_series_whose_description_changes_is_one_series() -> None:
    rows = Rows()
    run = rows.run("e")
    for at_s, governor in ((0, "powersave"), (1, "performance")):
        attributes = f'{{"exray.cpu.governor":"{governor}"}}'
        rows.metric(run, "system.cpu.frequency", at_s, at_s, attributes, series_hash=7)
    frame(rows, run, "a", 2)
    query = "SELECT value, attributes FROM host_frame('e')"
    assert rows.ask(query) == [(1.0, '{"exray.cpu.governor":"performance"}')]


def test_one_metric_can_be_asked_for() -> None:
    rows = Rows()
    run = rows.run("e")
    rows.metric(run, "light", 310.0, 0)
    rows.metric(run, "hw.temperature", 40.0, 0)
    frame(rows, run, "a", 1)
    query = "SELECT metric FROM host_frame('e', 'hw.temperature')"
    assert rows.ask(query) == [("hw.temperature",)]
    query = "SELECT metric FROM host_summary('e', 'hw.temperature')"
    assert rows.ask(query) == [("hw.temperature",)]


def test_a_number_recorded_in_a_frame_is_its_own_and_no_other_frames() -> None:
    rows = Rows()
    run = rows.run("e")
    rows.metric(run, "light", 100.0, 0)
    first, _ = frame(rows, run, "a", 1), frame(rows, run, "b", 5)
    rows.metric(run, "light", 200.0, 1.5, frame=first)
    rows.metric(run, "light", 300.0, 2, frame=first)
    query = "SELECT input_id, value, in_frame, age_s FROM host_frame('e')"
    assert rows.ask(query) == [("a", 300.0, True, -1.0), ("b", 100.0, False, 5.0)]


def test_readings_of_another_run_say_nothing_of_a_frame() -> None:
    rows = Rows()
    mine, other = rows.run("e"), rows.run("e")
    rows.metric(other, "hw.temperature", 40.0, 0)
    frame(rows, mine, "a", 1)
    assert rows.ask("SELECT * FROM host_frame('e')") == []


def test_a_frame_of_two_models_has_each_reading_once() -> None:
    rows = Rows()
    detector, classifier = rows.run("e", model_name="det"), rows.run("e", model_name="cls")
    for run in (detector, classifier):
        rows.metric(run, "hw.temperature", 40.0, 0)
    both = frame(rows, detector, "a", 1)
    for run in (detector, classifier):
        rows.span(both, run_id=run["run_id"])
    assert rows.ask("SELECT input_id, value FROM host_frame('e')") == [("a", 40.0)]


def test_a_later_models_reading_is_the_frames_too() -> None:
    rows = Rows()
    detector, classifier = rows.run("e", model_name="det"), rows.run("e", model_name="cls")
    rows.metric(classifier, "hw.temperature", 40.0, 0)
    rows.span(frame(rows, detector, "a", 1), run_id=classifier["run_id"])
    assert rows.ask("SELECT input_id, value FROM host_frame('e')") == [("a", 40.0)]


def test_a_build_is_summarised_over_its_runs() -> None:
    rows = Rows()
    for values in ((40.0, 50.0), (90.0,)):
        run = rows.run("e")
        for at_s, value in enumerate(values):
            rows.metric(run, "hw.temperature", value, at_s)
    rows.metric(rows.run("other"), "hw.temperature", 10.0, 0)
    query = "SELECT readings, min_value, mean_value, max_value FROM host_summary('e')"
    assert rows.ask(query) == [(3, 40.0, 60.0, 90.0)]


def test_what_is_not_finite_is_no_reading() -> None:
    rows = Rows()
    run = rows.run("e")
    for at_s, value in enumerate((math.nan, 2.0, math.inf)):
        rows.metric(run, "light", value, at_s)
    query = "SELECT readings, min_value, mean_value, max_value FROM host_summary('e')"
    assert rows.ask(query) == [(1, 2.0, 2.0, 2.0)]


def test_devices_are_summarised_apart() -> None:
    rows = Rows()
    for device, celsius in (("pi5", 60.0), ("pixel", 40.0)):
        rows.metric(rows.run("e", device_model=device), "hw.temperature", celsius, 0)
    query = "SELECT device, mean_value FROM host_summary('e')"
    assert rows.ask(query) == [("pi5", 60.0), ("pixel", 40.0)]


def test_a_number_of_a_frame_that_is_not_there_does_not_count() -> None:
    rows = Rows()
    run = rows.run("e")
    rows.metric(run, "light", 1.0, 1, frame=frame(rows, run, "a", 0))
    assert rows.ask("SELECT readings FROM host_summary('e')") == [(1,)]
    rows.tables["frames"].clear()
    assert rows.ask("SELECT readings FROM host_summary('e')") == []
    assert rows.ask("SELECT * FROM host_frame('e')") == []


def test_repeated_rows_count_once() -> None:
    rows = Rows()
    run = rows.run("e")
    rows.metric(run, "hw.temperature", 40.0, 0)
    frame(rows, run, "a", 1)
    for table in rows.tables:
        rows.tables[table] *= 2
    assert rows.ask("SELECT value FROM host_frame('e')") == [(40.0,)]
    assert rows.ask("SELECT readings FROM host_summary('e')") == [(1,)]
