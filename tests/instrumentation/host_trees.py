"""Trees such as Linux's /proc and /sys, small, and what is read from them."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from exray.instrumentation.host_readings import Reading, Sensor, sweep

PHONE = {
    "proc/stat": "cpu  30 0 30 160 20 0 0 0 0 0\ncpu0 10 0 10 80 0 0 0 0 0 0\n"
    "cpu1 20 0 20 80 20 0 0 0 0 0\nintr 1 2 3\n",
    "proc/meminfo": "MemTotal:        4000 kB\nMemFree:  5 kB\nMemAvailable:   2000 kB\n",
    "proc/self/statm": "900 250 80 1 0 90 0\n",
    "sys/devices/system/cpu/cpufreq/policy0/affected_cpus": "0 1\n",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": "1500000\n",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "ondemand\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "48312\n",
    "sys/class/thermal/cooling_device0/type": "fan\n",
    "sys/class/hwmon/hwmon0/name": "cpu_thermal\n",
    "sys/class/hwmon/hwmon0/temp1_input": "48312\n",
    "sys/class/power_supply/BAT0/type": "Battery\n",
    "sys/class/power_supply/BAT0/capacity": "87\n",
    "sys/class/power_supply/BAT0/status": "Discharging\n",
    "sys/class/power_supply/AC/type": "Mains\n",
    "sys/class/power_supply/AC/online": "0\n",
}
"""Two cores on one clock, a thermal zone and a battery."""


def make_tree(root: Path, files: Mapping[str, str]) -> tuple[Path, Path]:
    """Write *files* below *root*; return its proc and sys."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root / "proc", root / "sys"


def read_values(sensors: Iterable[Sensor]) -> list[tuple[str, float]]:
    """Return name and value of each reading."""
    return [(reading.name, reading.value) for reading in sweep(sensors)]


def read_named(sensors: Iterable[Sensor], name: str) -> list[Reading]:
    """Return the readings of one metric."""
    return [reading for reading in sweep(sensors) if reading.name == name]
