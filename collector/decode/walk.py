"""Where the spans of a request are: a walk over its outer messages, span by span.

It reads no further than to a span's beginning and end. A request that is not laid out as
every exporter writes it (fields out of order, of unknown numbers or twice) is *unusual* and
left to protobuf's own parser.
"""

import ctypes
from dataclasses import dataclass, field

import numpy as np

from exray.collector.native_library import otlp_library

_RESOURCE_SPANS = 1 << 3 | 2
_RESOURCE, _SCOPE_SPANS, _SCHEMA_URL = 1 << 3 | 2, 2 << 3 | 2, 3 << 3 | 2
_SCOPE, _SPAN = 1 << 3 | 2, 2 << 3 | 2


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


@dataclass(slots=True)
class Boundaries:
    """Where the spans of some requests are.

    Args:
        begins: First byte of each span.
        ends: Byte behind it.
        groups: Number of the group of each.
        group_list: The groups.
    """

    begins: list[int] = field(default_factory=list[int])
    ends: list[int] = field(default_factory=list[int])
    groups: list[int] = field(default_factory=list[int])
    group_list: list[Group] = field(default_factory=list[Group])


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
    inner = Boundaries(group_list=[])
    first_group = len(found.group_list)
    at, size = 0, len(body)
    while at < size:
        at, end = _message(body, at, size, _RESOURCE_SPANS)
        _walk_resource(body, at, end, base, record, first_group, inner)
        at = end
    found.begins += inner.begins
    found.ends += inner.ends
    found.groups += inner.groups
    found.group_list += inner.group_list


def _walk_resource(
    body: bytes, at: int, end: int, base: int, record: int, first_group: int, found: Boundaries
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
        number = first_group + len(found.group_list)
        found.group_list.append(Group(record, resource, scope))
        before = len(found.begins)
        at = _walk_spans(body, at, stop, base, found)
        found.groups += [number] * (len(found.begins) - before)
        at = _skip_schema_url(body, at, stop)
    if _skip_schema_url(body, at, end) != end:
        raise UnusualError


_MOST_PLACES = 4096
"""Spans that the native library looks for at a time."""


def _walk_spans(body: bytes, at: int, stop: int, base: int, found: Boundaries) -> int:
    """Add spans while there are any; return where they end."""
    library = otlp_library().handle
    if library is None:
        return _walk_each(body, at, stop, base, found)
    begins, ends = np.empty(_MOST_PLACES, np.int64), np.empty(_MOST_PLACES, np.int64)
    count = ctypes.c_int64(_MOST_PLACES)
    while count.value == _MOST_PLACES:
        at = library.exray_otlp_places(
            ctypes.c_char_p(body),
            ctypes.c_int64(at),
            ctypes.c_int64(stop),
            ctypes.c_int64(_MOST_PLACES),
            ctypes.c_void_p(begins.ctypes.data),
            ctypes.c_void_p(ends.ctypes.data),
            ctypes.byref(count),
        )
        if at < 0:
            raise UnusualError
        found.begins += (begins[: count.value] + base).tolist()
        found.ends += (ends[: count.value] + base).tolist()
    return at


def _walk_each(body: bytes, at: int, stop: int, base: int, found: Boundaries) -> int:
    """Do the same in Python: the hot loop of the walk."""
    begins, ends = found.begins, found.ends
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
        begins.append(base + at)
        at += size
        if at > stop:
            raise UnusualError
        ends.append(base + at)
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
