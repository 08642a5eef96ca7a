"""A model whose every cost is told, on a clock that only moves when it is told to."""

from dataclasses import dataclass, field

import numpy as np

import exray
from exray.instrumentation.capture import Carrier, TensorRecorder
from exray.instrumentation.clock import Clock
from exray.instrumentation.execution import Seen
from exray.instrumentation.inference import trace_call
from exray.instrumentation.recorder import Recorder
from exray.instrumentation.sampling import Rates, randomness
from exray.schema.identity import input_key
from exray.schema.records import FrameRecord, LayerBlock
from exray.testing import MemorySink

from .builders import Array, FakeModel

MS = 1_000_000

START_NS = 1_000


class HandClock(Clock):
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.reading_ns = START_NS
        super().__init__(
            wall_ns=lambda: 1_760_000_000 * 10**9,
            monotonic_ns=lambda: self.reading_ns,
            suspended_ns=lambda: 0,
        )

    def move(self, ns: float) -> None:
        """Let time pass."""
        self.reading_ns += int(ns)


class Load(FakeModel):
    """A model that takes the time it is told to, and so does recording it.

    Args:
        recorder: Takes the frames.
        clock: The recorder's.
    """

    def __init__(self, recorder: Recorder, clock: HandClock) -> None:
        super().__init__(recorder)
        self.clock = clock
        self.model_ns = 1.0 * MS
        self.naming_ns = 3_000.0
        self.fixed_ns = 40_000.0
        self.summary_ns = 2.0 * MS
        self.aftermath_ns = 0.0
        """What a summary costs the execution after it, which finds its caches cold."""
        self.inside_ns = 0.0
        """What it costs the execution that it is of, whose kernels share the caches with it."""
        self.entry_ns = 0.0
        """What goes by between the application's call and the first look at it."""
        self._is_cold = self._is_slow = False
        self.plain_ns = 0
        """Time of all its executions."""
        self.reads = 0
        """How often its inputs were read."""

    def begin(self, family: int, *, summarises: bool) -> None:
        """Note how long the execution will take."""
        self._is_slow = summarises

    def read_inputs(self) -> Seen:
        """Return the inputs, which takes time."""
        self.clock.move(self.naming_ns)
        self.reads += 1
        return super().read_inputs()

    def read_outputs(self) -> Seen:
        """Return the output, which takes time."""
        self.clock.move(self.fixed_ns)
        return super().read_outputs()

    def read_layers(
        self, recorder: TensorRecorder, inference: Carrier, family: int
    ) -> LayerBlock | None:
        """Return none, which takes time."""
        self.clock.move(self.summary_ns)
        self._is_cold = True
        return super().read_layers(recorder, inference, family)

    def __call__(self, *inputs: Array) -> Array:
        """Run once, traced."""
        self.inputs = inputs or self.inputs
        if self.skip > 0:
            self.skip -= 1
            return self._compute()
        entered_ns = self.clock.reading_ns
        self.clock.move(self.entry_ns)
        return trace_call(self, self, self._compute, entered_ns)

    def _compute(self) -> Array:
        unseen_ns = self.aftermath_ns * self._is_cold + self.inside_ns * self._is_slow
        self.clock.move(self.model_ns + unseen_ns)
        self._is_cold = self._is_slow = False
        self.plain_ns += int(self.model_ns)
        return self.output

    @property
    def overhead(self) -> float:
        """All time that was not the model's, as a share of the model's, since the start."""
        return (self.clock.reading_ns - START_NS - self.plain_ns) / self.plain_ns


@dataclass
class Player:
    """Runs a `Load` on one new input after the other.

    Args:
        recorder: Takes the frames, into *sink*.
        sink: Where they end.
        clock: The recorder's.
        named: Whether the application names its frames.
    """

    recorder: Recorder
    sink: MemorySink
    clock: HandClock
    named: bool = True
    played: int = 0
    rates: list[tuple[int, Rates]] = field(default_factory=list[tuple[int, Rates]])
    """Time and rates at which each frame began."""

    def __post_init__(self) -> None:
        self.model = Load(self.recorder, self.clock)

    def play(self, frames: int) -> list[FrameRecord]:
        """Run that many frames; return those that were recorded."""
        before = len(self.sink.frames)
        for _ in range(frames):
            self.played += 1
            value = np.array([self.played], np.float32)
            self.rates.append((self.clock.reading_ns, self.recorder.sampler.rates))
            if self.named:
                with exray.frame(f"input {self.played}"):
                    self.model(value)
            else:
                self.model(value)
        return self.sink.frames[before:]


def name_between(low: float, high: float) -> str:
    """Return an input id whose randomness is in [*low*, *high*), as shares of all."""
    names = (f"{number}.png" for number in range(1_000_000))
    return next(n for n in names if low <= randomness(input_key(n)) / 2**56 < high)
