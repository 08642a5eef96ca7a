"""The classes that a raw model output speaks for."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.schema.quantization import dequantize
from exray.schema.records import Quantization

TOP = 5
"""Classes kept of an output, best first."""


def names_classes(output: NDArray[Any]) -> bool:
    """Whether an output of one input may be a vector of class scores: one long dimension.

    Boxes and segmentation maps have several.
    """
    return sum(size > 1 for size in np.shape(output)) <= 1 and np.size(output) > 0


def best_classes(
    output: NDArray[Any], quantization: Quantization | None
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return the best classes of one output and their scores.

    Args:
        output: Scores of one input, any shape; flattened. Integers are dequantized. A
            single element is the probability of class 1 against class 0, or, an integer
            without quantization, the class itself, as a model with ARG_MAX gives it.
        quantization: How integers map to scores.

    Returns:
        At most `TOP` class indices, best first (the lower index on a tie), and their
        scores. A score that is no number (NaN) names no class; empty where all are.

    >>> best_classes(np.array([0.1, 0.7, 0.2]), None)
    ((1, 2, 0), (0.7, 0.2, 0.1))
    """
    values = np.asarray(output)
    if values.size == 1 and values.dtype.kind in "iu" and quantization is None:
        return (int(values.item()),), (1.0,)
    if values.dtype.kind in "iu":
        values = dequantize(values, quantization, np.float64)
    scores = values.reshape(-1).astype(np.float64)
    if scores.size == 1:
        scores = np.array([1.0 - scores[0], scores[0]])
    order = _best_first(scores)
    return tuple(int(i) for i in order), tuple(float(scores[i]) for i in order)


def _best_first(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the indices of the best scores, NaN left out."""
    candidates = np.flatnonzero(~np.isnan(scores))
    if candidates.size > TOP:
        # A full sort of a segmentation map would cost more than the model.
        least = -np.partition(-scores[candidates], TOP - 1)[TOP - 1]
        candidates = candidates[scores[candidates] >= least]
    order = np.argsort(-scores[candidates], kind="stable")[:TOP]
    return candidates[order]
