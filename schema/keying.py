"""Names and hashes of inputs that say nothing to whoever lacks the fleet's secret.

A keyed id or hash is a keyed BLAKE2b of the plain one: equal inputs have equal ones on all
devices that share the secret, so edge and reference still join, and nobody else can tell
which file it was, nor try out candidates.
"""

import hashlib
import re

import numpy as np
from numpy.typing import NDArray

from .errors import UsageError

KEYED_PREFIX = "keyed-"
"""What a keyed id begins with."""

LEAST_SECRET_BYTES = 16
"""Shorter secrets could be tried out."""

# A path, or a name with an ending: "a/b", "cat.jpg". Not "1.4.2", not "files[3]".
_FILE_NAME = re.compile(r".*[/\\].*|.*\.[A-Za-z][A-Za-z0-9]{0,4}", re.DOTALL)
# What an input without a name is called: the hash of its bytes.
_HASH = re.compile(r"[0-9a-f]{16}")


def secret_from_text(text: object) -> bytes:
    """Return a secret as bytes.

    Raises:
        UsageError: It is no text, or too short.
    """
    if not isinstance(text, str | bytes):
        msg = f"fleet_secret is {type(text).__name__}; expected a text"
        raise UsageError(msg)
    secret = text.encode() if isinstance(text, str) else text
    if len(secret) < LEAST_SECRET_BYTES:
        msg = (
            f"fleet_secret has {len(secret)} bytes; expected at least {LEAST_SECRET_BYTES}, such "
            "as python -c 'import secrets; print(secrets.token_hex(32))' prints"
        )
        raise UsageError(msg)
    return secret


def is_telling(input_id: str) -> bool:
    """Tell whether an id may say what the input is: a file name, a path, a content hash.

    >>> [is_telling(name) for name in ("cat.jpg", "2024/07", "0017", "1.4.2", "files[3]")]
    [True, True, False, False, False]
    """
    if input_id.startswith(KEYED_PREFIX):
        return False
    return bool(_FILE_NAME.fullmatch(input_id) or _HASH.fullmatch(input_id))


def keyed_id(input_id: str, secret: bytes) -> str:
    """Return what an id is called outside: 32 hex digits behind `KEYED_PREFIX`.

    An id that is keyed already stays.

    >>> keyed_id("cat.jpg", b"0123456789abcdef")
    'keyed-8a767d6aed6976929d1d2c0c1de86d57'
    """
    if input_id.startswith(KEYED_PREFIX):
        return input_id
    text = input_id.encode("utf-8", "surrogatepass")
    return KEYED_PREFIX + _keyed(text, secret, b"exray input id", 16).hex()


def keyed_hash(plain: int, secret: bytes) -> int:
    """Return the keyed form of a tensor's hash, a signed 64-bit integer like it."""
    digest = _keyed(plain.to_bytes(8, "little", signed=True), secret, b"exray hash", 8)
    return int.from_bytes(digest, "little", signed=True)


def keyed_hashes(plain: NDArray[np.int64], secret: bytes) -> NDArray[np.int64]:
    """Return the keyed form of many hashes, shape (n,), int64."""
    keyed = [keyed_hash(value, secret) for value in plain.tolist()]
    return np.array(keyed, np.int64)


def _keyed(content: bytes, secret: bytes, purpose: bytes, size: int) -> bytes:
    # BLAKE2b takes keys of up to 64 bytes; a longer secret counts whole.
    key = secret if len(secret) <= 64 else hashlib.blake2b(secret).digest()
    return hashlib.blake2b(content, key=key, person=purpose, digest_size=size).digest()
