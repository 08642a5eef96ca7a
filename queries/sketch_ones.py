"""The SQL function ``sketch_ones``: what an offset looks like in a sketch."""

from typing import Any

import numpy as np

from exray.schema.sketch import fold, ones_sketch

# Named at run time by DuckDB, which evaluates annotations, and so without pyarrow.
ArrowArray = Any
"""A pyarrow.ChunkedArray on the way in, a pyarrow.Array on the way out."""


def sketch_ones(counts: ArrowArray, families: ArrowArray, sizes: ArrowArray) -> ArrowArray:
    """Return sketches of ones, for a batch of rows at a time.

    Args:
        counts: Elements of each tensor, int64.
        families: Its hash family, 0 to 15, int32.
        sizes: Values wanted, 64 or 256, int32.

    Returns:
        A list of float64 for each row.
    """
    import pyarrow as pa

    columns: list[list[int]] = [array.to_pylist() for array in (counts, families, sizes)]
    wanted = list(zip(*columns, strict=True))
    # one sketch serves all rows of its family: a model's inputs are of one size
    known = {key: fold(ones_sketch(key[0], key[1]), key[2]) for key in set(wanted)}
    offsets = np.cumsum([0, *columns[2]]).astype(np.int32)
    values = np.concatenate([np.zeros(0), *(known[key] for key in wanted)])
    lists: Any = pa.ListArray  # in whose stubs an element's type is unknown
    return lists.from_arrays(offsets, values)
