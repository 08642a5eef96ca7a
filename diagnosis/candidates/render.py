"""From a recorded image to pixels of the model input's size, in any of the candidate ways."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.playback.image import as_rgb, crop_center
from exray.playback.resize import resize

from .geometry import Crop, Geometry, Turn

Image = NDArray[np.uint8]
Pixels = NDArray[np.float32]
"""Shape (height, width, 3), 0..255, red first."""

_PILLOW = {"bicubic_antialias": "BICUBIC", "lanczos": "LANCZOS", "hamming": "HAMMING", "box": "BOX"}


def render(image: NDArray[Any], geometry: Geometry) -> Pixels:
    """Return the pixels that a pipeline of this geometry makes.

    Args:
        image: As `exray.playback.decode.decode_image` returns it.
        geometry: Candidate.
    """
    pixels = as_rgb(image)
    if geometry.quality is not None:
        pixels = through_jpeg(pixels, geometry.quality)
    pixels = np.rot90(pixels, geometry.rotate)
    if geometry.flip != "none":
        pixels = pixels[:, ::-1] if geometry.flip == "horizontal" else pixels[::-1]
    if not geometry.turn.is_late:
        pixels = _turned(pixels, geometry.turn)
    resized = _resized(_cropped(pixels, geometry.crop), geometry.size, geometry.method)
    if geometry.turn.is_late:
        resized = _turned(resized, geometry.turn)
    return np.ascontiguousarray(resized, np.float32)


def through_jpeg(image: Image, quality: int) -> Image:
    """Compress an image as JPEG, chroma at half resolution as is usual, and decode it."""
    from PIL import Image as PillowImage

    buffer = io.BytesIO()
    PillowImage.fromarray(np.ascontiguousarray(image)).save(buffer, "JPEG", quality=quality)
    with PillowImage.open(buffer) as picture:
        return np.array(picture.convert("RGB"))


def _turned(image: NDArray[Any], turn: Turn) -> NDArray[Any]:
    turned = np.rot90(image, turn.quarters)
    return turned[:, ::-1] if turn.mirrored else turned


def _cropped(image: Image, crop: Crop) -> Image:
    if crop.kind == "central":
        return crop_center(image, crop.fraction)
    height, width = image.shape[:2]
    if crop.kind == "corner":
        side = max(1, round(crop.fraction * min(height, width)))
        return image[:side, :side]
    if crop.kind == "letterbox":
        side = max(height, width)
        canvas = np.zeros((side, side, image.shape[2]), image.dtype)
        top, left = (side - height) // 2, (side - width) // 2
        canvas[top : top + height, left : left + width] = image
        return canvas
    return image


def _resized(image: Image, size: tuple[int, int], method: str) -> Pixels:
    if image.shape[:2] == size:
        return image.astype(np.float32)
    if method in _PILLOW:
        from PIL import Image as PillowImage

        resample = PillowImage.Resampling[_PILLOW[method]]
        picture = PillowImage.fromarray(np.ascontiguousarray(image))
        return np.asarray(picture.resize((size[1], size[0]), resample), np.float32)
    if method in ("bilinear_align_corners", "bilinear_legacy", "nearest_legacy"):
        return _as_tensorflow_1(image, size, method)
    return resize(image, size, method)


def _as_tensorflow_1(image: Image, size: tuple[int, int], method: str) -> Pixels:
    """Resize with the first pixels of both images on each other, as TensorFlow 1 did."""
    sources: list[NDArray[np.intp]] = []
    parts: list[Pixels] = []
    for source, target in zip(image.shape[:2], size, strict=True):
        scale = source / target
        if method == "bilinear_align_corners" and target > 1:
            scale = (source - 1) / (target - 1)
        position = np.arange(target) * scale
        below = np.minimum(np.floor(position).astype(np.intp), source - 1)
        sources.append(below)
        part = np.zeros(target) if method == "nearest_legacy" else position - below
        parts.append(part.astype(np.float32))
    rows = _between(image, sources[0], parts[0].reshape(-1, 1, 1), axis=0)
    return _between(rows, sources[1], parts[1].reshape(1, -1, 1), axis=1)


def _between(image: NDArray[Any], below: NDArray[np.intp], part: Pixels, axis: int) -> Pixels:
    first = image.take(below, axis=axis).astype(np.float32)
    above = np.minimum(below + 1, image.shape[axis] - 1)
    rise: Pixels = image.take(above, axis=axis).astype(np.float32)
    rise -= first
    rise *= part
    rise += first
    return rise
