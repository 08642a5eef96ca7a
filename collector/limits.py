"""What a request may cost: bytes on the wire, bytes unpacked, bytes under way at once."""

import threading
import zlib
from dataclasses import dataclass
from typing import Self

from .reply import bad, later, too_large

CHUNK_BYTES = 1 << 20
"""Unpacked at a time; the budget is asked before each."""

RATIO_FLOOR_BYTES = 1 << 20
"""Up to here a ratio says nothing: a request of zeros is small, whatever it unpacks to."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one request.

    Args:
        request_bytes: As received.
        unpacked_bytes: After decompression; a quarter where it is JSON, whose objects take
            many times the memory of their text.
        ratio: Most bytes that one byte may unpack to.
        records: Spans, points or log records.
        attributes: Of one span, point or record.
        attribute_bytes: Of one attribute, key and value.
    """

    request_bytes: int = 16 << 20
    unpacked_bytes: int = 32 << 20
    ratio: int = 200
    records: int = 200_000
    attributes: int = 1024
    attribute_bytes: int = 1 << 20


class Budget:
    """Bytes of requests that are in memory at once.

    Args:
        limit_bytes: Most there may be.
        retry_after_s: What a client is told that finds none left.
    """

    def __init__(self, limit_bytes: int, retry_after_s: int) -> None:
        self._limit_bytes = limit_bytes
        self._retry_after_s = retry_after_s
        self._lock = threading.Lock()
        self._used_bytes = 0

    @property
    def used_bytes(self) -> int:
        """Bytes in memory now."""
        return self._used_bytes

    def take(self, size_bytes: int) -> None:
        """Reserve memory, to be given back by `give_back`.

        Raises:
            RefusedError: There is not as much left.
        """
        with self._lock:
            if self._used_bytes + size_bytes > self._limit_bytes:
                message = "too many requests are under way; send this one again"
                raise later(message, self._retry_after_s, "inflight")
            self._used_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Return what was reserved."""
        with self._lock:
            self._used_bytes -= size_bytes


class Reservation:
    """What one request has reserved of a budget; leaving the block gives all of it back."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._size_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.give_back(self._size_bytes)
        self._size_bytes = 0

    def add(self, size_bytes: int) -> None:
        """Reserve more.

        Raises:
            RefusedError: There is not as much left.
        """
        self._budget.take(size_bytes)
        self._size_bytes += size_bytes


def gunzip(data: bytes, limits: Limits, reserved: Reservation) -> bytes:
    """Return what gzip has packed; memory is reserved before it is used.

    Raises:
        RefusedError: It is no gzip, cut short, unpacks to too much, or memory is short.
    """
    allowed = min(limits.unpacked_bytes, max(len(data) * limits.ratio, RATIO_FLOOR_BYTES))
    parts: list[bytes] = []
    size = 0
    while data:  # a gzip file may have several members
        unpacker = zlib.decompressobj(wbits=31)
        while not unpacker.eof:
            reserved.add(CHUNK_BYTES)
            try:
                part = unpacker.decompress(data, CHUNK_BYTES)
            except zlib.error as error:
                message = f"the body says gzip and is none: {error}"
                raise bad(message) from None
            data = unpacker.unconsumed_tail
            size += len(part)
            if size > allowed:
                message = f"the body unpacks to more than {allowed} bytes; send smaller requests"
                raise too_large(message)
            parts.append(part)
            if not part and not data and not unpacker.eof:
                raise bad("the gzip of the body is cut short")
        data = unpacker.unused_data.lstrip(b"\0")  # some pad with zeros
    return b"".join(parts)
