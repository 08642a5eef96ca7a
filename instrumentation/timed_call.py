"""Calls of an interpreter that keep only their times, recorded by its native probe.

Most frames are of this kind. After a network has run, the caches hold nothing of what Python
needs, and each of its steps then takes microseconds. So the probe itself names such a call
and puts together what it leaves, while the runtime runs it: it is asked for that by a word in
shared memory. A record is made when it is exported, in another thread.
"""

import contextvars
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import SpanContext, get_current_span

from .current import current_frame
from .guard import guard, log_once, swallow
from .leaf import Leaf, count_leaf, failed_leaf
from .level import Level
from .patching import is_untraced, untraced_threads
from .probe import Probe
from .probe_rows import CALL_WORDS, RECORD_CALL, RECORD_NAMED_CALL
from .recorder import Recorder
from .timed_frames import FRAMES_TOGETHER, TimedFrames, TimedModel, name_from_hash

Result = TypeVar("Result")

TOGETHER_NS = 10**9
"""Longest time over which frames are put together, nanoseconds: it is then noted that their run
is in use still."""

_CALL, _SIZE_BYTES, _INPUT_HASH, _OWN_NS = range(len(CALL_WORDS.names or ()))

_BEGINNING, _ENDING = "begin a frame", "record a frame"


class TimedCalls:
    """The calls of one interpreter in one run.

    Args:
        model: What their frames share.
        probe: The interpreter's probe, which knows inputs and output.
    """

    def __init__(self, model: TimedModel, probe: Probe) -> None:
        recorder = model.recorder
        self._model, self._recorder, self._probe = model, recorder, probe
        self._traced: object = recorder.traced
        self._read_context = _context_reader()
        self._always = not recorder.sampler.is_selective and recorder.config.level == Level.LATENCY
        """Whether every call outside a frame is one."""
        self._words = probe.call_words
        self._numbers = recorder.numbers_of(model.run)
        self._clock_ns = recorder.clock.monotonic_ns
        self._frames: TimedFrames | None = None
        """Takes frames still, until that time."""
        self._until_ns = 0

    def holds_for(self, recorder: Recorder | None) -> bool:
        """Whether the run goes on, with *recorder*."""
        own = self._recorder
        return own is recorder and own.open and self._traced is own.traced

    def pause(self) -> None:
        """Let the calls that follow stand behind a frame that is recorded otherwise."""
        frames, self._frames = self._frames, None
        if frames is not None:
            frames.close()

    def name(self) -> str | None:
        """Return the name that the inputs give a frame; None where only copies could tell."""
        return name_from_hash(self._words[_INPUT_HASH]) if self._probe.name_call() else None

    def trace(self, call: Callable[[Any], Result], interpreter: Any) -> tuple[Result] | None:
        """Run *call* as a frame of its own; None, and it was not run, where it is no such call.

        What it raises is passed on.

        Args:
            call: What the application calls.
            interpreter: Its argument.
        """
        # Few steps, none of them a call of Python's that is not needed: see above.
        own = self._recorder
        if not (
            self._always
            and own.open
            and self._traced is own.traced
            and current_frame.get() is None
            and not (untraced_threads and is_untraced())
        ):
            return None
        words, clock_ns, frames = self._words, self._clock_ns, self._frames
        parent: SpanContext | None = None
        try:
            context = self._read_context()
            if context:
                parent = _open_span(context)
            if (
                frames is None
                or len(frames.waiting) >= frames.most
                or words[_CALL]
                or clock_ns() >= self._until_ns
            ):
                frames = self._renew()
        except Exception as error:
            if not swallow(_BEGINNING, error):
                raise
            return None
        if frames is None:
            return None
        words[_CALL] = RECORD_CALL
        start_ns = clock_ns()
        try:
            result = call(interpreter)
        except BaseException as error:
            with guard(_ENDING):
                self._fail(error, start_ns, None)
            raise
        frames.waiting.append((next(self._numbers), start_ns, clock_ns(), parent, None, 0))
        if not frames.is_waiting:
            with guard(_ENDING):
                self._hand_on(frames)
        return (result,)

    def takes(self, recorder: Recorder) -> bool:
        """Whether it records the next call, as `call`, for *recorder*."""
        if not self.holds_for(recorder):
            return False
        with guard(_BEGINNING):
            frames = self._frames
            is_full = frames is None or len(frames.waiting) >= frames.most
            if is_full or self._words[_CALL] or self._clock_ns() >= self._until_ns:
                frames = self._renew()
            return frames is not None
        return False

    def call(self, call: Callable[[], Result], leaf: Leaf) -> Result:
        """Run *call* as a frame that has its name; pass on what it returns or raises."""
        parent: SpanContext | None = None
        with guard(_BEGINNING):
            parent = _open_span(self._read_context())
        self._words[_CALL] = RECORD_NAMED_CALL
        start_ns = self._clock_ns()
        try:
            result = call()
        except BaseException as error:
            with guard(_ENDING):
                self._fail(error, start_ns, leaf)
            raise
        end_ns = self._clock_ns()
        with guard(_ENDING):
            recorder, frames = self._recorder, self._frames
            if frames is not None:
                number, untraced = next(self._numbers), recorder.sampler.take_untraced()
                frames.waiting.append((number, start_ns, end_ns, parent, leaf, untraced))
                if not frames.is_waiting:
                    self._hand_on(frames)
            count_leaf(recorder, leaf, start_ns, self._words[_OWN_NS], end_ns, is_typical=True)
        return result

    def _renew(self) -> TimedFrames | None:
        """Return what takes the frames to come; None where the probe does not see them."""
        self.pause()
        if self._words[_CALL]:
            self._words[_CALL] = 0
            self._miss()
            return None
        layout, most = self._probe.reserve_calls(FRAMES_TOGETHER)
        if not most:
            return None
        self._until_ns = self._clock_ns() + TOGETHER_NS
        self._frames = TimedFrames(self._model, self._probe, layout, most)
        return self._frames

    def _hand_on(self, frames: TimedFrames) -> None:
        """Hand on what is new, or what was added after the records were made."""
        recorder = self._recorder
        if not self.holds_for(recorder):
            return
        if frames.most:
            frames.is_waiting = True
        else:
            self._frames, frames = None, frames.late(self._probe)
        if len(frames):
            recorder.add_later(frames)
            recorder.use(self._model.run)

    def _miss(self) -> None:
        """Stop: the graph is not the one that the probe watches, as with a foreign delegate."""
        self._always, self._traced = False, None
        log_once(
            "call missed",
            "the native probe did not see a call of a model whose graph was changed: one frame "
            "is not recorded.",
        )

    def _fail(self, error: BaseException, start_ns: int, leaf: Leaf | None) -> None:
        """Record that the model raised *error*."""
        end_ns = self._clock_ns()
        is_named = self._words[_CALL] == 0
        self._probe.drop_call()
        recorder = self._recorder
        if not self.holds_for(recorder):
            return
        name = name_from_hash(self._words[_INPUT_HASH]) if is_named else None
        failed_leaf(
            recorder,
            self._model.run,
            recorder.sampler.rates if leaf is None else leaf.rates,
            name if leaf is None else leaf.name,
            start_ns=start_ns,
            model_start_ns=start_ns,
            end_ns=end_ns,
            error=error,
        )
        if leaf is not None:
            count_leaf(recorder, leaf, start_ns, 0, end_ns, is_typical=False)


def _context_reader() -> Callable[[], Context]:
    """Return what reads OpenTelemetry's context: the variable that holds it, or its own function.

    That one takes two more calls, each of them some microseconds behind a network.
    """
    marker = Context()
    token = attach(marker)
    try:
        found = [
            variable for variable, value in contextvars.copy_context().items() if value is marker
        ]
    finally:
        detach(token)
    if len(found) != 1:
        return get_current
    read: Callable[[], Context] = found[0].get
    with suppress(LookupError):  # it has no default: where nothing was set, it cannot be read
        contextvars.Context().run(read)
        return read
    return get_current


def _open_span(context: Context) -> SpanContext | None:
    """Return the application's open span, None where there is none."""
    span = get_current_span(context).get_span_context()
    return span if span.is_valid else None
