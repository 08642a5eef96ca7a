"""What a spec may say about images: keys, allowed values, defaults."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, Self, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""A finite number; a text or a truth value is none."""

MAX_SIDE = 8192
"""Longest side of a resized image, pixels: three channels of floats then take 0.8 GB."""

Pixels = Annotated[int, Field(strict=True, gt=0, le=MAX_SIDE)]
"""A count of pixels."""

FORM_ERROR = "form"
"""Type of a pydantic error whose message is the expected form alone."""

PLAIN_ERROR = "plain"
"""Type of a pydantic error whose message says everything."""


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return a sentence that suggests the nearest allowed word, or an empty text."""
    near = difflib.get_close_matches(word.lower(), list(allowed), n=1)
    return f". Did you mean '{near[0]}'?" if near else ""


def _keys(value: object) -> set[str]:
    if isinstance(value, SpecPart):
        return set(type(value).model_fields)
    if isinstance(value, Mapping):
        return {str(key) for key in cast("Mapping[object, object]", value)}
    return set()


def _plain_error(text: str) -> PydanticCustomError:
    # The text goes in as context: in the template its own braces would be placeholders.
    return PydanticCustomError(PLAIN_ERROR, "{text}", {"text": text})


class SpecPart(BaseModel):
    """A mapping of the spec: immutable, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, data: object) -> object:
        """Name an unknown key together with the allowed ones, which pydantic does not."""
        allowed = list(cls.model_fields)
        for key in _keys(data):
            if key not in allowed:
                text = f"unknown key '{key}', expected {', '.join(allowed)}"
                raise _plain_error(text + did_you_mean(key, allowed))
        return data


class CentralCrop(SpecPart):
    """Keep a centred square.

    Args:
        central: Its side as a fraction of the image's short side, above 0 up to 1.
    """

    central: Annotated[Number, Field(gt=0, le=1)]


def _height_width(value: object) -> object:
    form = f"[height, width], two integers from 1 to {MAX_SIDE}"
    return value if value is None else _pair(value, form)


def _two_ends(value: object) -> object:
    return _pair(value, "[a, b], two numbers")


def _pair(value: object, form: str) -> object:
    """Refuse what is no list of two here: pydantic's own words would be about tuples."""
    if isinstance(value, list | tuple) and len(cast("list[object]", value)) == 2:
        return cast("object", value)
    raise PydanticCustomError(FORM_ERROR, "{form}", {"form": form})


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
            raise _plain_error(
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
            raise _plain_error(f"got {lengths}, expected as many numbers in both")
        if 0.0 in self.std:
            raise _plain_error(f"got 0 in std {list(self.std)}, expected numbers to divide by")
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
    keys = _keys(value)
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
            raise _plain_error(
                f"got {len(self.values.mean)} numbers in values.mean,"
                f" expected {expected} with channels {self.channels}"
            )
        return self
