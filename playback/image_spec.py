"""What a spec may say about images: keys, allowed values, defaults."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from .spec_part import FORM_ERROR, Number, SpecPart, keys_of, pair, plain_error

MAX_SIDE = 8192
"""Longest side of a resized image, pixels: three channels of floats then take 0.8 GB."""

Pixels = Annotated[int, Field(strict=True, gt=0, le=MAX_SIDE)]
"""A count of pixels."""


class CentralCrop(SpecPart):
    """Keep a centred square.

    Args:
        central: Its side as a fraction of the image's short side, above 0 up to 1.
    """

    central: Annotated[Number, Field(gt=0, le=1)]


def _height_width(value: object) -> object:
    form = f"[height, width], two integers from 1 to {MAX_SIDE}"
    return value if value is None else pair(value, form)


def _two_ends(value: object) -> object:
    return pair(value, "[a, b], two numbers")


class ResizeSpec(SpecPart):
    """Resize to *size*, or to the model's own input size where that is None.

    Args:
        size: Height and width, pixels.
        method: ``nearest``, ``bilinear`` and ``bicubic`` as TensorFlow 2 defines them
            (half-pixel centres, no antialias), ``area`` the exact box average,
            ``bilinear_antialias`` Pillow's BILINEAR.
    """

    size: Annotated[tuple[Pixels, Pixels] | None, BeforeValidator(_height_width)] = None
    method: Literal["nearest", "bilinear", "area", "bicubic", "bilinear_antialias"] = "bilinear"


class RangeValues(SpecPart):
    """Map 0..255 linearly to *range*: 0 to its first number, 255 to its second."""

    range: Annotated[tuple[Number, Number], BeforeValidator(_two_ends)]

    @model_validator(mode="after")
    def _check_width(self) -> Self:
        if self.range[0] == self.range[1]:
            raise plain_error(
                f"got {list(self.range)}, expected two different numbers: else every pixel is the same"
            )
        return self


class MeanStdValues(SpecPart):
    """Divide by 255, subtract *mean*, divide by *std*.

    Args:
        mean: One number, or one per channel in the order that ``channels`` makes.
        std: As many as *mean*, none of them 0.
    """

    mean: Annotated[tuple[Number, ...], Field(min_length=1)]
    std: Annotated[tuple[Number, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _check_pairing(self) -> Self:
        if len(self.mean) != len(self.std):
            lengths = f"{len(self.mean)} in mean and {len(self.std)} in std"
            raise plain_error(f"got {lengths}, expected as many numbers in both")
        if 0.0 in self.std:
            raise plain_error(f"got 0 in std {list(self.std)}, expected numbers to divide by")
        return self


class ScaleOffsetValues(SpecPart):
    """Multiply 0..255 by *scale*, then add *offset*."""

    scale: Number
    offset: Number = 0.0


_VALUES_TAGS: dict[str, type[SpecPart]] = {
    "<range>": RangeValues,
    "<mean_std>": MeanStdValues,
    "<scale_offset>": ScaleOffsetValues,
}


def _crop_tag(value: object) -> str | None:
    if value == "none":
        return "<none>"
    return "<central>" if isinstance(value, Mapping | CentralCrop) else None


def _values_tag(value: object) -> str | None:
    """Tell the forms apart by the keys used, so that an error speaks of one form only."""
    if value == "raw":
        return "<raw>"
    keys = keys_of(value)
    matching = (tag for tag, form in _VALUES_TAGS.items() if keys & set(form.model_fields))
    return next(matching, None)


Crop = Annotated[
    Annotated[Literal["none"], Tag("<none>")] | Annotated[CentralCrop, Tag("<central>")],
    Discriminator(
        _crop_tag,
        custom_error_type=FORM_ERROR,
        custom_error_message="none or {central: fraction}",
    ),
]
"""Tags of a union stand in angle brackets: pydantic counts them as part of a key's path."""

Values = Annotated[
    Annotated[Literal["raw"], Tag("<raw>")]
    | Annotated[RangeValues, Tag("<range>")]
    | Annotated[MeanStdValues, Tag("<mean_std>")]
    | Annotated[ScaleOffsetValues, Tag("<scale_offset>")],
    Discriminator(
        _values_tag,
        custom_error_type=FORM_ERROR,
        custom_error_message="raw, {range: [a, b]}, {mean: [...], std: [...]}"
        " or {scale: s, offset: o}",
    ),
]
"""How pixel values 0..255 become the model's numbers."""


class ImageSpec(SpecPart):
    """How an image becomes a model's input; the defaults only resize it.

    The steps run in this order: rotate, flip, crop, channels, resize, values, layout.

    Args:
        channels: Order of the colours, or one channel of BT.601 luma (``gray``).
        rotate: Degrees counter-clockwise.
        flip: ``horizontal`` swaps left and right, ``vertical`` top and bottom.
        crop: ``none``, or a `CentralCrop`.
        resize: Size and method.
        values: ``raw`` leaves 0..255.
        layout: ``nhwc`` puts the channels last, ``nchw`` first.
    """

    channels: Literal["rgb", "bgr", "gray"] = "rgb"
    rotate: Literal[0, 90, 180, 270] = 0
    flip: Literal["none", "horizontal", "vertical"] = "none"
    crop: Crop = "none"
    resize: ResizeSpec = ResizeSpec()
    values: Values = "raw"
    layout: Literal["nhwc", "nchw"] = "nhwc"

    @model_validator(mode="after")
    def _check_channel_count(self) -> Self:
        count = 1 if self.channels == "gray" else 3
        if isinstance(self.values, MeanStdValues) and len(self.values.mean) not in {1, count}:
            expected = "1" if count == 1 else "1 or 3"
            raise plain_error(
                f"got {len(self.values.mean)} numbers in values.mean,"
                f" expected {expected} with channels {self.channels}"
            )
        return self
