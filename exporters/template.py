"""Messages of which only numbers change, written by filling the holes of a template.

A frame's spans are the same in every frame but for ids, times, statistics and sketches, and
on the wire all those have a fixed width. So a model's spans are encoded once, with the
offset of each number; every further frame is a copy into which its numbers are scattered.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.schema.records import TENSOR_ROW

from .base64_rows import base64_rows, base64_size
from .scratch import Scratch
from .span_content import COUNTS, REALS
from .varints import long_varints, short_varints
from .wire import LONG, SHORT, WORD, Piece


def sketch_chars(size: int) -> int:
    """Return the characters of a sketch of *size* values, without its prefix."""
    return base64_size(4 * size)


def sketch_kind(size: int) -> str:
    """Return the kind of the holes that sketches of *size* values fill."""
    return f"sketch {size}"


TRACE, FRAME_HEX = (0, 1), (2, 3)
"""Word columns that all spans of a frame share: trace id, frame id in hex."""

KEY = 0
"""Long column of the input key."""

_FRAME_WORDS = 4

_SPAN_FIELDS = 4


HASH = list(COUNTS).index("hash")
"""The integer statistic that is of 64 bits in any tensor."""


class Layout:
    """Columns of the numbers of one frame.

    Words come first for the frame, then each tensor's real statistics and other doubles,
    then for each span id, parent, start and end. Longs are the input key, each tensor's
    integer statistics and other integers; where all counts are small they are shorts.

    Args:
        spans: Spans in the message.
        tensors: Tensors in the message.
        numbers: Further integers.
        reals: Further doubles.
        has_short_counts: Whether no statistic but the hash has more than `SHORT_BITS` bits.
    """

    def __init__(
        self,
        spans: int,
        tensors: int,
        numbers: int = 0,
        reals: int = 0,
        *,
        has_short_counts: bool = False,
    ) -> None:
        self.spans = spans
        self.has_short_counts = has_short_counts
        self.first_long = HASH if has_short_counts else 0
        """The first integer statistic that is no short."""
        self.first_number = 1 + (len(COUNTS) - self.first_long) * tensors
        """Long column of the first further integer."""
        self.longs = self.first_number + numbers
        """Number of long columns."""
        self._tensors = tensors
        self.first_real = _FRAME_WORDS
        self.first_extra_real = self.first_real + len(REALS) * tensors
        self.first_span = self.first_extra_real + reals
        self.words = self.first_span + _SPAN_FIELDS * spans
        """Number of word columns."""

    def short(self, field: int, tensor: int) -> int:
        """Return the short column of an integer statistic of a tensor."""
        return field * self._tensors + tensor

    def long(self, field: int, tensor: int) -> int:
        """Return the long column of an integer statistic of a tensor."""
        return 1 + (field - self.first_long) * self._tensors + tensor

    def number(self, position: int) -> int:
        """Return the long column of a further integer."""
        return self.first_number + position

    def real(self, field: int, tensor: int) -> int:
        """Return the column of a real statistic of a tensor."""
        return self.first_real + tensor * len(REALS) + field

    def extra_real(self, position: int) -> int:
        """Return the column of a further double."""
        return self.first_extra_real + position

    def span(self, field: int, slot: int = 0) -> int:
        """Return the column of field 0 to 3 (id, parent, start, end) of a span."""
        return self.first_span + field * self.spans + slot


class Numbers:
    """The numbers of some frames, in the columns of a layout.

    ``words`` has shape (frames, words), in the byte order of the wire. ``others`` holds
    varints and base64 of sketches, likewise, by the kind of hole.

    Args:
        layout: The columns.
        trace_ids: Of the frames, shape (frames, 16), uint8.
        span_ids: Of the frames' own spans, shape (frames, 8), uint8.
        scratch: Where the arrays are kept; good until it is used again.
    """

    def __init__(
        self,
        layout: Layout,
        trace_ids: NDArray[np.uint8],
        span_ids: NDArray[np.uint8],
        scratch: Scratch,
    ) -> None:
        self.layout = layout
        self.frames = len(trace_ids)
        self._scratch = scratch
        self.words = scratch.array("words", (self.frames, layout.words), "<u8")
        self.others: dict[str, NDArray[Any]] = {}
        self.words[:, 0:2] = trace_ids.view("<u8")
        hexadecimal = span_ids.tobytes().hex().encode()
        self.words[:, 2:4] = np.frombuffer(hexadecimal, "<u8").reshape(-1, 2)

    def set_spans(self, field: int, first: int, values: NDArray[Any]) -> None:
        """Set a field (id, parent, start, end) of consecutive spans.

        Args:
            field: 0 to 3.
            first: Slot of the first.
            values: Shape (frames, spans): ids as the uint64 of their bytes, times int64.
        """
        at = self.layout.span(field, first)
        target = self.words[:, at : at + values.shape[1]]
        if field < 2:  # bytes, whatever integer this machine sees in them
            target.view(np.uint64)[...] = values
        else:
            target.view("<i8")[...] = values

    def set_integers(
        self, keys: NDArray[np.int64], counts: NDArray[np.int64], numbers: NDArray[np.int64]
    ) -> None:
        """Set all integers.

        Args:
            keys: Input keys, shape (frames,).
            counts: Of tensors, as `integer_statistics` returns them.
            numbers: The further ones, shape (frames, numbers).
        """
        layout = self.layout
        values = np.empty((self.frames, layout.longs), np.int64)
        values[:, KEY] = keys
        if counts.size:
            long = counts[layout.first_long :].swapaxes(0, 1)
            values[:, 1 : layout.first_number].reshape(long.shape)[...] = long
        values[:, layout.first_number :] = numbers
        self.others[LONG] = long_varints(values)
        if layout.first_long and counts.size:
            small = counts[: layout.first_long].swapaxes(0, 1).astype(np.uint32, order="C")
            self.others[SHORT] = short_varints(small.reshape(self.frames, -1))

    def set_reals(self, statistics: NDArray[np.float64], reals: NDArray[np.float64]) -> None:
        """Set all doubles.

        Args:
            statistics: Of tensors, as `real_statistics` returns them.
            reals: The further ones, shape (frames, reals).
        """
        first, end = self.layout.first_real, self.layout.first_extra_real
        target = self.words[:, first : self.layout.first_span].view("<f8")
        target[:, : end - first] = statistics.reshape(self.frames, -1)
        target[:, end - first :] = reals

    def set_sketches(self, values: NDArray[np.float32]) -> None:
        """Set the sketches of one size, shape (frames, tensors, size) or (any, size)."""
        size = values.shape[-1]
        # A view where the values lie at equal distances, as in an array of rows.
        packed = values.astype("<f4", copy=False).view(np.uint8).reshape(-1, 4 * size)
        kind, chars = sketch_kind(size), sketch_chars(size)
        text = self._scratch.array(kind, (len(packed), chars), np.uint8)
        self.others[kind] = base64_rows(packed, text).view(f"V{chars}").reshape(self.frames, -1)


_SIDE_BY_SIDE = np.dtype(
    {
        "names": ["reals", "counts"],
        "formats": [(np.float64, len(REALS)), (np.int64, len(COUNTS) - 1)],
        "offsets": [TENSOR_ROW.fields["sum"][1], TENSOR_ROW.fields["nan_count"][1]]
        if TENSOR_ROW.fields
        else [0, 0],
        "itemsize": TENSOR_ROW.itemsize,
    }
)
"""The real statistics of a row as one field, and all integer ones but for the first."""


def real_statistics(rows: NDArray[np.void]) -> NDArray[np.float64]:
    """Return the fields `REALS` of *rows*, of dtype `TENSOR_ROW`, along a last axis."""
    reals: NDArray[np.float64] = rows.view(_SIDE_BY_SIDE)["reals"]
    return np.ascontiguousarray(reals)


def integer_statistics(rows: NDArray[np.void]) -> NDArray[np.int64]:
    """Return the fields `COUNTS` of *rows*, shape (frames, tensors), along a first axis."""
    counts = np.empty((len(COUNTS), *rows.shape), np.int64)
    counts[0] = rows["count"]
    counts[1:] = rows.view(_SIDE_BY_SIDE)["counts"].transpose(2, 0, 1)
    return counts


_SMALL_BYTES = 4096
"""Messages of this size are filled all at once: a call takes longer than to fill one."""


class Template:
    """An encoded message with the places of its numbers.

    Args:
        piece: The message, whose holes name columns of a layout.
    """

    def __init__(self, piece: Piece) -> None:
        self._data = np.frombuffer(piece.data, np.uint8)
        self._offsets: dict[str, NDArray[np.intp]] = {}
        self._sources: dict[str, NDArray[np.intp] | slice] = {}
        for kind in {hole.kind for hole in piece.holes}:
            holes = [hole for hole in piece.holes if hole.kind == kind]
            self._offsets[kind] = np.array([hole.offset for hole in holes], np.intp)
            self._sources[kind] = _columns([hole.source for hole in holes])

    @property
    def size_bytes(self) -> int:
        """Size of the message of one frame."""
        return len(self._data)

    def fill(self, numbers: Numbers, out: NDArray[np.uint8]) -> None:
        """Write the messages of all frames of *numbers* to *out*, shape (frames, bytes)."""
        sources = {WORD: numbers.words, **numbers.others}
        size = self.size_bytes
        holes = [
            (self._offsets[kind], _taken(source, self._sources[kind]), _places(out, source.dtype))
            for kind, source in sources.items()
            if kind in self._offsets
        ]
        if size < _SMALL_BYTES:
            out[...] = self._data
            starts = np.arange(len(out))[:, None] * size
            for offsets, values, places in holes:
                places[starts + offsets] = values
            return
        for frame, message in enumerate(out):  # one by one: a message stays in the cache
            message[...] = self._data
            first = frame * size
            for offsets, values, places in holes:
                places[first : first + size][offsets] = values[frame]


def _columns(sources: Sequence[int]) -> NDArray[np.intp] | slice:
    """Return columns as an index of an array's second dimension, a view where they follow."""
    first, end = sources[0], sources[-1] + 1
    if list(sources) == list(range(first, end)):
        return slice(first, end)
    return np.array(sources, np.intp)


def _taken(source: NDArray[Any], columns: NDArray[np.intp] | slice) -> NDArray[Any]:
    return source[:, columns] if isinstance(columns, slice) else source.take(columns, axis=1)


def _places(out: NDArray[np.uint8], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return every place of *out* seen as a number of *dtype*, aligned or not."""
    count = max(out.size - dtype.itemsize + 1, 0)
    return np.ndarray((count,), dtype, out.reshape(-1).data, 0, (1,))
