"""The SQL function ``float32_list``: numbers that travel as text."""

import base64
import binascii
from typing import Any

import numpy as np

# Named at run time by DuckDB, which evaluates annotations, and so without pyarrow.
ArrowArray = Any
"""A pyarrow.ChunkedArray on the way in, a pyarrow.Array on the way out."""


def float32_list(packed: ArrowArray) -> ArrowArray:
    """Return the numbers of packed texts, for a batch of rows at a time.

    In SQL it would take a hundred times as long.

    Args:
        packed: Texts of `exray.schema.packed`, of any version.

    Returns:
        A list of float32 for each row; an empty one for a text that holds no numbers, lest
        one damaged row take the others' answer away.
    """
    import pyarrow as pa

    contents = [_content(text) for text in packed.to_pylist()]
    offsets = np.cumsum([0, *(len(content) // 4 for content in contents)]).astype(np.int32)
    values = np.frombuffer(b"".join(contents), "<f4").astype(np.float32)
    lists: Any = pa.ListArray  # in whose stubs an element's type is unknown
    return lists.from_arrays(offsets, values)


def _content(text: str | None) -> bytes:
    try:
        content = base64.b64decode((text or "").partition(":")[2], validate=True)
    except (binascii.Error, ValueError):
        return b""
    return b"" if len(content) % 4 else content
