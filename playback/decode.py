"""Files to numbers: pixels, samples, bytes."""

import wave
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.schema.errors import DataError, MissingExtraError

IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
"""A file whose name ends so, in any case, is taken for an image."""

AUDIO_SUFFIXES = (".wav",)
"""A file whose name ends so, in any case, is taken for a recording."""

TEXT_SUFFIXES = (".txt",)
"""A file whose name ends so, in any case, is taken for a text."""

_WIDE_MODES = ("I", "F")
"""First letters of Pillow's modes with more than 8 bits a channel."""

_NUMBER_MODES = ("L", "P", "I", "I;16", "1")
"""Pillow's modes of one whole number for each pixel."""


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
    with _opened(path) as picture:
        mode: str = picture.mode
        if not mode.startswith(_WIDE_MODES):
            # Transparency is dropped anyway, and some of its forms make Pillow warn.
            picture.info.pop("transparency", None)
            return np.array(picture.convert("RGB"))
    # Pillow would clip wider values at 255 without a word.
    msg = f"{path}: got pixels of mode {mode}, expected 8 bits a channel. Convert the image"
    raise DataError(msg)


def decode_mask(path: str | Path) -> NDArray[Any]:
    """Decode an image whose pixels are numbers, such as class indices.

    Args:
        path: A file of one channel, or with a palette, of which the indices count.

    Returns:
        Shape ``(height, width)``, integers or bool.

    Raises:
        DataError: The file is missing, damaged, or has colours.
        MissingExtraError: Pillow is not installed.
    """
    with _opened(path) as picture:
        mode: str = picture.mode
        if mode in _NUMBER_MODES:
            return np.array(picture)
    msg = f"{path}: got pixels of mode {mode}, expected one number for each. Convert the image"
    raise DataError(msg)


@contextmanager
def _opened(path: str | Path) -> Generator[Any]:
    """Open an image file; damage shows as a DataError there and then, or while it is read."""
    try:
        from PIL import Image
    except ImportError as error:
        extra, purpose = "playback", "reading images"
        raise MissingExtraError(extra, purpose) from error
    try:
        with Image.open(path) as picture:
            yield picture
    except FileNotFoundError as error:
        msg = f"{path}: no such image. Check the path"
        raise DataError(msg) from error
    except Exception as error:  # decoders meet damage with errors of nearly any type
        msg = f"{path}: not a readable image ({error}). Replace or remove it"
        raise DataError(msg) from error


def decode_wav(path: str | Path) -> NDArray[np.int16]:
    """Decode a wav file of 16 bits; of several channels the first counts.

    Args:
        path: A file of uncompressed samples.

    Returns:
        Samples, shape ``(n,)``, int16.

    Raises:
        DataError: The file is missing, damaged, or has other than 16 bits a sample.
    """
    try:
        with wave.open(str(path), "rb") as file:
            width, channels = file.getsampwidth(), file.getnchannels()
            data = file.readframes(file.getnframes())
    except FileNotFoundError as error:
        msg = f"{path}: no such recording. Check the path"
        raise DataError(msg) from error
    except (wave.Error, EOFError, OSError) as error:
        msg = f"{path}: not a readable wav file ({error}). Write it as uncompressed 16-bit samples"
        raise DataError(msg) from error
    if width != 2:
        msg = f"{path}: got samples of {8 * width} bits, expected 16. Convert the recording"
        raise DataError(msg)
    samples = np.frombuffer(data[: len(data) - len(data) % (2 * channels)], "<i2")
    return samples[::channels].astype(np.int16)


def wav_rate(path: str | Path) -> int | None:
    """Return the sample rate of a wav file, Hz; None where it cannot be read."""
    try:
        with wave.open(str(path), "rb") as file:
            return file.getframerate()
    except (wave.Error, EOFError, OSError):
        return None


def read_text(path: str | Path) -> NDArray[np.uint8]:
    """Return the bytes of a text file, shape ``(n,)``, uint8.

    Raises:
        DataError: It cannot be read.
    """
    try:
        return np.frombuffer(Path(path).read_bytes(), np.uint8)
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror}). Check the path"
        raise DataError(msg) from error
