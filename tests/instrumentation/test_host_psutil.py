import sys
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from exray.instrumentation.host_psutil import psutil_sensors
from exray.instrumentation.host_readings import Reading, sweep

from .host_trees import read_named


class Times(NamedTuple):
    """CPU time as macOS has it."""

    user: float
    nice: float
    system: float
    idle: float


def make_psutil(**functions: Any) -> SimpleNamespace:
    """Return what stands for psutil on a Mac with two cores."""
    times = iter([[Times(1, 0, 1, 8), Times(0, 0, 0, 9)], [Times(2, 0, 1, 9), Times(0, 0, 0, 11)]])
    process = SimpleNamespace(memory_info=lambda: SimpleNamespace(rss=4096))
    return SimpleNamespace(
        **{
            "cpu_times": lambda percpu: next(times),
            "virtual_memory": lambda: SimpleNamespace(free=1000),
            "Process": lambda: process,
        }
        | functions
    )


def use(monkeypatch: pytest.MonkeyPatch, **functions: Any) -> None:
    """Let this stand for psutil."""
    monkeypatch.setitem(sys.modules, "psutil", make_psutil(**functions))


def test_load_and_memory_are_read_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch)
    sensors = psutil_sensors()
    sweep(sensors)

    assert sweep(sensors)[:3] == [
        Reading("system.cpu.utilization", 0.5, "1", {"cpu.logical_number": 0}),
        Reading("system.cpu.utilization", 0.0, "1", {"cpu.logical_number": 1}),
        Reading("system.memory.usage", 1000, "By", {"system.memory.state": "free"}),
    ]


def test_what_psutil_lacks_on_a_system_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch)

    assert [sensor.name for sensor in psutil_sensors()] == [
        "CPU load",
        "free memory",
        "the process's memory",
    ]


@pytest.mark.parametrize(
    ("mhz", "cores"), [([2400.0], [None]), ([600.0, 1800.0], [0, 1]), ([], [])]
)
def test_a_frequency_is_of_a_core_where_there_is_one_for_each(
    monkeypatch: pytest.MonkeyPatch, mhz: list[float], cores: list[int | None]
) -> None:
    use(monkeypatch, cpu_freq=lambda percpu: [SimpleNamespace(current=value) for value in mhz])

    readings = read_named(psutil_sensors(), "system.cpu.frequency")
    assert [r.value for r in readings] == [value * 1e6 for value in mhz]
    assert [r.attributes.get("cpu.logical_number") for r in readings] == cores


def test_every_temperature_has_an_id_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    core = [SimpleNamespace(label="Core 0", current=40.0), SimpleNamespace(label="", current=41.0)]
    use(monkeypatch, sensors_temperatures=lambda: {"coretemp": core})

    assert [(r.value, r.attributes) for r in read_named(psutil_sensors(), "hw.temperature")] == [
        (40.0, {"hw.id": "coretemp/0", "hw.name": "coretemp Core 0"}),
        (41.0, {"hw.id": "coretemp/1", "hw.name": "coretemp"}),
    ]


@pytest.mark.parametrize(("plugged", "state"), [(True, None), (None, None), (False, "discharging")])
def test_a_battery_that_is_plugged_in_may_charge_or_not(
    monkeypatch: pytest.MonkeyPatch, plugged: bool | None, state: str | None
) -> None:
    battery = SimpleNamespace(percent=55, power_plugged=plugged)
    use(monkeypatch, sensors_battery=lambda: battery)

    (reading,) = read_named(psutil_sensors(), "hw.battery.charge")
    assert (reading.value, reading.attributes.get("hw.battery.state")) == (0.55, state)


def test_without_a_battery_there_is_no_charge(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, sensors_battery=lambda: None)

    assert read_named(psutil_sensors(), "hw.battery.charge") == []
