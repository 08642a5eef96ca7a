"""Frames as OTLP trace requests, by filling templates.

A duration that was not measured is zero on the wire; a layer's timing then says ``none``.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from exray.schema.attributes import EXRAY_INPUT_KEY
from exray.schema.records import (
    LAYER_ROW,
    TENSOR_ROW,
    FrameRecord,
    InferenceRecord,
    LayerSite,
    Run,
    SpanRecord,
    TensorBlock,
    TensorSite,
)

from .joined import joined_rows
from .otlp_span import SPANS, encode_span, frame_tail
from .scratch import Arena, Scratch
from .section import Form, FrameKeys, SectionEncoder, Spans, Texts
from .span_content import frame_numbers, tensor_texts
from .span_pieces import frame_body, inference_piece, stages_piece
from .template import Layout
from .typing import Buffer
from .wire import Piece, join, prefix

T = TypeVar("T")

SpansOfRun = dict[bytes, tuple[Run, list[Buffer]]]
"""Encoded spans by run id, each span one field of ``ScopeSpans``."""

_NO_LAYERS = np.empty(0, LAYER_ROW)
_NO_TENSORS = np.empty(0, TENSOR_ROW)
_NO_SPAN = bytes(8)
_NONE: dict[int, Any] = {}


class FrameEncoder:
    """Encodes frames; what it learns of one is reused for the next."""

    def __init__(self) -> None:
        self._arena = Arena()
        self._scratch = Scratch()
        self._inferences = SectionEncoder(self._arena, self._scratch)
        self._frames = SectionEncoder(self._arena, self._scratch)

    def encode(self, frames: Sequence[FrameRecord]) -> SpansOfRun:
        """Return the spans of *frames*: frames, stages, inferences, layers, tensors.

        They are good until the next call: copy them.
        """
        self._arena.clear()
        spans: SpansOfRun = {}
        self._encode_frames(frames, spans)
        self._encode_inferences(frames, spans)
        return spans

    def _encode_inferences(self, frames: Sequence[FrameRecord], spans: SpansOfRun) -> None:
        alike: dict[Hashable, list[_Execution]] = {}
        for frame in frames:
            for inference in frame.inferences:
                alike.setdefault(_inference_key(inference), []).append((frame, inference))
        for key, members in alike.items():
            inference = members[0][1]
            layers = inference.layers.sites if inference.layers else ()
            tensors = inference.tensors.sites if inference.tensors else ()
            into = _spans_of(spans, inference.run)
            for _, rows, _ in self._inferences.encode(
                key,
                (layers, tensors),
                _inference_spans(members, self._scratch),
                partial(_build_inference, layers, tensors),
            ):
                into.append(rows.reshape(-1).data)

    def _encode_frames(self, frames: Sequence[FrameRecord], spans: SpansOfRun) -> None:
        alike: dict[Hashable, list[_Opened]] = {}
        for frame in frames:
            opened = _Opened.of(frame)
            alike.setdefault(opened.key, []).append(opened)
            for stage in opened.others:
                _spans_of(spans, stage.run or frame.run).append(encode_span(stage, frame))
        for key, members in alike.items():
            first = members[0]
            into = _spans_of(spans, first.frame.run)
            for index, rows, split in self._frames.encode(
                key, None, _frame_spans(members), partial(_build_frame, first)
            ):
                positions: list[int] = index.tolist()
                body, size, at = rows.reshape(-1).data, rows.shape[1], 0
                for position in positions:
                    tail = frame_tail(members[position].frame)
                    head = prefix(SPANS, split + len(tail))
                    into += (head, body[at : at + split], tail)
                    if size > split:
                        into.append(body[at + split : at + size])
                    at += size


def _spans_of(spans: SpansOfRun, run: Run) -> list[Buffer]:
    return spans.setdefault(run.run_id, (run, []))[1]


# --- inferences -----------------------------------------------------------------------------

_Execution = tuple[FrameRecord, InferenceRecord]


def _inference_key(inference: InferenceRecord) -> Hashable:
    """Return what is equal for inferences that may share a template and a resource.

    Blocks of one model share their sites: one list object, known by its identity.
    """
    layers, tensors = inference.layers, inference.tensors
    return (
        inference.run.run_id,
        layers and (id(layers.sites), len(layers.rows)),
        tensors and (id(tensors.sites), len(tensors.rows)),
    )


def _inference_spans(members: Sequence[_Execution], scratch: Scratch) -> Spans:
    inferences = [inference for _, inference in members]
    layers = _stack(
        "layers", [i.layers.rows if i.layers else _NO_LAYERS for i in inferences], scratch
    )
    tensors = _stack(
        "tensors", [i.tensors.rows if i.tensors else _NO_TENSORS for i in inferences], scratch
    )
    own = np.frombuffer(b"".join(i.span_id for i in inferences), np.uint64)[:, None]
    frame_ids = np.frombuffer(b"".join(f.span_id for f, _ in members), np.uint64)[:, None]
    times = np.array([(i.start_ns, max(i.dur_ns, 0)) for i in inferences], np.int64)
    unmeasured = (layers["dur_ns"] < 0).astype(np.int32)
    starts = np.concatenate([times[:, :1], layers["start_ns"]], axis=1)
    durations = np.concatenate([times[:, 1:], np.maximum(layers["dur_ns"], 0)], axis=1)
    return Spans(
        frames=_keys([frame for frame, _ in members]),
        labels=np.concatenate([layers["site"], unmeasured, tensors["site"]], axis=1),
        ids=np.concatenate([own, layers["span_id"]], axis=1),
        parents=frame_ids,
        starts=starts,
        ends=starts + durations,
        tensors=tensors,
        wide=[i.tensors.wide_sketches if i.tensors else {} for i in inferences],
        texts=[_texts_of(i.tensors) for i in inferences],
        numbers=np.empty((len(members), 0), np.int64),
        reals=np.empty((len(members), 0)),
    )


def _texts_of(block: TensorBlock | None) -> Texts:
    if block is None or not (block.histograms or block.channels):
        return _NONE
    return tensor_texts(block)


def _build_inference(
    layers: Sequence[LayerSite], tensors: Sequence[TensorSite], form: Form, layout: Layout
) -> tuple[Piece, int]:
    return inference_piece(form, layout, layers, tensors), 0


# --- frames ---------------------------------------------------------------------------------


@dataclass(slots=True)
class _Opened:
    """A frame, with what of it is outside the models taken apart.

    Args:
        frame: The frame.
        stages: Spans that its template holds.
        others: Spans of another run.
        sites: Where each tensor outside the models was seen.
        numbers: Its integer attributes besides the input key.
    """

    frame: FrameRecord
    stages: list[SpanRecord]
    others: list[SpanRecord]
    sites: tuple[TensorSite, ...]
    numbers: dict[str, int]

    @classmethod
    def of(cls, frame: FrameRecord) -> "_Opened":
        stages = [s for s in frame.spans if s.run is None or s.run is frame.run]
        others = (
            [] if len(stages) == len(frame.spans) else [s for s in frame.spans if s not in stages]
        )
        sites: list[TensorSite] = []
        for block in frame.tensors:
            indices: list[int] = block.rows["site"].tolist()
            sites += [block.sites[index] for index in indices]
        numbers = frame_numbers(frame)
        del numbers[EXRAY_INPUT_KEY]
        return cls(frame, stages, others, tuple(sites), numbers)

    @property
    def key(self) -> Hashable:
        """What is equal for frames that may share a template and a resource."""
        frame = self.frame
        return (
            frame.run.run_id,
            frame.level,
            frame.parent_span_id is None,
            tuple(self.numbers),
            tuple(
                (s.name, s.kind, s.status, s.status_message, s.parent_span_id is None)
                for s in self.stages
            ),
            self.sites,
        )


def _frame_spans(members: Sequence[_Opened]) -> Spans:
    frames = [member.frame for member in members]
    ids, parents, times = bytearray(), bytearray(), list[int]()
    for member in members:
        both: tuple[FrameRecord | SpanRecord, ...] = (member.frame, *member.stages)
        for span in both:
            ids += span.span_id
            parents += span.parent_span_id or _NO_SPAN
            times += (span.start_ns, max(span.dur_ns, 0))
    count = len(frames)
    intervals = np.array(times, np.int64).reshape(count, -1, 2)
    return Spans(
        frames=_keys(frames),
        labels=np.empty((count, 0), np.int32),
        ids=np.frombuffer(bytes(ids), np.uint64).reshape(count, -1),
        parents=np.frombuffer(bytes(parents), np.uint64).reshape(count, -1),
        starts=intervals[:, :, 0],
        ends=intervals.sum(axis=2),
        tensors=_outside_tensors(frames),
        wide=[_outside(frame, _wide_of) if frame.tensors else _NONE for frame in frames],
        texts=[_outside(frame, tensor_texts) if frame.tensors else _NONE for frame in frames],
        numbers=np.array([tuple(m.numbers.values()) for m in members], np.int64),
        reals=np.array([[frame.sample_rate] for frame in frames], np.float64),
    )


def _build_frame(opened: _Opened, form: Form, layout: Layout) -> tuple[Piece, int]:
    body = frame_body(form, layout, opened.frame, tuple(opened.numbers), opened.sites)
    rest = stages_piece(form, layout, opened.stages, opened.sites)
    return join([body, rest]), len(body.data)


def _outside_tensors(frames: Sequence[FrameRecord]) -> NDArray[np.void]:
    """Return the tensors outside the models, of frames that have as many: (frames, tensors)."""
    if not any(frame.tensors for frame in frames):
        return np.empty((len(frames), 0), TENSOR_ROW)
    return joined_rows([_outside_rows(frame) for frame in frames]).reshape(len(frames), -1)


def _outside_rows(frame: FrameRecord) -> NDArray[np.void]:
    blocks = frame.tensors
    return joined_rows([block.rows for block in blocks]) if blocks else _NO_TENSORS


def _outside(
    frame: FrameRecord, of_block: Callable[[TensorBlock], Mapping[int, T]]
) -> dict[int, T]:
    """Return what *of_block* tells of rows, by row of all blocks outside models together."""
    found: dict[int, T] = {}
    first = 0
    for block in frame.tensors:
        found |= {first + row: value for row, value in of_block(block).items()}
        first += len(block.rows)
    return found


def _wide_of(block: TensorBlock) -> Mapping[int, NDArray[np.float32]]:
    return block.wide_sketches


def _keys(frames: Sequence[FrameRecord]) -> FrameKeys:
    return FrameKeys(
        np.frombuffer(b"".join(f.trace_id for f in frames), np.uint8).reshape(-1, 16),
        np.frombuffer(b"".join(f.span_id for f in frames), np.uint8).reshape(-1, 8),
        np.array([f.input_key for f in frames], np.int64),
    )


def _stack(name: str, rows: Sequence[NDArray[np.void]], scratch: Scratch) -> NDArray[np.void]:
    """Return rows of as many frames, shape (frames, rows of each)."""
    out = scratch.array(name, (len(rows) * len(rows[0]),), rows[0].dtype)
    return joined_rows(rows, out).reshape(len(rows), -1)
