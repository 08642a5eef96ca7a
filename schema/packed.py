"""Short lists of numbers as text: a version, a colon, base64 of little-endian float32.

Sketches, histograms and channel statistics travel so, as attributes of a span and as
columns of the lake, because a span's attributes are scalars. The SQL macro
``float32_list`` reads any of them.
"""

import base64
import binascii
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DataError


def pack_floats(version: str, parts: Iterable[NDArray[Any] | Sequence[float]]) -> str:
    """Return numbers as text.

    Args:
        version: Name of their definition, such as ``cs1``.
        parts: Numbers, one list behind the other; each is rounded to float32.

    >>> pack_floats("cs1", [[1.0, 2.0]])
    'cs1:AACAPwAAAEA='
    """
    floats = np.concatenate([np.asarray(part, "<f4").reshape(-1) for part in parts])
    return f"{version}:{base64.b64encode(floats.tobytes()).decode('ascii')}"


def unpack_floats(text: str, version: str) -> NDArray[np.float32]:
    """Return the numbers of a text, float32, shape (n,).

    Raises:
        DataError: *text* is of another version, cut short or no base64.

    >>> unpack_floats("cs1:AACAPwAAAEA=", "cs1")
    array([1., 2.], dtype=float32)
    """
    found, _, content = text.partition(":")
    if found != version:
        msg = f"packed numbers {text[:20]!r} are of version {found!r}; expected {version!r}"
        raise DataError(msg)
    try:
        floats = np.frombuffer(base64.b64decode(content, validate=True), "<f4")
    except (binascii.Error, ValueError) as error:
        msg = f"packed numbers {text[:20]!r} are damaged: {error}; expected base64 of float32"
        raise DataError(msg) from error
    return floats.astype(np.float32)
