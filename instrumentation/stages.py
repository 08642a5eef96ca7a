"""Stages that are recorded: named steps of a frame, outside the model."""

from dataclasses import replace
from types import TracebackType
from typing import Self

from exray.schema.identity import new_span_id
from exray.schema.records import SpanRecord

from .activation import ActiveSpan, Surroundings
from .capture import Carrier, new_span_id_int, span_id_int
from .frames import RecordingFrame
from .guard import error_text, guard, log_once
from .scopes import Stage, Value


class RecordingStage(Stage):
    """A stage of the open frame that is recorded as a span.

    Its time is the application's: arrays are copied while it is open and summarised after.

    Args:
        frame: The frame it is a step of.
        name: The span's name.
    """

    def __init__(self, frame: RecordingFrame, name: str) -> None:
        self._frame = frame
        self._clock = frame.recorder.clock
        self._name = name
        self._entered = False
        self._is_open = False
        self._carriers: list[Carrier] = []
        self._active: ActiveSpan | None = None

    def __enter__(self) -> Self:
        self._entered = True
        with guard("open a stage"):
            self._open()
        return self

    def _open(self) -> None:
        frame = self._frame
        before_ns, here = frame.budget_clock_ns(), Surroundings.here()
        if here.trace_id != frame.trace_id:  # the application has another trace open here
            here = replace(frame.surroundings, parent_span_id=None)
        self._parent = here.parent_span_id or frame.span_id
        self._span_id = new_span_id()
        self._carriers.clear()
        self._begin_ns = self._clock.monotonic_ns()
        self._start_ns = self._begin_ns + self._clock.offset_ns
        frame.open_stages += 1
        self._is_open = True
        with guard("make a stage the active span"):
            self._active = ActiveSpan(self._span_id, here)
        frame.overhead_ns += frame.budget_clock_ns() - before_ns

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._entered = False
        if not self._is_open:
            return
        self._is_open = False
        self._frame.open_stages -= 1
        end_ns: int | None = None
        with guard("close a stage"):
            end_ns = self._clock.monotonic_ns()
        with guard("close a stage"):
            self._leave()
        if end_ns is not None:
            with guard("close a stage"):
                self._close(end_ns, error)

    def _leave(self) -> None:
        active, self._active = self._active, None
        # One that outlives its frame, or a stage around it, must not undo what that undid.
        if active is not None and active.is_innermost:
            active.leave()

    def _close(self, end_ns: int, error: BaseException | None) -> None:
        frame, dur_ns = self._frame, end_ns - self._begin_ns
        if not frame.is_open:
            log_once(
                "stage left",
                f"stage {self._name!r} is not recorded: it was open when frame {frame} closed.",
            )
            return
        if not frame.is_recorded:
            return  # its input turned out not to be sampled
        if self._carriers:
            self._carriers[0].dur_ns = dur_ns
        frame.spans.append(
            SpanRecord(
                name=self._name,
                trace_id=frame.trace_id,
                span_id=self._span_id,
                parent_span_id=self._parent,
                start_ns=self._start_ns,
                dur_ns=dur_ns,
                status="unset" if error is None else "error",
                status_message=None if error is None else error_text(error),
            )
        )
        after_ns = frame.budget_clock_ns()
        frame.overhead_ns += after_ns - end_ns if after_ns else 0
        frame.summarise()

    def output(self, value: Value) -> Value:
        """Record the stage's result and return it unchanged."""
        with guard("record a stage's output"):
            if self._is_open and self._frame.is_open:
                self._frame.see("stage", self._name, value, self._next_carrier())
            elif not self._entered:
                log_once(
                    "closed stage",
                    f"stage.output() of stage {self._name!r}, which is not open, records "
                    "nothing; call it inside the with block.",
                )
        return value

    def _next_carrier(self) -> Carrier:
        """Return the stage's own span for its first output, a child for each further one."""
        own = span_id_int(self._span_id)
        if self._carriers:
            carrier = Carrier(new_span_id_int(), own, self._clock.now_ns(), 0)
        else:
            carrier = Carrier(own, span_id_int(self._parent), self._start_ns)
        self._carriers.append(carrier)
        return carrier
