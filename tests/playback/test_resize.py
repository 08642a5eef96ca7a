"""Each resize method against the library that defines it, or an independent oracle."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from exray.playback.resize import resize

GOLDEN = json.loads((Path(__file__).parent / "golden" / "tensorflow_resize.json").read_text())
CASES: list[dict[str, Any]] = GOLDEN["cases"]
METHODS = ("nearest", "bilinear", "bicubic", "area", "bilinear_antialias")

# Of 0..255. TensorFlow finds the ends of area's boxes in single precision, which is worth
# more than the rounding of a sum.
TOLERANCE = {"nearest": 0.0, "bilinear": 1e-4, "bicubic": 3e-4, "area": 1e-2}


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def box_average(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float64]:
    """Average what each output pixel covers, pixel by pixel, in exact fractions."""

    def overlaps(source: int, target: int, i: int) -> list[Fraction]:
        start, end = Fraction(i * source, target), Fraction((i + 1) * source, target)
        shares = (min(end, Fraction(x + 1)) - max(start, Fraction(x)) for x in range(source))
        return [max(share, Fraction(0)) / (end - start) for share in shares]

    result = np.zeros((*size, image.shape[2]))
    for row, column, channel in np.ndindex(result.shape):
        down = overlaps(image.shape[0], size[0], row)
        along = overlaps(image.shape[1], size[1], column)
        total = sum(
            (
                weight * other * int(image[y, x, channel])
                for y, weight in enumerate(down)
                for x, other in enumerate(along)
            ),
            Fraction(0),
        )
        result[row, column, channel] = float(total)
    return result


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['method']}")
def test_method_equals_the_committed_values_of_tensorflow(case: dict[str, Any]) -> None:
    image = np.array(case["image"], np.uint8)[:, :, None]
    expected = np.array(case["expected"])
    actual = resize(image, (expected.shape[0], expected.shape[1]), case["method"])
    np.testing.assert_allclose(
        actual[:, :, 0], expected, rtol=0, atol=max(1e-4, TOLERANCE[case["method"]])
    )


@pytest.mark.keras
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['method']}")
def test_committed_values_are_what_tensorflow_gives(case: dict[str, Any]) -> None:
    tf: Any = pytest.importorskip("tensorflow")
    image = np.array(case["image"], np.float32)[:, :, None]
    expected = np.array(case["expected"])
    fresh = tf.image.resize(image, expected.shape, method=case["method"]).numpy()[:, :, 0]
    np.testing.assert_allclose(fresh, expected, rtol=0, atol=1e-4)


@pytest.mark.keras
@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic", "area"])
@pytest.mark.parametrize(
    ("source", "target"),
    [((375, 500), (224, 224)), ((97, 61), (224, 160)), ((1203, 1601), (96, 96)), ((1, 1), (5, 3))],
)
def test_method_equals_tensorflow(
    method: str, source: tuple[int, int], target: tuple[int, int]
) -> None:
    tf: Any = pytest.importorskip("tensorflow")
    image = noise(*source)
    expected = tf.image.resize(image, target, method=method).numpy()
    actual = resize(image, target, method)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE[method])


@pytest.mark.keras
def test_nearest_picks_the_pixel_of_tensorflow_where_single_precision_decides() -> None:
    """Exact fractions would pick another pixel in about one of 200 pairs of sizes."""
    tf: Any = pytest.importorskip("tensorflow")
    for source in range(1, 130, 4):
        ramp = np.arange(source, dtype=np.float32)[:, None, None]
        for target in (3, 10, 32, 50, 96, 224):
            expected = tf.image.resize(ramp, (target, 1), method="nearest").numpy()
            np.testing.assert_array_equal(resize(ramp, (target, 1), "nearest"), expected)


@pytest.mark.parametrize("target", [(3, 4), (2, 2), (5, 7), (8, 9), (1, 1), (10, 3)])
def test_area_is_the_exact_box_average(target: tuple[int, int]) -> None:
    image = noise(5, 7)
    expected = box_average(image, target)
    np.testing.assert_allclose(resize(image, target, "area"), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("target", [(224, 224), (96, 160), (400, 600)])
def test_bilinear_antialias_is_pillow_for_8_bits(target: tuple[int, int]) -> None:
    image = noise(375, 500)
    size = (target[1], target[0])
    expected = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(resize(image, target, "bilinear_antialias"), expected)


def test_bilinear_antialias_does_not_round_single_precision() -> None:
    image = noise(50, 60)[:, :, :1].astype(np.float32) + np.float32(0.25)
    plane = Image.fromarray(image[:, :, 0]).resize((30, 20), Image.Resampling.BILINEAR)
    expected = np.asarray(plane)[:, :, None]
    np.testing.assert_array_equal(resize(image, (20, 30), "bilinear_antialias"), expected)


@pytest.mark.parametrize("method", METHODS)
def test_flat_image_stays_exactly_flat(method: str) -> None:
    image = np.full((37, 53, 3), 201, np.uint8)
    actual = resize(image, (96, 17), method)
    np.testing.assert_array_equal(actual, np.full((96, 17, 3), 201, np.float32))


@pytest.mark.parametrize("method", METHODS)
def test_same_size_changes_nothing(method: str) -> None:
    image = noise(11, 13)
    np.testing.assert_array_equal(resize(image, (11, 13), method), image)


@pytest.mark.parametrize("method", METHODS)
def test_result_is_float32_and_its_own(method: str) -> None:
    image = noise(11, 13).astype(np.float32)
    actual = resize(image, (11, 13), method)
    assert actual.dtype == np.float32
    assert not np.shares_memory(actual, image)


@pytest.mark.parametrize("method", METHODS)
def test_mirrored_view_resizes_like_its_copy(method: str) -> None:
    view = np.rot90(noise(30, 40))[:, ::-1]
    expected = resize(view.copy(), (12, 14), method)
    np.testing.assert_array_equal(resize(view, (12, 14), method), expected)
