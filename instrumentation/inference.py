"""One execution of one model, whatever its runtime."""

from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

from exray.schema.identity import input_key, new_span_id, tensor_hash
from exray.schema.records import (
    InferenceRecord,
    TensorSite,
)

from .capture import Array, Carrier, TensorRecorder, new_span_id_int, span_id_int
from .current import current_frame, open_frame
from .execution import Execution, Seen, input_id_from_arrays
from .frames import RecordingFrame
from .guard import guard
from .leaf import Leaf, call_leaf, find_leaf
from .level import Level
from .sampling import Choice, Rates
from .traced_model import TracedModel
from .untraced import UntracedCall, UntracedFrame

Result = TypeVar("Result")


def trace_call(
    model: TracedModel,
    execution: Execution,
    call: Callable[[], Result],
    entered_ns: int | None = None,
) -> Result:
    """Run *call*, which executes *model* once, as an inference of the open frame.

    Without an open frame the inference is a frame of its own. Whatever *call* returns or
    raises is passed on untouched.

    Args:
        model: The model that is executed.
        execution: Reads the inputs before the call, outputs and layers after it.
        call: The application's own call.
        entered_ns: Monotonic time at which the application made it, where that was noted.
    """
    frame, turn = open_frame(), None
    if frame is None:
        sampler = model.recorder.sampler
        rates = sampler.rates
        if rates.by_turn:
            if not sampler.takes_turn(rates):
                return _call_untraced(model, execution, call, entered_ns)
            turn = rates
    elif not frame.is_recorded:
        return call()
    leaf: Leaf | None = None
    if frame is None and execution.is_leaf:
        with guard("name a frame"):
            leaf = find_leaf(model, execution, turn, entered_ns)
        if leaf is not None and leaf.choice.level == Level.LATENCY:
            timed = execution.timed_calls
            if timed is not None and timed.takes(model.recorder):
                return timed.call(call, leaf)
            return call_leaf(model, execution, call, leaf)
    inference = Inference(model, execution, turn, leaf=leaf, entered_ns=entered_ns)
    start_ns: int | None = None
    with guard("begin an inference"):
        inference.begin()
        start_ns = inference.clock_ns()
    try:
        result = call()
    except BaseException as error:
        inference.finish(start_ns, error)
        raise
    inference.finish(start_ns, None)
    return result


_counting = guard("count a frame")


def _call_untraced(
    model: TracedModel, execution: Execution, call: Callable[[], Result], entered_ns: int | None
) -> Result:
    """Run *call* as a frame of its own that goes untraced, for next to nothing."""
    recorder = model.recorder
    clock_ns, rates = recorder.clock.monotonic_ns, recorder.sampler.rates
    before_ns, place = clock_ns() if entered_ns is None else entered_ns, UntracedCall()
    token = current_frame.set(place)
    start_ns = clock_ns()
    try:
        result = call()
    except BaseException as error:
        place.close()
        current_frame.reset(token)
        with guard("record a failed inference"):
            frame = UntracedFrame(recorder, rates, start_ns=start_ns).__enter__()
            Inference(model, execution, own_frame=frame).finish(start_ns, error)
        raise
    end_ns = clock_ns()
    place.close()
    current_frame.reset(token)
    with _counting:
        told_ns = clock_ns()
        cost_ns = start_ns - before_ns + told_ns - end_ns
        recorder.sampler.add_untraced(end_ns - start_ns, cost_ns, end_ns, told_ns)
        if model.may_skip:
            model.skip = recorder.sampler.skip_turns()
    return result


class Inference:
    """The state of one execution between its beginning and its end.

    Args:
        model: The model that is executed.
        execution: Reads its tensors.
        turn: Rates under which it was let through by turn, None where it was not.
        own_frame: A frame of this execution alone that is open already.
        leaf: What its frame is called and what becomes of it, where that is known.
        entered_ns: Monotonic time at which the application called, where that was noted.
    """

    def __init__(
        self,
        model: TracedModel,
        execution: Execution,
        turn: Rates | None = None,
        own_frame: RecordingFrame | UntracedFrame | None = None,
        leaf: Leaf | None = None,
        entered_ns: int | None = None,
    ) -> None:
        self._model = model
        self._execution = execution
        self._recorder = model.recorder
        self._inputs: Seen = []
        self._carriers: list[Carrier] = []
        """Of the model inputs, in their order."""
        self._frame: RecordingFrame | None = None
        self._turn = turn
        self._own_frame = own_frame
        self._leaf = leaf
        self._entered_ns = entered_ns

    @cached_property
    def _tensors(self) -> TensorRecorder:
        """Summaries of the execution's tensors; at level latency there are none."""
        return TensorRecorder(keeping=self._recorder.keeping)

    def clock_ns(self) -> int:
        """Return monotonic nanoseconds of the recorder's clock."""
        return self._recorder.clock.monotonic_ns()

    def begin(self, start_ns: int | None = None) -> None:
        """Open a frame where there is none, and see the model input.

        Args:
            start_ns: Monotonic time at which the execution began, where it is over already.
        """
        try:
            frame = open_frame()
            if frame is None:
                frame = self._own_frame = self._new_own_frame(start_ns)
                frame.__enter__()
            if isinstance(frame, RecordingFrame) and frame.is_open and frame.is_recorded:
                self._join(frame)
        except BaseException as error:
            self._close_own_frame(error)
            raise

    def _new_own_frame(self, start_ns: int | None) -> RecordingFrame | UntracedFrame:
        """Return a frame of this execution alone, recorded or not."""
        recorder, sampler, leaf = self._recorder, self._recorder.sampler, self._leaf
        name = leaf.name if leaf is not None else None
        if not sampler.is_selective:
            self._open_run()
            return RecordingFrame(
                recorder, name, start_ns=start_ns, is_leaf=self._execution.is_leaf
            )
        if leaf is not None:
            before_ns, rates, had_turn = leaf.before_ns, leaf.rates, leaf.had_turn
            naming_ns = leaf.naming_ns
        else:
            begin_ns, rates, naming_ns = self.clock_ns(), self._turn or sampler.rates, 0
            before_ns = begin_ns if self._entered_ns is None else self._entered_ns
            had_turn = self._turn is not None or (rates.by_turn and sampler.takes_turn(rates))
            if had_turn or not rates.by_turn:
                name = self._name_inputs() or new_span_id().hex()
                naming_ns = self.clock_ns() - begin_ns
        frame: RecordingFrame | UntracedFrame
        if name is None or self._choice(name, rates, had_turn).level == Level.OFF:
            frame = UntracedFrame(recorder, rates, name, start_ns=start_ns)
            self._inputs = []
        else:
            frame = RecordingFrame(
                recorder,
                name,
                start_ns=start_ns,
                rates=rates,
                had_turn=had_turn,
                is_leaf=self._execution.is_leaf,
            )
        frame.naming_ns = naming_ns
        spent_ns = self.clock_ns() - before_ns
        if start_ns is None:
            frame.outside_ns = spent_ns
        else:
            frame.overhead_ns = spent_ns
        if isinstance(frame, RecordingFrame):
            self._open_run()  # before it begins: a model is described once, not in each frame
        return frame

    def _choice(self, name: str, rates: Rates, had_turn: bool) -> Choice:
        """Return what becomes of a frame of that name, as the frame itself will find."""
        key = input_key(self._recorder.privacy.input_id(name))
        return rates.choose(key, had_turn=had_turn)

    def _join(self, frame: RecordingFrame) -> None:
        """Become an inference of a frame, unless its input turns out not to be sampled."""
        if frame.family is None:
            self._name(frame)
        if not frame.is_recorded:
            return
        self._frame = frame
        before_ns = frame.budget_clock_ns()
        self._open_run()
        frame.setup_ns += frame.budget_clock_ns() - before_ns
        self._see_inputs(frame)
        with guard("watch a model's layers"):
            before_ns = frame.budget_clock_ns()
            self._execution.begin(frame.family or 0, summarises=frame.summarises)
            frame.overhead_ns += frame.budget_clock_ns() - before_ns

    def _open_run(self) -> None:
        with guard("open a run"):
            self._model.ensure_run()

    def _name(self, frame: RecordingFrame) -> None:
        before_ns = self.clock_ns()
        frame.name_input(self._name_inputs() or frame.span_id.hex())
        naming_ns = self.clock_ns() - before_ns
        frame.overhead_ns += naming_ns
        frame.naming_ns += naming_ns

    def _name_inputs(self) -> str | None:
        """Return the name that the inputs give a frame, None without any."""
        with guard("read a model's inputs"):
            name = self._execution.hash_inputs()
            if name is not None:
                return name
            self._inputs = self._execution.read_inputs()
        arrays = [array for _, array in self._inputs]
        return input_id_from_arrays(arrays) if arrays else None

    def _see_inputs(self, frame: RecordingFrame) -> None:
        if not frame.summarises:
            self._inputs = []
            return
        before_ns = self.clock_ns()
        with guard("read a model's inputs"):
            if not self._inputs and not self._show_inputs(frame.family or 0):
                self._inputs = self._execution.read_inputs()
        frame.overhead_ns += self.clock_ns() - before_ns
        frame.summarise()

    def _show_inputs(self, family: int) -> bool:
        """Summarise the inputs where they lie; False if only copies can be."""
        with guard("summarise tensors"):
            return self._execution.show_inputs(
                lambda site, array: self._see_input(site, array, family)
            )
        return True

    def _see_input(self, site: TensorSite, array: Array, family: int) -> None:
        self._carriers.append(Carrier(0, 0, 0))
        self._tensors.add(site, array, self._carriers[-1], family)

    def _carry_inputs(self, span: Carrier) -> None:
        """Tell the inputs' carriers what is known after the call."""
        for position, carrier in enumerate(self._carriers):
            # A span carries one tensor: the inference its first input, children the others.
            own = Carrier(new_span_id_int(), span.span_id, span.start_ns, 0) if position else span
            carrier.span_id, carrier.parent_span_id = own.span_id, own.parent_span_id
            carrier.start_ns, carrier.dur_ns = own.start_ns, own.dur_ns

    def finish(self, start_ns: int | None, error: BaseException | None) -> None:
        """End the execution now; what the application's call did stands, whatever happens."""
        dur_ns: int | None = None
        with guard("end an inference"):
            dur_ns = self.clock_ns() - start_ns if start_ns is not None else None
        own_ns = 0
        if self._frame is not None:
            with guard("watch a model's layers"):
                own_ns = self._execution.end()
        if self._frame is not None and dur_ns is not None:
            dur_ns -= own_ns
            self._frame.overhead_ns += own_ns
        if start_ns is None or dur_ns is None:
            self._close_own_frame(error)
        else:
            self.end(start_ns, dur_ns, error)

    def end(self, start_ns: int, dur_ns: int, error: BaseException | None) -> None:
        """Record what the execution left behind; close the frame if it is our own.

        Args:
            start_ns: Monotonic time at which the execution began.
            dur_ns: How long it took; -1 where that is not known.
            error: What it raised.
        """
        if dur_ns < 0 and self._own_frame is not None:
            self._own_frame.is_timed = False
        try:
            with guard("record an inference"):
                if self._frame is not None and self._frame.is_open:
                    before_ns = self.clock_ns()
                    self._record(self._frame, start_ns, dur_ns, error)
                    self._frame.overhead_ns += self.clock_ns() - before_ns
                elif error is not None and isinstance(self._own_frame, UntracedFrame):
                    self._identify_failure(self._own_frame, start_ns, dur_ns)
        finally:
            self._close_own_frame(error)

    def _identify_failure(self, frame: UntracedFrame, start_ns: int, dur_ns: int) -> None:
        """Say what failed in a frame that is recorded only because it did."""
        frame.input_id = frame.input_id or self._name_inputs()
        frame.inferences.append(self._new_record(start_ns, dur_ns))

    def _new_record(self, start_ns: int, dur_ns: int) -> InferenceRecord:
        return InferenceRecord(
            run=self._model.ensure_run(),
            span_id=new_span_id(),
            start_ns=start_ns + self._recorder.clock.offset_ns,
            dur_ns=dur_ns,
        )

    def _close_own_frame(self, error: BaseException | None) -> None:
        if self._own_frame is not None:
            self._own_frame.__exit__(None if error is None else type(error), error, None)

    def _record(
        self, frame: RecordingFrame, start_ns: int, dur_ns: int, error: BaseException | None
    ) -> None:
        record = self._new_record(start_ns, dur_ns)
        frame.inferences.append(record)
        if error is not None:
            return
        outputs = self._see_outputs(frame)
        if frame.summarises:
            self._summarise(record, outputs, span_id_int(frame.span_id), frame.family or 0)
        else:
            with guard("read a model's times"):
                span = Carrier(span_id_int(record.span_id), 0, record.start_ns, dur_ns)
                record.layers = self._execution.read_times(span)
        with guard("read a model's metrics"):
            frame.metrics += self._execution.read_metrics()

    def _see_outputs(self, frame: RecordingFrame) -> Seen:
        """Hash the first output; return copies of all where that needed copies."""
        outputs: Seen = []
        with guard("read a model's outputs"):
            hashed = self._execution.hash_output()
            if hashed is None:
                outputs = self._execution.read_outputs()
                if not outputs:
                    return outputs
                site, array = outputs[0]
                hashed = site, tensor_hash(array)
            frame.output_quantization, frame.output_hash = hashed[0].quantization, hashed[1]
        return outputs

    def _summarise(
        self, record: InferenceRecord, outputs: Seen, parent_span_id: int, family: int
    ) -> None:
        """See inputs, layers and outputs, in this order; what fails leaves the others."""
        tensors = self._tensors
        span_id = span_id_int(record.span_id)
        start_ns, end_ns = record.start_ns, record.start_ns + max(record.dur_ns, 0)
        carrier = Carrier(span_id, parent_span_id, start_ns, record.dur_ns)
        with guard("summarise tensors"):
            for site, array in self._inputs:
                self._see_input(site, array, family)
        self._carry_inputs(carrier)
        seen = len(tensors)
        with guard("summarise tensors"):
            record.layers = self._execution.read_layers(tensors, carrier, family)
        if record.layers is None:
            tensors.forget_after(seen)

        def see(site: TensorSite, array: Array) -> None:
            tensors.add(site, array, Carrier(new_span_id_int(), span_id, end_ns, 0), family)

        with guard("summarise tensors"):
            if outputs or not self._execution.show_outputs(see):
                for site, array in outputs or self._execution.read_outputs():
                    see(site, array)
        block = tensors.block()
        block.sites = self._model.share_sites(block.sites)
        record.tensors = block
