"""Bodies made smaller for a log: the disk is slower than what makes them so.

Snappy halves what devices send, or better, in less time than the kernel takes to copy it. It
comes with pyarrow, which a device need not have: a spool is never packed.
"""

from enum import IntEnum
from functools import lru_cache
from typing import Any

from exray.schema.errors import DataError

from .typing import Buffer

LARGE_BYTES = 256 << 10
"""The allocator of `bytes` gives back the memory of a larger body each time, and the kernel
clears it again for the next. Arrow's keeps it, but takes longer with many small ones."""

LEAST_BYTES = 4096
"""Of a smaller body a disk's block is written anyway."""


class Packing(IntEnum):
    """How a body lies in a log; the number stands in its record."""

    NONE = 0
    SNAPPY = 1


@lru_cache(maxsize=1)
def _codec() -> Any:
    import pyarrow

    return pyarrow.Codec("snappy")


def pack(body: Buffer) -> tuple[Packing, Buffer]:
    """Return a body as it is to be stored: packed, or as it is where that gains little.

    What is returned does not change when the memory of *body* is used again.
    """
    if len(body) < LEAST_BYTES:
        return Packing.NONE, bytes(body)
    packed = _compressed(body)
    if len(packed) > len(body) * 7 // 8:
        return Packing.NONE, bytes(body)
    return Packing.SNAPPY, packed


def _compressed(body: Buffer) -> Buffer:
    if len(body) <= LARGE_BYTES:
        packed: bytes = _codec().compress(body, asbytes=True)
        return packed
    found = _codec().compress(body)
    return memoryview(found)[: found.size].cast("B")  # of which it shows all that was allocated


def unpack(packing: Packing, stored: Buffer, most_bytes: int) -> bytes:
    """Return the body that `pack` was given.

    Args:
        packing: How it is stored.
        stored: As stored.
        most_bytes: More is damage.

    Raises:
        DataError: It is damaged.
    """
    if packing is Packing.NONE:
        return bytes(stored)
    size = _unpacked_bytes(stored)
    if size > most_bytes:
        msg = f"the packed body says to be of {size} bytes; expected at most {most_bytes}"
        raise DataError(msg)
    try:
        body: bytes = _codec().decompress(stored, size, asbytes=True)
    except (OSError, ValueError) as error:
        msg = f"the packed body is damaged: {error}"
        raise DataError(msg) from error
    return body


def _unpacked_bytes(packed: Buffer) -> int:
    """Return what Snappy's first bytes say, a varint: how long the body was."""
    size = 0
    for place, octet in enumerate(packed[:5]):
        size |= (octet & 0x7F) << (7 * place)
        if octet < 0x80:
            break
    return size
