"""Where the spans of a request are: a walk over its outer messages, span by span.

It reads no further than to a span's beginning and end. A request that is not laid out as
every exporter writes it (fields out of order, of unknown numbers or twice) is *unusual* and
left to protobuf's own parser.
"""

import ctypes
from dataclasses import dataclass

import numpy as np

from exray.collector.native_library import otlp_library

from .octets import Places

_RESOURCE_SPANS = 1 << 3 | 2
_RESOURCE, _SCOPE_SPANS, _SCHEMA_URL = 1 << 3 | 2, 2 << 3 | 2, 3 << 3 | 2
_SCOPE, _SPAN = 1 << 3 | 2, 2 << 3 | 2

_MOST_PLACES = 4096
"""Spans that the native library looks for at a time."""

_FIRST_ROOM = 4 * _MOST_PLACES


class UnusualError(Exception):
    """A request is laid out in a way that this walk does not follow."""


@dataclass(slots=True)
class Group:
    """Spans that one resource and one scope have in common.

    Args:
        record: Number of the request.
        resource: Bytes of the resource.
        scope: Bytes of the scope.
    """

    record: int
    resource: bytes
    scope: bytes


class Boundaries:
    """Where the spans of some requests are."""

    def __init__(self) -> None:
        self.groups: list[Group] = []
        self.sizes: list[int] = []
        """Spans of each group; they follow one another."""
        self._count = 0
        self._begins, self._ends = np.empty((2, _FIRST_ROOM), np.int64)

    @property
    def begins(self) -> Places:
        """First byte of each span."""
        return self._begins[: self._count]

    @property
    def ends(self) -> Places:
        """Byte behind each."""
        return self._ends[: self._count]

    @property
    def group_of_span(self) -> Places:
        """Number of the group of each."""
        return np.repeat(np.arange(len(self.sizes)), np.array(self.sizes, np.int64))

    def keep(self, groups: int) -> None:
        """Forget all groups but the first, and their spans."""
        self._count -= sum(self.sizes[groups:])
        del self.groups[groups:], self.sizes[groups:]

    def room(self, most: int) -> tuple[Places, Places]:
        """Return arrays to write so many more begins and ends to; `add` takes them up."""
        if self._count + most > len(self._begins):
            more = np.empty(len(self._begins) + most, np.int64)
            self._begins = np.concatenate([self._begins, more])
            self._ends = np.concatenate([self._ends, more])
        return self._begins[self._count :], self._ends[self._count :]

    def add(self, spans: int, base: int) -> None:
        """Take up what was written to `room`, of the last group, of a request at *base*."""
        written = slice(self._count, self._count + spans)
        self._begins[written] += base
        self._ends[written] += base
        self._count += spans
        self.sizes[-1] += spans


def walk_request(body: bytes, base: int, record: int, found: Boundaries) -> None:
    """Add the spans of one request to *found*.

    Args:
        body: An ``ExportTraceServiceRequest``.
        base: Where it begins in the buffer that places refer to.
        record: Its number.
        found: Left as it was where this raises.

    Raises:
        UnusualError: It is cut short, or laid out unusually.
    """
    before = len(found.groups)
    try:
        at, size = 0, len(body)
        while at < size:
            at, end = _message(body, at, size, _RESOURCE_SPANS)
            _walk_resource(body, at, end, base, record, found)
            at = end
    except UnusualError:
        found.keep(before)
        raise


def _walk_resource(
    body: bytes, at: int, end: int, base: int, record: int, found: Boundaries
) -> None:
    resource = b""
    if at < end and body[at] == _RESOURCE:
        begin, at = _message(body, at, end, _RESOURCE)
        resource = body[begin:at]
    while at < end and body[at] == _SCOPE_SPANS:
        at, stop = _message(body, at, end, _SCOPE_SPANS)
        scope = b""
        if at < stop and body[at] == _SCOPE:
            begin, at = _message(body, at, stop, _SCOPE)
            scope = body[begin:at]
        found.groups.append(Group(record, resource, scope))
        found.sizes.append(0)
        at = _walk_spans(body, at, stop, base, found)
        at = _skip_schema_url(body, at, stop)
    if _skip_schema_url(body, at, end) != end:
        raise UnusualError


def _walk_spans(body: bytes, at: int, stop: int, base: int, found: Boundaries) -> int:
    """Add spans while there are any; return where they end."""
    library = otlp_library().handle
    if library is None:
        return _walk_each(body, at, stop, base, found)
    count = ctypes.c_int64(_MOST_PLACES)
    while count.value == _MOST_PLACES:
        begins, ends = found.room(_MOST_PLACES)
        at = library.exray_otlp_places(
            body, at, stop, _MOST_PLACES, begins.ctypes.data, ends.ctypes.data, count
        )
        if at < 0:
            raise UnusualError
        found.add(count.value, base)
    return at


def _walk_each(body: bytes, at: int, stop: int, base: int, found: Boundaries) -> int:
    """Do the same in Python: the hot loop of the walk."""
    begins, ends = list[int](), list[int]()
    last = stop - 1
    while at < last and body[at] == _SPAN:
        size = body[at + 1]
        at += 2
        if size >= 0x80:
            size &= 0x7F
            shift = 7
            while True:
                if at >= stop or shift > 28:
                    raise UnusualError
                byte = body[at]
                at += 1
                size |= (byte & 0x7F) << shift
                if byte < 0x80:
                    break
                shift += 7
        begins.append(at)
        at += size
        if at > stop:
            raise UnusualError
        ends.append(at)
    into_begins, into_ends = found.room(len(begins))
    into_begins[: len(begins)], into_ends[: len(ends)] = begins, ends
    found.add(len(begins), base)
    return at


def _skip_schema_url(body: bytes, at: int, end: int) -> int:
    """Pass over a schema's URL, if there is one, which must be all that is left."""
    if at == end:
        return end
    begin, stop = _message(body, at, end, _SCHEMA_URL)
    try:
        body[begin:stop].decode()
    except UnicodeDecodeError:
        raise UnusualError from None
    if stop != end:
        raise UnusualError
    return end


def _message(body: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    """Return where the length-delimited field *tag*, which begins at *at*, has its content."""
    if at >= end or body[at] != tag:
        raise UnusualError
    at += 1
    size = shift = 0
    while True:
        if at >= end or shift > 28:
            raise UnusualError
        byte = body[at]
        at += 1
        size |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    if at + size > end:
        raise UnusualError
    return at, at + size
