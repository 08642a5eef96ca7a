"""What reading the host costs: CPU time of one reading, and its share at the default period.

Reads this machine through the kernel's files and through psutil, and a made-up phone of
eight cores, three clocks, twenty thermal zones and a battery, whose files lie in a temporary
folder: real drivers' files may take longer, and its loads never change. A reading is all that the thread does in a
period, up to the exporter's buffer.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from exray.instrumentation.config import HOST_PERIOD_S
from exray.instrumentation.host import HostSampler
from exray.instrumentation.host_linux import linux_sensors
from exray.instrumentation.host_psutil import psutil_sensors
from exray.instrumentation.host_readings import Sensor
from exray.instrumentation.run_metrics import RunMetrics
from exray.schema.records import Run
from exray.testing import MemorySink

READINGS = 1000
CALLS = 100_000
CORES, CLOCKS, ZONES = 8, 3, 20


def main() -> None:
    """Measure and print a table."""
    table = Table(title=f"One reading, mean of {READINGS}")
    for column in ("host", "numbers", "CPU us", f"share of a core, every {HOST_PERIOD_S} s"):
        table.add_column(column, justify="left" if column == "host" else "right")
    with tempfile.TemporaryDirectory() as folder:
        make_phone(Path(folder))
        rows: list[tuple[str, Callable[[], Sequence[Sensor]]]] = [
            ("this machine", linux_sensors),
            ("this machine through psutil", psutil_sensors),
            ("a phone", lambda: linux_sensors(Path(folder, "proc"), Path(folder, "sys"))),
        ]
        for name, find in rows:
            numbers, cpu_us = measure(find())
            share = cpu_us / 1e6 / float(HOST_PERIOD_S)
            table.add_row(name, str(numbers), f"{cpu_us:.0f}", f"{100 * share:.4f} %")
    Console().print(table)
    print(f"a frame that closes: {frame_ns():.0f} ns")


def measure(sensors: Sequence[Sensor]) -> tuple[int, float]:
    """Return how many numbers a reading has, and its CPU time in microseconds."""
    sink, metrics, sampler = make_sampler()
    metrics.use([Run(run_id=bytes(16), build="b", role="edge", started_ns=0)])
    sampler._record(sensors)  # the load is known from the second on
    time.sleep(0.05)  # some ticks
    sink.metrics.clear()
    sampler._record(sensors)
    numbers = len(sink.metrics)
    before_ns = time.thread_time_ns()
    for _ in range(READINGS):
        sampler._record(sensors)
    return numbers, (time.thread_time_ns() - before_ns) / READINGS / 1000


def frame_ns() -> float:
    """Return what the closing of each frame costs for the sake of the readings."""
    _, metrics, sampler = make_sampler()
    run = Run(run_id=bytes(16), build="b", role="edge", started_ns=0)
    sampler.wake()
    before_ns = time.thread_time_ns()
    for _ in range(CALLS):
        metrics.use([run])
        sampler.wake()
    cost_ns = (time.thread_time_ns() - before_ns) / CALLS
    sampler.stop()
    return cost_ns


def make_sampler() -> tuple[MemorySink, RunMetrics, HostSampler]:
    """Return a sampler that records into memory."""
    sink = MemorySink()
    metrics = RunMetrics(sink)
    return sink, metrics, HostSampler(metrics, time.time_ns, float(HOST_PERIOD_S))


def make_phone(root: Path) -> None:
    """Write the files of a phone below *root*."""
    cores = "\n".join(f"cpu{core} 4705 356 584 3699 23 23 0 0 0 0" for core in range(CORES))
    files = {
        "proc/stat": f"cpu 4705 356 584 3699 23 23 0 0 0 0\n{cores}\nintr {'0 ' * 1000}\n",
        "proc/meminfo": "MemTotal: 8000000 kB\nMemFree: 500000 kB\nMemAvailable: 3000000 kB\n",
        "proc/self/statm": "90000 25000 8000 1 0 9000 0\n",
        "sys/class/power_supply/battery/type": "Battery\n",
        "sys/class/power_supply/battery/capacity": "87\n",
        "sys/class/power_supply/battery/status": "Discharging\n",
    }
    for clock in range(CLOCKS):
        policy = f"sys/devices/system/cpu/cpufreq/policy{clock}"
        own = " ".join(str(core) for core in range(CORES) if core % CLOCKS == clock)
        files[f"{policy}/affected_cpus"] = f"{own}\n"
        files[f"{policy}/scaling_cur_freq"] = "1804800\n"
        files[f"{policy}/scaling_governor"] = "schedutil\n"
    for zone in range(ZONES):
        files[f"sys/class/thermal/thermal_zone{zone}/type"] = f"zone-{zone}\n"
        files[f"sys/class/thermal/thermal_zone{zone}/temp"] = "41200\n"
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
