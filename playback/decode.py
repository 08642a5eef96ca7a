"""Image files to pixels."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exray.schema.errors import DataError, MissingExtraError

IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
"""A file whose name ends so, in any case, is taken for an image."""

_WIDE_MODES = ("I", "F")
"""First letters of Pillow's modes with more than 8 bits a channel."""


def decode_image(path: str | Path) -> NDArray[np.uint8]:
    """Decode an image file to RGB; the orientation in its EXIF block is ignored.

    Gray becomes three equal channels, transparency is dropped, and of an animation the
    first picture counts.

    Args:
        path: A file in any format that Pillow reads.

    Returns:
        Pixels, shape ``(height, width, 3)``, uint8.

    Raises:
        DataError: The file is missing, damaged, or has more than 8 bits a channel.
        MissingExtraError: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        extra, purpose = "playback", "reading images"
        raise MissingExtraError(extra, purpose) from error
    try:
        with Image.open(path) as picture:
            mode = picture.mode
            if not mode.startswith(_WIDE_MODES):
                # Transparency is dropped anyway, and some of its forms make Pillow warn.
                picture.info.pop("transparency", None)
                return np.array(picture.convert("RGB"))
    except FileNotFoundError as error:
        msg = f"{path}: no such image. Check the path"
        raise DataError(msg) from error
    except Exception as error:  # decoders meet damage with errors of nearly any type
        msg = f"{path}: not a readable image ({error}). Replace or remove it"
        raise DataError(msg) from error
    # Pillow would clip wider values at 255 without a word.
    msg = f"{path}: got pixels of mode {mode}, expected 8 bits a channel. Convert the image"
    raise DataError(msg)
