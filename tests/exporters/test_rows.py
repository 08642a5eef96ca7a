from exray.exporters.rows import metric_row, series_hash
from exray.schema.records import MetricRecord

from .builders import START_NS, make_frame, make_run


def make_metric(**attributes: object) -> MetricRecord:
    return MetricRecord(name="light", value=2.5, time_ns=START_NS, unit="lx", attributes=attributes)


def test_a_metric_of_a_frame_is_of_its_run_and_date() -> None:
    frame = make_frame()

    row = metric_row(make_metric(), frame)

    assert (row["run_id"], row["build"]) == (frame.run.run_id, "1.4.2")
    assert (row["trace_id"], row["frame_span_id"]) == (frame.trace_id, frame.span_id)
    assert (row["input_key"], row["dt"]) == (frame.input_key, "2026-02-01")
    assert row["attributes_json"] is None


def test_a_metric_outside_frames_is_of_its_own_run_and_date() -> None:
    run = make_run(3)
    metric = MetricRecord(name="light", value=2.5, time_ns=START_NS, run=run)

    row = metric_row(metric)

    assert (row["run_id"], row["build"], row["dt"]) == (run.run_id, "1.4.2", "2026-02-01")
    assert [row[name] for name in ("trace_id", "frame_span_id", "input_key")] == [None] * 3


def test_a_metric_of_nobody_has_no_run() -> None:
    row = metric_row(make_metric())

    assert (row["run_id"], row["build"]) == (None, None)


def test_equal_attributes_are_one_text_and_one_series() -> None:
    one, other = make_metric(a=1, b="x"), make_metric(b="x", a=1)

    assert metric_row(one) == metric_row(other)
    assert metric_row(one)["attributes_json"] == '{"a":1,"b":"x"}'


def test_series_differ_in_name_unit_run_and_attributes() -> None:
    run = make_run(1)
    metrics = [
        make_metric(),
        make_metric(a=1),
        make_metric(a=2),
        MetricRecord(name="dark", value=2.5, time_ns=START_NS, unit="lx"),
        MetricRecord(name="light", value=2.5, time_ns=START_NS, unit="1"),
    ]
    hashes = {series_hash(metric, run) for metric in metrics} | {
        series_hash(metrics[0], make_run(2))
    }

    assert len(hashes) == 6


def test_a_series_without_attributes_has_the_key_that_it_always_had() -> None:
    assert series_hash(make_metric(), make_run(1)) == -5938743559182640617


def test_what_only_describes_a_series_does_not_tell_it_apart() -> None:
    run, core = make_run(1), {"cpu.logical_number": 0}
    slow = make_metric(**core, **{"exray.cpu.governor": "powersave"})
    fast = make_metric(**core, **{"exray.cpu.governor": "performance"})

    assert series_hash(slow, run) == series_hash(fast, run)
    assert metric_row(slow)["attributes_json"] != metric_row(fast)["attributes_json"]
