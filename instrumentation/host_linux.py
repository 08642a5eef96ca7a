"""The host's sensors in Linux's ``/proc`` and ``/sys``.

A reading opens, reads and closes a file of a line or two. None is kept open: an application
that becomes a daemon closes what it did not open, and in a forked child ``/proc/self`` would
still be the parent's.
"""

import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from exray.schema.attributes import (
    CPU_LOGICAL_NUMBER,
    EXRAY_CPU_GOVERNOR,
    HW_BATTERY_STATE,
    HW_ID,
    HW_NAME,
)

from .host_readings import CpuLoad, Reading, Sensor

MOST_BYTES = 65536
"""Read of a file: /proc/stat holds its cores, 1000 of them, within that."""

CPU_FIELDS = 8
"""user nice system idle iowait irq softirq steal; what follows is counted in user already
(proc_stat(5))."""

_BATTERY_STATES = {"Charging": "charging", "Discharging": "discharging"}


def linux_sensors(proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> list[Sensor]:
    """Find the sensors that this machine offers.

    Args:
        proc: Where procfs is mounted.
        sys: Where sysfs is mounted.
    """
    times = partial(_cpu_times, str(proc / "stat"))
    return [
        Sensor("CPU load", CpuLoad(times).read),
        Sensor("available memory", partial(_available_memory, str(proc / "meminfo"))),
        Sensor("the process's memory", partial(_process_memory, str(proc / "self/statm"))),
        *_frequencies(sys / "devices/system/cpu/cpufreq"),
        *(_thermal_zones(sys / "class/thermal") or _hardware_monitors(sys / "class/hwmon")),
        *_batteries(sys / "class/power_supply"),
    ]


# --- /proc --------------------------------------------------------------------------------------


def _cpu_times(path: str) -> Mapping[int, tuple[float, float]]:
    times: dict[int, tuple[float, float]] = {}
    for line in _read(path).split(b"\n")[1:]:  # the first is the sum
        if not line.startswith(b"cpu"):
            break
        name, *fields = line.split()
        ticks = [int(field) for field in fields[:CPU_FIELDS]]
        times[int(name[3:])] = ticks[3] + ticks[4], sum(ticks)
    return times


def _available_memory(path: str) -> Iterator[Reading]:
    for line in _read(path).split(b"\n"):
        if line.startswith(b"MemAvailable:"):
            kib = int(line.split()[1])
            yield Reading("system.memory.linux.available", kib * 1024, "By")
            return
    msg = f"{path} has no line MemAvailable; Linux has written it since 3.14"
    raise ValueError(msg)


def _process_memory(path: str) -> Iterator[Reading]:
    pages = int(_read(path).split()[1])
    yield Reading("process.memory.usage", pages * os.sysconf("SC_PAGE_SIZE"), "By")


# --- /sys ---------------------------------------------------------------------------------------


def _frequencies(folder: Path) -> Iterator[Sensor]:
    """One sensor for each policy: cores that share a clock."""
    for policy in sorted(folder.glob("policy*")):
        cores = _text(policy / "affected_cpus").split() or [policy.name.removeprefix("policy")]
        if all(core.isdigit() for core in cores):
            numbers = tuple(int(core) for core in cores)
            yield Sensor("CPU frequency", partial(_frequency, str(policy), numbers))


def _frequency(policy: str, cores: tuple[int, ...]) -> Iterator[Reading]:
    khz = int(_read(f"{policy}/scaling_cur_freq"))
    governor = _text(f"{policy}/scaling_governor")
    for core in cores:
        attributes: dict[str, object] = {CPU_LOGICAL_NUMBER: core}
        if governor:
            attributes[EXRAY_CPU_GOVERNOR] = governor
        yield Reading("system.cpu.frequency", khz * 1000.0, "Hz", attributes)


def _thermal_zones(folder: Path) -> list[Sensor]:
    return [
        _thermometer(zone / "temp", zone.name, _text(zone / "type"))
        for zone in sorted(folder.glob("thermal_zone*"))
        if (zone / "temp").exists()
    ]


def _hardware_monitors(folder: Path) -> list[Sensor]:
    """What has no thermal zones, such as most PCs, may have these."""
    found: list[Sensor] = []
    for file in sorted(folder.glob("hwmon*/temp*_input")):
        label = _text(file.with_name(file.name.replace("_input", "_label")))
        name = " ".join(filter(None, [_text(file.with_name("name")), label]))
        hw_id = f"{file.parent.name}/{file.name.removesuffix('_input')}"
        found.append(_thermometer(file, hw_id, name))
    return found


def _thermometer(file: Path, hw_id: str, name: str) -> Sensor:
    attributes = {HW_ID: hw_id} | ({HW_NAME: name} if name else {})
    return Sensor("temperature", partial(_temperature, str(file), attributes))


def _temperature(path: str, attributes: Mapping[str, object]) -> Iterator[Reading]:
    yield Reading("hw.temperature", int(_read(path)) / 1000, "Cel", attributes)


def _batteries(folder: Path) -> list[Sensor]:
    return [
        Sensor("battery", partial(_battery, str(supply), supply.name))
        for supply in sorted(folder.glob("*"))
        # Mice and headsets have batteries too, of scope Device.
        if _text(supply / "type") == "Battery" and _text(supply / "scope") != "Device"
    ]


def _battery(supply: str, hw_id: str) -> Iterator[Reading]:
    percent = int(_read(f"{supply}/capacity"))
    state = _BATTERY_STATES.get(_text(f"{supply}/status"))
    attributes = {HW_ID: hw_id} | ({HW_BATTERY_STATE: state} if state else {})
    yield Reading("hw.battery.charge", percent / 100, "1", attributes)


def _read(path: str) -> bytes:
    """Return a file's content; `Path.read_bytes` takes three times as long."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, MOST_BYTES)
    finally:
        os.close(descriptor)


def _text(path: str | Path) -> str:
    """Return a file's text without its line end, empty where it cannot be read."""
    try:
        return _read(str(path)).decode(errors="replace").strip()
    except OSError:
        return ""
