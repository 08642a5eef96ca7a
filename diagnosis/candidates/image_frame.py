"""A recorded frame with its image, ready to try candidates on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .basis import ImageInput, binned, channel_bins, colour_sketches, ones_sketches
from .geometry import Geometry
from .hypothesis import Hypothesis
from .observed import Numbers, ObservedFrame
from .render import Pixels, render
from .storage import Storage, mixed

Raw = NDArray[Any]


@dataclass(frozen=True, slots=True)
class ImageFrame:
    """A frame made ready: its image, and where its sketch puts each element."""

    observed: ObservedFrame
    image: Raw
    target: ImageInput
    bins: Mapping[bool, NDArray[np.uint16]]
    ones: Mapping[bool, Numbers]

    @classmethod
    def prepare(cls, frame: ObservedFrame, target: ImageInput, image: Raw) -> "ImageFrame":
        """Make a frame ready whose recorded image is *image*."""
        bins = {s: channel_bins(frame.family, target, is_swapped=s) for s in (False, True)}
        k = len(frame.edge.sketch)
        ones = {s: ones_sketches(bins[s], k) for s in bins}
        return cls(frame, image, target, bins, ones)

    def columns(self, geometry: Geometry) -> Numbers:
        """Return the sketches of each colour in each channel."""
        swapped = geometry.is_swapped
        pixels = render(self.image, geometry)
        return colour_sketches(pixels, self.bins[swapped], self.ones[swapped])

    def distance(self, pixels: Pixels, hypothesis: Hypothesis, storage: Storage) -> float:
        """Return the squared distance of the edge's sketch from a hypothesis's."""
        edge = self.observed.edge
        real = storage.store(mixed(pixels, hypothesis.channels), hypothesis.values, edge)
        bins = self.bins[hypothesis.geometry.is_swapped]
        made = binned(np.ascontiguousarray(bins), real.astype(np.float32), len(edge.sketch))
        return float(np.square(made - edge.sketch).sum())

    def centred(self) -> float:
        """Return the energy of the edge's sketch about its mean."""
        edge, ones = self.observed.edge.sketch, self.ones[False].sum(axis=1)
        mean = float(edge @ ones) / float(ones @ ones)
        return max(float(np.square(edge - mean * ones).sum()), 1e-30)


def tried(
    hypothesis: Hypothesis,
    storage: Storage,
    frames: Sequence[ImageFrame],
    images: Sequence[Pixels],
) -> Hypothesis:
    """Return a hypothesis with the share that it leaves of some frames, pixel by pixel.

    Args:
        hypothesis: What to try.
        storage: Its storage.
        frames: Frames to try it on.
        images: Their pixels, rendered with its geometry.
    """
    left = sum(
        frame.distance(pixels, hypothesis, storage)
        for frame, pixels in zip(frames, images, strict=True)
    )
    return replace(hypothesis, unexplained=left / sum(frame.centred() for frame in frames))
