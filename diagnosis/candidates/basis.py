"""Sketches of single colours in single channels: what every linear pixel mapping is made of.

A sketch is linear. Whatever mixes the colours of a pixel into channels, scales and shifts
them, the sketch of the result is the same mixture of the sketches taken here, so thousands
of mappings are tried on one rendered image without another look at its pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exray.schema.sketch import fold
from exray.schema.sketch_bins import BINS, ROW, sketch_bins

from .observed import Numbers, ObservedFrame, Seen
from .render import Pixels

COLOURS = 3

_FAMILY_STEP = 131
_CHANNELS = (1, 3)


@dataclass(frozen=True, slots=True)
class ImageInput:
    """A model input that holds an image.

    Args:
        size: Height and width, pixels.
        channels: 1 or 3.
        is_channels_first: Whether its memory holds channel after channel.
        is_canonical: Whether its sketch was taken channels last all the same.
    """

    size: tuple[int, int]
    channels: int
    is_channels_first: bool = False
    is_canonical: bool = True


def image_input(seen: Seen) -> ImageInput | None:
    """Return what kind of image a model input holds, None where it is none."""
    sizes = seen.shape[1:] if len(seen.shape) == 4 and seen.shape[0] == 1 else seen.shape
    if len(sizes) != 3:
        return None
    first = seen.layout == "nchw" or (sizes[0] in _CHANNELS and sizes[2] not in _CHANNELS)
    height, width, channels = (sizes[1], sizes[2], sizes[0]) if first else sizes
    if channels not in _CHANNELS:
        return None
    is_canonical = not first or seen.layout == "nchw"
    return ImageInput((height, width), channels, first, is_canonical)


def channel_bins(family: int, target: ImageInput, *, is_swapped: bool) -> NDArray[np.uint16]:
    """Return where the sketch adds each pixel of each channel.

    Args:
        family: Hash family.
        target: The model input.
        is_swapped: Whether the writer had the other order of dimensions in mind.

    Returns:
        Bins 0..511, shape (height, width, channels).
    """
    height, width = target.size
    count = height * width * target.channels
    rows = sketch_bins(_FAMILY_STEP * family, -(-count // ROW)).reshape(-1)[:count]
    last, first = (height, width, target.channels), (target.channels, height, width)
    if target.is_channels_first and target.is_canonical:
        rows = rows.reshape(last).transpose(2, 0, 1).reshape(-1)  # in the order of its memory
    if target.is_channels_first != is_swapped:
        return rows.reshape(first).transpose(1, 2, 0)
    return rows.reshape(last)


def binned(bins: NDArray[np.uint16], values: NDArray[np.float32], k: int) -> Numbers:
    """Return the sketch of *values* that go to *bins*, shape (k,)."""
    weights = values.reshape(-1)
    sums: Numbers = np.bincount(bins.reshape(-1), weights=weights, minlength=BINS).astype(float)
    return fold(sums[:ROW] - sums[ROW:], k)


def colour_sketches(pixels: Pixels, bins: NDArray[np.uint16], ones: Numbers) -> Numbers:
    """Return the sketches that mappings of these pixels are made of.

    Args:
        pixels: Shape (height, width, 3).
        bins: As `channel_bins` gives them.
        ones: Of the same bins, as `ones_sketches` gives them.

    Returns:
        Shape (k, channels * 3 + channels): each colour in each channel, then ones in each.
    """
    k, channels = ones.shape
    columns = [
        binned(np.ascontiguousarray(bins[:, :, channel]), pixels[:, :, colour], k)
        for channel in range(channels)
        for colour in range(COLOURS)
    ]
    return np.concatenate([np.stack(columns, axis=1), ones], axis=1)


def ones_sketches(bins: NDArray[np.uint16], k: int) -> Numbers:
    """Return the sketch of ones in each channel, shape (k, channels)."""
    ones = np.ones(bins.shape[:2], np.float32)
    channels = bins.shape[2]
    return np.stack([binned(bins[:, :, c].copy(), ones, k) for c in range(channels)], axis=1)


@dataclass(frozen=True, slots=True)
class Equations:
    """Least squares over several frames, as normal equations.

    Args:
        xx: Inner products of the columns, shape (n, n).
        xy: Of the columns with the edge's sketches, shape (n,).
        yy: Energy of the edge's sketches.
        centred: The same about their common mean: what there is to explain.
        rounding: What rounding to the edge's integers leaves at best, in the unit of *yy*.
    """

    xx: Numbers
    xy: Numbers
    yy: float
    centred: float
    rounding: float

    def residuals(self, mappings: Numbers) -> Numbers:
        """Return the unexplained share of each mapping, shape (m,), of shape (m, n)."""
        squares = np.einsum("mi,ij,mj->m", mappings, self.xx, mappings)
        left: Numbers = self.yy - 2 * mappings @ self.xy + squares
        return np.maximum(left, 0.0) / self.centred

    def solved(self, frame: Numbers) -> Numbers:
        """Return the best mapping that is a mixture of the rows of *frame*, shape (n,)."""
        xx, xy = frame @ self.xx @ frame.T, frame @ self.xy
        scale = np.sqrt(np.maximum(np.diag(xx), 1e-30))
        solution = np.linalg.lstsq(xx / np.outer(scale, scale), xy / scale, rcond=1e-12)[0]
        mapping: Numbers = (solution / scale) @ frame
        return mapping


def equations(frames: Sequence[ObservedFrame], columns: Sequence[Numbers]) -> Equations:
    """Sum up how the columns of several frames relate to the edge's sketches."""
    edges = [frame.edge.sketch for frame in frames]
    stacked, values = np.concatenate(list(columns)), np.concatenate(edges)
    channels = stacked.shape[1] // (COLOURS + 1)
    ones = stacked[:, -channels:].sum(axis=1)
    mean = float(values @ ones) / float(ones @ ones)
    yy = float(values @ values)
    return Equations(
        xx=stacked.T @ stacked,
        xy=stacked.T @ values,
        yy=yy,
        centred=max(float(np.square(values - mean * ones).sum()), 1e-12 * yy, 1e-30),
        rounding=sum(frame.edge.count * frame.edge.step**2 / 12 for frame in frames),
    )
