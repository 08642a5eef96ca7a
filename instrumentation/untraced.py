"""Frames that go untraced: counted with the time they took, and nothing else.

Inside one nothing is recorded, and the application's own spans stand where they would
without exray. One that ends in an error is recorded after all, with its time and the error.
"""

import contextlib
from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, Self

from exray.schema.identity import input_key
from exray.schema.records import InferenceRecord

from .current import OpenableFrame, current_frame, open_frame
from .frames import RecordingFrame, log_nested
from .guard import guard
from .level import Level
from .sampling import FrameCost, Rates

if TYPE_CHECKING:
    from .recorder import Recorder


def new_frame(recorder: "Recorder", input_id: str | None, label: object) -> OpenableFrame:
    """Return a frame that the application opens, recorded or not.

    A frame without a name is recorded until its model input names it, unless it needs a
    turn and has none.
    """
    sampler = recorder.sampler
    if not sampler.is_selective or open_frame() is not None:  # inside a frame it is that one's
        return RecordingFrame(recorder, input_id, label)
    before_ns = recorder.clock.monotonic_ns()
    rates, had_turn = sampler.rates, False
    if input_id is not None:
        is_traced = rates.choose(input_key(input_id)).level > Level.OFF
    elif rates.by_turn:
        is_traced = had_turn = sampler.takes_turn(rates)
    else:
        is_traced = rates.traced > 0
    frame: RecordingFrame | UntracedFrame
    if is_traced:
        frame = RecordingFrame(recorder, input_id, label, rates=rates, had_turn=had_turn)
    else:
        frame = UntracedFrame(recorder, rates, input_id, label)
    frame.outside_ns = recorder.clock.monotonic_ns() - before_ns
    return frame


class UntracedCall(OpenableFrame):
    """Stands for a frame while a model that is called outside any frame goes untraced."""

    __slots__ = ("_is_open",)

    def __init__(self) -> None:
        self._is_open = True

    def close(self) -> None:
        """Be over, for tasks too that were started in it."""
        self._is_open = False

    @property
    def is_open(self) -> bool:
        """Whether the call is not over."""
        return self._is_open

    @property
    def is_entered(self) -> bool:
        """Whether the call is not over."""
        return self._is_open

    @property
    def is_recorded(self) -> bool:
        """False."""
        return False


class UntracedFrame(OpenableFrame):
    """A frame that is not sampled.

    Args:
        recorder: Counts it.
        rates: Rates under which it was not sampled.
        input_id: Name of the input; None where it is not known.
        label: True class.
        start_ns: Monotonic time at which it began, if before it is entered.
    """

    __slots__ = (
        "_entered",
        "_generation",
        "_is_open",
        "_label",
        "_rates",
        "_recorder",
        "_start_ns",
        "_token",
        "inferences",
        "input_id",
        "is_timed",
        "naming_ns",
        "outside_ns",
        "overhead_ns",
    )

    def __init__(
        self,
        recorder: "Recorder",
        rates: Rates,
        input_id: str | None = None,
        label: object = None,
        start_ns: int | None = None,
    ) -> None:
        self.input_id = input_id
        self.inferences: list[InferenceRecord] = []
        """Executions in it that failed."""
        self.is_timed = True
        """As of a recorded frame, like the following."""
        self.outside_ns = self.overhead_ns = self.naming_ns = 0
        self._recorder = recorder
        self._rates = rates
        self._label = label
        self._start_ns = start_ns
        self._generation = recorder.generation
        self._entered = 0
        self._is_open = False
        self._token: Token[OpenableFrame | None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is open, in this process, with a recorder that takes it."""
        recorder = self._recorder
        return self._is_open and recorder.open and self._generation is recorder.generation

    @property
    def is_entered(self) -> bool:
        """Whether the application is inside its block."""
        return self._entered > 0

    @property
    def is_recorded(self) -> bool:
        """False."""
        return False

    def __str__(self) -> str:
        return "(named by its model input)" if self.input_id is None else repr(self.input_id)

    def __enter__(self) -> Self:
        with guard("open a frame"):
            self._entered += 1
            outer = open_frame()
            if outer is not None:
                log_nested(self, outer)
            elif self._token is None:
                self._token = current_frame.set(self)
                self._is_open = True
                if self._start_ns is None:
                    self._start_ns = self._recorder.clock.monotonic_ns()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._entered -= 1
        if self._entered > 0 or self._token is None:
            return
        with guard("close a frame"):
            end_ns = self._recorder.clock.monotonic_ns()
            is_open, self._is_open = self.is_open, False
            token, self._token = self._token, None
            # A generator closed in another context than its own has nothing to put back.
            with contextlib.suppress(ValueError, RuntimeError):
                current_frame.reset(token)
            if is_open:
                self._count(self._start_ns or 0, end_ns, error)
            self._start_ns = None

    def _count(self, start_ns: int, end_ns: int, error: BaseException | None) -> None:
        recorder, level = self._recorder, Level.OFF
        if error is not None and recorder.sampler.takes_failure():
            level = Level.LATENCY
            recorder.close_frame(
                RecordingFrame.failed(
                    recorder,
                    self._rates,
                    input_id=self.input_id,
                    label=self._label,
                    inferences=self.inferences,
                    start_ns=start_ns,
                    end_ns=end_ns,
                    error=error,
                )
            )
        if not self.is_timed:  # it shares its start with those before it
            start_ns = max(start_ns, recorder.sampler.last_end_ns)
        told_ns = recorder.clock.monotonic_ns()
        recorder.sampler.add_frame(
            FrameCost(
                level,
                plain_ns=max(end_ns - start_ns - self.overhead_ns, 0),
                cost_ns=self.overhead_ns + self.outside_ns + told_ns - end_ns - self.naming_ns,
                naming_ns=self.naming_ns,
                end_ns=end_ns,
                told_ns=told_ns,
                is_typical=error is None,
            )
        )
