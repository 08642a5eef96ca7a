"""Which pixel of a recorded image goes where: the reference's way, and ways it goes wrong."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from exray.playback.image_spec import ImageSpec

CropKind = Literal["none", "central", "corner", "letterbox"]

METHODS = (
    "nearest",
    "bilinear",
    "area",
    "bicubic",
    "bilinear_antialias",
    "bicubic_antialias",
    "lanczos",
    "hamming",
    "box",
    "bilinear_align_corners",
    "bilinear_legacy",
    "nearest_legacy",
)
"""Ways to resize: those a spec can declare, then Pillow's others and TensorFlow 1's."""

CROPS = (0.875, *(round(1 - 0.02 * i, 2) for i in range(26)))
"""Fractions of the short side that are tried before any between them."""

COARSE_CROPS = (1.0, 0.96, 0.9, 0.875, 0.84, 0.8, 0.75, 0.7, 0.6, 0.5)
"""The same where something else is wrong too."""

QUALITIES = (95, 90, 85, 80, 75, 70, 60, 50, 40, 30, 20, 10)
"""JPEG qualities that are tried before any between them."""

TURNS = tuple((quarters, mirrored) for mirrored in (False, True) for quarters in range(4))[1:]
"""The seven ways to turn an image other than to leave it."""


@dataclass(frozen=True, slots=True)
class Crop:
    """What is kept of an image.

    Args:
        kind: ``none`` all of it, ``central`` a centred square, ``corner`` a square from the
            first pixel on, ``letterbox`` all of it with borders that make it a square.
        fraction: Side of the square, in short sides.
    """

    kind: CropKind = "none"
    fraction: float = 1.0


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn beyond the declared one.

    Args:
        quarters: Quarter turns counter-clockwise.
        mirrored: Whether left and right are swapped after it.
        is_late: Whether the resized image is turned, not the recorded one.
    """

    quarters: int = 0
    mirrored: bool = False
    is_late: bool = False


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a recorded image becomes pixels of the model input's size.

    Args:
        size: Height and width of the result, pixels.
        rotate: Declared quarter turns counter-clockwise.
        flip: Declared flip.
        crop: What is kept.
        method: How it is resized, one of `METHODS`.
        turn: A turn that nobody declared.
        quality: Quality of a JPEG that the recorded image went through, None for none.
        is_swapped: Whether the bytes are laid out channels first where the model reads them
            channels last, or the other way round.
    """

    size: tuple[int, int]
    rotate: int = 0
    flip: str = "none"
    crop: Crop = Crop()
    method: str = "bilinear"
    turn: Turn = Turn()
    quality: int | None = None
    is_swapped: bool = False


Field = Literal["orientation", "resize", "crop", "layout", "compression"]
"""What of a geometry may be wrong: the codes behind ``preprocessing.``."""

FIELDS: dict[Field, str] = {
    "orientation": "turn",
    "resize": "method",
    "crop": "crop",
    "layout": "is_swapped",
    "compression": "quality",
}
"""The attribute of a geometry that each of them changes."""


def geometry_from_spec(spec: ImageSpec, size: tuple[int, int]) -> Geometry:
    """Return the geometry that a spec declares for a model input of *size*."""
    crop = Crop() if spec.crop == "none" else Crop("central", spec.crop.central)
    return Geometry(
        size=size,
        rotate=spec.rotate // 90,
        flip=spec.flip,
        crop=crop,
        method=spec.resize.method,
    )


def changed_fields(base: Geometry, other: Geometry) -> frozenset[Field]:
    """Return what of *other* differs from *base*."""
    return frozenset(
        field for field, name in FIELDS.items() if getattr(base, name) != getattr(other, name)
    )


def alternatives(base: Geometry, start: Geometry) -> Iterator[Geometry]:
    """Yield *start* with one more thing wrong that is still as *base* has it."""
    done = changed_fields(base, start)
    if "orientation" not in done:
        square = base.size[0] == base.size[1]
        for quarters, mirrored in TURNS:
            yield replace(start, turn=Turn(quarters, mirrored))
            if square or quarters % 2 == 0:
                yield replace(start, turn=Turn(quarters, mirrored, is_late=True))
    if "resize" not in done:
        yield from (replace(start, method=name) for name in METHODS if name != base.method)
    if "crop" not in done:
        fractions = COARSE_CROPS if done else CROPS
        crops = [Crop(), *(Crop("central", fraction) for fraction in fractions)]
        crops += [Crop("corner"), Crop("letterbox")]
        yield from (replace(start, crop=crop) for crop in crops if crop != base.crop)
    if "layout" not in done:
        yield replace(start, is_swapped=True)
    if "compression" not in done:
        yield from (replace(start, quality=quality) for quality in QUALITIES)


def refined(base: Geometry, found: Geometry, step: int) -> Iterator[Geometry]:
    """Yield neighbours of a crop or a quality that no list holds, nearer with each *step*."""
    fields = changed_fields(base, found)
    if "crop" in fields and found.crop.kind in ("central", "corner"):
        reach = 0.012 / 2**step
        for fraction in (found.crop.fraction - reach, found.crop.fraction + reach):
            if 0 < fraction <= 1:
                yield replace(found, crop=Crop(found.crop.kind, round(fraction, 5)))
    if "compression" in fields and found.quality is not None:
        reach = max(1, 4 >> step)
        for quality in (found.quality - reach, found.quality + reach):
            if 1 <= quality <= 100:
                yield replace(found, quality=quality)
