import numpy as np
import pytest

from exray.schema.errors import DataError
from exray.schema.packed import pack_floats, unpack_floats


def test_numbers_come_back_as_float32() -> None:
    text = pack_floats("cs1", [[1.5, -2.25], np.array([3e-40, np.nan])])

    assert text.startswith("cs1:")
    np.testing.assert_array_equal(
        unpack_floats(text, "cs1"), np.array([1.5, -2.25, 3e-40, np.nan], np.float32)
    )


def test_no_numbers_are_a_text_too() -> None:
    assert unpack_floats(pack_floats("cs1", [[]]), "cs1").shape == (0,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("eh1:AACAPw==", "are of version 'eh1'; expected 'cs1'"),
        ("cs1:AACAP", "are damaged"),
        ("cs1:AAAA", "are damaged"),  # three bytes
        ("cs1:!!!!", "are damaged"),
        ("", "are of version ''"),
    ],
)
def test_a_text_that_holds_no_numbers_is_an_error(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        unpack_floats(text, "cs1")
