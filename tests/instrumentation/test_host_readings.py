import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exray.instrumentation import host
from exray.instrumentation.guard import forget_logged
from exray.instrumentation.host import host_sensors
from exray.instrumentation.host_linux import linux_sensors
from exray.instrumentation.host_psutil import psutil_sensors
from exray.instrumentation.host_readings import CpuLoad, Reading, Sensor, sweep
from exray.schema import generate
from exray.schema.registry_reader import read_conventions

from .builders import raising
from .host_trees import PHONE, make_tree


@pytest.fixture(autouse=True)
def _log_anew() -> None:  # pyright: ignore[reportUnusedFunction] - autouse
    forget_logged()


def test_a_sensor_that_fails_half_way_gives_nothing_and_the_others_are_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def half() -> Iterator[Reading]:
        yield Reading("hw.temperature", 1.0, "Cel")
        raise OSError(5, "Input/output error")

    sensors = [
        Sensor("temperature", half),
        Sensor("temperature", raising(KeyError("temp"))),
        Sensor("battery", lambda: [Reading("hw.battery.charge", 0.5, "1")]),
    ]

    assert [reading.name for reading in sweep(sensors)] == ["hw.battery.charge"]
    (message,) = caplog.messages
    assert "temperature of the host could not be read: OSError: [Errno 5]" in message


def test_a_reading_that_is_no_number_is_left_out() -> None:
    sensor = Sensor("temperature", lambda: [Reading("hw.temperature", float("nan"), "Cel")])

    assert sweep([sensor]) == []


def test_a_load_is_between_nothing_and_all_whatever_the_counters_say() -> None:
    times = iter([{0: (10.0, 20.0)}, {0: (9.0, 30.0)}, {0: (50.0, 40.0)}])
    load = CpuLoad(lambda: next(times))

    assert [[r.value for r in load.read()] for _ in range(3)] == [[], [1.0], [0.0]]


def test_on_linux_the_kernels_files_are_read() -> None:
    if sys.platform != "linux":
        pytest.skip("this system is another")
    assert {sensor.name for sensor in host_sensors()} >= {"CPU load", "available memory"}


def test_elsewhere_psutil_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    assert {sensor.name for sensor in host_sensors()} >= {"CPU load", "free memory"}


def test_elsewhere_without_psutil_there_is_nothing_and_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(host, "find_spec", lambda _: None)

    assert (list(host_sensors()), list(host_sensors())) == ([], [])
    (message,) = caplog.messages
    assert "pip install 'exray[host]'" in message


def test_every_reading_is_a_metric_of_the_registry(tmp_path: Path) -> None:
    _, groups = read_conventions(generate.SCHEMA / "registry" / "conventions")
    known = {group.name: group for group in groups if group.type == "metric"}
    seen: set[str] = set()
    for sensors in (linux_sensors(*make_tree(tmp_path, PHONE)), psutil_sensors()):
        sweep(sensors)
        make_tree(tmp_path, {"proc/stat": "cpu  0\ncpu0 99 0 99 99 99\n"})
        for reading in sweep(sensors):
            seen.add(reading.name)
            assert reading.unit == known[reading.name].unit
            assert set(reading.attributes) <= set(known[reading.name].keys)

    assert seen == {name for name in known if not name.startswith("exray.")}
