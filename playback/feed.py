"""A recorded input made into the model's input.

`prepare()` gives real values, which an edge and a reference pipeline can be compared by;
`fit()` turns them into the numbers that one model takes.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from exray.schema.errors import DataError, UsageError
from exray.schema.quantization import dequantize

from .audio import preprocess_audio
from .image import preprocess, quantize
from .image_spec import ImageSpec
from .runners import InputSpec
from .spec import PreprocessSpec
from .text import preprocess_text

Array = NDArray[Any]
"""A tensor of any shape and element type."""

_MADE = {"image": "images", "audio": "features", "text": "ids"}
"""What a spec makes, by medium."""

_SHAPING = {
    "image": "resize, channels or layout",
    "audio": "samples, window, mel or mfcc",
    "text": "length",
}
"""What of a spec decides the shape of the model's input, by medium."""

_UNDECLARED = {
    (1, "int16"): "or declare how recordings become features: --preprocess, 'audio: {...}'",
    (1, "uint8"): "or declare how texts become ids: --preprocess, 'text: {...}'",
}
"""What else to do about an input that no spec speaks of, by its rank and dtype."""

MOST = 0.5
"""Share of the model input that, clamped, is a mistake and not an outlier."""


def prepare(value: Array, spec: PreprocessSpec | None, target: InputSpec) -> Array:
    """Return what the model is to see, before it is quantized.

    Without a spec an array with as many elements as the model's input is reshaped, and
    one of the input's dtype is that input: its numbers stay as they are. An image is
    preprocessed as the spec, or the default one, says.

    Args:
        value: An image (H, W, C) or (H, W) of uint8, a recording (n,), a text as bytes (n,),
            or an array.
        spec: Declared preprocessing; None where the user declared none.
        target: The model's input.

    Returns:
        Shape of *target*; float32 in real units, or integers that `fit()` leaves alone.

    Raises:
        DataError: It is no image and does not fit the model, or an image that, once
            preprocessed, does not.
        UsageError: Neither spec nor model says how large an image has to become.
    """
    shaped = target.shaped(_ordered(value, target)) if spec is None else None
    if shaped is not None:
        return shaped if _is_exact(shaped, target) else shaped.astype(np.float32)
    if spec is None and not _is_image(value):
        fix = _UNDECLARED.get((value.ndim, value.dtype.name), "or images of uint8")
        msg = (
            f"got an array of shape {value.shape} and dtype {value.dtype}; the model takes "
            f"{_shown(target)}. Bring arrays with as many elements, {fix}."
        )
        raise DataError(msg)
    chosen = spec or PreprocessSpec(image=ImageSpec(layout=_layout(target)))
    made = _preprocessed(value, chosen, target)
    shaped = target.shaped(made)
    if shaped is None:
        msg = (
            f"an input of shape {value.shape} was preprocessed to {made.shape}; the model takes "
            f"{_shown(target)}. Correct {_SHAPING[chosen.medium]} of the preprocessing spec."
        )
        raise DataError(msg)
    return shaped


def _preprocessed(value: Array, spec: PreprocessSpec, target: InputSpec) -> Array:
    if spec.audio is not None:
        return preprocess_audio(value, spec.audio)
    if spec.text is not None:
        return preprocess_text(value, spec.text)
    return preprocess(value, spec.image, _image_size(target, spec))


def check_spec(spec: PreprocessSpec, target: InputSpec) -> None:
    """Refuse a spec whose images could not be the model's input, before any is read.

    Raises:
        UsageError: Size, channels or layout do not fit, or nothing says how large an image
            has to become.
    """
    shape = _preprocessed_shape(spec, target)
    if shape is None:  # as long as each recording
        return
    if target.shaped(np.broadcast_to(np.float32(0), shape)) is None:
        msg = (
            f"the preprocessing spec makes {_MADE[spec.medium]} of shape {shape}; the model takes "
            f"{_shown(target)}. Correct {_SHAPING[spec.medium]} of the spec."
        )
        raise UsageError(msg)


def clamped_count(values: Array, target: InputSpec) -> int:
    """Return how many real values `fit()` clamps, because the input's integers end before.

    Args:
        values: What `prepare()` returned.
        target: The model's input.
    """
    ends = _real_ends(target)
    if ends is None or values.dtype.kind != "f":
        return 0
    low, high, step = ends
    return int(np.count_nonzero((values < low - step / 2) | (values > high + step / 2)))


def clamping_note(share: float, target: InputSpec) -> str | None:
    """Return what to say where most of the model input was clamped, None where it was not.

    Args:
        share: Clamped elements of all that were quantized, 0 to 1.
        target: The model's input.
    """
    ends = _real_ends(target)
    if ends is None or share <= MOST:
        return None
    low, high, _ = ends
    return (
        f"{share:.1%} of the quantized model input was clamped: it holds {low:.4g} to {high:.4g}, "
        "and the pixels lie outside. Say in the preprocessing spec how pixels become numbers, as "
        f"in training: 'image: {{values: {{range: [{low:.2g}, {high:.2g}]}}}}' fills the input."
    )


def fit(values: Array, target: InputSpec) -> Array:
    """Turn what `prepare()` returned into the model's own numbers.

    Args:
        values: Shape of *target*.
        target: The model's input.

    Returns:
        Shape of *values*, dtype of *target*; integers quantized with the model's own
        scale and zero point, rounded and clamped.

    Raises:
        DataError: Integers such as token ids do not fit the input's type.
    """
    if values.dtype == target.dtype:
        return values
    if values.dtype.kind in "biu":
        limits = np.iinfo(str(target.dtype))
        if values.size and (values.min() < limits.min or values.max() > limits.max):
            msg = (
                f"got integers from {values.min()} to {values.max()}; the model takes "
                f"{target.dtype}, {limits.min} to {limits.max}"
            )
            raise DataError(msg)
        return values.astype(target.dtype)
    return quantize(values, target.quantization, target.dtype)


def real_values(values: Array, target: InputSpec) -> Array:
    """Return what `prepare()` returned in real units, as edge and reference share them."""
    if values.dtype.kind in "iu":
        return dequantize(values, target.quantization)
    return values


def _is_exact(values: Array, target: InputSpec) -> bool:
    """Whether the numbers are the model's own: of its type, or integers that need no scale."""
    counts = values.dtype.kind in "biu" and target.dtype.kind in "iu"
    return values.dtype == target.dtype or (counts and target.quantization is None)


def _is_image(value: Array) -> bool:
    is_shaped = value.ndim == 2 or (value.ndim == 3 and value.shape[-1] in (1, 3, 4))
    return value.dtype == np.uint8 and is_shaped


def _image_size(target: InputSpec, spec: PreprocessSpec) -> tuple[int, int] | None:
    """Return height and width of the model's input, None where it is not one of an image."""
    if len(target.shape) != 4:
        return None
    _, first, second, third = target.shape
    height, width = (second, third) if spec.image.layout == "nchw" else (first, second)
    return None if height is None or width is None else (height, width)


def _ordered(value: Array, target: InputSpec) -> Array:
    """Return an image with its channels where the model has them, an array as it is."""
    is_turned = _layout(target) == "nchw" and value.ndim == 3 and _is_image(value)
    if is_turned and value.shape != target.shape[1:]:
        return value.transpose(2, 0, 1)
    return value


def _layout(target: InputSpec) -> Literal["nhwc", "nchw"]:
    return "nchw" if target.layout == "nchw" else "nhwc"


def _preprocessed_shape(spec: PreprocessSpec, target: InputSpec) -> tuple[int, ...] | None:
    """Return the shape of what a spec makes, None where it depends on the input."""
    if spec.audio is not None:
        length = spec.audio.samples
        return None if length is None else (spec.audio.pieces(length), spec.audio.bands)
    if spec.text is not None:
        return (spec.text.length,)
    size = spec.image.resize.size or _image_size(target, spec)
    if size is None:
        msg = "the model's input size is not fixed. Add 'image: {resize: {size: [height, width]}}'"
        raise UsageError(msg)
    channels = 1 if spec.image.channels == "gray" else 3
    return (channels, *size) if spec.image.layout == "nchw" else (*size, channels)


def _real_ends(target: InputSpec) -> tuple[float, float, float] | None:
    """Return the smallest and largest real value of a quantized input, and its step."""
    quantization = target.quantization
    if target.dtype.kind not in "iu" or quantization is None or len(quantization.scales) != 1:
        return None
    limits, scale = np.iinfo(str(target.dtype)), float(quantization.scales[0])
    zero = float(quantization.zero_points[0])
    return (limits.min - zero) * scale, (limits.max - zero) * scale, scale


def _shown(target: InputSpec) -> str:
    sizes = ", ".join("any" if size is None else str(size) for size in target.shape)
    return f"{target.dtype} of shape ({sizes})"
