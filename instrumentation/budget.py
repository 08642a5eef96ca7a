"""The overhead budget: what recording may cost of the frames' own time, and the rates it buys.

Every frame reports its own time and what exray took of it. Rates hold for a stretch of at
least 32 frames and one second; then they are chosen anew, so that the expected cost is what
the budget earns at the present load, corrected by what was over- or underspent so far.
Costs are means per kind of frame, so nothing needs to know what a network costs: the first
frames show it, and what they took is paid back.
"""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from .guard import log_once
from .level import Level
from .sampling import FrameCost, Rates, Sampler

STRETCH_FRAMES = 32
"""Fewest frames of a stretch: fewer say little of the load."""

STRETCH_NS = 10**9
"""Least time of a stretch, nanoseconds."""

GRID = tuple(math.ldexp((1.0, math.sqrt(0.5))[odd], -half) for half in range(17) for odd in (0, 1))
"""Rates that are used: half-octaves from 1 to 2**-16.5, so that they repeat between stretches
and runs. The lowest summarises a frame in a minute and a half at a thousand frames a second."""

LEAST_TRACED = GRID[-3]
"""Twice the lowest rate: there are frames at level latency in every stretch."""

START_SUMMARISED = 2.0**-3
"""Share of the first frames that are summarised, to learn what that costs."""

START_FRAMES = 5
"""Recorded frames that end the first stretch, once one of them was summarised."""

MOST_START_FRAMES = 64
"""Frames that end it in any case: one input that comes again and again may never be drawn."""

MOST_SUMMARISED = 0.5
"""Most of the traced frames that are summarised: summaries inflate a frame's time, and times
can speak for all frames only if every stretch has some without."""

MEMORY = 16
"""Values that a mean cost remembers."""

AIM = 0.95
"""Share of the budget that is aimed at: the call and the return around the clock readings are
in no sum, nor is what the caches lost of the application's own beside the model."""

OUTLIER = 4.0
"""Times the mean so far that one value counts at most. Where the scheduler took the processor
away in a frame, that was a cost, and is in the balance; it says nothing of the next frame."""

PAYBACK_STRETCHES = 4
"""Stretches like the last within which what was over- or underspent is made good."""

PAYBACK_SUMMARIES = 4
"""And at least the time in which the budget earns this many summarised frames: the rate
should not follow each single one of them."""

LONGEST_DEBT_NS = 60 * 10**9
"""Frame time whose budget a debt may claim; what is older says nothing of now."""

RUNAWAY = 2.0
"""Times its allowance after which, with `PAYBACK_SUMMARIES` to spare, a stretch is cut short:
a load that fell, or one input that comes again and again and happens to be chosen."""

SKIPPED_NS = 10**8
"""Time for which frames are let through unasked, at most, in nanoseconds of their own."""

LEAST_SKIPPED = 4
"""Fewest frames that are worth it."""

SKIP_NS = 400
"""What such a frame costs, measured on a laptop's core: one more Python call."""

SETTLED_FRAMES = 8
"""Fewest frames of a stretch whose mean time says how long the next should take."""

MOST_FAILURES = 32
"""Failed frames of a stretch that are recorded though they were not sampled."""


class _Mean:
    """A mean that forgets: of the last `MEMORY` values, roughly."""

    __slots__ = ("count", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self.count = 0

    def add(self, value: float) -> None:
        if self.count > 1:
            value = min(value, OUTLIER * self.value)
        self.count = min(self.count + 1, MEMORY)
        self.value += (value - self.value) / self.count


class _Aftermath:
    """What a recorded frame leaves behind: the next one finds the caches cold.

    No clock within a frame sees it. It is the time by which the frame after a recorded one
    is longer than the others, on the average, where more and less weigh the same. A frame
    that is summarised leaves something to itself too: its kernels share the caches with
    the summaries.
    """

    __slots__ = ("count", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self.count = 0

    def add(self, excess_ns: float) -> None:
        self.count = min(self.count + 1, MEMORY)
        self.value += (excess_ns - self.value) / self.count

    @property
    def cost_ns(self) -> float:
        return max(self.value, 0.0)


@dataclass(slots=True)
class _Stretch:
    """What a stretch has seen so far."""

    start_ns: int
    limit_ns: float
    """Cost after which it is cut short."""
    is_measuring: bool
    """Whether it began without knowing what frames cost, and ends when that is known."""
    frames: int = 0
    plain_ns: int = 0
    cost_ns: int = 0
    standing_ns: int = 0
    untraced: int = 0
    untraced_ns: int = 0
    failures: int = 0


class Budget(Sampler):
    """Keeps the mean cost of recording within a share of the frames' own time.

    Args:
        top: Level of the configuration.
        share: The budget, such as 0.02.
        clock_ns: Reads monotonic time.
    """

    is_selective = True

    def __init__(self, top: Level, share: float, clock_ns: Callable[[], int]) -> None:
        super().__init__(top)
        self._budget, self._share = share, AIM * share
        self._clock_ns = clock_ns
        self._costs = {level: _Mean() for level in (Level.OFF, Level.LATENCY, top)}
        self._naming = _Mean()
        self._telling = {level: _Mean() for level in (Level.LATENCY, top)}
        self._inside = _Aftermath()
        self._aftermaths = {level: _Aftermath() for level in (Level.LATENCY, top)}
        self._warm = _Mean()
        self._start(clock_ns())

    @property
    def plain_ns(self) -> int:
        """Own time of all frames so far, recorded or not."""
        return self._past_ns + self._stretch.plain_ns

    def _start(self, now_ns: int) -> None:
        self._lock = threading.Lock()
        self._turns = Random()  # the application's own is left alone
        self._balance_ns = 0.0
        self._past_ns = 0
        self._untraced = 0
        self._plain_ns = 0.0
        self._standing_ns = 0.0
        self._before: Level | None = None
        self._stretch = _Stretch(now_ns, float("inf"), not self._knows_costs)
        self.rates = self._choose_rates(0.0)
        self._turn_rates, self._until_turn = self.rates, self._draw_turn(self.rates.traced)

    def renew(self) -> None:
        """Begin anew in a forked child, with what is known of the costs."""
        self._start(self._stretch.start_ns)

    # --- what frames ask and tell ---------------------------------------------------------

    def takes_turn(self, rates: Rates) -> bool:
        """Return whether a frame that begins now, under *rates*, is let through by turn."""
        with self._lock:
            if rates is not self._turn_rates:
                self._turn_rates, self._until_turn = rates, self._draw_turn(rates.traced)
            if self._until_turn:
                self._until_turn -= 1
                return False
            self._until_turn = self._draw_turn(rates.traced)
            return True

    def _draw_turn(self, traced: float) -> int:
        """Return how many frames go by before the next turn: each has the same chance of it."""
        if traced >= 1:
            return 0
        return int(math.log(1.0 - self._turns.random()) / math.log1p(-traced))

    def skip_turns(self) -> int:
        """Return how many of the unnamed frames that follow need not even ask; counts them.

        On a network of microseconds the question itself is beyond the budget.
        """
        with self._lock:
            if self._plain_ns <= 0 or self._turn_rates is not self.rates:
                return 0
            # One before the turn is measured: what is known of the skipped ones is from it.
            warm_ns = self._warm.value or self._plain_ns
            count = min(self._until_turn - 1, int(SKIPPED_NS / warm_ns))
            if count < LEAST_SKIPPED:
                return 0
            self._until_turn -= count
            stretch = self._stretch
            stretch.frames += count
            stretch.plain_ns += round(count * warm_ns)
            stretch.cost_ns += count * SKIP_NS
            stretch.untraced += count
            stretch.untraced_ns += count * SKIP_NS
            self._untraced += count
            return count

    def takes_failure(self) -> bool:
        """Return whether a failed frame that was not sampled is recorded all the same."""
        with self._lock:
            self._stretch.failures += 1
            return self._stretch.failures <= MOST_FAILURES

    def take_untraced(self) -> int:
        """Return how many frames went untraced since this was last asked."""
        if not self._untraced:
            return 0
        with self._lock:
            untraced, self._untraced = self._untraced, 0
        return untraced

    def add_cost_ns(self, cost_ns: int) -> None:
        """Count time that exray takes beside what its frames measure."""
        with self._lock:
            self._stretch.standing_ns += cost_ns

    def add_frame(self, frame: FrameCost) -> None:
        """Count a frame that ended, and begin a new stretch if it was the last of this one."""
        if frame.level == Level.OFF and frame.is_typical and not frame.naming_ns:
            self.add_untraced(frame.plain_ns, frame.cost_ns, frame.end_ns, frame.told_ns)
            return
        with self._lock:
            stretch = self._stretch
            plain_ns = self._settle(stretch, frame.plain_ns)
            if frame.level == self.rates.top > Level.LATENCY and frame.is_typical:
                plain_ns = self._without(self._inside, frame.level, stretch, plain_ns)
            self._before = frame.level if frame.level and frame.is_typical else None
            stretch.frames += 1
            stretch.plain_ns += plain_ns
            stretch.cost_ns += frame.cost_ns + frame.naming_ns
            if frame.is_typical:
                self._naming.add(frame.naming_ns)
                if frame.level:
                    self._costs[frame.level].add(frame.cost_ns)
                else:
                    stretch.untraced += 1
                    stretch.untraced_ns += frame.cost_ns
            if not frame.level:
                self._untraced += 1
            self._end_frame(stretch, frame.end_ns)
            self._count_telling(frame.level, frame.told_ns, is_typical=frame.is_typical)

    def add_untraced(
        self, plain_ns: int, cost_ns: int, end_ns: int, told_ns: int | None = None
    ) -> None:
        """Count a frame that went untraced, was not named by its input, and did not fail.

        Args:
            plain_ns: Its own time.
            cost_ns: What exray took of it.
            end_ns: Monotonic time at which it ended.
            told_ns: Monotonic time up to which *cost_ns* counts.
        """
        with self._lock:
            stretch = self._stretch
            if self._before is None:
                self._warm.add(plain_ns)
            plain_ns = self._settle(stretch, plain_ns)
            stretch.frames += 1
            stretch.plain_ns += plain_ns
            stretch.cost_ns += cost_ns
            stretch.untraced += 1
            stretch.untraced_ns += cost_ns
            self._untraced += 1
            self._end_frame(stretch, end_ns)
            self._count_telling(Level.OFF, told_ns)

    def _count_telling(self, level: Level, told_ns: int | None, *, is_typical: bool = True) -> None:
        """Count the time since *told_ns*: to count a frame takes as long as to time it."""
        if told_ns is None:
            return
        telling_ns = self._clock_ns() - told_ns
        self._stretch.cost_ns += telling_ns
        if level and is_typical:
            self._telling[level].add(telling_ns)
        elif not level and self._stretch.untraced:
            self._stretch.untraced_ns += telling_ns

    def _settle(self, stretch: _Stretch, plain_ns: int) -> int:
        """Return a frame's own time, without what the one before it, if recorded, cost it."""
        before, self._before = self._before, None
        if before is None:
            return plain_ns
        return self._without(self._aftermaths[before], before, stretch, plain_ns)

    def _without(self, excess: _Aftermath, level: Level, stretch: _Stretch, plain_ns: int) -> int:
        """Return a frame's own time without *excess*, which a frame of *level* caused."""
        if stretch.frames >= SETTLED_FRAMES:
            # One that another process interrupted says nothing: it leaves no more than it took.
            most_ns = self._costs[level].value
            excess_ns = plain_ns - stretch.plain_ns / stretch.frames
            excess.add(min(max(excess_ns, -most_ns), most_ns))
        cost_ns = min(round(excess.cost_ns), plain_ns)
        stretch.cost_ns += cost_ns
        return plain_ns - cost_ns

    def _end_frame(self, stretch: _Stretch, end_ns: int) -> None:
        self.last_end_ns = end_ns
        if self._is_over(stretch, end_ns):
            self._next_stretch(end_ns)

    # --- the controller -------------------------------------------------------------------

    @property
    def _knows_costs(self) -> bool:
        summaries, latencies = self._costs[self.rates.top].count, self._costs[Level.LATENCY].count
        return summaries > 0 and summaries + latencies >= START_FRAMES

    def _is_over(self, stretch: _Stretch, now_ns: int) -> bool:
        if stretch.cost_ns > stretch.limit_ns:
            return True
        if stretch.is_measuring and (self._knows_costs or stretch.frames >= MOST_START_FRAMES):
            return True
        return stretch.frames >= STRETCH_FRAMES and now_ns - stretch.start_ns >= STRETCH_NS

    def _next_stretch(self, now_ns: int) -> None:
        last = self._stretch
        self._past_ns += last.plain_ns
        self._balance_ns += self._share * last.plain_ns - last.cost_ns - last.standing_ns
        if last.untraced:
            self._costs[Level.OFF].add(last.untraced_ns / last.untraced)
        self._plain_ns = last.plain_ns / last.frames
        frames = max(last.frames, STRETCH_FRAMES, round(STRETCH_NS / max(self._plain_ns, 1.0)))
        self._standing_ns = last.standing_ns / last.frames
        earned_ns = self._share * self._plain_ns
        allowance_ns = self._allowance_ns(earned_ns, frames)
        self.rates = self._choose_rates(allowance_ns)
        limit_ns = RUNAWAY * allowance_ns * frames + PAYBACK_SUMMARIES * self._summary_ns
        self._stretch = _Stretch(now_ns, limit_ns, not self._knows_costs)

    @property
    def _summary_ns(self) -> float:
        return self._cost_ns(self.rates.top)

    def _cost_ns(self, level: Level) -> float:
        """Return what a recorded frame costs, what no clock within it sees included."""
        unseen_ns = self._telling[level].value + self._aftermaths[level].cost_ns
        if level > Level.LATENCY:
            unseen_ns += self._inside.cost_ns
        return self._costs[level].value + unseen_ns

    def _allowance_ns(self, earned_ns: float, frames: int) -> float:
        """Return what a frame of the next stretch may cost, from what it earns and the balance."""
        horizon = float(PAYBACK_STRETCHES * frames)
        if earned_ns > 0:
            horizon = max(horizon, PAYBACK_SUMMARIES * self._summary_ns / earned_ns)
        credit_ns = earned_ns * horizon / 2
        debt_ns = self._share * LONGEST_DEBT_NS
        self._balance_ns = min(max(self._balance_ns, -debt_ns), credit_ns)
        return max(earned_ns + self._balance_ns / horizon, 0.0)

    def _choose_rates(self, allowance_ns: float) -> Rates:
        top, costs = self.rates.top, self._costs
        if not costs[Level.LATENCY].count and not costs[top].count:
            return Rates(top, 1.0, START_SUMMARISED)
        untraced_ns, naming_ns = costs[Level.OFF].value, self._naming.value
        trace_ns = max(self._cost_ns(Level.LATENCY) - untraced_ns, 1.0)
        summarise_ns = max(self._cost_ns(top) - self._cost_ns(Level.LATENCY), 1.0)
        free_ns = allowance_ns - untraced_ns - self._standing_ns
        by_turn = trace_ns > (free_ns - naming_ns) / 2 and naming_ns > allowance_ns / 8
        if by_turn:
            trace_ns += naming_ns
        else:
            free_ns -= naming_ns
        if free_ns <= 0:
            self._say_too_dear(untraced_ns + self._standing_ns)
        if top <= Level.LATENCY:
            return Rates(top, max(_grid(free_ns / trace_ns), LEAST_TRACED), by_turn=by_turn)
        if trace_ns <= free_ns / 2:
            traced, left_ns = 1.0, free_ns - trace_ns
        else:
            traced = max(_grid(free_ns / 2 / trace_ns), LEAST_TRACED)
            left_ns = max(free_ns - traced * trace_ns, 0.0)
        affordable = left_ns / summarise_ns if costs[top].count else START_SUMMARISED
        # The nearest: with the next lower one a good part of the budget would lie idle.
        summarised = min(_grid(traced * MOST_SUMMARISED), _grid(affordable * 2**0.25))
        return Rates(top, traced, summarised, by_turn=by_turn)

    def _say_too_dear(self, least_ns: float) -> None:
        if least_ns > self._budget * self._plain_ns > 0:
            log_once(
                "budget",
                f"a frame takes {self._plain_ns / 1e3:.0f} us, and {least_ns / 1e3:.1f} us more for "
                f"exray even if it is not recorded: more than the overhead budget of "
                f"{self._budget:.1%}. Hardly any frames are recorded; raise overhead_budget, or use "
                "sampling='all' where the overhead does not matter.",
            )


def _grid(rate: float) -> float:
    """Return the highest rate of the grid that is not above *rate*, or the lowest of all."""
    for step in GRID:
        if step <= rate:
            return step
    return GRID[-1]
