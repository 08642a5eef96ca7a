"""Read access to the tables of a flatbuffer, with types.

Every method raises one of `DAMAGE` where an offset leads out of the buffer, or to nonsense.
"""

import importlib
import struct
from collections.abc import Iterator
from functools import cache
from mmap import mmap
from typing import Any, Self

from exray.schema.errors import MissingExtraError

DAMAGE = (struct.error, TypeError, ValueError, IndexError, OverflowError, KeyError, AttributeError)
"""What reading a damaged buffer raises."""

_FIRST_SLOT_BYTES = 4
"""A vtable begins with its own size and the table's, two bytes each."""

_OFFSET_BYTES = 4


# Any: the package flatbuffers has no types.
@cache
def _tables() -> Any:
    """Return the runtime's reader of flatbuffers."""
    try:
        return importlib.import_module("flatbuffers.table").Table
    except ImportError as error:
        raise MissingExtraError("litert", "reading a .tflite file") from error


class FlatTable:
    """One table: fields are asked for by the number of their slot in the schema."""

    __slots__ = ("_table",)

    def __init__(self, content: bytes | mmap, position: int) -> None:
        self._table = _tables()(content, position)

    @classmethod
    def root(cls, content: bytes | mmap) -> Self:
        """Return the table that a whole buffer is.

        Raises:
            MissingExtraError: No runtime is installed that brings a reader.
        """
        return cls(content, struct.unpack_from("<I", content)[0])

    def integer(self, slot: int, kind: str = "i", default: int = 0) -> int:
        """Return a number, *kind* as in `struct`."""
        return int(self.number(slot, kind, default))

    def number(self, slot: int, kind: str, default: float) -> float | int | bool:
        """Return a number, *kind* as in `struct`, or *default* where the field is absent."""
        offset = self._offset(slot)
        if not offset:
            return default
        value: float = struct.unpack_from(f"<{kind}", self._table.Bytes, self._table.Pos + offset)[
            0
        ]
        return value

    def text(self, slot: int) -> str:
        """Return a string, empty where the field is absent."""
        offset = self._offset(slot)
        if not offset:
            return ""
        raw: bytes = self._table.String(self._table.Pos + offset)
        return raw.decode("utf-8", "replace")

    def table(self, slot: int) -> "FlatTable | None":
        """Return a table within, None where the field is absent."""
        offset = self._offset(slot)
        if not offset:
            return None
        return FlatTable(self._table.Bytes, self._table.Indirect(self._table.Pos + offset))

    def length(self, slot: int) -> int:
        """Return how many elements a vector has, 0 where the field is absent."""
        offset = self._offset(slot)
        return int(self._table.VectorLen(offset)) if offset else 0

    def tables(self, slot: int) -> "Iterator[FlatTable]":
        """Return the tables of a vector in their order."""
        return (self.element(slot, i) for i in range(self.length(slot)))

    def element(self, slot: int, index: int) -> "FlatTable":
        """Return one table of a vector."""
        length = self.length(slot)
        if index >= length:
            msg = f"element {index} of {length}"
            raise IndexError(msg)
        start = self._table.Vector(self._offset(slot)) + _OFFSET_BYTES * index
        return FlatTable(self._table.Bytes, self._table.Indirect(start))

    def numbers(self, slot: int, kind: str) -> tuple[float, ...]:
        """Return a vector of numbers, *kind* as in `struct`; empty where the field is absent."""
        length = self.length(slot)
        if not length:
            return ()
        start = self._table.Vector(self._offset(slot))
        return struct.unpack_from(f"<{length}{kind}", self._table.Bytes, start)

    def integers(self, slot: int, kind: str = "i") -> tuple[int, ...]:
        """Return a vector of integers, likewise."""
        return tuple(int(number) for number in self.numbers(slot, kind))

    def _offset(self, slot: int) -> int:
        return int(self._table.Offset(_FIRST_SLOT_BYTES + 2 * slot))
