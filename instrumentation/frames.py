"""Frames that are recorded: one input through the pipeline, and all that belongs to it."""

import contextlib
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from exray.schema.identity import input_key, new_span_id, sketch_family
from exray.schema.records import (
    FrameRecord,
    InferenceRecord,
    MetricRecord,
    Quantization,
    SpanRecord,
    TensorSite,
)

from .activation import ActiveSpan, Surroundings
from .capture import Carrier, FrameTensors, new_span_id_int, span_id_int
from .guard import error_text, guard, log_once
from .prediction import best_classes
from .scopes import Frame, Value

if TYPE_CHECKING:
    from .recorder import Recorder

_current: ContextVar["RecordingFrame | None"] = ContextVar("exray_frame", default=None)
"""The frame opened last in this thread or task, or in what started the task."""


def frame_in_progress() -> "RecordingFrame | None":
    """Return the frame that is open here.

    A task inherits the frame it was started in, and may outlive it: that one is closed, as
    is one that a fork left behind, or one whose recorder was shut down.
    """
    frame = _current.get()
    return frame if frame is not None and frame.is_open else None


def is_inside_frame() -> bool:
    """Whether this is inside a frame's block, even one that could not be opened."""
    frame = _current.get()
    return frame is not None and frame.is_entered


class RecordingFrame(Frame):
    """A frame that is recorded: collects until it closes, then hands itself on.

    A frame inside a frame records with the outer one.

    Args:
        recorder: Takes the complete frame.
        input_id: What the application calls the input; None for its hash.
        label: True class.
        start_ns: Monotonic time at which it began, if before it is entered.
    """

    def __init__(
        self,
        recorder: "Recorder",
        input_id: str | None,
        label: object = None,
        start_ns: int | None = None,
    ) -> None:
        self.recorder = recorder
        self.label = None if label is None else str(label)
        self._naming = threading.Lock()
        self.family: int | None = None
        """Sketch family, None until the input is known."""
        self.input_id: str | None = None
        if input_id is not None:
            self.name_input(input_id)
        self.spans: list[SpanRecord] = []
        self.metrics: list[MetricRecord] = []
        self.inferences: list[InferenceRecord] = []
        self.output_hash: int | None = None
        self.output_quantization: Quantization | None = None
        self.overhead_ns = 0
        """Time that recording took of the frame."""
        self.open_stages = 0
        self.is_timed = True
        """False where it is of one of several executions whose times are known in sum only."""
        self._tensors = FrameTensors(recorder.keeping)
        self._seen: Counter[tuple[str, str]] = Counter()
        self._classes: tuple[tuple[int, ...], tuple[float, ...]] | None = None
        self._raw_carrier: Carrier | None = None
        self._outer: RecordingFrame | None = None
        self._entered = 0
        self._is_open = self._was_open = False
        self._generation = recorder.generation
        self._start_ns = start_ns
        self._token: Token[RecordingFrame | None] | None = None
        self._active: ActiveSpan | None = None

    # --- identity -----------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether it is open, in this process, with a recorder that takes it."""
        recorder = self.recorder
        return self._is_open and recorder.open and self._generation is recorder.generation

    @property
    def is_entered(self) -> bool:
        """Whether the application is inside its block."""
        return self._entered > 0

    def name_input(self, input_id: str) -> None:
        """Fix the input id, and with it the sketch family; the first name stands."""
        with self._naming:  # two models may begin at once, on two threads of a task
            if self.family is None:
                self.input_id = input_id
                self.family = sketch_family(input_key(input_id))

    def __str__(self) -> str:
        return "(named by its model input)" if self.input_id is None else repr(self.input_id)

    # --- context manager ----------------------------------------------------------------

    def __enter__(self) -> Self:
        with guard("open a frame"):
            self._entered += 1
            outer = frame_in_progress()
            if outer is not None:
                _log_nested(self, outer)
                self._outer = None if outer is self else outer
            elif self._was_open:
                log_once(
                    "frame again",
                    f"frame {self} was entered a second time, which records nothing; call "
                    "exray.frame() for each input.",
                )
            else:
                self._token = _current.set(self)
                self._open()
        return self

    def _open(self) -> None:
        clock = self.recorder.clock
        clock.follow_suspend()
        self.surroundings = Surroundings.here()
        self.trace_id = self.surroundings.trace_id
        self.span_id = new_span_id()
        self._cpu_start_ns = time.process_time_ns()
        if self._start_ns is None:
            self._start_ns = clock.monotonic_ns()
        self.start_ns = self._start_ns + clock.offset_ns
        self._is_open = self._was_open = True
        with guard("make a frame the active span"):
            self._active = ActiveSpan(self.span_id, self.surroundings)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._entered -= 1
        if self._entered > 0 or self._token is None:
            return
        is_open, end_ns = self.is_open, None
        with guard("close a frame"):
            end_ns = self.recorder.clock.monotonic_ns()
        self._is_open = False
        with guard("close a frame"):
            self._leave()
        if is_open and end_ns is not None:
            with guard("close a frame"):
                self.recorder.close_frame(self._record(end_ns, error))
        elif self._was_open and not self.recorder.open:
            log_once(
                "frame left",
                f"frame {self} is not recorded: exray was shut down or configured anew in it.",
            )

    def _leave(self) -> None:
        token, self._token = self._token, None
        active, self._active = self._active, None
        try:
            if active is not None:
                active.leave()
        finally:
            # A generator closed in another context than its own has nothing to put back.
            with contextlib.suppress(ValueError, RuntimeError):
                if token is not None:
                    _current.reset(token)

    def _record(self, end_ns: int, error: BaseException | None) -> FrameRecord:
        dur_ns = end_ns - (self._start_ns or 0) if self.is_timed else -1
        if self.input_id is None:
            self.name_input(self.span_id.hex())
        if self._raw_carrier is not None:
            self._raw_carrier.dur_ns = dur_ns
        cpu_ns = time.process_time_ns() - self._cpu_start_ns
        overhead_ns = self.overhead_ns  # what follows is no part of the frame
        self.open_stages = 0
        self.summarise()
        ids, scores = self._classes if self._classes is not None else (None, None)
        input_id = self.input_id or ""
        return FrameRecord(
            run=self.inferences[0].run if self.inferences else self.recorder.placeholder_run,
            trace_id=self.trace_id,
            span_id=self.span_id,
            parent_span_id=self.surroundings.parent_span_id,
            input_id=input_id,
            input_key=input_key(input_id),
            frame_index=0,
            start_ns=self.start_ns,
            dur_ns=dur_ns,
            level=str(self.recorder.config.level),
            status="unset" if error is None else "error",
            status_message=None if error is None else error_text(error),
            label=self.label,
            prediction_ids=ids,
            prediction_scores=scores,
            output_hash=self.output_hash,
            overhead_ns=overhead_ns,
            memory_peak_bytes=peak_memory_bytes(),
            cpu_ns=cpu_ns,
            inferences=self.inferences,
            spans=self.spans,
            tensors=self._tensors.blocks(),
            metrics=self.metrics,
        )

    # --- what the application says --------------------------------------------------------

    def raw(self, value: Value) -> Value:
        """Record the raw input and return it unchanged."""
        with guard("record a raw input"):
            frame = self._target("raw()")
            if frame is not None:
                frame.see("raw", "raw", value, frame._carrier_of_raw())
        return value

    def output(self, value: Value) -> Value:
        """Record an array as the frame's result and return it unchanged."""
        with guard("record a frame's output"):
            frame = self._target("output()")
            if frame is not None:
                frame.see("custom", "output", value, frame._child_carrier())
        return value

    def prediction(self, output: object) -> None:
        """Record which classes the model's raw *output* names; integers are dequantized."""
        with guard("record a prediction"):
            frame = self._target("prediction()")
            if frame is not None:
                before_ns = self.recorder.clock.monotonic_ns()
                frame._classes = best_classes(np.asarray(output), frame.output_quantization)
                frame.overhead_ns += self.recorder.clock.monotonic_ns() - before_ns

    def custom(self, name: str, value: object) -> None:
        """Record a scalar as a metric, an array as a tensor of role custom."""
        array = np.asarray(value)
        if array.dtype.kind not in "biufcV":  # V: ml_dtypes' floats
            msg = f"{name!r} is a {type(value).__name__}; expected a number or an array of numbers"
            raise TypeError(msg)
        if array.ndim == 0 and array.dtype.kind in "biuf":
            now_ns = self.recorder.clock.now_ns()
            self.metrics.append(MetricRecord(name=name, value=float(array), time_ns=now_ns))
        else:
            self.see("custom", name, array, self._child_carrier())

    def sensor(self, metrics: Sequence[MetricRecord]) -> None:
        """Record what a sensor said."""
        self.metrics += metrics

    def _target(self, method: str) -> "RecordingFrame | None":
        """Return the frame that takes what is said to this one."""
        frame = self._outer or self
        if frame.is_open:
            return frame
        if not self._entered:  # else why it is not open was logged when it should have been
            log_once(
                f"closed frame {method}",
                f"frame.{method} of frame {self}, which is not open, records nothing; call it "
                "inside the with block.",
            )
        return None

    # --- shared with stages and adapters ----------------------------------------------------

    def see(self, role: str, name: str, value: object, carrier: Carrier) -> None:
        """Copy an array that is seen outside the models, to be summarised."""
        if not self.recorder.summarises:
            return
        before_ns = self.recorder.clock.monotonic_ns()
        array = np.array(value, order="C")
        index = self._seen[role, name]
        self._seen[role, name] += 1
        site = TensorSite(role, name, index, array.dtype.name, array.shape)
        self._tensors.add(site, array, carrier, self.family)
        self.overhead_ns += self.recorder.clock.monotonic_ns() - before_ns

    def summarise(self) -> None:
        """Summarise what was seen, if the input is known; before a model runs or a stage ends."""
        if self.family is None or self.open_stages:
            return
        with guard("summarise tensors"):
            before_ns = self.recorder.clock.monotonic_ns()
            self._tensors.summarise(self.family)
            self.overhead_ns += self.recorder.clock.monotonic_ns() - before_ns

    def _carrier_of_raw(self) -> Carrier:
        """Return the frame's own span for its first raw input, a child for each further one."""
        if self._raw_carrier is not None:
            return self._child_carrier()
        parent = self.surroundings.parent_span_id
        self._raw_carrier = Carrier(
            span_id_int(self.span_id), span_id_int(parent) if parent else 0, self.start_ns
        )
        return self._raw_carrier

    def _child_carrier(self) -> Carrier:
        """Return a new zero-length child span of the frame, to carry one more tensor."""
        now_ns = self.recorder.clock.now_ns()
        return Carrier(new_span_id_int(), span_id_int(self.span_id), now_ns, 0)


def _log_nested(inner: RecordingFrame, outer: RecordingFrame) -> None:
    log_once(
        "frame in frame",
        f"exray.frame {inner} was opened inside frame {outer}; an input is one frame, so what "
        "happens in the inner one is recorded with the outer. Close the outer frame first, or "
        "use exray.stage() for a step of it.",
    )


def peak_memory_bytes() -> int | None:
    """Return the process's peak resident set size, None where the system does not tell."""
    if os.name != "posix":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # getrusage(2): kilobytes on Linux, bytes on macOS.
    return peak if sys.platform == "darwin" else peak * 1024
