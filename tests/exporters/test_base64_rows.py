import base64

import numpy as np
import pytest

from exray.exporters.base64_rows import base64_rows, base64_size


@pytest.mark.parametrize("size", [1, 2, 3, 4, 256, 1024])
@pytest.mark.parametrize("count", [0, 1, 7, 300])
def test_rows_become_what_the_standard_library_makes_of_each(size: int, count: int) -> None:
    rows = np.random.default_rng(size).integers(0, 256, (count, size), np.uint8)

    texts = base64_rows(rows)

    assert texts.shape == (count, base64_size(size))
    assert [row.tobytes() for row in texts] == [base64.b64encode(row.tobytes()) for row in rows]


def test_rows_that_are_not_contiguous_are_read_where_they_lie() -> None:
    wide = np.random.default_rng(0).integers(0, 256, (5, 20), np.uint8)

    texts = base64_rows(wide[:, 3:11])

    assert texts[4].tobytes() == base64.b64encode(wide[4, 3:11].tobytes())


def test_the_answer_is_written_where_it_is_wanted() -> None:
    out = np.zeros((1, 4), np.uint8)

    assert base64_rows(np.array([[0, 0, 0]], np.uint8), out) is out
    assert out.tobytes() == b"AAAA"
