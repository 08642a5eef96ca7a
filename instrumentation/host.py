"""Reads the host beside the frames: a thread that sleeps when nothing is recorded."""

import sys
import threading
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from exray.schema.records import MetricRecord, Run

from .guard import error_text, guard, log_once
from .host_linux import linux_sensors
from .host_readings import Reading, Sensor, sweep
from .run_metrics import RunMetrics

IDLE_PERIODS = 3
"""Periods without a frame after which the thread sleeps until the next one."""

IDLE_S = 10.0
"""The same as a time: it does not sleep before both have passed, however short the period."""

SECOND_SWEEP_S = 1.0
"""Time from the first sweep to the second, at most: a load is known from two."""

STOP_TIMEOUT_S = 1.0
"""Longest time that the end waits for a sensor that does not answer."""


class HostSampler:
    """Records readings of the host at a period, while frames are being recorded.

    Its thread starts with the first run, never keeps the process alive, and costs a
    sleeping application nothing.

    Args:
        metrics: Where readings go, and which runs are in use.
        now_ns: Returns the wall's time as frames have it.
        period_s: Time between readings; 0 for none ever.
        find_sensors: Finds what there is to read; None for `host_sensors`.
    """

    def __init__(
        self,
        metrics: RunMetrics,
        now_ns: Callable[[], int],
        period_s: float,
        find_sensors: Callable[[], Sequence[Sensor]] | None = None,
    ) -> None:
        self._metrics = metrics
        self._now_ns = now_ns
        self._period_s = period_s
        self._find_sensors = find_sensors or host_sensors
        self.renew()

    def renew(self) -> None:
        """Begin as a new process does: without a thread, and with locks that nobody holds."""
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._awake = threading.Event()
        self._stopped = threading.Event()

    def wake(self) -> None:
        """Read the host from now on, because a run has just been used."""
        if self._period_s <= 0 or self._awake.is_set():
            return
        self._awake.set()
        if self._thread is None and not self._stopped.is_set():
            self._start()

    def stop(self) -> None:
        """Read no more; a second call does nothing."""
        self._stopped.set()
        self._awake.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(STOP_TIMEOUT_S)

    def _start(self) -> None:
        with self._starting:
            if self._thread is not None:
                return
            thread = threading.Thread(target=self._work, name="exray-host", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # the system gives no thread, or is going down
                log_once("host thread", f"the host is not read: {error_text(error)}.")
                return
            self._thread = thread

    def _work(self) -> None:
        with guard("read the host"):
            while self._sleep():
                sensors = self._find_sensors()
                if not sensors:
                    return
                wait_s = min(SECOND_SWEEP_S, self._period_s)
                while self._record(sensors) and not self._stopped.wait(wait_s):
                    wait_s = self._period_s

    def _sleep(self) -> bool:
        """Wait until there is a run in use; False at the end."""
        # Cleared before looking: a frame that closes in between is seen by one or the other.
        self._awake.clear()
        while not self._stopped.is_set() and not self._runs():
            self._awake.wait()
            self._awake.clear()
        self._awake.set()
        return not self._stopped.is_set()

    def _runs(self) -> Sequence[Run]:
        return self._metrics.in_use(max(IDLE_PERIODS * self._period_s, IDLE_S))

    def _record(self, sensors: Sequence[Sensor]) -> bool:
        """Read the sensors for the runs in use; False if there is none."""
        runs = self._runs()
        if not runs or self._stopped.is_set():
            return False
        readings = sweep(sensors)
        time_ns = self._now_ns()  # after all of them: a frame that starts later has seen them
        if not self._stopped.is_set():
            self._metrics.add([_metric(reading, time_ns) for reading in readings], runs)
        return True


def host_sensors() -> Sequence[Sensor]:
    """Find this host's sensors.

    On Linux the kernel's files are read directly: that takes a fraction of psutil's time,
    needs no package, and knows the governor. On other systems psutil reads, where it is
    installed.
    """
    if sys.platform in ("linux", "android"):
        return linux_sensors()
    if find_spec("psutil") is not None:
        from .host_psutil import psutil_sensors

        return psutil_sensors()
    log_once(
        "host sensors",
        f"host readings on {sys.platform} need the extra 'host', not installed here: pip install "
        "'exray[host]', or exray.configure(host_period_s=0) to do without.",
    )
    return ()


def _metric(reading: Reading, time_ns: int) -> MetricRecord:
    name, value, unit, attributes = reading
    return MetricRecord(
        name=name, value=float(value), time_ns=time_ns, unit=unit, attributes=attributes
    )
