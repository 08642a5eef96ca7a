"""Which numbers stand for a pixel's colours: the declared ones, and those often met instead."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from exray.playback.image import BT601
from exray.playback.image_spec import (
    ImageSpec,
    MeanStdValues,
    RangeValues,
    ScaleOffsetValues,
)

from .observed import Numbers

ValueCode = Literal["value_range", "mean_std", "normalised_twice"]

ORDERS = ("rgb", "bgr", "rbg", "grb", "gbr", "brg")
"""Orders in which three colours can stand."""

NEAR = 0.02
"""Share of their span by which two maps may differ and still be one for a reader."""

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CAFFE = (123.68, 116.779, 103.939)
_CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_CIFAR10 = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))


@dataclass(frozen=True, slots=True)
class Channels:
    """Which colours the channels hold.

    Args:
        name: Such as ``bgr``.
        mixture: Share of red, green and blue in each channel, shape (channels, 3).
    """

    name: str
    mixture: Numbers


@dataclass(frozen=True, slots=True)
class Values:
    """An affine map of 0..255 to the model's numbers, channel by channel.

    Args:
        name: How it reads.
        code: What kind of mistake it is where it is not declared.
        gain: Shape (channels,).
        offset: Shape (channels,).
        fitted: Pairs of gain and offset that were fitted to what the edge saw.
    """

    name: str
    code: ValueCode
    gain: Numbers
    offset: Numbers
    fitted: int = 0

    def near(self, other: "Values") -> bool:
        """Whether the two could not be told apart on an image: within 2 % of their span."""
        span = 255 * np.abs(self.gain).max()
        ends = (np.abs(self.offset - other.offset), np.abs(self.high - other.high))
        return bool(max(end.max() for end in ends) <= NEAR * span)

    @property
    def high(self) -> Numbers:
        """What 255 becomes, shape (channels,)."""
        return 255 * self.gain + self.offset

    def same(self, other: "Values") -> bool:
        """Whether both give the same numbers."""
        return bool(
            np.allclose(self.gain, other.gain, rtol=1e-6, atol=1e-9)
            and np.allclose(self.offset, other.offset, rtol=1e-6, atol=1e-6)
        )


def mapping(channels: Channels, values: Values) -> Numbers:
    """Return both as one row of factors, as `exray...basis` orders its columns."""
    mixed = values.gain[:, None] * channels.mixture
    return np.concatenate([mixed.reshape(-1), values.offset])


def channel_maps(count: int) -> list[Channels]:
    """Return the ways to fill so many channels with colours."""
    luma, even = BT601.astype(np.float64), np.full(3, 1 / 3)
    if count == 1:
        single = [Channels(f"{name} alone", np.eye(3)[i : i + 1]) for i, name in enumerate("rgb")]
        return [Channels("gray", luma[None]), Channels("mean of colours", even[None]), *single]
    orders = [
        Channels(order, np.eye(3)[["rgb".index(colour) for colour in order]]) for order in ORDERS
    ]
    return [*orders, Channels("gray", np.tile(luma, (3, 1)))]


def declared_channels(spec: ImageSpec) -> Channels:
    """Return the channels that a spec declares."""
    count = 1 if spec.channels == "gray" else 3
    return next(channels for channels in channel_maps(count) if channels.name == spec.channels)


def declared_values(spec: ImageSpec) -> Values:
    """Return the values that a spec declares."""
    count = 1 if spec.channels == "gray" else 3
    match spec.values:
        case RangeValues(range=(low, high)):
            return _range(low, high, count)
        case MeanStdValues(mean=mean, std=std):
            return _mean_std(mean, std, count)
        case ScaleOffsetValues(scale=scale, offset=offset):
            name = f"{scale:.6g} x {offset:+.6g}"
            return Values(name, "value_range", np.full(count, scale), np.full(count, offset))
        case "raw":
            return _range(0, 255, count)


def value_maps(declared: Values) -> list[Values]:
    """Return maps that are met in place of *declared*, itself first, none of them twice."""
    found = [declared]
    for values in _met(declared):
        if not any(values.same(other) for other in found):
            found.append(values)
    return found


def _met(declared: Values) -> Iterator[Values]:
    count, is_mean_std = len(declared.gain), declared.code == "mean_std"
    gain, offset = declared.gain, declared.offset
    if not np.allclose(gain, 1.0) or offset.any():
        yield Values("normalised twice", "normalised_twice", gain * gain, gain * offset + offset)
        yield Values("divided by 255 once more", "normalised_twice", gain / 255, offset)
    code: ValueCode = "mean_std" if is_mean_std else "value_range"
    ends = ((0, 255), (0, 1), (-1, 1), (-0.5, 0.5), (-128, 127))
    for low, high in ends:
        named = _range(low, high, count)
        yield Values(named.name, code, named.gain, named.offset)
    yield Values("[-1, 1) by 128", code, np.full(count, 1 / 128), np.full(count, -1.0))
    yield Values("[0, 1) by 256", code, np.full(count, 1 / 256), np.zeros(count))
    if is_mean_std:
        yield Values("no mean subtracted", "mean_std", gain, np.zeros(count))
        yield Values("not divided by std", "mean_std", np.full(count, 1 / 255), offset / gain / 255)
    if count == 3:
        for mean, std in (_IMAGENET, _CLIP, _CIFAR10):
            yield _mean_std(mean, std, count)
            yield _mean_std(mean[::-1], std[::-1], count)
        for mean in (_CAFFE, _CAFFE[::-1]):
            shown = ", ".join(f"{m:g}" for m in mean)
            yield Values(f"minus [{shown}]", "mean_std", np.ones(3), -np.array(mean))
        if is_mean_std:
            yield Values("mean and std in reverse", "mean_std", gain[::-1], offset[::-1])


def _range(low: float, high: float, count: int) -> Values:
    gain, offset = np.full(count, (high - low) / 255), np.full(count, float(low))
    return Values(f"[{low:g}, {high:g}]", "value_range", gain, offset)


def _mean_std(mean: tuple[float, ...], std: tuple[float, ...], count: int) -> Values:
    means, stds = np.resize(mean, count), np.resize(std, count)
    shown = [", ".join(f"{number:g}" for number in numbers) for numbers in (mean, std)]
    name = f"mean [{shown[0]}], std [{shown[1]}]"
    return Values(name, "mean_std", 1 / 255 / stds, -means / stds)
