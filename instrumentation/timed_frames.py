"""Frames of which only times are known, until their records are made."""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
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
from .probe import Layout, Probe, Recording, recording_from_packet, split_packets
from .probe_rows import CALL_ROW
from .recorder import Recorder
from .xnnpack_operators import extra_metrics

FRAMES_TOGETHER = 32
"""Frames that are handed on together: each then costs next to nothing of that."""

LATER_BYTES = 800
"""Python objects of such a frame until its record is made, roughly."""

_LATENCY = str(Level.LATENCY)

_NAMES: tuple[str, ...] = CALL_ROW.names or ()

Timed = tuple[int, int, int, SpanContext | None, Leaf | None, int]
"""A frame: its number, monotonic times at which it began and ended, the application's open span
(None for a root), its name and what was chosen for it (None where it has but its input's hash,
and every frame is recorded), and how many went untraced before it."""

_NONE = 0, b""
"""Stands for the packet behind the last."""


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

    def record(self, timed: Timed, packet: bytes, layout: Layout) -> FrameRecord:
        """Return the record of a frame, not yet numbered."""
        _, start_ns, end_ns, parent, leaf, _ = timed
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
        probe: Has their packets.
        layout: What these refer to.
        most: How many there is room for.
    """

    def __init__(self, model: TimedModel, probe: Probe, layout: Layout, most: int) -> None:
        self.most = most
        """Frames that it takes: none once it is closed."""
        self.is_waiting = False
        """Whether it was handed on, and is filled still."""
        self.waiting: deque[Timed] = deque()
        """Frames without a record. Whoever adds one and finds `is_waiting` False asks for `late`."""
        self._model, self._layout = model, layout
        self._probe: Probe | None = probe
        self._packets: bytes | None = None
        self._making = threading.Lock()
        self._made: list[FrameRecord] | None = None

    @property
    def size_bytes(self) -> int:
        """Roughly the most that they take in memory."""
        packet_bytes = len(self._all_packets()) // max(len(self.waiting), 1)
        return max(self.most, 1) * (LATER_BYTES + packet_bytes)

    def __len__(self) -> int:
        return len(self.waiting) if self._made is None else len(self._made)

    def close(self) -> None:
        """Take no more, and keep the packets: the thread that adds needs their place for others."""
        self.most, self.is_waiting = 0, False
        if self._probe is not None:
            self._packets, self._probe = self._probe.packets, None

    def late(self, probe: Probe) -> "TimedFrames":
        """Return what came after the records were made, closed."""
        late = TimedFrames(self._model, probe, self._layout, 1)
        late.waiting.extend(self._take())
        late.close()
        return late

    def _take(self) -> Iterator[Timed]:
        with suppress(IndexError):
            while True:
                yield self.waiting.popleft()

    def _all_packets(self) -> bytes:
        probe = self._probe
        packets = b"" if probe is None else probe.packets
        # Where the other thread has closed it meanwhile, these may be of others already.
        return packets if self._packets is None else self._packets

    def __call__(self) -> Sequence[FrameRecord]:
        """Return their records, complete, the same ones every time; no more are taken."""
        with self._making:
            if self._made is None:
                self.most, self.is_waiting = 0, False
                taken = list(self._take())
                self._made = list(self._records(taken, self._all_packets()))
            return self._made

    def _records(self, taken: Sequence[Timed], packets: bytes) -> Iterator[FrameRecord]:
        model = self._model
        for timed, packet in _paired(taken, packets):
            with guard("make a frame's record"):
                record = model.record(timed, packet, self._layout)
                yield model.recorder.complete(record, timed[0], timed[5])


def _paired(taken: Sequence[Timed], packets: bytes) -> Iterator[tuple[Timed, bytes]]:
    """Yield every frame with its packet: the one that began within it.

    A call may have left one of them only: where a signal's handler raised as it returned, or
    where the probe did not see it.
    """
    split = split_packets(packets)
    began_ns, packet = next(split, _NONE)
    for timed in taken:
        _, start_ns, end_ns, *_ = timed
        while packet and began_ns < start_ns:
            began_ns, packet = next(split, _NONE)
        if packet and began_ns <= end_ns:
            yield timed, packet
            began_ns, packet = next(split, _NONE)


def name_from_hash(input_hash: int) -> str:
    """Return the name that the hash of its inputs, signed or not, gives a frame."""
    return f"{input_hash & 0xFFFFFFFFFFFFFFFF:016x}"
