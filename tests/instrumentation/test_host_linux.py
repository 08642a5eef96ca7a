import os
import sys
from pathlib import Path

import pytest

from exray.instrumentation.guard import forget_logged
from exray.instrumentation.host_linux import linux_sensors
from exray.instrumentation.host_readings import Reading, sweep

from .host_trees import PHONE, make_tree, read_named, read_values

CPUFREQ = "sys/devices/system/cpu/cpufreq"
ZONE = "sys/class/thermal/thermal_zone0"
BATTERY = "sys/class/power_supply/BAT0"


@pytest.fixture(autouse=True)
def _log_anew() -> None:  # pyright: ignore[reportUnusedFunction] - autouse
    forget_logged()


def test_everything_that_a_phone_offers_is_read(tmp_path: Path) -> None:
    readings = sweep(linux_sensors(*make_tree(tmp_path, PHONE)))

    page = os.sysconf("SC_PAGE_SIZE")
    assert readings == [
        Reading("system.memory.linux.available", 2000 * 1024, "By"),
        Reading("process.memory.usage", 250 * page, "By"),
        *(
            Reading(
                "system.cpu.frequency",
                1.5e9,
                "Hz",
                {"cpu.logical_number": core, "exray.cpu.governor": "ondemand"},
            )
            for core in (0, 1)
        ),
        Reading(
            "hw.temperature", 48.312, "Cel", {"hw.id": "thermal_zone0", "hw.name": "cpu-thermal"}
        ),
        Reading(
            "hw.battery.charge", 0.87, "1", {"hw.id": "BAT0", "hw.battery.state": "discharging"}
        ),
    ]


def test_the_load_of_each_core_is_known_from_the_second_reading(tmp_path: Path) -> None:
    sensors = linux_sensors(*make_tree(tmp_path, PHONE))
    assert read_named(sensors, "system.cpu.utilization") == []
    # Core 0: 25 of 100 ticks busy, of them 5 stolen. Core 1: 40 idle and 60 waiting for a disk.
    make_tree(
        tmp_path,
        {
            "proc/stat": "cpu  0\ncpu0 20 0 20 155 0 0 0 5 9 9\ncpu1 20 0 20 120 80 0 0 0 0 0\n",
        },
    )

    assert read_named(sensors, "system.cpu.utilization") == [
        Reading("system.cpu.utilization", 0.25, "1", {"cpu.logical_number": 0}),
        Reading("system.cpu.utilization", 0.0, "1", {"cpu.logical_number": 1}),
    ]


def test_a_core_that_was_off_has_no_load_and_time_that_ran_back_is_no_load(tmp_path: Path) -> None:
    sensors = linux_sensors(*make_tree(tmp_path, PHONE))
    sweep(sensors)
    make_tree(
        tmp_path,
        {"proc/stat": "cpu  0\ncpu0 5 0 5 40 0 0 0\ncpu1 40 0 20 80 10 0 0\ncpu2 9 0 9 9 0\n"},
    )

    (core1,) = read_named(sensors, "system.cpu.utilization")
    assert (core1.attributes["cpu.logical_number"], core1.value) == (1, 1.0)


def test_a_device_without_sensors_has_load_and_memory_and_logs_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bare = {name: text for name, text in PHONE.items() if name.startswith("proc/")}

    assert [name for name, _ in read_values(linux_sensors(*make_tree(tmp_path, bare)))] == [
        "system.memory.linux.available",
        "process.memory.usage",
    ]
    assert caplog.messages == []


def test_a_device_without_anything_is_logged_once_for_each_kind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sensors = linux_sensors(tmp_path / "proc", tmp_path / "sys")

    assert (sweep(sensors), sweep(sensors)) == ([], [])
    assert [message.split(" could")[0] for message in caplog.messages] == [
        "CPU load of the host",
        "available memory of the host",
        "the process's memory of the host",
    ]


def test_memory_that_the_kernel_does_not_estimate_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_tree(tmp_path, PHONE | {"proc/meminfo": "MemTotal: 4000 kB\nMemFree: 5 kB\n"})

    names = [name for name, _ in read_values(linux_sensors(tmp_path / "proc", tmp_path / "sys"))]
    assert "system.memory.linux.available" not in names
    assert "process.memory.usage" in names
    assert "has no line MemAvailable" in caplog.messages[0]


@pytest.mark.parametrize("broken", ["", "hot\n"])
def test_a_sensor_that_fails_is_left_out_until_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    second = {"sys/class/thermal/thermal_zone1/temp": "31000\n"}
    sensors = linux_sensors(*make_tree(tmp_path, PHONE | second))
    make_tree(tmp_path, {f"{ZONE}/temp": broken})
    for _ in range(3):
        assert [r.value for r in read_named(sensors, "hw.temperature")] == [31.0]
    (message,) = caplog.messages
    assert message.startswith("temperature of the host could not be read: ValueError")

    make_tree(tmp_path, {f"{ZONE}/temp": "49000\n"})

    assert [r.value for r in read_named(sensors, "hw.temperature")] == [49.0, 31.0]


def test_without_thermal_zones_hardware_monitors_are_read(tmp_path: Path) -> None:
    files = {
        "sys/class/hwmon/hwmon1/name": "coretemp\n",
        "sys/class/hwmon/hwmon1/temp1_input": "51000\n",
        "sys/class/hwmon/hwmon1/temp1_label": "Package id 0\n",
        "sys/class/hwmon/hwmon1/temp2_input": "-2500\n",
        "sys/class/hwmon/hwmon1/fan1_input": "900\n",
    }

    sensors = linux_sensors(*make_tree(tmp_path, files))

    assert [(r.value, r.attributes) for r in read_named(sensors, "hw.temperature")] == [
        (51.0, {"hw.id": "hwmon1/temp1", "hw.name": "coretemp Package id 0"}),
        (-2.5, {"hw.id": "hwmon1/temp2", "hw.name": "coretemp"}),
    ]


def test_a_policy_without_governor_or_list_of_cores_is_read_all_the_same(tmp_path: Path) -> None:
    tree = make_tree(tmp_path, {f"{CPUFREQ}/policy4/scaling_cur_freq": "2000000\n"})

    (reading,) = read_named(linux_sensors(*tree), "system.cpu.frequency")
    assert (reading.value, reading.attributes) == (2e9, {"cpu.logical_number": 4})


def test_a_full_battery_neither_charges_nor_discharges(tmp_path: Path) -> None:
    tree = make_tree(tmp_path, PHONE | {f"{BATTERY}/status": "Full\n"})

    (reading,) = read_named(linux_sensors(*tree), "hw.battery.charge")
    assert reading.attributes == {"hw.id": "BAT0"}


def test_a_mouses_battery_is_not_the_hosts(tmp_path: Path) -> None:
    tree = make_tree(tmp_path, PHONE | {f"{BATTERY}/scope": "Device\n"})

    assert read_named(linux_sensors(*tree), "hw.battery.charge") == []


def test_no_file_stays_open(tmp_path: Path) -> None:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("only Linux lists a process's open files")
    sensors = linux_sensors(*make_tree(tmp_path, PHONE | {f"{ZONE}/temp": ""}))
    before = sorted(fd.name for fd in Path("/proc/self/fd").iterdir())

    sweep(sensors)

    assert sorted(fd.name for fd in Path("/proc/self/fd").iterdir()) == before


def test_this_machine_says_what_psutil_says() -> None:
    if sys.platform != "linux":
        pytest.skip("reads Linux's own files")
    psutil = pytest.importorskip("psutil")
    sensors = linux_sensors()
    sweep(sensors)
    readings = {reading.name: reading.value for reading in sweep(sensors)}

    rss, available = psutil.Process().memory_info().rss, psutil.virtual_memory().available
    assert readings["process.memory.usage"] == pytest.approx(rss, rel=0.05)
    assert readings["system.memory.linux.available"] == pytest.approx(available, rel=0.2)
    cores = psutil.cpu_count()
    stat = linux_sensors()[0]
    assert stat.name == "CPU load"
    list(stat.read())
    load = stat.read.__self__  # type: ignore[attr-defined] # a bound method
    assert sorted(load._before) == list(range(cores))
    for (idle, _), spent in zip(load._before.values(), psutil.cpu_times(percpu=True), strict=True):
        ticks = os.sysconf("SC_CLK_TCK")
        assert idle / ticks == pytest.approx(spent.idle + spent.iowait, rel=0.01, abs=1)
