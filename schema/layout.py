"""Which dimension of a tensor means what, and the order in which its values count.

Summaries of tensors are compared across runtimes that lay them out differently. What
depends on the order of the elements, the sketch above all, is of the canonical layout:
batch, then the places, then the channels.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .records import Quantization

CHANNELS_LAST = {3: "nwc", 4: "nhwc", 5: "ndhwc"}
"""The canonical layout, by rank."""

CHANNELS_FIRST = {3: "ncw", 4: "nchw", 5: "ncdhw"}
"""The layout of ONNX and PyTorch, by rank."""


def is_channels_first(layout: str | None, rank: int) -> bool:
    """Tell whether a tensor of that rank has its channels before its places."""
    return layout is not None and CHANNELS_FIRST.get(rank) == layout


def canonical(array: NDArray[Any], layout: str | None) -> NDArray[Any]:
    """View a tensor in canonical layout.

    Args:
        array: Any shape and dtype.
        layout: Meaning of its dimensions; None where that is not known.

    Returns:
        *array* itself unless its channels come first; else a view, shape (batch, places,
        channels).

    >>> canonical(np.zeros((1, 3, 4, 5)), "nchw").shape
    (1, 4, 5, 3)
    """
    return np.moveaxis(array, 1, -1) if is_channels_first(layout, array.ndim) else array


def canonical_quantization(
    quantization: Quantization | None, layout: str | None, rank: int
) -> Quantization | None:
    """Return how to dequantize a tensor once it is in canonical layout.

    Args:
        quantization: Of the tensor as it is; None for one without.
        layout: Meaning of its dimensions.
        rank: How many there are.
    """
    if quantization is None or not is_channels_first(layout, rank):
        return quantization
    axis = quantization.axis
    if axis:  # the batch stays where it is
        axis = rank - 1 if axis == 1 else axis - 1
    return Quantization(quantization.scales, quantization.zero_points, axis)
