"""A column's values as the bytes that go over the wire, and rows made of columns."""

# pyarrow's stubs leave many types open, which pyright strict reports on every use:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    Column = pa.Array[Any]

_HEADER_BYTES = 7
"""A row's letter, its length and its number of columns."""

_NULL = struct.pack("!i", -1)

_FEW_VALUES = 200
"""Up to so many, Python puts them together sooner than numpy gets started."""


@dataclass(frozen=True, slots=True)
class Cells:
    """The values of one column, one after the other.

    Args:
        data: All bytes, shape ``(total,)``, uint8.
        ends: Where each value ends, shape ``(rows,)``, int64; NULL takes no bytes.
        valid: Which values are not NULL, shape ``(rows,)``, bool; None where all are.
    """

    data: "NDArray[np.uint8]"
    ends: "NDArray[np.int64]"
    valid: "NDArray[np.bool_] | None"


def fixed_cells(values: "NDArray[np.uint8]", valid: "NDArray[np.bool_] | None") -> Cells:
    """Return values of one width, shape ``(rows, width)``, as cells."""
    rows, width = values.shape
    if valid is None:
        return Cells(values.reshape(-1), np.arange(1, rows + 1, dtype=np.int64) * width, None)
    return Cells(values[valid].reshape(-1), np.cumsum(valid, dtype=np.int64) * width, valid)


def cells_from_bytes(values: Sequence[bytes | None]) -> Cells:
    """Return cells of Python's bytes."""
    present = [value or b"" for value in values]
    ends = np.cumsum([len(value) for value in present], dtype=np.int64)
    valid = np.array([value is not None for value in values], np.bool_)
    data = np.frombuffer(b"".join(present), np.uint8)
    return Cells(data, ends, None if valid.all() else valid)


def cells_from_arrow(array: "Column") -> Cells:
    """Return cells of an array of strings or binaries, with 32-bit offsets."""
    import pyarrow.compute as pc

    valid = valid_from_arrow(array)
    if valid is not None:  # a NULL in Arrow may own bytes
        nothing: Any = b"" if str(array.type) == "binary" else ""
        array = pc.fill_null(array, nothing)
    _, offsets, data = cast("list[Any]", array.buffers())
    rows = len(array)
    if offsets is None or not rows:
        return Cells(np.empty(0, np.uint8), np.zeros(rows, np.int64), valid)
    bounds = np.frombuffer(offsets, np.int32)[array.offset : array.offset + rows + 1]
    first, last = int(bounds[0]), int(bounds[-1])
    content = np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)[first:last]
    return Cells(content, bounds[1:].astype(np.int64) - first, valid)


def valid_from_arrow(array: "Column") -> "NDArray[np.bool_] | None":
    """Return which values are not NULL, None where all are."""
    if not array.null_count:
        return None
    return cast("NDArray[np.bool_]", array.is_valid().to_numpy(zero_copy_only=False))


def data_rows(columns: Sequence[Cells], rows: int) -> bytes:
    """Return *rows* DataRow messages.

    A message is: the letter D, its length, the number of columns, and of each value its
    length (-1 for NULL) and its bytes; numbers are big-endian.
    """
    if rows * len(columns) <= _FEW_VALUES:
        return _few_rows(columns, rows)
    lengths = [np.diff(cells.ends, prepend=0) for cells in columns]
    sizes = np.full(rows, _HEADER_BYTES + 4 * len(columns), np.int64)
    for length in lengths:
        sizes += length
    position = np.cumsum(sizes) - sizes
    out = np.empty(int(sizes.sum()), np.uint8)
    out[position] = ord("D")
    _put_int32(out, position + 1, sizes - 1)
    out[position + 5], out[position + 6] = len(columns) >> 8, len(columns) & 0xFF
    position = position + _HEADER_BYTES
    for cells, length in zip(columns, lengths, strict=True):
        shown = length if cells.valid is None else np.where(cells.valid, length, -1)
        _put_int32(out, position, shown)
        position = position + 4
        if cells.data.size:
            shift = np.repeat(position - (cells.ends - length), length)
            out[np.arange(cells.data.size) + shift] = cells.data
        position = position + length
    return out.tobytes()


def _few_rows(columns: Sequence[Cells], rows: int) -> bytes:
    """Return what `data_rows` does, value by value."""
    columns_of_values = [_values(cells) for cells in columns]
    count = struct.pack("!H", len(columns))
    out: list[bytes] = []
    for row in range(rows):
        body = b"".join([values[row] for values in columns_of_values])
        out += (b"D", struct.pack("!i", len(body) + 6), count, body)
    return b"".join(out)


def _values(cells: Cells) -> list[bytes]:
    """Return each value's length and bytes."""
    content, start = cells.data.tobytes(), 0
    valid = cells.valid.tolist() if cells.valid is not None else [True] * len(cells.ends)
    values: list[bytes] = []
    for end, is_valid in zip(cells.ends.tolist(), valid, strict=True):
        values.append(struct.pack("!i", end - start) + content[start:end] if is_valid else _NULL)
        start = end
    return values


def _put_int32(
    out: "NDArray[np.uint8]", position: "NDArray[np.int64]", values: "NDArray[np.int64]"
) -> None:
    big_endian = values.astype(">i4").view(np.uint8).reshape(-1, 4)
    for i in range(4):
        out[position + i] = big_endian[:, i]
