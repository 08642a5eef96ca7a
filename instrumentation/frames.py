"""Frames that are recorded: one input through the pipeline, and all that belongs to it."""

import contextlib
import threading
from collections import Counter
from collections.abc import Sequence
from contextvars import Token
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
from .current import OpenableFrame, current_frame, open_frame
from .guard import error_text, guard, log_once
from .level import Level
from .prediction import best_classes
from .process_usage import process_usage
from .sampling import FrameCost, Rates
from .scopes import Value

if TYPE_CHECKING:
    from .recorder import Recorder


def frame_in_progress() -> "RecordingFrame | None":
    """Return the frame that is open here, if it is recorded."""
    frame = open_frame()
    return frame if isinstance(frame, RecordingFrame) and frame.is_recorded else None


class RecordingFrame(OpenableFrame):
    """A frame that is recorded: collects until it closes, then hands itself on.

    A frame inside a frame records with the outer one.

    Args:
        recorder: Takes the complete frame.
        input_id: What the application calls the input; None for its hash.
        label: True class.
        start_ns: Monotonic time at which it began, if before it is entered.
        rates: Rates that decide its level; None for those of now.
        had_turn: It was let through by turn.
        is_leaf: Nothing of the application's runs inside it that could ask for the open frame
            or the active span: it is of one call of a runtime.
    """

    def __init__(
        self,
        recorder: "Recorder",
        input_id: str | None,
        label: object = None,
        start_ns: int | None = None,
        *,
        rates: Rates | None = None,
        had_turn: bool = False,
        is_leaf: bool = False,
    ) -> None:
        self._is_leaf = is_leaf
        self.recorder = recorder
        self.label = None if label is None else str(label)
        self._naming = threading.Lock()
        self.family: int | None = None
        """Sketch family, None until the input is known."""
        self.input_id: str | None = None
        self._key = 0
        self.level = recorder.config.level
        """Level it is recorded at; until the input is known, the highest it may get.
        `Level.OFF` if the input is known, and not sampled."""
        self.sample_rate = 1.0
        """Probability with which it got its level."""
        self._rates = rates or recorder.sampler.rates
        self._had_turn = had_turn
        self.spans: list[SpanRecord] = []
        self.metrics: list[MetricRecord] = []
        self.inferences: list[InferenceRecord] = []
        self.output_hash: int | None = None
        self.output_quantization: Quantization | None = None
        self.overhead_ns = 0
        """Time that recording took of the frame."""
        self.outside_ns = 0
        """Time that recording took before the frame began."""
        self.naming_ns = 0
        """Part of these two that it took to name the input by its bytes."""
        self.setup_ns = 0
        """Time in the frame that describing a new model took, once for all frames."""
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
        self._token: Token[OpenableFrame | None] | None = None
        self._active: ActiveSpan | None = None
        self._cpu_start_ns: int | None = None
        if input_id is not None:
            self.name_input(input_id)

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

    @property
    def is_recorded(self) -> bool:
        """Whether it is to be recorded; True until the input is known."""
        return self.level > Level.OFF

    @property
    def summarises(self) -> bool:
        """Whether its tensors are summarised; True until the input is known, if they may be."""
        return self.level >= Level.SUMMARY

    def name_input(self, input_id: str) -> None:
        """Fix the input id, and with it sketch family and level; the first name stands."""
        with self._naming:  # two models may begin at once, on two threads of a task
            if self.family is None:
                input_id = self.recorder.privacy.input_id(input_id)
                self.input_id = input_id
                key = self._key = input_key(input_id)
                choice = self._rates.choose(key, had_turn=self._had_turn)
                self.level, self.sample_rate = choice.level, choice.rate
                self.family = sketch_family(key)
                if not self.summarises:
                    self._tensors.forget()

    def __str__(self) -> str:
        return "(named by its model input)" if self.input_id is None else repr(self.input_id)

    # --- context manager ----------------------------------------------------------------

    def __enter__(self) -> Self:
        with guard("open a frame"):
            self._entered += 1
            outer = None if self._is_leaf else open_frame()
            if outer is not None:
                log_nested(self, outer)
                if isinstance(outer, RecordingFrame) and outer is not self:
                    self._outer = outer
            elif self._was_open:
                log_once(
                    "frame again",
                    f"frame {self} was entered a second time, which records nothing; call "
                    "exray.frame() for each input.",
                )
            else:
                if not self._is_leaf:
                    self._token = current_frame.set(self)
                self._open()
        return self

    def _open(self) -> None:
        began_ns, before_ns = self._start_ns, self.budget_clock_ns()
        self._place()
        self._cpu_start_ns, _ = process_usage()
        if self._start_ns is None:
            self._start_ns = self.recorder.clock.monotonic_ns()
        self.start_ns = self._start_ns + self.recorder.clock.offset_ns
        self._is_open = self._was_open = True
        if not self._is_leaf:
            with guard("make a frame the active span"):
                self._active = ActiveSpan(self.span_id, self.surroundings)
        if before_ns and began_ns is None:
            self.outside_ns += self._start_ns - before_ns
            before_ns = self._start_ns
        self.overhead_ns += self.budget_clock_ns() - before_ns

    def _place(self) -> None:
        """Find out where in the application's traces it stands."""
        self.recorder.clock.follow_suspend()
        self.surroundings = Surroundings.here(asks_sampler=not self._is_leaf)
        self.trace_id = self.surroundings.trace_id
        self.span_id = new_span_id()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._entered -= 1
        if self._entered > 0 or not (self._token or (self._is_leaf and self._is_open)):
            return
        is_open, end_ns = self.is_open, None
        with guard("close a frame"):
            end_ns = self.recorder.clock.monotonic_ns()
        self._is_open = False
        if not self._is_leaf:
            with guard("close a frame"):
                self._leave()
        if is_open and end_ns is not None:
            with guard("close a frame"):
                self._close(end_ns, error)
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
                    current_frame.reset(token)

    def _close(self, end_ns: int, error: BaseException | None) -> None:
        """Hand itself on if it is recorded, and tell what that took."""
        sampler = self.recorder.sampler
        is_typical = error is None
        if self.input_id is None:
            self.name_input(self.span_id.hex())
        if error is not None and (self.is_recorded or sampler.takes_failure()):
            choice = self._rates.choose_failed(self.level)
            self.level, self.sample_rate = choice.level, choice.rate
        if self.is_recorded:
            self.recorder.close_frame(self._record(end_ns, error))
        if sampler.is_selective:
            sampler.add_frame(self._cost(end_ns, is_typical))

    def _cost(self, end_ns: int, is_typical: bool) -> FrameCost:
        recorder, inside_ns = self.recorder, self.overhead_ns
        start_ns = self._start_ns or 0
        if not self.is_timed:  # it shares its start with those before it
            start_ns = max(start_ns, recorder.sampler.last_end_ns)
        told_ns = recorder.clock.monotonic_ns()
        return FrameCost(
            self.level,
            plain_ns=max(end_ns - start_ns - inside_ns - self.setup_ns, 0),
            cost_ns=inside_ns + self.outside_ns + told_ns - end_ns - self.naming_ns,
            naming_ns=self.naming_ns,
            end_ns=end_ns,
            told_ns=told_ns,
            is_typical=is_typical,
        )

    @classmethod
    def failed(
        cls,
        recorder: "Recorder",
        rates: Rates,
        *,
        input_id: str | None,
        label: object,
        inferences: list[InferenceRecord],
        start_ns: int,
        end_ns: int,
        error: BaseException,
    ) -> FrameRecord:
        """Return the record of a frame that was not sampled, but ended in an error.

        Args:
            recorder: Takes it.
            rates: Rates under which it was not sampled.
            input_id: Name of the input, None where it is not known.
            label: True class.
            inferences: What is known of its model.
            start_ns: Monotonic time at which it began.
            end_ns: Monotonic time at which it ended.
            error: The error.
        """
        frame = cls(recorder, input_id, label, start_ns, rates=rates)
        frame._place()
        frame.start_ns = start_ns + recorder.clock.offset_ns
        frame.inferences = inferences
        if input_id is None:
            frame.name_input(frame.span_id.hex())
        record = frame._record(end_ns, error)
        choice = rates.choose_failed(Level.OFF)
        record.level, record.sample_rate = str(choice.level), choice.rate
        return record

    def _record(self, end_ns: int, error: BaseException | None) -> FrameRecord:
        dur_ns = end_ns - (self._start_ns or 0) if self.is_timed else -1
        if self._raw_carrier is not None:
            self._raw_carrier.dur_ns = dur_ns
        cpu_ns, memory_peak_bytes = process_usage()
        if cpu_ns is not None:
            cpu_ns = None if self._cpu_start_ns is None else cpu_ns - self._cpu_start_ns
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
            input_key=self._key,
            frame_index=0,
            start_ns=self.start_ns,
            dur_ns=dur_ns,
            level=str(self.level),
            sample_rate=self.sample_rate,
            status="unset" if error is None else "error",
            status_message=None if error is None else error_text(error),
            label=self.label,
            prediction_ids=ids,
            prediction_scores=scores,
            output_hash=self.output_hash,
            overhead_ns=overhead_ns,
            memory_peak_bytes=memory_peak_bytes,
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
            return frame if frame.is_recorded else None
        if not self._entered:  # else why it is not open was logged when it should have been
            log_once(
                f"closed frame {method}",
                f"frame.{method} of frame {self}, which is not open, records nothing; call it "
                "inside the with block.",
            )
        return None

    # --- shared with stages and adapters ----------------------------------------------------

    def budget_clock_ns(self) -> int:
        """Return monotonic time where costs are counted, else 0 and cost nothing."""
        recorder = self.recorder
        return recorder.clock.monotonic_ns() if recorder.sampler.is_selective else 0

    def see(self, role: str, name: str, value: object, carrier: Carrier) -> None:
        """Copy an array that is seen outside the models, to be summarised."""
        if not self.summarises:
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
        if self.family is None or self.open_stages or not self.summarises:
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


def log_nested(inner: OpenableFrame, outer: OpenableFrame) -> None:
    """Log that a frame was opened inside another."""
    log_once(
        "frame in frame",
        f"exray.frame {inner} was opened inside frame {outer}; an input is one frame, so what "
        "happens in the inner one is recorded with the outer. Close the outer frame first, or "
        "use exray.stage() for a step of it.",
    )
