"""Frames of which only times are known, until their records are made."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from opentelemetry.trace import SpanContext

from exray.schema.identity import input_key, new_span_id, new_trace_id
from exray.schema.records import FrameRecord, InferenceRecord, Run

from .capture import Carrier, span_id_int
from .guard import guard
from .leaf import Leaf
from .level import Level
from .litert_layers import ProbedLayers
from .litert_probe import log_dropped
from .probe import Layout, Recording, recording_from_packet
from .probe_rows import CALL_ROW
from .recorder import Recorder
from .xnnpack_operators import extra_metrics

FRAMES_TOGETHER = 32
"""Frames that are handed on together: each then costs next to nothing of that."""

LATER_BYTES = 800
"""Python objects of such a frame until its record is made, roughly."""

_LATENCY = str(Level.LATENCY)

_NAMES: tuple[str, ...] = CALL_ROW.names or ()

Timed = tuple[int, int, int, SpanContext | None, Leaf | None, int, bytes]
"""A frame: its number, monotonic times at which it began and ended, the application's open span
(None for a root), its name and what was chosen for it (None where it has but its input's hash,
and every frame is recorded), how many went untraced before it, and what the probe recorded."""


@dataclass(frozen=True, slots=True)
class TimedModel:
    """What the frames of one interpreter in one run share.

    Args:
        recorder: Completes their records.
        run: The model's run.
        layers: Makes layers of what the probe recorded.
    """

    recorder: Recorder
    run: Run
    layers: ProbedLayers

    def record(self, timed: Timed, layout: Layout) -> FrameRecord:
        """Return the record of a frame, not yet numbered."""
        _, start_ns, end_ns, parent, leaf, _, packet = timed
        row: dict[str, int] = dict(
            zip(_NAMES, np.frombuffer(packet, CALL_ROW, 1).tolist()[0], strict=True)
        )
        start_ns += self.recorder.clock.offset_when(row["suspended_ns"])
        dur_ns, own_ns = end_ns - timed[1], row["own_ns"]
        if leaf is None:
            input_id = self.recorder.privacy.input_id(name_from_hash(row["input_hash"]))
            key, rate = input_key(input_id), 1.0
        else:
            input_id, key, rate = leaf.input_id, leaf.key, leaf.choice.rate
        inference = InferenceRecord(
            run=self.run, span_id=new_span_id(), start_ns=start_ns, dur_ns=dur_ns - own_ns
        )
        frame = FrameRecord(
            run=self.run,
            trace_id=new_trace_id() if parent is None else parent.trace_id.to_bytes(16, "big"),
            span_id=new_span_id(),
            parent_span_id=None if parent is None else parent.span_id.to_bytes(8, "big"),
            input_id=input_id,
            input_key=key,
            frame_index=0,
            start_ns=start_ns,
            dur_ns=dur_ns,
            level=_LATENCY,
            sample_rate=rate,
            output_hash=row["output_hash"] if row["has_output"] else None,
            overhead_ns=own_ns,
            memory_peak_bytes=row["peak_bytes"],
            cpu_ns=row["cpu_ns"],
            inferences=[inference],
        )
        with guard("read a model's times"):
            self._add_layers(frame, inference, recording_from_packet(packet, layout))
        return frame

    def _add_layers(
        self, frame: FrameRecord, inference: InferenceRecord, recording: Recording
    ) -> None:
        if recording.dropped:
            log_dropped(recording.dropped)
        if not len(recording.ops):
            return
        span = Carrier(span_id_int(inference.span_id), 0, inference.start_ns, inference.dur_ns)
        inference.layers = self.layers.block(recording, None, span)
        count, dur_ns = self.layers.extra(recording)
        if count:
            frame.metrics += extra_metrics(count, dur_ns, frame.start_ns + frame.dur_ns)


class TimedFrames:
    """Frames that are handed on together, first to last, and filled while they wait.

    One thread adds, others may ask for the records; neither waits for the other.

    Args:
        model: What they share.
        layout: What their packets refer to.
        packet_bytes: Size of the first one's packet.
    """

    def __init__(self, model: TimedModel, layout: Layout, packet_bytes: int) -> None:
        self.is_closed = False
        """Whether no more are taken."""
        self._model, self._layout = model, layout
        self.waiting: deque[Timed] = deque()
        """Frames without a record: after `FRAMES_TOGETHER` it is time for others."""
        self.append: Callable[[Timed], None] = self.waiting.append
        """Adds a frame. Whoever then finds it closed asks for `after`."""
        self._packet_bytes = packet_bytes
        self._making = threading.Lock()
        self._made: list[FrameRecord] | None = None

    @property
    def size_bytes(self) -> int:
        """Roughly the most that they take in memory."""
        return FRAMES_TOGETHER * (LATER_BYTES + self._packet_bytes)

    def __len__(self) -> int:
        return len(self.waiting) if self._made is None else len(self._made)

    def after(self) -> "TimedFrames":
        """Return others, with the frames that came after the records were made."""
        others = TimedFrames(self._model, self._layout, self._packet_bytes)
        while (timed := self._take()) is not None:
            others.append(timed)
        return others

    def _take(self) -> Timed | None:
        try:
            return self.waiting.popleft()
        except IndexError:
            return None

    def __call__(self) -> Sequence[FrameRecord]:
        """Return their records, complete, the same ones every time; no more are taken."""
        with self._making:
            if self._made is None:
                self.is_closed = True
                made: list[FrameRecord] = []
                while (timed := self._take()) is not None:
                    with guard("make a frame's record"):
                        record = self._model.record(timed, self._layout)
                        made.append(self._model.recorder.complete(record, timed[0], timed[5]))
                self._made = made
            return self._made


def name_from_hash(input_hash: int) -> str:
    """Return the name that the hash of its inputs, signed or not, gives a frame."""
    return f"{input_hash & 0xFFFFFFFFFFFFFFFF:016x}"
