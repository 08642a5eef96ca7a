import pytest

from exray.instrumentation import run_metrics
from exray.instrumentation.run_metrics import RunMetrics
from exray.schema.records import MetricRecord, Run
from exray.testing import MemorySink


class Time:
    """Stands for the module `time`."""

    now_s = 1000.0

    def monotonic(self) -> float:
        """Return what it was set to."""
        return self.now_s


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(run_metrics, "time", time)
    return time


def make_run(number: int) -> Run:
    return Run(run_id=number.to_bytes(16), build="b", role="edge", started_ns=0)


def make_metric(value: float = 1.0) -> MetricRecord:
    return MetricRecord(name="light", value=value, time_ns=7, unit="lx")


def test_a_number_is_given_to_every_run_in_use(time: Time) -> None:
    sink, first, second = MemorySink(), make_run(1), make_run(2)
    metrics = RunMetrics(sink)
    metrics.use([first])
    metrics.use([second])

    metrics.add([make_metric(1.0), make_metric(2.0)])

    assert [(m.run, m.value, m.unit) for m in sink.metrics] == [
        (first, 1.0, "lx"),
        (first, 2.0, "lx"),
        (second, 1.0, "lx"),
        (second, 2.0, "lx"),
    ]


def test_a_run_that_records_no_more_gets_no_more(time: Time) -> None:
    sink, old, new = MemorySink(), make_run(1), make_run(2)
    metrics = RunMetrics(sink)
    metrics.use([old])
    time.now_s += 61
    metrics.use([new])

    metrics.add([make_metric()])

    assert [m.run for m in sink.metrics] == [new]


def test_while_no_run_is_in_use_the_latest_gets_it(time: Time) -> None:
    sink, old, new = MemorySink(), make_run(1), make_run(2)
    metrics = RunMetrics(sink)
    metrics.use([old])
    metrics.use([new])
    time.now_s += 3600

    metrics.add([make_metric()])

    assert [m.run for m in sink.metrics] == [new]


def test_runs_in_use_are_those_of_the_window(time: Time) -> None:
    old, new = make_run(1), make_run(2)
    metrics = RunMetrics(MemorySink())
    metrics.use([old])
    time.now_s += 10
    metrics.use([new])

    assert (metrics.in_use(5), metrics.in_use(20)) == ([new], [old, new])
    time.now_s += 100
    assert metrics.in_use(20) == []


def test_a_window_longer_than_a_minute_is_kept(time: Time) -> None:
    run = make_run(1)
    metrics = RunMetrics(MemorySink())
    metrics.use([run])
    time.now_s += 200

    assert metrics.in_use(300) == [run]


def test_before_the_first_run_the_newest_numbers_wait_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_metrics, "WAITING_METRICS", 2)
    sink, run = MemorySink(), make_run(1)
    metrics = RunMetrics(sink)
    assert not metrics.has_waiting
    for value in (1.0, 2.0, 3.0):
        metrics.add([make_metric(value)])
    assert metrics.has_waiting

    metrics.use([run])

    assert [(m.run, m.value) for m in sink.metrics] == [(run, 2.0), (run, 3.0)]
    assert not metrics.has_waiting


def test_a_forked_childs_numbers_are_not_its_parents() -> None:
    sink = MemorySink()
    metrics = RunMetrics(sink)
    metrics.use([make_run(1)])

    metrics.renew()
    metrics.add([make_metric()])

    assert (sink.metrics, metrics.has_waiting) == ([], True)
