"""Arrow arrays out of numpy blocks, without a Python object per row."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from exray.schema.arrow import arrow_schema, arrow_type
from exray.schema.tables import TABLES

from .plain_json import plain_text

if TYPE_CHECKING:
    import pyarrow as pa

    Array = pa.Array[Any]


def table_from_columns(name: str, columns: "Mapping[str, Array]") -> "pa.Table":
    """Return a table of the schema; a column not in *columns* is all NULL.

    Args:
        name: A table of the schema.
        columns: At least one of its columns, each as long as the others; a dictionary stays one.
    """
    rows = len(next(iter(columns.values())))
    arrays = [
        columns[column.name]
        if column.name in columns
        else _arrow().nulls(rows, arrow_type(column.type))
        for column in TABLES[name].columns
    ]
    schema: Any = arrow_schema(name)
    fields = [
        field.with_type(array.type) if isinstance(array.type, _arrow().DictionaryType) else field
        for field, array in zip(schema, arrays, strict=True)
    ]
    table: pa.Table = _arrow().Table.from_arrays(arrays, schema=_arrow().schema(fields))
    return table


def table_from_rows(name: str, rows: Sequence[Mapping[str, Any]]) -> "pa.Table":
    """Return a table of the schema from a mapping per row; for tables of few rows."""
    if not rows:
        return arrow_schema(name).empty_table()
    return table_from_columns(name, columns_from_rows(name, rows))


def columns_from_rows(name: str, rows: Sequence[Mapping[str, Any]]) -> "dict[str, Array]":
    """Return the columns of table *name* that *rows*, all with the same keys, speak of."""
    columns: dict[str, Array] = {}
    for column in TABLES[name].columns:
        if column.name in rows[0]:
            values = [row[column.name] for row in rows]
            is_text = column.type == "string"
            columns[column.name] = (
                texts(values) if is_text else _arrow().array(values, arrow_type(column.type))
            )
    return columns


def texts(values: Iterable[str | None]) -> "Array":
    """Return a string array; what UTF-8 cannot hold is spelled out, not an error."""
    pa = _arrow()
    items = list(values)
    array: Array
    try:
        array = pa.array(items, pa.string())
    except UnicodeEncodeError:
        array = pa.array([None if v is None else plain_text(v) for v in items], pa.string())
    return array


def numbers(values: NDArray[Any], null: NDArray[np.bool_] | None = None) -> "Array":
    """Return *values*, of any stride, as an array of their type, NULL where *null* is true."""
    array: Array = _arrow().array(np.ascontiguousarray(values), mask=null)
    return array


def span_ids(words: NDArray[np.uint64]) -> "Array":
    """Return 8-byte ids from their native integers, NULL where zero.

    Args:
        words: Shape (rows,), uint64: the id's bytes as they lie in memory.
    """
    pa = _arrow()
    present = np.packbits(words != 0, bitorder="little")
    buffers = [pa.py_buffer(present.tobytes()), pa.py_buffer(words.tobytes())]
    array: Array = pa.Array.from_buffers(pa.binary(8), len(words), buffers)
    return array


def lists(values: NDArray[np.float32], sizes: NDArray[np.int64]) -> "Array":
    """Return one list per row of *values*: its first elements, NULL where they are none.

    Args:
        values: Shape (rows, most), float32.
        sizes: Elements of each row, shape (rows,).
    """
    taken = np.less(np.arange(int(values.shape[1])), sizes[:, None])
    return split_lists(values[taken], sizes)


def sparse_lists(values: Mapping[int, NDArray[np.float32]], rows: int, size: int) -> "Array":
    """Return one list for each of *rows*, NULL for those not in *values*.

    Args:
        values: By row number, ascending: shape (size,), float32.
        rows: Length of the array.
        size: Length of each list.
    """
    sizes = np.zeros(rows, np.int64)
    sizes[list(values)] = size
    packed = np.empty((len(values), size), np.float32)
    for position, value in enumerate(values.values()):
        packed[position] = value
    return split_lists(packed.reshape(-1), sizes)


def split_lists(elements: NDArray[Any], sizes: NDArray[np.int64]) -> "Array":
    """Return lists of these sizes, which stand one behind the other; of size zero is NULL."""
    pa = _arrow()
    offsets = np.zeros(len(sizes) + 1, np.int32)
    np.cumsum(sizes, out=offsets[1:])
    array: Array = pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(elements), mask=pa.array(sizes == 0)
    )
    return array


def _arrow() -> Any:
    """Return pyarrow, untyped: its stubs know neither numpy's arrays nor their masks."""
    import pyarrow as pa

    return pa
