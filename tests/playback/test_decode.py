"""Image files of all kinds, and what is none."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from exray.playback.decode import decode_image
from exray.schema.errors import DataError


def noise(height: int = 5, width: int = 7) -> NDArray[np.uint8]:
    return np.random.default_rng(2).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_lossless_image_gives_its_pixels(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(noise()).save(path)
    actual = decode_image(path)
    assert actual.dtype == np.uint8
    np.testing.assert_array_equal(actual, noise())


def test_exif_orientation_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # the picture is to be shown turned by 90 degrees
    Image.fromarray(noise()).save(path, exif=exif)
    np.testing.assert_array_equal(decode_image(path), noise())


def test_gray_becomes_three_equal_channels(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    plane = noise()[:, :, 0]
    Image.fromarray(plane).save(path)
    np.testing.assert_array_equal(decode_image(path), np.stack([plane] * 3, axis=2))


def test_transparency_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    alpha = np.zeros((5, 7, 1), np.uint8)
    Image.fromarray(np.concatenate([noise(), alpha], axis=2)).save(path)
    np.testing.assert_array_equal(decode_image(path), noise())


def test_transparent_palette_causes_no_warning(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    picture = Image.fromarray(noise()).convert("P", palette=Image.Palette.ADAPTIVE, colors=8)
    picture.save(path, transparency=bytes([0, 128, 255]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(decode_image(path), np.asarray(picture.convert("RGB")))


def test_first_picture_of_an_animation_counts(tmp_path: Path) -> None:
    path = tmp_path / "x.gif"
    frames = [Image.new("L", (4, 4), level) for level in (10, 200)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode_image(path), np.full((4, 4, 3), 10, np.uint8))


def test_more_than_8_bits_are_refused_rather_than_clipped(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(path)
    with pytest.raises(DataError, match=r"x.png: got pixels of mode I.*expected 8 bits"):
        decode_image(path)


@pytest.mark.parametrize("kept", [0, 10, 300])
def test_damaged_image_is_named_with_the_cause(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "x.jpg"
    Image.fromarray(noise(40, 40)).save(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"x.jpg: not a readable image \(.+\). Replace or remove"):
        decode_image(path)


def test_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone.png: no such image"):
        decode_image(tmp_path / "gone.png")
