"""An image through the steps that a spec declares, to the numbers that a model takes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.schema.errors import DataError, UsageError
from exray.schema.records import Quantization

from .image_spec import ImageSpec, MeanStdValues, RangeValues, ScaleOffsetValues, Values
from .resize import Pixels, resize

BT601 = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in luma."""


def preprocess(
    image: NDArray[Any], spec: ImageSpec, model_input_size: tuple[int, int] | None
) -> NDArray[np.float32]:
    """Rotate, flip, crop, reorder channels, resize, map values, lay out.

    Args:
        image: Pixels as `as_rgb()` takes them.
        spec: The steps.
        model_input_size: Height and width for a spec that names no size, pixels.

    Returns:
        Shape ``(height, width, channels)``, or channels first as ``spec.layout`` says;
        float32, contiguous, in the unit of ``spec.values``. There is no batch axis.

    Raises:
        DataError: *image* is none.
        UsageError: Neither the spec nor the model says how large the result is.
        MissingExtraError: ``bilinear_antialias`` without Pillow.
    """
    size = spec.resize.size or model_input_size
    if size is None:
        msg = "the model's input size is not fixed. Add 'image: {resize: {size: [height, width]}}'"
        raise UsageError(msg)
    pixels = np.rot90(as_rgb(image), spec.rotate // 90)
    if spec.flip == "horizontal":
        pixels = pixels[:, ::-1]
    elif spec.flip == "vertical":
        pixels = pixels[::-1]
    if spec.crop != "none":
        pixels = crop_center(pixels, spec.crop.central)
    resized = resize(_reorder(pixels, spec.channels), size, spec.resize.method)
    values = _map_values(resized, spec.values)
    return np.ascontiguousarray(values.transpose(2, 0, 1) if spec.layout == "nchw" else values)


def as_rgb(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Return an image with three channels: gray is repeated, transparency dropped.

    Args:
        image: Shape ``(height, width)``, or ``(height, width, c)`` with c 1 (gray), 3 (RGB)
            or 4 (RGBA), uint8.

    Raises:
        DataError: It has another shape or dtype.
    """
    pixels = image[:, :, None] if image.ndim == 2 else image
    fits = pixels.ndim == 3 and pixels.shape[2] in (1, 3, 4) and pixels.size > 0
    if not fits or image.dtype != np.uint8:
        msg = (
            f"got an array of shape {image.shape} and dtype {image.dtype}, expected an image of"
            " uint8: (height, width, 3) or (height, width). Convert it, or bring arrays in the"
            " model's own shape and dtype and no spec"
        )
        raise DataError(msg)
    return np.broadcast_to(pixels[:, :, :3], (*pixels.shape[:2], 3))


def crop_center(image: NDArray[np.uint8], fraction: float) -> NDArray[np.uint8]:
    """Cut out a centred square whose side is *fraction* of the short side.

    Half a pixel is rounded down, in the side and in the offset.

    Args:
        image: Shape ``(height, width, channels)``, uint8.
        fraction: Above 0, up to 1.
    """
    height, width = image.shape[:2]
    side = max(1, int(np.ceil(fraction * min(height, width) - 0.5)))
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def quantize(
    values: NDArray[Any], quantization: Quantization | None, dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Turn real numbers into what a model's input holds.

    Integers are quantized as LiteRT's own QUANTIZE operator does it on its default and
    builtin kernels: ``clamp(round(value / scale) + zero_point)`` in single precision, with
    halves to the even neighbour as in ``numpy.rint``. Only LiteRT's reference kernel
    rounds halves away from zero.

    Args:
        values: Any shape, in real units; what is not a number becomes the zero point.
        quantization: Scale and zero point; with several, its axis counts the dimensions
            of *values*. None: the integers are the values themselves, rounded and clamped.
        dtype: The input's element type; a float type only changes the precision.

    Returns:
        Shape of *values*, *dtype*.
    """
    if dtype.kind not in "iu":
        return values.astype(dtype)
    single = np.asarray(values, np.float32)
    offset = np.zeros((), np.float64)
    if quantization is not None:
        shape = [1] * values.ndim
        if len(quantization.scales) > 1:
            shape[quantization.axis] = -1
        single = single / np.array(quantization.scales, np.float32).reshape(shape)
        offset = np.array(quantization.zero_points, np.float64).reshape(shape)
    # Clamped in double precision: single does not hold the largest int32.
    limits = np.iinfo(str(dtype))
    whole = np.nan_to_num(np.rint(single).astype(np.float64), nan=0.0) + offset
    return np.clip(whole, limits.min, limits.max).astype(dtype)


def _reorder(image: NDArray[np.uint8], order: str) -> Pixels:
    if order == "gray":
        return (image @ BT601)[:, :, None]
    return image[:, :, ::-1] if order == "bgr" else image


def _map_values(pixels: NDArray[np.float32], values: Values) -> NDArray[np.float32]:
    match values:
        case RangeValues(range=(low, high)):
            # Dividing first makes 255 exactly 1, and so exactly *high*.
            return pixels / np.float32(255) * np.float32(high - low) + np.float32(low)
        case MeanStdValues(mean=mean, std=std):
            spread: NDArray[np.float32] = np.array(std, np.float32)
            centred: NDArray[np.float32] = pixels / np.float32(255) - np.array(mean, np.float32)
            return centred / spread
        case ScaleOffsetValues(scale=scale, offset=offset):
            return pixels * np.float32(scale) + np.float32(offset)
        case "raw":
            return pixels
