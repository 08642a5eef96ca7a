"""How many values a sketch has: privacy may have shortened or withheld it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def sketch_sizes(sketches: NDArray[np.float32]) -> NDArray[Any]:
    """Return how many values each sketch has: those before the first NaN, if all are NaN after.

    Anything else is a sum that overflowed: 0, as where there is no sketch.

    Args:
        sketches: Shape (rows, 64).

    Returns:
        Powers of two, or 0, shape (rows,).
    """
    present = ~np.isnan(sketches)
    if present.all():
        return np.full(len(sketches), sketches.shape[1])
    sizes = present.sum(axis=1)
    prefix = np.less(np.arange(int(sketches.shape[1])), sizes[:, None])
    is_fold = np.equal(present, prefix).all(axis=1) & (sizes & (sizes - 1) == 0)
    return np.where(is_fold, sizes, 0)
