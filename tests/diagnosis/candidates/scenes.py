"""Frames as the lake knows them, made from images and from what a pipeline does to them."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.diagnosis.candidates.observed import ObservedFrame, Seen
from exray.playback.image import preprocess, quantize
from exray.playback.image_spec import ImageSpec
from exray.playback.spec import spec_from_mapping
from exray.schema.identity import input_key, sketch_family
from exray.schema.quantization import dequantize
from exray.schema.records import Quantization
from exray.schema.sketch import fold, sketch

Image = NDArray[np.uint8]
Array = NDArray[Any]
Pipeline = Callable[[Image], Array]
"""From a recorded image to the model's input, in real units and without the batch."""

SIZE = (48, 48)


def make_images(count: int = 6, height: int = 90, width: int = 120) -> dict[str, Image]:
    """Return images with structure at all scales and colours of their own."""
    rng = np.random.default_rng(7)
    images: dict[str, Image] = {}
    for index in range(count):
        layers = [
            np.kron(rng.normal(size=(-(-height // s), -(-width // s), 3)), np.ones((s, s, 1)))
            for s in (1, 3, 9, 27)
        ]
        field = sum(
            layer[:height, :width] * weight
            for layer, weight in zip(layers, (8, 16, 30, 45), strict=True)
        )
        tint = np.array([20, 0, -25]) + np.linspace(-40, 40, height)[:, None, None]
        images[f"{index:02d}.png"] = np.clip(125 + field + tint, 0, 255).astype(np.uint8)
    return images


def make_spec(**image: object) -> ImageSpec:
    """Return a spec of a centrally cropped image in [-1, 1], but for what is given."""
    base: dict[str, object] = {"crop": {"central": 0.875}, "values": {"range": [-1, 1]}}
    return spec_from_mapping({"image": base | image}).image


def by_spec(spec: ImageSpec, size: tuple[int, int] = SIZE) -> Pipeline:
    """Return the pipeline that a spec declares."""
    return lambda image: preprocess(image, spec, size)


def observe(
    images: Mapping[str, Image],
    reference: Pipeline,
    edge: Pipeline,
    quantization: Quantization | None = None,
    k: int = 256,
) -> list[ObservedFrame]:
    """Return what a lake holds of both sides' inputs, the most different first."""
    frames = [
        _observed(name, reference(image), edge(image), quantization, k)
        for name, image in images.items()
    ]
    return sorted(frames, key=lambda frame: -(frame.nsr or 0.0))


def seen(
    values: Array, family: int, quantization: Quantization | None = None, k: int = 256
) -> Seen:
    """Return how a lake holds a model input; quantized ones are int8."""
    dtype = np.dtype(np.int8 if quantization else np.float32)
    real = values
    if quantization is not None:
        real = dequantize(quantize(values, quantization, dtype), quantization)
    kept = fold(sketch(real, family), k).astype(np.float32).astype(np.float64)
    return Seen(real.size, (1, *real.shape), dtype, "nhwc", quantization, kept)


def _observed(
    name: str, reference: Array, edge: Array, quantization: Quantization | None, k: int
) -> ObservedFrame:
    key = input_key(name)
    ours = seen(edge, sketch_family(key), quantization, k)
    theirs = seen(reference, sketch_family(key), k=k)
    nsr = np.square(ours.sketch - theirs.sketch).sum() / np.square(theirs.sketch).sum()
    return ObservedFrame(name, key, float(nsr), ours, theirs)
