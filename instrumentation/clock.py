"""Wall time with monotonic durations: one anchor, so that spans never run backwards."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

PLAUSIBLE_SINCE_NS = 1_704_067_200 * 10**9
"""2024-01-01 UTC. A clock before exray existed was never set: the device booted in 1970."""

PLAUSIBLE_UNTIL_NS = 2**31 * 10**9
"""2038-01-19 UTC, where 32-bit clocks end."""

SHORTEST_SUSPEND_NS = 10**9
"""Less is the time that passes between the readings of two clocks on a busy machine."""

_IS_NATIVE = "CLOCK_MONOTONIC)" in time.get_clock_info("perf_counter").implementation


def suspended_ns() -> int:
    """Return how long the machine has been suspended since it booted, 0 where unknown."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)


@dataclass(slots=True)
class Clock:
    """A monotonic clock anchored once to the wall.

    A wall clock that is set while a frame is open changes nothing: its times stay in
    order, and so do those of all later frames.

    Args:
        wall_ns: Reads nanoseconds since 1970.
        monotonic_ns: Reads nanoseconds since an arbitrary start; never goes back, and
            stands while the machine is suspended.
        suspended_ns: Reads how long that was.
    """

    wall_ns: Callable[[], int] = time.time_ns
    monotonic_ns: Callable[[], int] = time.perf_counter_ns
    suspended_ns: Callable[[], int] = suspended_ns
    offset_ns: int = field(init=False)
    """Wall time less monotonic time."""
    _anchor: tuple[int, int] = field(init=False)
    """Wall time less monotonic time, and time suspended, when the wall was last read."""

    def __post_init__(self) -> None:
        self.anchor()

    def anchor(self) -> None:
        """Take the wall's time anew, as a forked process does."""
        suspended = self.suspended_ns()
        self.offset_ns = self.wall_ns() - self.monotonic_ns()
        self._anchor = self.offset_ns, suspended

    def follow_suspend(self) -> None:
        """Move on by what the machine has slept since the anchor.

        Between frames, that is: no time of an open frame may move.
        """
        self.offset_ns = self.offset_when(self.suspended_ns())  # two threads put in the same

    def offset_when(self, suspended_ns: int) -> int:
        """Return wall time less monotonic time when the machine had slept so long."""
        offset_ns, suspended = self._anchor
        offset_ns += suspended_ns - suspended
        if abs(offset_ns - self.offset_ns) >= SHORTEST_SUSPEND_NS:
            return offset_ns
        return self.offset_ns

    @property
    def is_native(self) -> bool:
        """Whether it reads the clocks that native code reads too."""
        return _IS_NATIVE and self.monotonic_ns is time.perf_counter_ns

    def now_ns(self) -> int:
        """Return nanoseconds since 1970, never before an earlier answer."""
        return self.monotonic_ns() + self.offset_ns

    @property
    def plausible(self) -> bool:
        """Whether the anchor could be a real date of use."""
        return PLAUSIBLE_SINCE_NS <= self.now_ns() < PLAUSIBLE_UNTIL_NS
