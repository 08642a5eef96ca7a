"""A call that is a frame of its own, in which nothing of the application's runs.

Most frames of a small network are of this kind and keep only their times, and what they
may cost is tens of microseconds. So they are told from the others before anything is set
up, and recorded without a frame that could be asked, entered or written to.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from exray.schema.identity import input_key, new_span_id, sketch_family
from exray.schema.records import FrameRecord, InferenceRecord, Run

from .activation import Surroundings
from .capture import Carrier, span_id_int
from .execution import Execution
from .frames import RecordingFrame
from .guard import guard
from .level import Level
from .process_usage import process_usage
from .recorder import Recorder
from .sampling import Choice, FrameCost, Rates
from .traced_model import TracedModel

Result = TypeVar("Result")

_LATENCY = str(Level.LATENCY)

_beginning, _ending = guard("begin a frame"), guard("record a frame")


@dataclass(frozen=True, slots=True)
class Leaf:
    """Such a call, before it begins.

    Args:
        run: Run of its model.
        name: What its model input is called; None where it has none.
        input_id: The same as records have it.
        key: The input's key.
        choice: What becomes of it.
        rates: The rates by which that was chosen.
        had_turn: Whether it was let through by turn.
        before_ns: Monotonic time at which exray began with it.
        naming_ns: What it took to name it.
    """

    run: Run
    name: str
    input_id: str
    key: int
    choice: Choice
    rates: Rates
    had_turn: bool
    before_ns: int
    naming_ns: int


def find_leaf(
    model: TracedModel, execution: Execution, turn: Rates | None, entered_ns: int | None
) -> Leaf | None:
    """Name a call by its model input and say what becomes of it.

    Args:
        model: The model.
        execution: Tells the model input's hash.
        turn: Rates under which it was let through by turn, None where it was not.
        entered_ns: Monotonic time at which the application called, where that was noted.

    Returns:
        None where only copies of the inputs could tell.
    """
    recorder = model.recorder
    around_ns = 0 if entered_ns is None else recorder.clock.monotonic_ns() - entered_ns
    run = model.ensure_run()  # a model is described once, not in each frame
    begin_ns = recorder.clock.monotonic_ns()
    name = execution.hash_inputs()
    if name is None:
        return None
    naming_ns = recorder.clock.monotonic_ns() - begin_ns
    before_ns = begin_ns - around_ns
    rates = turn or recorder.sampler.rates
    input_id = recorder.privacy.input_id(name)
    key = input_key(input_id)
    choice = rates.choose(key, had_turn=turn is not None)
    return Leaf(run, name, input_id, key, choice, rates, turn is not None, before_ns, naming_ns)


def call_leaf(
    model: TracedModel, execution: Execution, call: Callable[[], Result], leaf: Leaf
) -> Result:
    """Run *call* as a frame at level `Level.LATENCY`; pass on what it returns or raises."""
    recorder = model.recorder
    frame: _Frame | None = None
    with _beginning:
        frame = _Frame(recorder, leaf)
        execution.begin(sketch_family(leaf.key), summarises=False)
        frame.model_start_ns = recorder.clock.monotonic_ns()
    try:
        result = call()
    except BaseException as error:
        with _ending:
            if frame is not None:
                frame.fail(execution, error)
        raise
    with _ending:
        if frame is not None:
            frame.end(execution)
    return result


class _Frame:
    """The state of such a frame while its model runs."""

    __slots__ = (
        "_cpu_start_ns",
        "_generation",
        "_leaf",
        "_recorder",
        "_start_ns",
        "_surroundings",
        "model_start_ns",
    )

    def __init__(self, recorder: Recorder, leaf: Leaf) -> None:
        self._recorder, self._leaf = recorder, leaf
        self._generation = recorder.generation
        recorder.clock.follow_suspend()
        self._surroundings = Surroundings.here(asks_sampler=False)
        self._cpu_start_ns, _ = process_usage()
        self._start_ns = self.model_start_ns = recorder.clock.monotonic_ns()

    @property
    def _is_open(self) -> bool:
        return self._recorder.open and self._generation is self._recorder.generation

    def end(self, execution: Execution) -> None:
        """Record it; its model has just returned."""
        recorder, leaf, clock_ns = self._recorder, self._leaf, self._recorder.clock.monotonic_ns
        model_end_ns = clock_ns()
        execution.end()
        if not self._is_open:
            return
        offset_ns, span_id = recorder.clock.offset_ns, new_span_id()
        inference = InferenceRecord(
            run=leaf.run,
            span_id=new_span_id(),
            start_ns=self.model_start_ns + offset_ns,
            dur_ns=model_end_ns - self.model_start_ns,
        )
        carrier = Carrier(span_id_int(inference.span_id), 0, inference.start_ns, inference.dur_ns)
        hashed = execution.hash_output()
        inference.layers = execution.read_times(carrier)
        metrics = list(execution.read_metrics())
        cpu_ns, memory_peak_bytes = process_usage()
        end_ns = clock_ns()
        overhead_ns = self.model_start_ns - self._start_ns + end_ns - model_end_ns
        recorder.close_frame(
            FrameRecord(
                run=leaf.run,
                trace_id=self._surroundings.trace_id,
                span_id=span_id,
                parent_span_id=self._surroundings.parent_span_id,
                input_id=leaf.input_id,
                input_key=leaf.key,
                frame_index=0,
                start_ns=self._start_ns + offset_ns,
                dur_ns=end_ns - self._start_ns,
                level=_LATENCY,
                sample_rate=leaf.choice.rate,
                output_hash=hashed[1] if hashed is not None else None,
                overhead_ns=overhead_ns,
                memory_peak_bytes=memory_peak_bytes,
                cpu_ns=_difference(cpu_ns, self._cpu_start_ns),
                inferences=[inference],
                metrics=metrics,
            )
        )
        self._count(overhead_ns, end_ns, is_typical=True)

    def fail(self, execution: Execution, error: BaseException) -> None:
        """Record that its model raised *error*."""
        recorder, leaf = self._recorder, self._leaf
        end_ns = recorder.clock.monotonic_ns()
        execution.end()
        if not self._is_open:
            return
        failed_leaf(
            recorder,
            leaf.run,
            leaf.rates,
            leaf.name,
            start_ns=self._start_ns,
            model_start_ns=self.model_start_ns,
            end_ns=end_ns,
            error=error,
        )
        self._count(self.model_start_ns - self._start_ns, end_ns, is_typical=False)

    def _count(self, overhead_ns: int, end_ns: int, *, is_typical: bool) -> None:
        count_leaf(
            self._recorder,
            self._leaf,
            self._start_ns,
            overhead_ns,
            end_ns,
            is_typical=is_typical,
        )


def failed_leaf(
    recorder: Recorder,
    run: Run,
    rates: Rates,
    name: str | None,
    *,
    start_ns: int,
    model_start_ns: int,
    end_ns: int,
    error: BaseException,
) -> None:
    """Record a call that raised *error*; times are monotonic."""
    inference = InferenceRecord(
        run=run,
        span_id=new_span_id(),
        start_ns=model_start_ns + recorder.clock.offset_ns,
        dur_ns=end_ns - model_start_ns,
    )
    recorder.close_frame(
        RecordingFrame.failed(
            recorder,
            rates,
            input_id=name,
            label=None,
            inferences=[inference],
            start_ns=start_ns,
            end_ns=end_ns,
            error=error,
        )
    )


def count_leaf(
    recorder: Recorder,
    leaf: Leaf,
    start_ns: int,
    overhead_ns: int,
    end_ns: int,
    *,
    is_typical: bool,
) -> None:
    """Tell the sampler what a call took that was recorded.

    Args:
        recorder: Has the sampler.
        leaf: The call.
        start_ns: Monotonic time at which its frame began, its input named.
        overhead_ns: What recording took until *end_ns*.
        end_ns: Monotonic time at which the frame ended.
        is_typical: Whether the next ones will cost as much.
    """
    if not recorder.sampler.is_selective:
        return
    told_ns = recorder.clock.monotonic_ns()
    around_ns = start_ns - leaf.before_ns + told_ns - end_ns
    recorder.sampler.add_frame(
        FrameCost(
            Level.LATENCY,
            plain_ns=max(end_ns - start_ns - overhead_ns, 0),
            cost_ns=overhead_ns + around_ns - leaf.naming_ns,
            naming_ns=leaf.naming_ns,
            end_ns=end_ns,
            told_ns=told_ns,
            is_typical=is_typical,
        )
    )


def _difference(later: int | None, earlier: int | None) -> int | None:
    return None if later is None or earlier is None else later - earlier
