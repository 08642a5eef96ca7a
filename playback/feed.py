"""A recorded input made into the model's input."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.schema.errors import DataError

from .image import preprocess, quantize
from .runners import InputSpec
from .spec import PreprocessSpec

Array = NDArray[Any]
"""A tensor of any shape and element type."""


def model_input(value: Array, spec: PreprocessSpec | None, target: InputSpec) -> Array:
    """Return *value* as the model takes it.

    Args:
        value: An image (H, W, 3) or (H, W) of uint8, or an array with as many elements as
            the model's input.
        spec: Declared preprocessing; None where the user declared none.
        target: The model's input.

    Returns:
        Shape and dtype of *target*.

    Raises:
        DataError: The array is no image and has another number of elements.
    """
    count = int(np.prod(target.shape))
    if spec is None and value.size == count and value.dtype == target.dtype:
        return value.reshape(target.shape)
    if _is_image(value):
        chosen = spec or PreprocessSpec()
        prepared = preprocess(value, chosen.image, _image_size(target, chosen))
    else:
        prepared = value
    if prepared.size != count:
        msg = (
            f"input of shape {value.shape} gives {prepared.size} elements; the model takes "
            f"{count} (shape {target.shape}). Check resize and channels of the preprocessing spec."
        )
        raise DataError(msg)
    return quantize(prepared.reshape(target.shape), target.quantization, target.dtype)


def _is_image(value: Array) -> bool:
    return value.dtype == np.uint8 and (
        value.ndim == 2 or (value.ndim == 3 and value.shape[-1] in (1, 3, 4))
    )


def _image_size(target: InputSpec, spec: PreprocessSpec) -> tuple[int, int]:
    """Return height and width of the model's input, by the spec's layout."""
    if len(target.shape) != 4:
        msg = f"the model's input has shape {target.shape}; expected four dimensions for an image"
        raise DataError(msg)
    _, first, second, third = target.shape
    return (second, third) if spec.image.layout == "nchw" else (first, second)
