"""Lists are taken as Arrow takes them, whatever their sizes."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from exray.collector.decode.lists import ListsBySize, taken_lists

Rows = list[list[float] | None]


def chunked(*parts: Rows) -> Any:
    untyped: Any = pa
    return untyped.chunked_array([pa.array(part, pa.list_(pa.float32())) for part in parts])


@pytest.mark.parametrize(
    "column",
    [
        chunked([[1, 2], [3, 4]], [[5, 6]]),
        chunked([[1, 2], None], [None, [5, 6]]),
        chunked([[1, 2], [3]], [None]),
        chunked([[1, 2], []], [[3, 4]]),
        chunked([None, None], [None]),
        chunked([[], [], []]),
    ],
    ids=["one size", "some missing", "two sizes", "an empty one", "none", "all empty"],
)
def test_lists_are_taken_in_any_order_and_more_than_once(column: Any) -> None:
    rows = np.array([2, 0, 0, 1])
    found = taken_lists(column, rows)
    assert found.type == column.type
    assert found.to_pylist() == [column.to_pylist()[row] for row in rows]


def test_a_slice_takes_its_own_lists() -> None:
    column = chunked([[1, 2], [3, 4], None, [5, 6]]).slice(1)
    assert taken_lists(column, np.array([2, 0])).to_pylist() == [[5, 6], [3, 4]]


def test_a_null_that_has_elements_stays_null() -> None:
    mask = pa.array([True, False])
    lists: Any = pa.ListArray.from_arrays(
        pa.array([0, 2, 2], pa.int32()), pa.array([1, 2], pa.float32()), mask=mask
    )
    column = pa.chunked_array([lists])
    assert taken_lists(column, np.array([1, 0])).to_pylist() == [[], None]


def test_lists_of_two_sizes_stand_where_they_were_put() -> None:
    lists = ListsBySize(4)
    lists.put(np.array([3]), np.array([[1]], np.float32))
    lists.put(np.array([0, 1]), np.array([[2, 3], [4, 5]], np.float32))
    assert lists.array().to_pylist() == [[2, 3], [4, 5], None, [1]]


def test_lists_put_out_of_order_stand_in_order() -> None:
    lists = ListsBySize(3)
    lists.put(np.array([2]), np.array([[1, 2]], np.float32))
    lists.put(np.array([0]), np.array([[3, 4]], np.float32))
    assert lists.array().to_pylist() == [[3, 4], None, [1, 2]]
