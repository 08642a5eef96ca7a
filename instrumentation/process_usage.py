"""What the process has used so far of processor and memory."""

import sys
import time

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]  # a module where there is one

# getrusage(2): kilobytes on Linux, bytes on macOS.
_MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024


def process_usage() -> tuple[int | None, int | None]:
    """Return CPU time in ns and peak resident set in bytes; None what the system does not tell.

    One call of the system for both: the clock of the process's CPU time is slower than that.
    """
    if resource is None:
        return time.process_time_ns(), None
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu_ns = round((usage.ru_utime + usage.ru_stime) * 1e9)
    return cpu_ns, usage.ru_maxrss * _MAXRSS_BYTES
