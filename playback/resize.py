"""Resizing, each method exactly as the library that defines it does it.

`nearest`, `bilinear` and `bicubic` are ``tf.image.resize`` of TensorFlow 2 without
antialias, `area` is the exact average of the covered box (``tf.image.resize`` too, and
OpenCV's ``INTER_AREA`` when shrinking), `bilinear_antialias` is Pillow's ``BILINEAR``.

All but Pillow's are separable and linear: an output pixel is a weighted sum of a few
input pixels (taps) along each axis. A method is thus two small tables per axis.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from exray.schema.errors import MissingExtraError

Pixels = NDArray[np.uint8 | np.float32]
"""An image, shape ``(height, width, channels)``."""


class Taps(NamedTuple):
    """Where each output pixel of one axis reads, and how much.

    Args:
        sources: Input positions, shape ``(output size, taps)``, intp.
        weights: Parts of a sum of 1, shape ``(output size, taps)``, float32.
    """

    sources: NDArray[np.intp]
    weights: NDArray[np.float32]


def resize(image: Pixels, size: tuple[int, int], method: str) -> NDArray[np.float32]:
    """Resize an image.

    Args:
        image: uint8 or float32. Pillow's method rounds to whole numbers for uint8, as
            Pillow does, and not for float32.
        size: Height and width of the result, pixels.
        method: ``nearest``, ``bilinear``, ``bicubic``, ``area`` or ``bilinear_antialias``.

    Returns:
        Shape ``(*size, channels)``, in the unit of *image*, not rounded otherwise.

    Raises:
        MissingExtraError: The method is Pillow's, which is not installed.
    """
    if image.shape[:2] == tuple(size):
        return image.astype(np.float32)
    if method == "bilinear_antialias":
        return _pillow_bilinear(image, size)
    taps_of = _TAPS[method]
    # Rows first: of a large image most are then never read. Views such as rotated or
    # mirrored images are gathered several times slower than plain ones.
    rows = _resample(np.ascontiguousarray(image), 0, taps_of(image.shape[0], size[0]))
    return _resample(rows, 1, taps_of(image.shape[1], size[1]))


def _resample(image: Pixels, axis: int, taps: Taps) -> NDArray[np.float32]:
    """Sum the taps along one axis.

    As the weights sum to 1, ``sum(w * x)`` is written ``x0 + sum(w * (x - x0))``: flat
    parts of an image then stay exactly flat, with no rounding of their own.
    """
    shape = (-1, 1, 1) if axis == 0 else (1, -1, 1)
    first = image.take(taps.sources[:, 0], axis=axis).astype(np.float32)
    result = first.copy()
    for tap in range(1, taps.sources.shape[1]):
        pixels = image.take(taps.sources[:, tap], axis=axis).astype(np.float32, copy=False)
        pixels -= first
        pixels *= taps.weights[:, tap].reshape(shape)
        result += pixels
    return result


def _positions(source: int, target: int) -> NDArray[np.float32]:
    """Centres of the output pixels, in input pixels from the first one's edge.

    In single precision as TensorFlow computes them: in a large image the rounding of a
    position is visible in the result.
    """
    scale = np.float32(source) / np.float32(target)
    return (np.arange(target, dtype=np.float32) + np.float32(0.5)) * scale


@lru_cache(maxsize=64)
def _nearest_taps(source: int, target: int) -> Taps:
    sources = np.floor(_positions(source, target)).astype(np.intp)[:, None]
    return Taps(np.minimum(sources, source - 1), np.ones((target, 1), np.float32))


@lru_cache(maxsize=64)
def _bilinear_taps(source: int, target: int) -> Taps:
    positions = _positions(source, target) - np.float32(0.5)
    below = np.floor(positions)
    above_weight = positions - below
    sources = below.astype(np.intp)[:, None] + np.arange(2)
    weights = np.stack([1 - above_weight, above_weight], axis=1)
    return Taps(np.clip(sources, 0, source - 1), weights)


@lru_cache(maxsize=64)
def _bicubic_taps(source: int, target: int) -> Taps:
    """Keys' cubic (a = -0.5) over four pixels; those outside the image weigh nothing.

    TensorFlow looks the weights up in a table of 1024 steps between two pixels, so the
    distances are rounded to that.
    """
    positions = _positions(source, target) - np.float32(0.5)
    below = np.floor(positions)
    offset = np.rint((positions - below) * np.float32(1024)).astype(np.float64) / 1024
    distance = np.abs(np.arange(-1, 3) - offset[:, None])
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    sources = below.astype(np.intp)[:, None] + np.arange(-1, 3)
    inside = (sources >= 0) & (sources < source)
    weights = np.where(inside, np.where(distance <= 1, near, far), 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    return Taps(np.clip(sources, 0, source - 1), weights.astype(np.float32))


@lru_cache(maxsize=64)
def _area_taps(source: int, target: int) -> Taps:
    """Overlap of each output pixel's box with the input pixels, in whole numbers.

    Output pixel i covers ``[i * source, (i + 1) * source)`` where an input pixel is
    *target* wide, so no rounding can lose or invent a sliver.
    """
    starts = np.arange(target, dtype=np.int64) * source
    first = starts // target
    count = int((-(-(starts + source) // target) - first).max())
    sources = first[:, None] + np.arange(count)
    overlap = np.minimum((sources + 1) * target, (starts + source)[:, None])
    overlap -= np.maximum(sources * target, starts[:, None])
    weights = np.maximum(overlap, 0) / source
    return Taps(np.minimum(sources, source - 1).astype(np.intp), weights.astype(np.float32))


_TAPS: dict[str, Callable[[int, int], Taps]] = {
    "nearest": _nearest_taps,
    "bilinear": _bilinear_taps,
    "bicubic": _bicubic_taps,
    "area": _area_taps,
}


def _pillow_bilinear(image: Pixels, size: tuple[int, int]) -> NDArray[np.float32]:
    try:
        from PIL import Image
    except ImportError as error:
        extra, purpose = "playback", "resizing with 'bilinear_antialias'"
        raise MissingExtraError(extra, purpose) from error
    height, width = size
    planes = [
        Image.fromarray(np.ascontiguousarray(image[:, :, channel])).resize(
            (width, height), Image.Resampling.BILINEAR
        )
        for channel in range(image.shape[2])
    ]
    return np.stack([np.asarray(plane, np.float32) for plane in planes], axis=2)
