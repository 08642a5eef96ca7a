"""Tensors seen in a frame, turned into rows of summaries."""

import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from exray.lake.tensors import compress
from exray.schema.channels import channels
from exray.schema.histogram import histogram
from exray.schema.identity import new_span_ids, tensor_hash
from exray.schema.layout import CHANNELS_LAST, canonical, canonical_quantization
from exray.schema.records import TENSOR_ROW, LayerSite, Quantization, TensorBlock, TensorSite

from .guard import guard, log_once
from .keeping import Keeping
from .level import Level
from .native_summary import summarize_into

SUMMARIES = Keeping()
"""A summary of every tensor."""

WIDE_ROLES = frozenset({"raw", "input", "output"})
"""Roles whose row keeps the 256-value sketch beside the 64-value one."""

WAITING_BYTES = 64 * 1024 * 1024
"""Most that copies of one frame's tensors may take before their summary: a 12-megapixel
photograph and what becomes of it."""

Array = NDArray[Any]
"""A tensor of any shape and element type, as the runtime holds it."""

Value = TypeVar("Value")


def span_id_int(span_id: bytes) -> int:
    """Return the 8 bytes of an id as the native integer that blocks hold."""
    return int.from_bytes(span_id, sys.byteorder)


def new_span_id_int() -> int:
    """Return a new span's id as the native integer that blocks hold."""
    return int(new_span_ids(1)[0])


@dataclass(slots=True)
class Carrier:
    """The span that carries a tensor; its duration may be filled in later (-1 until then)."""

    span_id: int
    parent_span_id: int
    start_ns: int
    dur_ns: int = -1


class TensorRecorder:
    """Summaries of the tensors of one frame or one inference.

    Args:
        capacity: Rows expected; more are taken as they come.
        keeping: What is kept of each tensor.
    """

    def __init__(self, capacity: int = 4, keeping: Keeping = SUMMARIES) -> None:
        self.keeping = keeping
        self._rows = np.zeros(max(capacity, 1), TENSOR_ROW)
        self._sites: list[TensorSite] = []
        self._carriers: list[Carrier] = []
        self._wide: dict[int, NDArray[np.float32]] = {}
        self._made: tuple[int, Sequence[TensorSite], NDArray[np.void]] | None = None
        self._histograms: dict[int, str] = {}
        self._channels: dict[int, str] = {}
        self._contents: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self._sites)

    def takes_layer(self, layer: LayerSite) -> bool:
        """Tell whether a layer's outputs are wanted; else they need not be read."""
        return self.keeping.takes_layer(layer)

    def add(self, site: TensorSite, array: Array, carrier: Carrier, family: int) -> None:
        """Summarise *array*, if its layer is selected, and remember which span carries it.

        Args:
            site: Where it was seen; says how to dequantize it.
            array: Any shape and dtype.
            carrier: The span that carries it.
            family: Sketch family of the frame's input, 0..15.
        """
        level = self.keeping.level_of(site)
        if level < Level.SUMMARY:
            return
        row = len(self._sites)
        if row == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros(len(self._rows), TENSOR_ROW)])
        ordered = canonical(array, site.layout)
        quantization = canonical_quantization(site.quantization, site.layout, array.ndim)
        wide = summarize_into(self._rows, row, ordered, quantization=quantization, family=family)
        if ordered is not array:  # the hash is of the bytes as the runtime has them
            self._rows["hash"][row] = tensor_hash(array)
        if site.role in WIDE_ROLES:
            self._wide[row] = wide
        if level >= Level.DISTRIBUTION:
            layout = site.layout if ordered is array else CHANNELS_LAST[array.ndim]
            self._add_distribution(row, ordered, quantization, layout)
        if level >= Level.FULL:
            self._add_content(row, array)
        self._sites.append(site)
        self._carriers.append(carrier)

    def add_rows(self, sites: Sequence[TensorSite], rows: NDArray[np.void]) -> None:
        """Take the summaries of all layers, made already and complete with their spans.

        Args:
            sites: Where they were seen.
            rows: Dtype `TENSOR_ROW`; ``site`` is a position in *sites*.
        """
        self._made = len(self._sites), sites, rows

    def _add_distribution(
        self, row: int, array: Array, quantization: Quantization | None, layout: str | None
    ) -> None:
        sizes = histogram(array, quantization)
        if sizes is not None:
            self._histograms[row] = sizes.encode()
        by_channel = channels(array, quantization, layout)
        if by_channel is not None:
            self._channels[row] = by_channel.encode()

    def _add_content(self, row: int, array: Array) -> None:
        with guard("keep a whole tensor"):
            content = compress(array)
            if content is not None:
                self._contents[row] = content

    def forget_after(self, count: int) -> None:
        """Keep the first *count* tensors, where reading the others was cut short."""
        del self._sites[count:], self._carriers[count:]
        self._made = None
        for by_row in (self._wide, self._histograms, self._channels, self._contents):
            for row in [row for row in by_row if row >= count]:
                del by_row[row]

    def block(self) -> TensorBlock:
        """Return what was recorded, with the carriers' times as they stand now."""
        rows = self._rows[: len(self._sites)]
        rows["site"] = np.arange(len(rows))
        rows["span_id"] = np.array([c.span_id for c in self._carriers], np.uint64)
        rows["parent_span_id"] = np.array([c.parent_span_id for c in self._carriers], np.uint64)
        rows["start_ns"] = np.array([c.start_ns for c in self._carriers], np.int64)
        rows["dur_ns"] = np.array([c.dur_ns for c in self._carriers], np.int64)
        if self._made is None:
            return TensorBlock(
                self._sites, rows, self._wide, self._histograms, self._channels, self._contents
            )
        first, sites, made = self._made
        count = len(made)
        rows["site"][first:] += count
        made["site"] += first
        return TensorBlock(
            [*self._sites[:first], *sites, *self._sites[first:]],
            np.concatenate([rows[:first], made, rows[first:]]),
            _shifted(self._wide, first, count),
            _shifted(self._histograms, first, count),
            _shifted(self._channels, first, count),
            _shifted(self._contents, first, count),
        )


def _shifted(by_row: Mapping[int, Value], first: int, count: int) -> dict[int, Value]:
    """Return what rows have, those from *first* on *count* rows later."""
    return {row + count * (row >= first): value for row, value in by_row.items()}


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A tensor copied when it was seen."""

    site: TensorSite
    array: Array
    carrier: Carrier


class FrameTensors:
    """The tensors that a frame sees outside its models, from any thread.

    They are copied when they are seen, because the application may write to them next, and
    summarised later: when the frame knows its input, and with it the sketch family, and
    when no stage is open whose time the summary would add to.

    Args:
        keeping: What is kept of each tensor.
    """

    def __init__(self, keeping: Keeping = SUMMARIES) -> None:
        self._lock = threading.Lock()
        self._recorder = TensorRecorder(keeping=keeping)
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0

    def add(self, site: TensorSite, array: Array, carrier: Carrier, family: int | None) -> None:
        """Take *array*, which is a copy; *family* is None while it is not known."""
        with self._lock:
            if self._waiting_bytes + array.nbytes > WAITING_BYTES and family is None:
                log_once(
                    "waiting tensors",
                    f"tensor {site.name!r} ({array.nbytes} bytes) is not recorded: more than "
                    f"{WAITING_BYTES} bytes wait in a frame whose input is not known yet. Name "
                    "it: exray.frame(input_id=...).",
                )
                return
            self._waiting.append(_Waiting(site, array, carrier))
            self._waiting_bytes += array.nbytes
            if family is not None and self._waiting_bytes > WAITING_BYTES:
                self._summarise(family)

    def summarise(self, family: int) -> None:
        """Turn what waits into rows."""
        with self._lock:
            self._summarise(family)

    def forget(self) -> None:
        """Drop what waits: the frame is not summarised."""
        with self._lock:
            self._waiting, self._waiting_bytes = [], 0

    def _summarise(self, family: int) -> None:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        for seen in waiting:
            self._recorder.add(seen.site, seen.array, seen.carrier, family)

    def blocks(self) -> list[TensorBlock]:
        """Return the rows as one block, or none."""
        with self._lock:
            return [self._recorder.block()] if len(self._recorder) else []
