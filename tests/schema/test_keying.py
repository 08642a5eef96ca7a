import numpy as np
import pytest

from exray.schema.errors import UsageError
from exray.schema.keying import (
    is_telling,
    keyed_hash,
    keyed_hashes,
    keyed_id,
    secret_from_text,
)

SECRET = b"0123456789abcdef"


def test_a_keyed_id_depends_on_the_id_and_on_the_secret() -> None:
    ids = {keyed_id(name, key) for name in ("a", "b") for key in (SECRET, SECRET + b"x")}

    assert len(ids) == 4
    assert keyed_id("a", SECRET) == keyed_id("a", SECRET)


def test_a_keyed_id_is_keyed_once() -> None:
    keyed = keyed_id("cat.jpg", SECRET)

    assert keyed_id(keyed, SECRET) == keyed
    assert not is_telling(keyed)


def test_a_file_name_that_is_not_utf8_can_be_keyed() -> None:
    assert keyed_id("caf\udce9.jpg", SECRET) != keyed_id("caf.jpg", SECRET)


def test_hashes_are_keyed_one_by_one() -> None:
    plain = np.array([5, -1, 2**62, -(2**63)], np.int64)

    keyed = keyed_hashes(plain, SECRET)

    assert keyed.tolist() == [keyed_hash(value, SECRET) for value in plain.tolist()]
    assert len({*keyed.tolist(), *plain.tolist()}) == 8


def test_no_hashes_are_none() -> None:
    assert keyed_hashes(np.zeros(0, np.int64), SECRET).shape == (0,)


def test_secrets_longer_than_blake2_takes_count_whole() -> None:
    long = b"x" * 100

    assert keyed_id("a", long) != keyed_id("a", long[:64])


@pytest.mark.parametrize(
    ("secret", "message"),
    [("short", "has 5 bytes; expected at least 16"), (7, "fleet_secret is int; expected a text")],
)
def test_what_is_no_secret_is_refused_without_showing_it(secret: object, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        secret_from_text(secret)
    assert "short" not in str(caught.value)


def test_a_text_is_its_bytes() -> None:
    assert secret_from_text(SECRET.decode()) == secret_from_text(SECRET) == SECRET
