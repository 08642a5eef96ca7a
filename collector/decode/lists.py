"""Lists of which most have one size, as sketches do, put and taken many at a time."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from exray.exporters.arrays import numbers, split_lists

from .octets import Places

if TYPE_CHECKING:
    import pyarrow as pa

    Array = pa.Array[Any]


class ListsBySize:
    """Lists of float32 of which many have one size."""

    def __init__(self, count: int) -> None:
        self._sizes = np.zeros(count, np.int64)
        self._parts: list[tuple[Places, NDArray[np.float32]]] = []

    def put(self, rows: Places, values: NDArray[np.float32]) -> None:
        """Add lists of one size."""
        self._sizes[rows] = values.shape[1]
        self._parts.append((rows, values))

    def array(self) -> "Array":
        """Return the lists, NULL where none was put."""
        return split_lists(self._elements(), self._sizes)

    def _elements(self) -> NDArray[np.float32]:
        """Return the numbers of all lists, one behind the other."""
        if len({values.shape[1] for _, values in self._parts}) == 1:
            lists = np.flatnonzero(self._sizes)
            if len(self._parts) == 1:  # all of one size, and in ascending order of rows
                return self._parts[0][1].reshape(-1)
            position = np.empty(len(self._sizes), np.int64)
            position[lists] = np.arange(len(lists))
            whole = np.empty((len(lists), self._parts[0][1].shape[1]), np.float32)
            for rows, values in self._parts:
                whole[position[rows]] = values
            return whole.reshape(-1)
        ends = np.cumsum(self._sizes)
        elements = np.empty(int(ends[-1]) if len(ends) else 0, np.float32)
        for rows, values in self._parts:
            first: Places = ends[rows] - values.shape[1]
            elements[first[:, None] + np.arange(int(values.shape[1]))] = values
        return elements


def taken_lists(column: Any, rows: Places) -> "Array":
    """Return some rows of a column of lists.

    Arrow takes lists one by one. Where all are of one size, and NULL has none, they are rows
    of a matrix, which are taken in a quarter of the time.
    """
    lists = column.combine_chunks()
    offsets: NDArray[np.int32] = lists.offsets.to_numpy()
    begins, sizes = offsets[:-1], np.diff(offsets)
    size = int(sizes.max(initial=0))
    is_full: NDArray[np.bool_] = lists.is_valid().to_numpy(zero_copy_only=False)
    if (
        not size
        or lists.values.null_count
        or (is_full != (sizes == size)).any()
        or (begins[is_full] % size).any()
    ):
        found: Array = lists.take(numbers(rows))
        return found
    values: NDArray[Any] = lists.values.to_numpy()
    matrix = values[: len(values) // size * size].reshape(-1, size)
    full = is_full[rows]
    taken = matrix.take(begins[rows[full]] // size, axis=0)
    return split_lists(taken.reshape(-1), full * size)
