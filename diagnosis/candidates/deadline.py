"""When a search has had its time, on a machine of its own or on a busy one."""

import time

MOST = 5.0
"""Times as long a search may take as on a machine of its own, if others keep it waiting."""


class Deadline:
    """The end of a budget of time, counted from when it is made.

    What a search finds should not depend on what else the machine does: as long as other
    processes keep it from using its time, it goes on, up to `MOST` times as long.

    Args:
        budget_s: Seconds that it may take on a machine of its own.
    """

    def __init__(self, budget_s: float) -> None:
        self.started_s = time.monotonic()
        self._until_s = self.started_s + budget_s
        self._last_s = self.started_s + MOST * budget_s
        self._work_until_s = time.process_time() + budget_s

    def is_past(self) -> bool:
        """Whether the time is over."""
        now_s = time.monotonic()
        if now_s <= self._until_s:
            return False
        return now_s > self._last_s or time.process_time() > self._work_until_s

    def elapsed_s(self) -> float:
        """Return the seconds since the beginning."""
        return time.monotonic() - self.started_s
