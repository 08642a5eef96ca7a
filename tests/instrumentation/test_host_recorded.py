"""Host readings and sensors' values from an application to the lake."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

import exray
from exray.exporters.buffer import RecordBuffer
from exray.instrumentation import host
from exray.instrumentation.host_linux import linux_sensors
from exray.instrumentation.host_readings import Sensor
from exray.instrumentation.recorder import Recorder
from exray.schema.records import MetricRecord
from exray.testing import MemorySink, recording

from .builders import FakeModel, make_input, make_interpreter, run
from .host_trees import PHONE, make_tree

WAIT_S = 60.0


def in_process(code: str, *args: object) -> str:
    """Run a program of its own and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *map(str, args)],
        env={**os.environ, "EXRAY_GUARD": "raise"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something has happened that must."""
    deadline_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline_s, "it never happened"
        time.sleep(0.001)


def use_phone(monkeypatch: pytest.MonkeyPatch, tree: Path) -> None:
    """Let a fake phone be the host."""
    proc, sys_tree = make_tree(tree, PHONE)

    def phone_sensors() -> list[Sensor]:
        return linux_sensors(proc, sys_tree)

    monkeypatch.setattr(host, "host_sensors", phone_sensors)


def test_readings_are_of_the_run_that_records(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_phone(monkeypatch, tmp_path)
    sink = MemorySink()
    with recording(sink, host_period_s=0.01) as recorder:
        FakeModel(recorder)(make_input())
        wait_for(lambda: len(sink.metrics) > 12)

    (frame,) = sink.frames
    assert all(metric.run is frame.run for metric in sink.metrics)
    assert {"hw.temperature", "hw.battery.charge", "system.cpu.frequency"} <= {
        metric.name for metric in sink.metrics
    }


def test_before_the_first_run_and_after_the_end_nothing_is_read() -> None:
    sink = MemorySink()
    with recording(sink, host_period_s=0.01):
        with exray.frame("without a model"):
            pass
        time.sleep(0.05)
        assert sink.metrics == []

    assert sink.metrics == []


def test_an_end_in_the_middle_leaves_no_thread() -> None:
    with recording(MemorySink(), host_period_s=0.01) as recorder:
        FakeModel(recorder)(make_input())
        assert any(t.name == "exray-host" for t in threading.enumerate())

    assert not any(t.name == "exray-host" for t in threading.enumerate())


def test_an_application_ends_whatever_its_period() -> None:
    pytest.importorskip("ai_edge_litert")
    printed = in_process(
        """
        import sys
        from exray.testing import MemorySink, recording
        block = recording(MemorySink(), host_period_s=3600)
        recorder = block.__enter__()
        recorder.begin_run(recorder.open_run(), None)
        print("done")
        """
    )

    assert printed == "done\n"


def test_a_forked_child_reads_for_a_run_of_its_own() -> None:
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")

    printed = in_process(
        """
        import os, threading, time, warnings
        from exray.testing import MemorySink, recording
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads
        sink = MemorySink()

        def wait_for_readings():
            deadline_s = time.monotonic() + 60
            while not sink.metrics and time.monotonic() < deadline_s:
                time.sleep(0.001)

        with recording(sink, host_period_s=0.01) as recorder:
            parents = recorder.open_run()
            recorder.begin_run(parents, None)
            wait_for_readings()
            child = os.fork()
            if child:
                _, status = os.waitpid(child, 0)
                os._exit(os.waitstatus_to_exitcode(status))
            sink.metrics.clear()
            time.sleep(0.05)
            before = len(sink.metrics), [t.name for t in threading.enumerate()].count("exray-host")
            own = recorder.open_run()
            recorder.begin_run(own, None)
            wait_for_readings()
            runs = {metric.run.run_id for metric in sink.metrics}
            print(before, runs == {own.run_id}, own.run_id != parents.run_id, flush=True)
        os._exit(0)
        """
    )

    assert "(0, 0) True True" in printed


def test_frames_and_readings_meet_in_the_lake(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("deltalake")
    pytest.importorskip("ai_edge_litert")
    use_phone(monkeypatch, tmp_path)
    sweeps = count_sweeps(monkeypatch)
    exray.configure(build="1.4.2", lake=tmp_path / "lake", host_period_s=0.01)
    interpreter = make_interpreter()
    exray.sensor("light", 310, "lx", place="front")
    for name in ("a", "b"):
        with exray.frame(name):
            exray.sensor("orientation", (1.0, 2.0), "deg")
            run(interpreter, make_input())
        sweeps.clear()
        wait_for(lambda: len(sweeps) >= 2)
    exray.shutdown()

    query = "SELECT input_id, metric, value, in_frame FROM host_frame('1.4.2')"
    rows = set(ask(tmp_path / "lake", query))
    assert {("a", "orientation", 1.0, True), ("b", "orientation", 2.0, True)} <= rows
    assert {("a", "light", 310.0, False), ("b", "light", 310.0, False)} <= rows
    # The host was read before the second frame began, and not before the first one.
    assert ("b", "hw.temperature", 48.312, False) in rows
    assert ("a", "hw.temperature", 48.312, False) not in rows


def count_sweeps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows with each sweep over the host that was recorded."""
    sweeps: list[int] = []
    add_metrics = RecordBuffer.add_metrics

    def count(buffer: RecordBuffer, metrics: Sequence[MetricRecord]) -> None:
        add_metrics(buffer, metrics)
        if any(metric.name == "hw.temperature" for metric in metrics):
            sweeps.append(len(metrics))

    monkeypatch.setattr(RecordBuffer, "add_metrics", count)
    return sweeps


def ask(lake: Path, query: str) -> list[tuple[object, ...]]:
    """Return what *query* says of a lake."""
    from exray.lake import Lake
    from exray.queries import connect

    connection = connect(Lake.open(lake))
    rows = connection.execute(query).fetchall()
    connection.close()
    return rows


# --- exray.sensor ---------------------------------------------------------------------------


def test_a_sensors_value_in_a_frame_is_the_frames() -> None:
    sink = MemorySink()
    with recording(sink) as recorder, exray.frame("a"):
        FakeModel(recorder)(make_input())
        exray.sensor("light", 310, "lx", place="front")

    (metric,) = sink.frames[0].metrics
    assert (metric.name, metric.value, metric.unit) == ("light", 310.0, "lx")
    assert metric.attributes == {"place": "front"}
    start_ns = sink.frames[0].start_ns
    assert start_ns <= metric.time_ns <= start_ns + sink.frames[0].dur_ns
    assert sink.metrics == []


def test_a_sensors_value_outside_frames_is_the_runs() -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        FakeModel(recorder)(make_input())
        exray.sensor("light", 310)

    (metric,) = sink.metrics
    assert (metric.value, metric.unit, metric.run) == (310.0, "1", sink.frames[0].run)
    assert sink.frames[0].metrics == []


def test_a_sensors_value_before_any_model_waits_for_the_first_run() -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        exray.sensor("light", 310)
        assert sink.metrics == []
        FakeModel(recorder)(make_input())

    (metric,) = sink.metrics
    assert metric.run is sink.frames[0].run
    assert metric.time_ns <= sink.frames[0].start_ns


def test_sensors_of_a_program_without_a_model_are_written_at_the_end_with_a_run() -> None:
    sink = MemorySink()
    with recording(sink):
        exray.sensor("light", 310)

    (run_,) = sink.runs.values()
    assert [metric.run for metric in sink.metrics] == [run_]


def test_models_that_take_turns_both_get_what_a_sensor_says() -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        for model in (FakeModel(recorder), FakeModel(recorder)):
            model(make_input())
        exray.sensor("light", 310)

    assert [m.run for m in sink.metrics] == [frame.run for frame in sink.frames]


def test_an_attribute_may_be_called_name_or_value() -> None:
    sink = MemorySink()
    with recording(sink), exray.frame("a"):
        exray.sensor("light", 1, name="left", value="raw")

    assert sink.frames[0].metrics[0].attributes == {"name": "left", "value": "raw"}


@pytest.mark.parametrize("value", ["bright", None, np.zeros((2, 2))])
def test_what_is_no_reading_is_logged_once_and_the_application_runs_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, value: object
) -> None:
    monkeypatch.delenv("EXRAY_GUARD")
    sink = MemorySink()
    with recording(sink), exray.frame("a"):
        for _ in range(2):
            exray.sensor("light", value)

    assert sink.frames[0].metrics == []
    (message,) = caplog.messages
    assert "could not record a sensor's value: TypeError: sensor 'light'" in message


def test_a_sensor_says_nothing_where_nothing_is_recorded() -> None:
    exray.sensor("light", "anything")


def test_a_closed_recorder_has_no_sensors(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = MemorySink()
    with recording(sink) as recorder:
        assert isinstance(recorder, Recorder)
    exray.sensor("light", 1)

    assert sink.metrics == []
