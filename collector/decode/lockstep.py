"""Many spans read at once: all of them advance one field at a time, together.

A request's bytes stay where they are. Attributes are grouped by key, each group becomes a
column, and a text becomes a view into the buffer, which Arrow copies once. What is not just
as exray's own spans usually are (an unknown key, a type that is not the key's, an array, an
event, a status, a field twice, a wrong length) makes a span *odd*: it is left to protobuf's
own parser.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from .known import KNOWN, Known
from .octets import Octets, Places
from .span_table import arrow

_BYTES, _FIXED64, _VARINT, _FIXED32 = 2, 1, 0, 5

_TRACE_ID, _SPAN_ID, _PARENT, _NAME = 1 << 3 | _BYTES, 2 << 3 | _BYTES, 4 << 3 | _BYTES, 5 << 3 | 2
_KIND, _START, _END = 6 << 3 | _VARINT, 7 << 3 | _FIXED64, 8 << 3 | _FIXED64
_ATTRIBUTE, _FLAGS = 9 << 3 | _BYTES, 16 << 3 | _FIXED32

_INTERNAL = 1
"""Number of the kind that exray's own spans have."""

_VALUE_TAGS = {"text": 1 << 3 | _BYTES, "integer": 3 << 3, "small": 3 << 3, "real": 4 << 3 | 1}
"""Field of ``AnyValue`` by the type of an attribute."""

Values = NDArray[np.int64] | NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Column:
    """Values of one attribute, a place for each span.

    Args:
        known: The attribute.
        present: Which spans have it.
        values: What those say: for a text its place.
        sizes: Of texts, their bytes; zero where there is none.
    """

    known: Known
    present: Flags
    values: Values
    sizes: Places

    @property
    def rows(self) -> Places:
        """The spans that have it."""
        return np.flatnonzero(self.present)

    @property
    def places(self) -> Places:
        """Where the texts are."""
        return cast("Places", self.values)


class SpanReader:
    """Reads spans of a buffer; what it found is in its attributes afterwards.

    Args:
        octets: The buffer.
        begins: Where each span's fields begin, shape (spans,).
        ends: Where they end, within the buffer.

    Attributes:
        odd: Spans of which nothing else here may be believed.
        trace_ids: Shape (spans, 2), the words of each.
        span_ids: Shape (spans,).
        parents: Shape (spans,).
        has_parent: Which have one.
        starts: Nanoseconds, uint64.
        ends_ns: Nanoseconds, uint64.
        names: Their places.
        name_sizes: Their bytes.
        masks: Which attributes each has, see `known`.
        columns: The attributes.
    """

    def __init__(self, octets: Octets, begins: Places, ends: Places) -> None:
        count = len(begins)
        self.octets = octets
        self.odd: Flags = np.zeros(count, np.bool_)
        self.trace_ids = np.zeros((count, 2), np.uint64)
        self.span_ids = np.zeros(count, np.uint64)
        self.parents = np.zeros(count, np.uint64)
        self.has_parent: Flags = np.zeros(count, np.bool_)
        self.starts = np.zeros(count, np.uint64)
        self.ends_ns = np.zeros(count, np.uint64)
        self.names = np.zeros(count, np.int64)
        self.name_sizes = np.zeros(count, np.int64)
        self.masks = np.zeros(count, np.int64)
        self.columns: dict[str, Column] = {}
        self._read(begins, ends)

    def _read(self, begins: Places, ends: Places) -> None:
        self._seen = np.zeros(len(begins), np.int64)
        self._found: list[tuple[Places, Places, Places]] = []
        self._read_fields(begins, ends)
        needed = sum(1 << (tag >> 3) for tag in (_TRACE_ID, _SPAN_ID, _KIND))
        self.odd |= (self._seen & needed) != needed
        self._read_attributes()

    # --- fields of a span -----------------------------------------------------------------

    def _read_fields(self, begins: Places, ends: Places) -> None:
        rows = np.flatnonzero(begins < ends)
        places, ends = begins[rows], ends[rows]
        while rows.size:
            tags, after = self.octets.tags(places)
            following = np.full(rows.size, -1, np.int64)  # odd unless a field says otherwise
            for tag, chosen in _groups(tags):
                following[chosen] = self._read_field(tag, rows[chosen], after[chosen], ends[chosen])
            bad = following < 0
            if bad.any():
                self.odd[rows[bad]] = True
            going_on = ~bad & (following < ends)
            if going_on.all():
                places = following
            else:
                rows, places, ends = rows[going_on], following[going_on], ends[going_on]

    def _read_field(self, tag: int, rows: Places, at: Places, ends: Places) -> Places:
        """Read one field of some spans; return the places behind it, -1 where it is odd."""
        if tag == _ATTRIBUTE:
            sizes, inside = self.octets.sizes(at)
            stops = _stops(sizes, inside, ends)
            self._found.append((rows, inside, stops))
            return stops
        if tag not in _READERS:
            return np.full(len(rows), -1, np.int64)
        stops = cast("Places", getattr(self, _READERS[tag])(rows, at, ends))
        bit = 1 << (tag >> 3)
        stops[(self._seen[rows] & bit) != 0] = -1
        self._seen[rows] |= bit
        return stops

    def _read_trace_id(self, rows: Places, at: Places, ends: Places) -> Places:
        sizes, inside = self.octets.sizes(at)
        self.trace_ids[rows, 0] = self.octets.words[inside]
        self.trace_ids[rows, 1] = self.octets.words[inside + 8]
        return _stops(np.where(sizes == 16, sizes, -1), inside, ends)

    def _read_span_id(self, rows: Places, at: Places, ends: Places) -> Places:
        sizes, inside = self.octets.sizes(at)
        self.span_ids[rows] = self.octets.words[inside]
        return _stops(np.where(sizes == 8, sizes, -1), inside, ends)

    def _read_parent(self, rows: Places, at: Places, ends: Places) -> Places:
        sizes, inside = self.octets.sizes(at)
        self.parents[rows] = self.octets.words[inside]
        self.has_parent[rows] = True
        return _stops(np.where(sizes == 8, sizes, -1), inside, ends)

    def _read_name(self, rows: Places, at: Places, ends: Places) -> Places:
        sizes, inside = self.octets.sizes(at)
        self.names[rows], self.name_sizes[rows] = inside, sizes
        return _stops(sizes, inside, ends)

    def _read_kind(self, rows: Places, at: Places, ends: Places) -> Places:
        stops = np.where(self.octets.bytes[at] == _INTERNAL, at + 1, -1)
        return np.where(stops <= ends, stops, -1)

    def _read_start(self, rows: Places, at: Places, ends: Places) -> Places:
        self.starts[rows] = self.octets.words[at]
        return np.where(at + 8 <= ends, at + 8, -1)

    def _read_end(self, rows: Places, at: Places, ends: Places) -> Places:
        self.ends_ns[rows] = self.octets.words[at]
        return np.where(at + 8 <= ends, at + 8, -1)

    def _read_flags(self, rows: Places, at: Places, ends: Places) -> Places:
        return np.where(at + 4 <= ends, at + 4, -1)

    # --- attributes -----------------------------------------------------------------------

    def _read_attributes(self) -> None:
        if not self._found:
            return
        rows, begins, ends = (np.concatenate(parts) for parts in zip(*self._found, strict=True))
        octets = self.octets
        ends = np.maximum(ends, begins)
        key_sizes, keys = octets.sizes(begins + 1)
        good = (octets.bytes[begins] == (1 << 3 | _BYTES)) & (key_sizes > 0)
        after_key = np.where(good, keys + key_sizes, begins)
        good &= after_key < ends
        after_key = np.where(good, after_key, begins)
        value_sizes, values = octets.sizes(after_key + 1)
        good &= octets.bytes[after_key] == (2 << 3 | _BYTES)
        good &= (value_sizes > 1) & (values + value_sizes == ends)
        self.odd[rows[~good]] = True
        if not good.all():
            rows, keys, key_sizes = rows[good], keys[good], key_sizes[good]
            values, ends = values[good], ends[good]
        tags = octets.bytes[values]
        numbers = octets.hashes(keys, key_sizes) ^ (tags.astype(np.uint64) << np.uint64(56))
        for chosen in _alike(numbers):
            self._read_group(
                rows[chosen], keys[chosen], key_sizes[chosen], values[chosen], ends[chosen]
            )

    def _read_group(
        self, rows: Places, keys: Places, key_sizes: Places, values: Places, ends: Places
    ) -> None:
        """Read attributes whose keys are probably the same, as the first one's type has it."""
        octets = self.octets
        first, size = int(keys[0]), int(key_sizes[0])
        key = octets.data[first : first + size]
        known = KNOWN.get(key.decode("ascii", "replace"))
        tags = octets.bytes[values]
        if known is None or int(tags[0]) != _VALUE_TAGS[known.kind]:
            self.odd[rows] = True
            return
        good = (key_sizes == size) & (tags == tags[0])
        good &= octets.equal(np.where(good, keys, first), key)
        at = values + 1
        sizes = ends - at
        found: Values
        if known.kind == "text":
            sizes, found = octets.sizes(at)
            good &= (sizes >= 0) & (found + sizes == ends)
        elif known.kind == "real":
            good &= sizes == 8
            found = octets.words[at].view(np.float64)
        else:
            found, whole = octets.integers(at, sizes)
            good &= whole
            if known.kind == "small":
                good &= (found >= -(2**31)) & (found < 2**31)
        if len(rows) > 1 and not (rows[1:] > rows[:-1]).all():  # else each comes once
            last = np.empty(len(self.odd), np.int64)
            numbers = np.arange(len(rows))
            last[rows] = numbers
            good &= last[rows] == numbers
        if not good.all():
            self.odd[rows[~good]] = True
            rows, found, sizes = rows[good], found[good], sizes[good]
        self.masks[rows] |= 1 << known.bit
        if known.column in self.columns:  # two groups of one key, by a collision of hashes
            self.odd[rows] = True
            return
        count = len(self.odd)
        present = np.zeros(count, np.bool_)
        spread: Any = np.zeros(count, found.dtype)
        present[rows], spread[rows] = True, found
        spread_sizes = np.zeros(count, np.int64)
        spread_sizes[rows] = sizes
        self.columns[known.column] = Column(known, present, spread, spread_sizes)


_READERS = {
    _TRACE_ID: "_read_trace_id",
    _SPAN_ID: "_read_span_id",
    _PARENT: "_read_parent",
    _NAME: "_read_name",
    _KIND: "_read_kind",
    _START: "_read_start",
    _END: "_read_end",
    _FLAGS: "_read_flags",
}


def _stops(sizes: Places, inside: Places, ends: Places) -> Places:
    """Return where fields of *sizes* end, -1 where that is not within their message."""
    stops = inside + sizes
    return np.where((sizes >= 0) & (stops <= ends), stops, -1)


def _groups(tags: NDArray[np.int64]) -> Iterator[tuple[int, Any]]:
    """Yield each tag, and where it is."""
    first = int(tags[0])
    if (tags == first).all():
        yield first, slice(None)
        return
    for tag in np.unique(tags).tolist():
        yield int(tag), np.flatnonzero(tags == tag)


def _alike(numbers: NDArray[np.uint64]) -> Iterator[Places]:
    """Yield where each number stands, in ascending order of places."""
    pa = arrow()
    encoded = pa.array(numbers).dictionary_encode()
    codes: NDArray[np.int32] = encoded.indices.to_numpy()
    count = len(encoded.dictionary)
    order = np.argsort(codes.astype(np.int16) if count < 2**15 else codes, kind="stable")
    bounds: list[int] = np.cumsum(np.bincount(codes, minlength=count)).tolist()
    for start, end in pairwise([0, *bounds]):
        yield order[start:end]
