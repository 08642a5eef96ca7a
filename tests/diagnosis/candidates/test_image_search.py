"""The search names what a pipeline did to images, and is not fooled by what it does not know."""

from collections.abc import Callable

import numpy as np
import pytest

from exray.diagnosis.candidates.image_search import Found, search_image
from exray.diagnosis.candidates.render import through_jpeg
from exray.schema.records import Quantization

from .scenes import SIZE, Array, Image, Pipeline, by_spec, make_images, make_spec, observe

IMAGES = make_images()

INT8 = Quantization((1 / 127.5,), (-1,))
"""An input that holds -1 to 1."""


def search(edge: Pipeline, quantization: Quantization | None = None, k: int = 256) -> Found:
    """Search with the reference that `make_spec` declares."""
    frames = observe(IMAGES, by_spec(make_spec()), edge, quantization, k)
    found = search_image(make_spec(), frames, lambda frame: IMAGES[frame.input_id])
    assert found is not None
    return found


def codes(found: Found) -> set[str]:
    return set(found.best.codes)


def then(change: Callable[[Array], Array]) -> Pipeline:
    """The declared pipeline, and something after it."""
    return lambda image: change(by_spec(make_spec())(image))


def swapped(values: Array) -> Array:
    """Channels first in memory that is read channels last."""
    return values.transpose(2, 0, 1).reshape(*SIZE, 3)


FAULTS: dict[str, tuple[Pipeline, set[str]]] = {
    "none": (by_spec(make_spec()), set()),
    "bgr": (by_spec(make_spec(channels="bgr")), {"channel_order"}),
    "brg": (then(lambda values: values[:, :, [2, 0, 1]]), {"channel_order"}),
    "unsigned range": (by_spec(make_spec(values={"range": [0, 1]})), {"value_range"}),
    "raw": (by_spec(make_spec(values="raw")), {"value_range"}),
    "gain": (then(lambda values: values * 1.1 + 0.05), {"value_range"}),
    "mean and std": (
        by_spec(make_spec(values={"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]})),
        {"mean_std"},
    ),
    "twice": (then(lambda values: values / 127.5 - 1), {"normalised_twice"}),
    "rotated": (by_spec(make_spec(rotate=90)), {"orientation"}),
    "mirrored": (by_spec(make_spec(flip="horizontal")), {"orientation"}),
    "turned late": (then(lambda values: np.rot90(values, 3)), {"orientation"}),
    "nearest": (by_spec(make_spec(resize={"method": "nearest"})), {"resize"}),
    "area": (by_spec(make_spec(resize={"method": "area"})), {"resize"}),
    "uncropped": (by_spec(make_spec(crop="none")), {"crop"}),
    "other crop": (by_spec(make_spec(crop={"central": 0.83})), {"crop"}),
    "layout": (then(swapped), {"layout"}),
    "cut": (then(np.trunc), {"dtype"}),
    "jpeg": (lambda image: by_spec(make_spec())(through_jpeg(image, 77)), {"compression"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_single_fault_is_named(fault: str) -> None:
    pipeline, expected = FAULTS[fault]
    found = search(pipeline)
    assert codes(found) == expected
    assert found.best.match_db > 45


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({"channels": "bgr", "values": {"range": [0, 1]}}, {"channel_order", "value_range"}),
        ({"rotate": 90, "channels": "bgr"}, {"orientation", "channel_order"}),
        ({"flip": "vertical", "resize": {"method": "area"}}, {"orientation", "resize"}),
        ({"crop": "none", "values": {"range": [0, 1]}}, {"crop", "value_range"}),
    ],
)
def test_two_faults_are_both_named(image: dict[str, object], expected: set[str]) -> None:
    assert codes(search(by_spec(make_spec(**image)))) == expected


@pytest.mark.parametrize("fault", ["bgr", "unsigned range", "raw", "rotated", "area", "twice"])
def test_fault_is_named_at_an_integer_input(fault: str) -> None:
    """Raw pixels are clamped to its end, and what is normalised twice is one step wide."""
    pipeline, expected = FAULTS[fault]
    assert codes(search(pipeline, INT8)) == expected


@pytest.mark.parametrize("k", [64, 256])
def test_a_range_of_which_an_integer_input_keeps_two_steps_is_named(k: int) -> None:
    """Bytes are declared: of [-1, 1] only 0 and 1 are left, and rounding is as large as all else."""
    declared, wrong = make_spec(values="raw"), make_spec(values={"range": [-1, 1]})
    bytes_of_int8 = Quantization((1.0,), (-128,))
    frames = observe(IMAGES, by_spec(declared), by_spec(wrong), bytes_of_int8, k)
    found = search_image(declared, frames, lambda frame: IMAGES[frame.input_id])
    assert found is not None
    assert codes(found) == {"value_range"}
    assert found.best.match_db > 45


def test_bytes_stored_in_signed_integers_are_named() -> None:
    def stored(image: Image) -> Array:
        pixels = by_spec(make_spec(values="raw"))(image)
        real: Array = (np.rint(pixels).astype(np.uint8).view(np.int8) + 1.0) / 127.5
        return real

    assert codes(search(stored, INT8)) == {"dtype"}


def test_short_sketches_suffice_over_more_frames() -> None:
    assert codes(search(FAULTS["bgr"][0], k=64)) == {"channel_order"}


@pytest.mark.parametrize("change", ["blur", "gamma", "sharpen", "noise"])
def test_what_no_candidate_makes_matches_badly(change: str) -> None:
    assert search(outside(change)).best.match_db < 30


def outside(change: str) -> Pipeline:
    """A pipeline with something wrong that the search does not know."""
    from PIL import Image as PillowImage
    from PIL import ImageFilter

    def filtered(image: Image) -> Image:
        if change == "gamma":
            return (255 * (image / 255) ** 1.4).astype(np.uint8)
        if change == "noise":
            noise = np.random.default_rng(3).normal(0, 12, image.shape)
            return np.clip(image + noise, 0, 255).astype(np.uint8)
        kernel = ImageFilter.GaussianBlur(1) if change == "blur" else ImageFilter.SHARPEN
        return np.asarray(PillowImage.fromarray(image).filter(kernel))

    return lambda image: by_spec(make_spec())(filtered(image))


def test_mistake_is_measured_against_doing_without_it() -> None:
    found = search(by_spec(make_spec(channels="bgr", rotate=90)))
    assert found.without("channel_order") < 15
    assert found.without("orientation") < 15


def test_search_ends_in_time() -> None:
    frames = observe(IMAGES, by_spec(make_spec()), outside("blur"))
    found = search_image(make_spec(), frames, lambda frame: IMAGES[frame.input_id], budget_s=0.0)
    assert found is not None
    assert not found.is_complete


def test_input_of_other_channels_than_declared_is_left_alone() -> None:
    gray = make_spec(channels="gray")
    frames = observe(IMAGES, by_spec(make_spec()), by_spec(make_spec(channels="bgr")))
    assert search_image(gray, frames, lambda frame: IMAGES[frame.input_id]) is None


NEAREST = make_spec(crop="none", resize={"method": "nearest"})


@pytest.mark.parametrize(
    "edge",
    [
        by_spec(NEAREST.model_copy(update={"flip": "horizontal"})),
        lambda image: by_spec(NEAREST)(image)[:, ::-1],
    ],
    ids=["before", "after"],
)
def test_pixels_turned_before_or_after_resizing_are_told_by_images_that_show_it(
    edge: Pipeline,
) -> None:
    """Where each pixel is the middle one of three, mirroring before and after are the same."""
    images = make_images(2, 144, 144) | {
        f"even {name}": image for name, image in make_images(4, 96, 96).items()
    }
    declared = make_spec(crop="none", resize={"method": "area"})
    seen = observe(images, by_spec(declared), edge)
    frames = sorted(seen, key=lambda frame: frame.input_id.startswith("even"))
    found = search_image(declared, frames, lambda frame: images[frame.input_id])
    assert found is not None
    assert codes(found) == {"orientation", "resize"}
    assert found.best.match_db > 50
