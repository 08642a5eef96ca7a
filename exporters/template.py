"""Messages of which only numbers change, written by filling the holes of a template.

A frame's spans are the same in every frame but for ids, times, statistics and sketches, and
on the wire all those have a fixed width. So a model's spans are encoded once, with the
offset of each number; every further frame is a copy into which its numbers are scattered.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.schema.records import TENSOR_ROW

from .base64_rows import base64_rows, base64_size
from .scratch import Scratch
from .span_content import COUNTS, REALS
from .wire import HALF, WORD, Piece


def sketch_chars(size: int) -> int:
    """Return the characters of a sketch of *size* values, without its prefix."""
    return base64_size(4 * size)


def sketch_kind(size: int) -> str:
    """Return the kind of the holes that sketches of *size* values fill."""
    return f"sketch {size}"


TRACE, FRAME_HEX = (0, 1), (2, 3)
"""Word columns that all spans of a frame share: trace id, frame id in hex."""

KEY = (4, 0)
"""Word and half column of the input key."""

_SPAN_FIELDS = 4


class Layout:
    """Columns of the numbers of one frame.

    Words come first for the frame, then integers (the input key, each tensor's, others),
    then each tensor's real statistics and other doubles, then for each span id, parent,
    start and end. Halves are the upper two bytes of the integers, whose lower eight are
    words.

    Args:
        spans: Spans in the message.
        tensors: Tensors in the message.
        numbers: Further integers.
        reals: Further doubles.
    """

    def __init__(self, spans: int, tensors: int, numbers: int = 0, reals: int = 0) -> None:
        self.spans = spans
        self.tensors = tensors
        self.integers = 1 + len(COUNTS) * tensors + numbers
        """Number of integers, and so of half columns."""
        self._first_number = 1 + len(COUNTS) * tensors
        self.first_real = KEY[0] + self.integers
        self.first_extra_real = self.first_real + len(REALS) * tensors
        self.first_span = self.first_extra_real + reals
        self.words = self.first_span + _SPAN_FIELDS * spans
        """Number of word columns."""

    def count(self, field: int, tensor: int) -> tuple[int, int]:
        """Return the word and the half column of an integer statistic of a tensor."""
        at = 1 + tensor * len(COUNTS) + field
        return KEY[0] + at, at

    def number(self, position: int) -> tuple[int, int]:
        """Return the word and the half column of a further integer."""
        at = self._first_number + position
        return KEY[0] + at, at

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

    ``words`` has shape (frames, words) and ``halves`` (frames, integers), in the byte order
    of the wire. ``texts`` holds base64 of sketches, by the kind of hole.

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
        self.halves = np.empty((self.frames, 0), "<u2")
        self.texts: dict[str, NDArray[Any]] = {}
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
        self, keys: NDArray[np.int64], rows: NDArray[np.void], numbers: NDArray[np.int64]
    ) -> None:
        """Set all integers.

        Args:
            keys: Input keys, shape (frames,).
            rows: Shape (frames, tensors), of dtype `TENSOR_ROW`.
            numbers: The further ones, shape (frames, numbers).
        """
        layout = self.layout
        values = np.empty((self.frames, layout.integers), np.int64)
        values[:, 0] = keys
        end = layout.number(0)[1]
        if rows.size:
            counts = values[:, 1:end].reshape(*rows.shape, len(COUNTS))
            counts[..., 0] = rows["count"]
            counts[..., 1:] = rows.view(_SIDE_BY_SIDE)["counts"]
        values[:, end:] = numbers
        words, self.halves = long_varints(values)
        self.words[:, KEY[0] : layout.first_real] = words

    def set_reals(self, rows: NDArray[np.void], reals: NDArray[np.float64]) -> None:
        """Set all doubles.

        Args:
            rows: Shape (frames, tensors), of dtype `TENSOR_ROW`.
            reals: The further ones, shape (frames, reals).
        """
        first, end = self.layout.first_real, self.layout.first_extra_real
        target = self.words[:, first : self.layout.first_span].view("<f8")
        if rows.size:
            statistics = target[:, : end - first].reshape(*rows.shape, len(REALS))
            statistics[...] = real_statistics(rows)
        target[:, end - first :] = reals

    def set_sketches(self, values: NDArray[np.float32]) -> None:
        """Set the sketches of one size, shape (frames, tensors, size) or (any, size)."""
        size = values.shape[-1]
        # A view where the values lie at equal distances, as in an array of rows.
        packed = values.astype("<f4", copy=False).view(np.uint8).reshape(-1, 4 * size)
        kind, chars = sketch_kind(size), sketch_chars(size)
        text = self._scratch.array(kind, (len(packed), chars), np.uint8)
        self.texts[kind] = base64_rows(packed, text).view(f"V{chars}").reshape(self.frames, -1)


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
    return reals


class Template:
    """An encoded message with the places of its numbers.

    Args:
        piece: The message, whose holes name columns of a layout.
    """

    def __init__(self, piece: Piece) -> None:
        self._data = np.frombuffer(piece.data, np.uint8)
        self._offsets: dict[str, NDArray[np.intp]] = {}
        self._sources: dict[str, NDArray[np.intp]] = {}
        for kind in {hole.kind for hole in piece.holes}:
            holes = [hole for hole in piece.holes if hole.kind == kind]
            self._offsets[kind] = np.array([hole.offset for hole in holes], np.intp)
            self._sources[kind] = np.array([hole.source for hole in holes], np.intp)

    @property
    def size_bytes(self) -> int:
        """Size of the message of one frame."""
        return len(self._data)

    def fill(self, numbers: Numbers, out: NDArray[np.uint8]) -> None:
        """Write the messages of all frames of *numbers* to *out*, shape (frames, bytes)."""
        sources = {WORD: numbers.words, HALF: numbers.halves, **numbers.texts}
        size = self.size_bytes
        holes = [
            (self._offsets[kind], self._sources[kind], source, _places(out, source.dtype))
            for kind, source in sources.items()
            if kind in self._offsets
        ]
        for frame, message in enumerate(out):  # one by one: a message stays in the cache
            message[...] = self._data
            first = frame * size
            for offsets, columns, source, places in holes:
                places[first : first + size][offsets] = source[frame].take(columns)


def _places(out: NDArray[np.uint8], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return every place of *out* seen as a number of *dtype*, aligned or not."""
    count = max(out.size - dtype.itemsize + 1, 0)
    return np.ndarray((count,), dtype, out.reshape(-1).data, 0, (1,))


def long_varints(values: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.uint16]]:
    """Return integers as varints of ten bytes: the first eight, and the last two.

    Each byte holds 7 bits, the lowest first, and all but the last have their top bit set.

    Args:
        values: Any shape.

    Returns:
        Shape of *values*, the bytes of each in the order of the wire.
    """
    bits = values.view(np.uint64)
    low = bits & np.uint64((1 << 56) - 1)
    upper = np.empty_like(low)
    # Spread 8 groups of 7 bits over 8 bytes: halve the groups, thrice.
    for shift, kept, moved in _HALVINGS:
        np.left_shift(low, shift, out=upper)
        upper &= moved
        low &= kept
        low |= upper
    low |= np.uint64(0x8080808080808080)
    # Bits 56 to 62 stay where they are, bit 63 moves on to the next byte.
    top = (bits >> np.uint64(56)).astype(np.uint16)
    high = top & np.uint16(0x80)
    high <<= np.uint16(1)
    high |= top
    high |= np.uint16(0x80)
    return low.astype("<u8", copy=False), high.astype("<u2", copy=False)


_HALVINGS = tuple(
    (np.uint64(shift), np.uint64(kept), np.uint64(kept << shift + distance))
    for shift, distance, kept in (
        (4, 28, 0x0FFFFFFF),
        (2, 14, 0x00003FFF00003FFF),
        (1, 7, 0x007F007F007F007F),
    )
)
"""Shift, what stays where it is, and what is moved."""
