"""From quantized integers to the real values they stand for."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .errors import UsageError
from .records import Quantization


def dequantize(
    array: NDArray[Any], quantization: Quantization | None, dtype: DTypeLike = np.float32
) -> NDArray[Any]:
    """Return ``scale * (q - zero_point)``, per tensor or per channel.

    The difference and the product are taken in float64 and rounded once.

    Args:
        array: Quantized values, any shape and integer dtype. Floats are converted only.
        quantization: None, or one without scales, means the values are real already.
        dtype: Float type of the answer.

    Returns:
        Real values, the shape of *array*, of *dtype*.

    Raises:
        UsageError: There is not one scale and zero point per channel.

    >>> dequantize(np.array([-128, 0], np.int8), Quantization((0.5,), (-128,)))
    array([ 0., 64.], dtype=float32)
    """
    if quantization is None or not quantization.scales or array.dtype.kind == "f":
        return array.astype(dtype)
    shape = _broadcast_shape(array.shape, quantization)
    scales = np.array(quantization.scales, np.float64).reshape(shape)
    zero_points = np.array(quantization.zero_points, np.float64).reshape(shape)
    real = array.astype(np.float64)
    real -= zero_points
    real *= scales
    return real.astype(dtype, copy=False)


def is_per_tensor(quantization: Quantization | None) -> bool:
    """Return whether one scale and zero point (or none) hold for all elements."""
    return quantization is None or len(quantization.scales) <= 1


def _broadcast_shape(shape: tuple[int, ...], quantization: Quantization) -> tuple[int, ...]:
    """Shape in which scales stand along their axis."""
    scales, zero_points = len(quantization.scales), len(quantization.zero_points)
    if scales == zero_points == 1:
        return ()
    axis = quantization.axis
    channels = shape[axis] if -len(shape) <= axis < len(shape) else 0
    if scales != channels or zero_points != channels:
        msg = (
            f"quantization along axis {axis} of shape {shape} has {scales} scales and "
            f"{zero_points} zero points; expected {channels} of each, or one"
        )
        raise UsageError(msg)
    return tuple(channels if i == axis % len(shape) else 1 for i in range(len(shape)))
