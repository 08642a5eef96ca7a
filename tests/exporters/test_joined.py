import numpy as np
import pytest
from numpy.typing import NDArray

from exray.exporters.joined import joined_rows
from exray.schema.records import LAYER_ROW, TENSOR_ROW


def make_rows(count: int, first: int = 0) -> NDArray[np.void]:
    rows = np.zeros(count, LAYER_ROW)
    rows["span_id"] = first + np.arange(count)
    return rows


def test_rows_stand_one_after_the_other() -> None:
    parts = [make_rows(2), make_rows(0), make_rows(3, 10), make_rows(8, 20)[::2]]

    joined = joined_rows(parts)

    assert joined.dtype == LAYER_ROW
    assert joined["span_id"].tolist() == [0, 1, 10, 11, 12, 20, 22, 24, 26]


def test_rows_are_written_where_they_are_wanted() -> None:
    out = np.zeros(3, LAYER_ROW)

    assert joined_rows([make_rows(1, 5), make_rows(2, 6)], out) is out
    assert out["span_id"].tolist() == [5, 6, 7]


def test_rows_of_different_types_are_refused() -> None:
    with pytest.raises(ValueError, match="different types"):
        joined_rows([make_rows(1), np.zeros(1, TENSOR_ROW)])
