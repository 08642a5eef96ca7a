"""Preprocessing faults on real images, as a lake would hold them: cases for the benchmarks.

A candidate search sees a model's input, never its layers, so a case needs the network's
input (size, type, quantization) and declared preprocessing, but not to run it.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from exray.diagnosis.candidates.observed import ObservedFrame, Seen
from exray.playback.image import preprocess, quantize
from exray.playback.image_spec import ImageSpec
from exray.playback.resize import resize
from exray.playback.spec import spec_from_mapping
from exray.schema.identity import input_key, sketch_family
from exray.schema.quantization import dequantize
from exray.schema.records import Quantization
from exray.schema.sketch import fold, sketch

Array = np.ndarray[Any, Any]
Change = Callable[[Array], Array]

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


@dataclass(frozen=True)
class Network:
    """A network as its input shows it.

    Args:
        spec: Declared preprocessing of images.
        size: Height and width of the input.
        images: Folder of images or npz, below the data.
        quantization: Of an int8 or uint8 input.
    """

    name: str
    spec: dict[str, Any]
    size: tuple[int, int]
    images: str
    quantization: Quantization | None = None
    dtype: str = "float32"

    def declared(self, **changes: object) -> ImageSpec:
        """Return the spec, with changes."""
        return spec_from_mapping({"image": self.spec | changes}).image


_CENTRE = {"crop": {"central": 0.875}, "values": {"range": [-1, 1]}}
_WHOLE = {"resize": {"method": "area"}, "values": {"range": [0, 1]}}
_INT8 = Quantization((1 / 127.5,), (-1,))
_UINT8 = Quantization((0.0078125,), (128,))

REPORTED = (
    Network("V2 float", _CENTRE, (224, 224), "ml-exray/val"),
    Network("V2 uint8", _CENTRE, (224, 224), "ml-exray/val", _UINT8, "uint8"),
    Network("V1 float", _CENTRE, (224, 224), "imagenet-sample-images/images"),
    Network("V1 int8", _CENTRE, (224, 224), "ml-exray/val", _INT8, "int8"),
    Network("VWW float", _WHOLE, (96, 96), "coco-cc/images"),
    Network(
        "VWW int8", _WHOLE, (96, 96), "coco-cc/images", Quantization((1 / 255,), (-128,)), "int8"
    ),
    Network("ResNet8 float", {}, (32, 32), "cifar10/cifar10_test_0000_0499.npz"),
    Network(
        "ResNet8 int8",
        {},
        (32, 32),
        "cifar10/cifar10_test_0000_0499.npz",
        Quantization((1.0,), (-128,)),
        "int8",
    ),
)
"""Networks whose figures are reported."""

CALIBRATING = (
    Network("SSD 300", {}, (300, 300), "coco-cc/images", Quantization((1.0,), (0,)), "uint8"),
    Network("DeepLab 257", {"values": {"range": [-1, 1]}}, (257, 257), "coco-cc/images"),
    Network("V1 128", _CENTRE, (128, 128), "imagenet-sample-images/images", _UINT8, "uint8"),
    Network(
        "torch 160",
        {"crop": {"central": 0.9}, "values": IMAGENET, "resize": {"method": "bilinear_antialias"}},
        (160, 160),
        "imagenet-sample-images/images",
    ),
    Network(
        "small 64",
        {"resize": {"method": "bicubic"}, "values": {"range": [0, 1]}},
        (64, 64),
        "ml-exray/val",
    ),
)
"""Networks that confidence is fitted on: none of those reported."""


@dataclass(frozen=True)
class Case:
    """One fault at one network.

    Args:
        codes: What is right; empty for what no code names.
        before: What happens to the recorded image first.
        spec: What the edge declares to itself.
        after: What happens to its values in the end.
        frames: Frames paired.
        k: Sums of the sketches.
    """

    name: str
    network: Network
    codes: frozenset[str]
    spec: ImageSpec
    before: Change = field(default=lambda image: image)
    after: Change = field(default=lambda values: values)
    frames: int = 6
    k: int = 256
    start: int = 0

    def observe(self, data: Path) -> tuple[list[ObservedFrame], dict[str, Array]]:
        """Return the frames as a lake holds them, the most different first, and their images."""
        images = pictures(data / self.network.images, self.start, self.frames)
        frames = [self._frame(name, image) for name, image in images.items()]
        return sorted(frames, key=lambda frame: -(frame.nsr or 0.0)), images

    def _frame(self, name: str, image: Array) -> ObservedFrame:
        network = self.network
        edge = self.after(preprocess(self.before(image), self.spec, network.size))
        ours = self._seen(edge, name, network.quantization, network.dtype)
        theirs = self._seen(preprocess(image, network.declared(), network.size), name)
        distance = np.square(ours.sketch - theirs.sketch).sum()
        nsr = float(distance / max(np.square(theirs.sketch).sum(), 1e-30))
        return ObservedFrame(name, input_key(name), nsr, ours, theirs)

    def _seen(
        self,
        values: Array,
        name: str,
        quantization: Quantization | None = None,
        kind: str = "float32",
    ) -> Seen:
        real = values
        if quantization is not None:
            real = dequantize(quantize(values, quantization, np.dtype(kind)), quantization)
        kept = fold(sketch(real, sketch_family(input_key(name))), self.k).astype(np.float32)
        shape = (1, *real.shape)
        return Seen(real.size, shape, np.dtype(kind), "nhwc", quantization, kept.astype(float))


@lru_cache(maxsize=8)
def _npz(path: Path) -> Array:
    with np.load(path) as archive:
        return archive["images"] if "images" in archive.files else archive[archive.files[0]]


@lru_cache(maxsize=256)
def _picture(path: Path) -> Array:
    with Image.open(path) as picture:
        return np.array(picture.convert("RGB"))


def pictures(source: Path, start: int, count: int) -> dict[str, Array]:
    """Return images by name: *count* of them from *start* on, over the end from the first."""
    if source.suffix == ".npz":
        arrays = _npz(source)
        chosen = [(start + i) % len(arrays) for i in range(count)]
        return {f"{i:06d}": arrays[i] for i in chosen}
    paths = sorted(source.iterdir())
    chosen_paths = [paths[(start + i) % len(paths)] for i in range(count)]
    return {path.name: _picture(path) for path in chosen_paths}


def jpeg(quality: int) -> Change:
    """Return the change of an image by a JPEG."""

    def change(image: Array) -> Array:
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(image)).save(buffer, "JPEG", quality=quality)
        return np.array(Image.open(buffer).convert("RGB"))

    return change


def filtered(kernel: Any) -> Change:
    """Return the change of an image by one of Pillow's filters."""
    return lambda image: np.asarray(Image.fromarray(np.ascontiguousarray(image)).filter(kernel))


def bytes_of(change: Change) -> Change:
    """Return a change of bytes, from one of real numbers 0..255."""
    return lambda image: np.clip(np.rint(change(image.astype(float))), 0, 255).astype(np.uint8)


def swapped(values: Array) -> Array:
    """Return channels first in memory that is read channels last."""
    return values.transpose(2, 0, 1).reshape(values.shape)


BLURS = {
    f"blur {radius}": filtered(ImageFilter.GaussianBlur(radius)) for radius in (0.5, 0.8, 1.5, 3)
}
GAMMAS = {
    f"gamma {g}": bytes_of(lambda x, g=g: 255 * (x / 255) ** g) for g in (0.6, 0.8, 1.25, 2.2)
}
SHARPENINGS = {
    "sharpen": filtered(ImageFilter.SHARPEN),
    "unsharp": filtered(ImageFilter.UnsharpMask(2, 150, 3)),
    "unsharp little": filtered(ImageFilter.UnsharpMask(1, 60, 0)),
}
UNKNOWN = BLURS | GAMMAS | SHARPENINGS
"""What no code names, as reported."""


def _noise(image: Array) -> Array:
    return image + np.random.default_rng(image.shape[0]).normal(0, 10, image.shape)


def _vignette(image: Array) -> Array:
    rows, columns = (np.linspace(-1, 1, size) for size in image.shape[:2])
    return image * (1 - 0.35 * (rows[:, None, None] ** 2 + columns[None, :, None] ** 2) / 2)


def _desaturated(image: Array) -> Array:
    return 0.5 * image + 0.5 * image.mean(axis=2, keepdims=True)


def _tilted(image: Array) -> Array:
    return np.asarray(Image.fromarray(image).rotate(4, Image.Resampling.BILINEAR))


def _shifted(image: Array) -> Array:
    return np.roll(image, (max(1, image.shape[0] // 40), 0), axis=(0, 1))


def _smaller(image: Array) -> Array:
    height, width = image.shape[:2]
    small = resize(image, (max(8, height * 2 // 3), max(8, width * 2 // 3)), "area")
    return np.clip(np.rint(resize(small, (height, width), "bilinear")), 0, 255).astype(np.uint8)


STRANGE: dict[str, Change] = {
    "noise": bytes_of(_noise),
    "vignette": bytes_of(_vignette),
    "half saturation": bytes_of(_desaturated),
    "posterised": bytes_of(lambda x: np.floor(x / 32) * 32 + 16),
    "tilted": _tilted,
    "shifted": _shifted,
    "scaled down and up": _smaller,
    "median": filtered(ImageFilter.MedianFilter(3)),
    "equalised": bytes_of(lambda x: 255 * np.sort(x, axis=None).searchsorted(x) / x.size),
    "tone curve": bytes_of(lambda x: x + 18 * np.sin(x / 255 * 2 * np.pi)),
}
"""What no code names, to fit confidence on."""


def reported_cases() -> Iterator[Case]:
    """Yield the cases whose figures are reported."""
    for network in REPORTED:
        for name, codes, spec, before, after in _reported_faults(network):
            yield Case(f"{network.name}: {name}", network, codes, spec, before, after)
        for name, before in UNKNOWN.items():
            declared = network.declared()
            yield Case(f"{network.name}: {name}", network, frozenset(), declared, before)


Fault = tuple[str, frozenset[str], ImageSpec, Change, Change]


def same(array: Array) -> Array:
    """Return it as it is."""
    return array


def _reported_faults(network: Network) -> Iterator[Fault]:
    def declared(**changes: object) -> ImageSpec:
        return network.declared(**changes)

    def single(
        name: str, code: str, before: Change = same, after: Change = same, **changes: object
    ) -> Fault:
        return name, frozenset({code}), declared(**changes), before, after

    yield "none", frozenset(), declared(), same, same
    yield single("BGR", "channel_order", channels="bgr")
    own = network.spec.get("values", "raw")
    for values in ({"range": [0, 1]}, {"range": [-1, 1]}, "raw"):
        if values != own:
            yield single(f"values {values}", "value_range", values=values)
    yield single("mean and std", "mean_std", values=IMAGENET)
    if own != "raw":
        low, high = own["range"]
        gain = (high - low) / 255
        yield single("twice", "normalised_twice", after=lambda x: x * gain + low)
    yield single("rotated 90", "orientation", rotate=90)
    yield single("rotated 180", "orientation", rotate=180)
    yield single("rotated 270", "orientation", rotate=270)
    yield single("mirrored", "orientation", flip="horizontal")
    yield single("upside down", "orientation", flip="vertical")
    yield single("channels first", "layout", after=swapped)
    yield (
        single("cut to integers", "dtype", after=np.trunc)
        if own != "raw"
        else single(
            "signed bytes", "dtype", after=lambda x: np.where(np.rint(x) >= 128, x - 256, x)
        )
    )
    for quality in (30, 50, 75):
        yield single(f"JPEG {quality}", "compression", before=jpeg(quality))
    if network.size != (32, 32):
        for method in ("nearest", "bilinear", "area", "bicubic", "bilinear_antialias"):
            if method != network.spec.get("resize", {}).get("method", "bilinear"):
                yield single(method, "resize", resize={"method": method})
        yield single(
            "no crop" if "crop" in network.spec else "centre",
            "crop",
            crop="none" if "crop" in network.spec else {"central": 0.875},
        )
    values = {"range": [0, 1]} if own != {"range": [0, 1]} else {"range": [-1, 1]}
    pairs: list[tuple[dict[str, str], dict[str, Any]]] = [
        ({"BGR": "channel_order", "values": "value_range"}, {"channels": "bgr", "values": values}),
        ({"BGR": "channel_order", "rotated": "orientation"}, {"channels": "bgr", "rotate": 90}),
        ({"rotated": "orientation", "values": "value_range"}, {"rotate": 180, "values": values}),
    ]
    if network.size != (32, 32):
        pairs += [
            (
                {"BGR": "channel_order", "nearest": "resize"},
                {"channels": "bgr", "resize": {"method": "nearest"}},
            ),
            (
                {"values": "value_range", "antialias": "resize"},
                {"values": values, "resize": {"method": "bilinear_antialias"}},
            ),
            (
                {"mirrored": "orientation", "nearest": "resize"},
                {"flip": "horizontal", "resize": {"method": "nearest"}},
            ),
        ]
    for names, changes in pairs:
        yield " and ".join(names), frozenset(names.values()), declared(**changes), same, same


def calibrating_cases() -> Iterator[Case]:
    """Yield cases of other networks and other kinds of faults, some with little to go by."""
    for number, network in enumerate(CALIBRATING):
        for position, (name, codes, spec, before, after) in enumerate(_other_faults(network)):
            few = (6, 3, 1)[position % 3]
            k = (256, 64)[position % 2]
            start = 7 * position + 3 * number
            yield Case(
                f"{network.name}: {name}", network, codes, spec, before, after, few, k, start
            )


def _other_faults(network: Network) -> Iterator[Fault]:
    def single(
        name: str, code: str, before: Change = same, after: Change = same, **changes: object
    ) -> Fault:
        return name, frozenset({code}), network.declared(**changes), before, after

    for order in ((1, 0, 2), (0, 2, 1), (1, 2, 0), (2, 0, 1)):
        yield single(f"order {order}", "channel_order", before=lambda x, o=order: x[:, :, o])
    is_mean_std = "mean" in str(network.spec)
    code = "mean_std" if is_mean_std else "value_range"
    for gain, offset in ((0.9, 0.02), (1.04, 0.0), (0.5, 0.25)):
        scale = 255 if not network.spec.get("values") else 1
        yield single(f"gain {gain}", code, after=lambda x, g=gain, o=offset * scale: g * x + o)
    yield single(
        "other mean", "mean_std", values={"mean": [0.4, 0.45, 0.5], "std": [0.3, 0.2, 0.25]}
    )
    yield single(
        "transposed", "orientation", before=lambda x: np.ascontiguousarray(np.rot90(x)[::-1])
    )
    yield single("turned late", "orientation", after=lambda x: np.ascontiguousarray(np.rot90(x, 2)))
    for fraction in (0.97, 0.81, 0.66):
        yield single(f"crop {fraction}", "crop", crop={"central": fraction})
    yield single("JPEG 65", "compression", before=jpeg(65))
    yield single("JPEG 22", "compression", before=jpeg(22))
    if network.spec.get("values"):
        yield single("signed bytes", "dtype", after=_signed_of(network))
    for method in ("LANCZOS", "BICUBIC", "HAMMING"):
        yield single(f"Pillow {method}", "resize", before=_presized(network, method), crop="none")
    for name, change in STRANGE.items():
        yield name, frozenset(), network.declared(), change, same
    for name, change in (("noise", STRANGE["noise"]), ("tone curve", STRANGE["tone curve"])):
        yield (
            f"order (2, 0, 1) and {name}",
            frozenset(),
            network.declared(),
            lambda x, c=change: c(x)[:, :, (2, 0, 1)],
            same,
        )
    yield (
        "order and crop",
        frozenset({"channel_order", "crop"}),
        network.declared(crop={"central": 0.7}),
        lambda x: x[:, :, (1, 0, 2)],
        same,
    )
    yield (
        "mirrored and gain",
        frozenset({"orientation", code}),
        network.declared(flip="horizontal"),
        same,
        lambda x: 0.8 * x,
    )
    for level in (1.0, 3.0):
        yield (
            f"BRG, other decoder {level}",
            frozenset({"channel_order"}),
            network.declared(),
            _noisy_order(level),
            same,
        )


def _noisy_order(level: float) -> Change:
    def change(image: Array) -> Array:
        noise = np.random.default_rng(5).normal(0, level, image.shape)
        return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)[:, :, (2, 0, 1)]

    return change


def _signed_of(network: Network) -> Change:
    values = network.declared().values

    def change(real: Array) -> Array:
        from exray.diagnosis.candidates.values import declared_values

        declared = declared_values(network.declared())
        assert values != "raw"
        pixels = (real - declared.offset) / declared.gain
        signed = np.where(np.rint(pixels) >= 128, pixels - 256, pixels)
        return (signed * declared.gain + declared.offset).astype(np.float32)

    return change


def _presized(network: Network, method: str) -> Change:
    """Return a crop and resize by Pillow, after which the declared ones change nothing."""
    from exray.playback.image import crop_center

    def change(image: Array) -> Array:
        crop = network.declared().crop
        kept = image if crop == "none" else crop_center(image, crop.central)
        size = (network.size[1], network.size[0])
        return np.asarray(
            Image.fromarray(np.ascontiguousarray(kept)).resize(size, Image.Resampling[method])
        )

    return change
