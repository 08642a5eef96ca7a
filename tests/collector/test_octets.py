import numpy as np
import pytest

from exray.collector.decode.known import KNOWN
from exray.collector.decode.octets import PADDING, Octets
from exray.exporters.wire import varint

NUMBERS = [0, 1, 127, 128, 300, 2**14 - 1, 2**14, 2**21, 2**28 - 1, 2**35, 2**56, -1, -(2**63)]


def placed(parts: list[bytes]) -> tuple[Octets, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Return a buffer of *parts*, and where each begins."""
    ends = np.cumsum([len(part) for part in parts])
    return Octets(parts), np.array([0, *ends[:-1]], np.int64)


def test_varints_of_every_size_are_read() -> None:
    parts = [varint(number) for number in NUMBERS]
    octets, places = placed(parts)

    values, good = octets.integers(places, np.array([len(part) for part in parts]))

    assert values.tolist() == NUMBERS
    assert good.all()


@pytest.mark.parametrize("size", [0, 1, 3, 9, 11])
def test_a_varint_of_another_size_than_said_is_no_good(size: int) -> None:
    octets, places = placed([varint(300)])

    assert octets.integers(places, np.array([size]))[1].tolist() == [False]


def test_lengths_of_up_to_four_bytes_are_read_and_longer_ones_refused() -> None:
    numbers = [0, 1, 127, 128, 2**14, 2**21, 2**28 - 1]
    octets, places = placed([*map(varint, numbers), varint(2**28), b"\x80\x80\x80\x80\x00"])

    sizes, after = octets.sizes(places)

    assert sizes.tolist() == [*numbers, -1, -1]
    assert after[:-2].tolist() == places[1:-1].tolist()


def test_places_at_the_very_end_read_padding_and_no_further() -> None:
    octets = Octets([b"\xff" * 3])
    end = np.array([3])

    assert octets.words[end].tolist() == [0]
    assert octets.sizes(end)[0].tolist() == [0]
    assert len(octets.data) == 3 + PADDING


def test_known_keys_have_different_numbers() -> None:
    keys = [key.encode() for key in KNOWN]
    octets, places = placed(keys)

    numbers = octets.hashes(places, np.array([len(key) for key in keys]))

    assert len(set(numbers.tolist())) == len(keys)


def test_bytes_are_equal_only_where_all_of_them_are() -> None:
    keys = [b"exray.tensor.sum2", b"exray.tensor.sum3", b"exray.tensor.sum2", b"axray.tensor.sum2"]
    octets, places = placed(keys)

    assert octets.equal(places, keys[0]).tolist() == [True, False, True, False]
