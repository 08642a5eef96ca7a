"""exray's own spans read by the native library, one after the other.

What comes out is what `SpanReader` makes of them by numpy; it is what is used where there is no
native library.
"""

import ctypes
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.collector.native_library import otlp_library

from .gather import address
from .known import KNOWN
from .lockstep import Column, SpanReader
from .octets import Octets, Places

_KEY_KINDS = ("text", "integer", "small", "real")
"""By the number that stands for each, `KeyKind` of `native/abi.h`."""


def read_spans(octets: Octets, begins: Places, ends: Places) -> SpanReader:
    """Read spans of a buffer, by the fastest way that there is here.

    Args:
        octets: The buffer.
        begins: Where each span's fields begin, shape (spans,).
        ends: Where they end, within the buffer.
    """
    native = otlp_library().handle is not None
    return (NativeSpanReader if native else SpanReader)(octets, begins, ends)


class _Key(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("size", ctypes.c_int32),
        ("kind", ctypes.c_uint8),
    )


class _Columns(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_void_p)
        for name in (
            "odd",
            "trace_ids",
            "span_ids",
            "parents",
            "has_parent",
            "starts",
            "ends",
            "names",
            "name_sizes",
            "masks",
            "values",
            "sizes",
        )
    )


class NativeSpanReader(SpanReader):
    """The same by the native library, which must be there."""

    def _read(self, begins: Places, ends: Places) -> None:
        library = otlp_library().handle
        assert library is not None
        count = len(begins)
        values = np.zeros((len(KNOWN), count), np.int64)
        sizes = np.zeros((len(KNOWN), count), np.int32)
        begins, ends = np.ascontiguousarray(begins), np.ascontiguousarray(ends)
        columns = _Columns(
            odd=address(self.odd),
            trace_ids=address(self.trace_ids),
            span_ids=address(self.span_ids),
            parents=address(self.parents),
            has_parent=address(self.has_parent),
            starts=address(self.starts),
            ends=address(self.ends_ns),
            names=address(self.names),
            name_sizes=address(self.name_sizes),
            masks=address(self.masks),
            values=address(values),
            sizes=address(sizes),
        )
        library.exray_otlp_spans(
            address(self.octets.bytes),
            address(begins),
            address(ends),
            ctypes.c_int64(count),
            _keys(),
            ctypes.c_int32(len(KNOWN)),
            ctypes.byref(columns),
        )
        self._take(values, sizes)

    def _read_attributes(self) -> None:
        """Do nothing: they are read with the fields."""

    def _take(self, values: NDArray[np.int64], sizes: NDArray[np.int32]) -> None:
        said = int(np.bitwise_or.reduce(self.masks))
        for known in KNOWN.values():
            if said >> known.bit & 1:
                present = (self.masks >> known.bit & 1).astype(np.bool_)
                row: Any = values[known.bit]
                column = Column(
                    known,
                    present,
                    row.view(np.float64) if known.kind == "real" else row,
                    sizes[known.bit],
                )
                self.columns[known.column] = column


@lru_cache(maxsize=1)
def _keys() -> Any:
    """Return the known attributes as the library has them, in the order of their bits."""
    named = [
        _Key(known.key.encode(), len(known.key.encode()), _KEY_KINDS.index(known.kind))
        for known in sorted(KNOWN.values(), key=lambda known: known.bit)
    ]
    return (_Key * len(named))(*named)
