"""The thread that reads the host. Nothing here measures time: what is awaited comes, or hangs."""

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from exray.instrumentation import host
from exray.instrumentation.guard import forget_logged
from exray.instrumentation.host import HostSampler
from exray.instrumentation.host_readings import Reading, Sensor
from exray.instrumentation.run_metrics import RunMetrics
from exray.schema.records import MetricRecord, Run
from exray.testing import MemorySink

from .builders import raising

WAIT_S = 30.0
"""Longest time to wait for what must come."""

PERIOD_S = 0.01


class Watched(RunMetrics):
    """Runs that are in use until the test says otherwise; tells what came and who slept."""

    def __init__(self) -> None:
        super().__init__(MemorySink())
        self.runs = [Run(run_id=bytes(15) + b"\1", build="b", role="edge", started_ns=0)]
        self.added: list[tuple[list[MetricRecord], list[Run]]] = []
        self.came = threading.Semaphore(0)
        self.slept = threading.Semaphore(0)

    def in_use(self, window_s: float) -> list[Run]:
        """Return the runs, and note that there were none."""
        if not self.runs:
            self.slept.release()
        return self.runs

    def add(self, metrics: Sequence[MetricRecord], runs: Sequence[Run] = ()) -> None:
        """Keep what comes."""
        self.added.append((list(metrics), list(runs)))
        self.came.release()


@pytest.fixture
def metrics() -> Watched:
    forget_logged()
    return Watched()


@pytest.fixture
def samplers() -> Iterator[list[HostSampler]]:
    """Those of a test, to be stopped when it ends, however it ends."""
    made: list[HostSampler] = []
    yield made
    for sampler in made:
        sampler.stop()


class Finder:
    """Finds one sensor, and counts how often it was asked to."""

    def __init__(self, sensor: Sensor | None = None) -> None:
        self.times = 0
        self.sensor = sensor or Sensor("light", lambda: [Reading("light", 2, "lx", {"at": "top"})])

    def __call__(self) -> list[Sensor]:
        self.times += 1
        return [self.sensor]


def make_sampler(
    samplers: list[HostSampler],
    metrics: Watched,
    find: Callable[[], Sequence[Sensor]] | None = None,
    period_s: float = PERIOD_S,
) -> HostSampler:
    sampler = HostSampler(metrics, lambda: 42, period_s, find or Finder())
    samplers.append(sampler)
    return sampler


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "exray-host"]


def test_the_thread_starts_with_the_first_run_and_keeps_nothing_alive(
    metrics: Watched, samplers: list[HostSampler]
) -> None:
    sampler = make_sampler(samplers, metrics)
    assert threads() == []

    sampler.wake()
    sampler.wake()

    (thread,) = threads()
    assert thread.daemon


def test_a_reading_is_recorded_for_the_runs_in_use_and_again_after_each_period(
    metrics: Watched, samplers: list[HostSampler]
) -> None:
    make_sampler(samplers, metrics).wake()

    for _ in range(3):
        assert metrics.came.acquire(timeout=WAIT_S)
    reading = MetricRecord(name="light", value=2.0, time_ns=42, unit="lx", attributes={"at": "top"})
    assert metrics.added[:3] == [([reading], metrics.runs)] * 3


def test_the_first_reading_does_not_wait_for_the_period(
    metrics: Watched, samplers: list[HostSampler]
) -> None:
    make_sampler(samplers, metrics, period_s=3600.0).wake()

    assert metrics.came.acquire(timeout=WAIT_S)


def test_without_frames_it_sleeps_and_the_next_one_wakes_it_with_sensors_found_anew(
    metrics: Watched, samplers: list[HostSampler]
) -> None:
    finder = Finder()
    sampler = make_sampler(samplers, metrics, finder)
    sampler.wake()
    assert metrics.came.acquire(timeout=WAIT_S)
    runs, metrics.runs = metrics.runs, []
    for _ in range(2):  # once after a reading, once before it lies down
        assert metrics.slept.acquire(timeout=WAIT_S)
    # Asleep it asks no more, however many periods pass.
    assert not metrics.slept.acquire(timeout=20 * PERIOD_S)
    readings = len(metrics.added)
    metrics.came = threading.Semaphore(0)

    metrics.runs = runs
    sampler.wake()

    assert metrics.came.acquire(timeout=WAIT_S)
    assert len(metrics.added) > readings
    assert finder.times == 2


def test_after_the_end_nothing_is_read_and_the_thread_is_gone(
    metrics: Watched, samplers: list[HostSampler]
) -> None:
    sampler = make_sampler(samplers, metrics)
    sampler.wake()
    assert metrics.came.acquire(timeout=WAIT_S)

    sampler.stop()
    sampler.stop()
    readings = len(metrics.added)
    sampler.wake()

    assert threads() == []
    assert len(metrics.added) == readings


@pytest.mark.parametrize("asleep", [True, False])
def test_the_end_waits_for_no_period_and_no_frame(
    metrics: Watched, samplers: list[HostSampler], asleep: bool
) -> None:
    sampler = make_sampler(samplers, metrics, period_s=3600.0)
    if asleep:
        metrics.runs = []
    sampler.wake()
    assert (metrics.slept if asleep else metrics.came).acquire(timeout=WAIT_S)

    sampler.stop()

    assert threads() == []


def test_a_sampler_that_never_began_can_end(metrics: Watched, samplers: list[HostSampler]) -> None:
    sampler = make_sampler(samplers, metrics)

    sampler.stop()
    sampler.wake()

    assert threads() == []


def test_a_sensor_that_hangs_does_not_hold_up_the_end_and_what_it_says_then_is_dropped(
    monkeypatch: pytest.MonkeyPatch, metrics: Watched, samplers: list[HostSampler]
) -> None:
    monkeypatch.setattr(host, "STOP_TIMEOUT_S", 0.0)
    reading, release = threading.Event(), threading.Event()

    def hang() -> list[Reading]:
        reading.set()
        release.wait(WAIT_S)
        return [Reading("light", 1, "lx")]

    sampler = make_sampler(samplers, metrics, Finder(Sensor("light", hang)))
    sampler.wake()
    assert reading.wait(WAIT_S)

    sampler.stop()
    (thread,) = threads()
    release.set()
    thread.join(WAIT_S)

    assert not thread.is_alive()
    assert metrics.added == []


def test_a_host_without_sensors_needs_no_thread(
    metrics: Watched, samplers: list[HostSampler]
) -> None:
    sampler = make_sampler(samplers, metrics, list)
    sampler.wake()
    for thread in threads():
        thread.join(WAIT_S)

    sampler.wake()

    assert (threads(), metrics.added) == ([], [])


def test_a_period_of_zero_means_never(metrics: Watched, samplers: list[HostSampler]) -> None:
    make_sampler(samplers, metrics, period_s=0.0).wake()

    assert threads() == []


def test_sensors_that_cannot_be_found_are_logged_and_the_application_runs_on(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    metrics: Watched,
    samplers: list[HostSampler],
) -> None:
    monkeypatch.delenv("EXRAY_GUARD")
    sampler = make_sampler(samplers, metrics, raising(PermissionError("/sys")))
    sampler.wake()
    for thread in threads():
        thread.join(WAIT_S)

    (message,) = caplog.messages
    assert "could not read the host: PermissionError: /sys" in message


def test_a_system_that_gives_no_thread_is_logged_once(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    metrics: Watched,
    samplers: list[HostSampler],
) -> None:
    monkeypatch.setattr(threading.Thread, "start", raising(RuntimeError("can't start new thread")))
    sampler = make_sampler(samplers, metrics)
    for _ in range(2):
        sampler.wake()
    sampler.stop()

    (message,) = caplog.messages
    assert message == "the host is not read: RuntimeError: can't start new thread."
