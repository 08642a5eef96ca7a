"""Columns of many rows at once, as Arrow has them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Arrow = Any
"""An Arrow array, type or schema: pyarrow's stubs name types that none of its calls takes."""


def table_of(name: str, rows: int, columns: Mapping[str, object]) -> "pa.Table":
    """Return a table of the schema.

    Args:
        name: The table's name.
        rows: How many rows it has.
        columns: Values by column: an Arrow array, a numpy array or a list of *rows* values,
            or one value that stands in every row. Columns not named are NULL.
    """
    import pyarrow as pa

    from exray.schema.arrow import arrow_schema

    schema: Arrow = arrow_schema(name)
    arrays = [_array(columns.get(field.name), rows, field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def ids(high: Ints | int, low: Ints, width: int) -> Arrow:
    """Return binary ids of *width* bytes, 8 or 16, made of one or two numbers, big-endian.

    Args:
        high: First eight bytes of sixteen; of eight they are added to *low*'s.
        low: The last eight bytes, shape (rows,).
        width: 8 or 16.
    """
    pa = _pyarrow()
    words = np.empty((len(low), width // 8), ">u8")
    if width == 16:
        words[:, 0] = high
        words[:, 1] = low
    else:
        words[:, 0] = low + high
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(width), len(low), [None, pa.py_buffer(words.tobytes())]
    )


def names(values: list[str], indices: Ints) -> Arrow:
    """Return the strings of *values* that *indices* choose, shape (rows,)."""
    return _pyarrow().array(values, "string").take(indices)


def lists(values: NDArray[Any], value_type: Arrow) -> Arrow:
    """Return one list for each row of *values*, shape (rows, size)."""
    pa = _pyarrow()
    rows, size = values.shape
    offsets = pa.array(np.arange(0, rows * size + 1, size, dtype=np.int32))
    return pa.ListArray.from_arrays(offsets, pa.array(values.reshape(-1), value_type))


def nulled(array: Arrow, mask: NDArray[np.bool_]) -> Arrow:
    """Return *array* with NULL where *mask*, shape (rows,), is true."""
    import pyarrow.compute as pc

    pa, compute = _pyarrow(), cast("Any", pc)
    return compute.if_else(pa.array(mask), pa.scalar(None, array.type), array)


def _pyarrow() -> Any:
    import pyarrow as pa

    return pa


def _array(values: object, rows: int, arrow_type: Arrow) -> Arrow:
    pa = _pyarrow()
    if values is None:
        return pa.nulls(rows, arrow_type)
    if isinstance(values, pa.Array):
        return values
    if isinstance(values, np.ndarray | list):
        return pa.array(values, arrow_type)
    return pa.array([values], arrow_type).take(np.zeros(rows, np.int64))
