"""The host's sensors through psutil, for systems that are not Linux."""

from collections.abc import Iterator, Mapping

from exray.schema.attributes import (
    CPU_LOGICAL_NUMBER,
    HW_BATTERY_STATE,
    HW_ID,
    HW_NAME,
    SYSTEM_MEMORY_STATE,
)

from .host_readings import CpuLoad, Reading, Sensor

MHZ = 1e6


def psutil_sensors() -> list[Sensor]:
    """Find the sensors that psutil reads on this system; it lacks some on each."""
    import psutil

    sensors = [
        Sensor("CPU load", CpuLoad(_cpu_times).read),
        Sensor("free memory", _free_memory),
        Sensor("the process's memory", _process_memory),
    ]
    optional = {
        "cpu_freq": Sensor("CPU frequency", _frequency),
        "sensors_temperatures": Sensor("temperature", _temperatures),
        "sensors_battery": Sensor("battery", _battery),
    }
    return sensors + [sensor for name, sensor in optional.items() if hasattr(psutil, name)]


def _cpu_times() -> Mapping[int, tuple[float, float]]:
    import psutil

    times: dict[int, tuple[float, float]] = {}
    for core, spent in enumerate(psutil.cpu_times(percpu=True)):
        modes: dict[str, float] = spent._asdict()
        # Linux counts guests in user and nice already.
        total = sum(s for mode, s in modes.items() if not mode.startswith("guest"))
        times[core] = modes["idle"] + modes.get("iowait", 0.0), total
    return times


def _free_memory() -> Iterator[Reading]:
    import psutil

    attributes = {SYSTEM_MEMORY_STATE: "free"}
    yield Reading("system.memory.usage", psutil.virtual_memory().free, "By", attributes)


def _process_memory() -> Iterator[Reading]:
    import psutil

    yield Reading("process.memory.usage", psutil.Process().memory_info().rss, "By")


def _frequency() -> Iterator[Reading]:
    """One for each core on some systems, one for all of them on others."""
    import psutil

    clocks = psutil.cpu_freq(percpu=True) or []
    for core, clock in enumerate(clocks):
        attributes = {CPU_LOGICAL_NUMBER: core} if len(clocks) > 1 else {}
        yield Reading("system.cpu.frequency", clock.current * MHZ, "Hz", attributes)


def _temperatures() -> Iterator[Reading]:
    import psutil

    for chip, sensors in psutil.sensors_temperatures().items():
        for number, sensor in enumerate(sensors):
            name = f"{chip} {sensor.label}".strip()
            attributes = {HW_ID: f"{chip}/{number}", HW_NAME: name}
            yield Reading("hw.temperature", sensor.current, "Cel", attributes)


def _battery() -> Iterator[Reading]:
    import psutil

    battery = psutil.sensors_battery()
    if battery is None:
        return
    attributes: dict[str, object] = {HW_ID: "battery"}
    if battery.power_plugged is False:  # plugged in it may charge or not
        attributes[HW_BATTERY_STATE] = "discharging"
    yield Reading("hw.battery.charge", battery.percent / 100, "1", attributes)
