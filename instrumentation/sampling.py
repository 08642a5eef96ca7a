"""Which frames are recorded, and at which level: decided by the input before it runs.

The decision is OpenTelemetry's consistent probability sampling, with the 56 low bits of
``input_key`` as the randomness: a frame is taken where they reach the threshold
``(1 - rate) * 2**56``. So the frames of a lower rate are among those of a higher one, those
that are summarised among those that are traced, and two devices that never spoke to each
other choose the same inputs. The four lowest bits, which choose the sketch family, decide
nothing at any rate above 2**-52.

https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/
"""

from dataclasses import dataclass

from .level import Level

RANDOM_BITS = 56
"""Bits of the input's key that decide, as many as OpenTelemetry uses of a trace's id."""

_MASK = (1 << RANDOM_BITS) - 1


def randomness(key: int) -> int:
    """Return the bits of an input's key that decide, an integer of 56 bits."""
    return key & _MASK


def threshold(rate: float) -> int:
    """Return the least randomness that is sampled at *rate*, 0 to 1."""
    return round((1.0 - rate) * (1 << RANDOM_BITS))


@dataclass(frozen=True, slots=True)
class Choice:
    """What becomes of a frame.

    Args:
        level: Level to record it at; `Level.OFF` leaves it untraced.
        rate: Probability with which a frame gets this very level: 1 / rate is the number of
            frames that it stands for.
    """

    level: Level
    rate: float


@dataclass(frozen=True, slots=True)
class _Ladder:
    """The choices of one pair of rates, by randomness: from the top down."""

    top: Choice
    top_from: int
    middle: Choice
    middle_from: int
    bottom: Choice

    def choose(self, key: int) -> Choice:
        """Return the choice for an input."""
        bits = randomness(key)
        if bits >= self.top_from:
            return self.top
        return self.middle if bits >= self.middle_from else self.bottom


class Rates:
    """The rates of one stretch of frames.

    A frame that the application did not name has its name from its model input's bytes, and
    to read them may already cost more than the budget has. Such frames can be let through
    *by_turn* instead, by chance before anything is read: those of two devices do not pair
    then, but stand for all others as well.

    Args:
        top: Level of the configuration.
        traced: Share of the frames that are recorded.
        summarised: Share of the frames that are recorded at *top*, where that is above
            `Level.LATENCY`; at most *traced*.
        by_turn: Whether frames without a name are let through by turn.
    """

    __slots__ = ("_after_turn", "_named", "by_turn", "summarised", "top", "traced")

    def __init__(
        self, top: Level, traced: float = 1.0, summarised: float = 1.0, *, by_turn: bool = False
    ) -> None:
        if top <= Level.LATENCY:
            summarised = traced
        self.top, self.traced, self.summarised, self.by_turn = top, traced, summarised, by_turn
        highest = Choice(top, summarised)
        latency = Choice(Level.LATENCY, traced - summarised)
        untraced = Choice(Level.OFF, 1.0 - traced)
        self._named = _Ladder(highest, threshold(summarised), latency, threshold(traced), untraced)
        self._after_turn = _Ladder(highest, threshold(summarised / traced), latency, 0, untraced)

    def __repr__(self) -> str:
        return (
            f"Rates({self.top!s}, traced={self.traced:.3g}, summarised={self.summarised:.3g}, "
            f"by_turn={self.by_turn})"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rates) and self._values == other._values

    def __hash__(self) -> int:
        return hash(self._values)

    @property
    def _values(self) -> tuple[Level, float, float, bool]:
        return self.top, self.traced, self.summarised, self.by_turn

    def choose(self, key: int, *, had_turn: bool = False) -> Choice:
        """Return what becomes of a frame.

        Args:
            key: Its input's key.
            had_turn: It was let through by turn, and so is traced.
        """
        return (self._after_turn if had_turn else self._named).choose(key)

    def choose_failed(self, level: Level) -> Choice:
        """Return what becomes of a frame that ended in an error: each is recorded.

        Args:
            level: What was chosen for it before it ran.
        """
        if self.top <= Level.LATENCY:
            return Choice(self.top, 1.0)
        if level == self.top:
            return Choice(level, self.summarised)
        return Choice(Level.LATENCY, 1.0 - self.summarised)


@dataclass(slots=True)
class FrameCost:
    """What one frame took.

    Args:
        level: Level it was recorded at; `Level.OFF` if it was untraced.
        plain_ns: Its own time, without what exray took of it.
        cost_ns: What exray took, *naming_ns* not included.
        naming_ns: What it took to name it by its model input; 0 where it was not.
        end_ns: Monotonic time at which it ended.
        told_ns: Monotonic time up to which *cost_ns* counts; None where nothing follows.
        is_typical: Whether the next ones of its level will cost as much.
    """

    level: Level
    plain_ns: int
    cost_ns: int
    naming_ns: int
    end_ns: int
    told_ns: int | None = None
    is_typical: bool = True


class Sampler:
    """Records every frame: ``sampling="all"``.

    Args:
        top: Level of the configuration.
    """

    is_selective = False
    """Whether a frame may be less than the configuration's level, and costs are counted."""

    def __init__(self, top: Level) -> None:
        self.rates = Rates(top)
        """What holds for the frames that begin now."""
        self.last_end_ns = 0
        """Monotonic time at which the frame counted last ended."""

    @property
    def plain_ns(self) -> int:
        """Own time of all frames so far, recorded or not; 0 where costs are not counted."""
        return 0

    def takes_turn(self, rates: Rates) -> bool:
        """Return whether a frame that begins now, under *rates*, is let through by turn."""
        return rates.traced >= 1

    def skip_turns(self) -> int:
        """Return how many of the unnamed frames that follow need not even ask; counts them."""
        return 0

    def takes_failure(self) -> bool:
        """Return whether a failed frame that was not sampled is recorded all the same."""
        return True

    def take_untraced(self) -> int:
        """Return how many frames went untraced since this was last asked."""
        return 0

    def add_cost_ns(self, cost_ns: int) -> None:
        """Count time that exray takes of the application beside what its frames measure.

        Kernels that run slower for being watched, a second interpreter: what is paid
        whatever the rates, and so leaves less for the frames.
        """

    def add_frame(self, frame: FrameCost) -> None:
        """Count a frame that ended."""

    def add_untraced(
        self, plain_ns: int, cost_ns: int, end_ns: int, told_ns: int | None = None
    ) -> None:
        """Count a frame that went untraced, was not named by its input, and did not fail."""

    def renew(self) -> None:
        """Begin anew in a forked child."""
