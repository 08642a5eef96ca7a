"""What is read of the host: sensors, their readings, and one sweep over them."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from exray.schema.attributes import CPU_LOGICAL_NUMBER

from .guard import error_text, log_once


class Reading(NamedTuple):
    """One number read of the host.

    Args:
        name: Metric, by OpenTelemetry's conventions.
        unit: Its UCUM unit.
        attributes: Which core, sensor or battery.
    """

    name: str
    value: float
    unit: str
    attributes: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True)
class Sensor:
    """A thing to read.

    Args:
        name: What it reads, as the log will call it.
        read: Returns its readings; may raise whatever it likes.
    """

    name: str
    read: Callable[[], Iterable[Reading]]


def sweep(sensors: Iterable[Sensor]) -> list[Reading]:
    """Read every sensor; one that fails is logged, once for all of its kind, and left out."""
    readings: list[Reading] = []
    for sensor in sensors:
        try:
            readings += [reading for reading in sensor.read() if math.isfinite(reading.value)]
        except Exception as error:  # noqa: BLE001 - a driver's files hold anything or nothing
            log_once(
                f"host {sensor.name}",
                f"{sensor.name} of the host could not be read: {error_text(error)}. It is left out "
                "while that is so; further failures of its kind are not logged.",
                error=error,
            )
    return readings


@dataclass(slots=True)
class CpuLoad:
    """Share of time in which each core was busy since the reading before.

    Args:
        times: Returns by core the time it has been idle and the time in all, in any unit.
    """

    times: Callable[[], Mapping[int, tuple[float, float]]]
    _before: Mapping[int, tuple[float, float]] = field(
        default_factory=dict[int, tuple[float, float]]
    )

    def read(self) -> Iterator[Reading]:
        """Yield a reading for each core that was there at the reading before."""
        before, self._before = self._before, self.times()
        for core, (idle, total) in self._before.items():
            idle_before, total_before = before.get(core, (idle, total))
            if total <= total_before:  # the first reading, or a core that was off and on again
                continue
            # Linux's count of iowait may go back a little.
            busy = 1 - (idle - idle_before) / (total - total_before)
            yield Reading(
                "system.cpu.utilization",
                min(max(busy, 0.0), 1.0),
                "1",
                {CPU_LOGICAL_NUMBER: core},
            )
