"""Preprocessing steps, each alone, in their order, and as a whole."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from exray.playback.image import as_rgb, crop_center, preprocess, quantize
from exray.playback.image_spec import ImageSpec
from exray.playback.spec import spec_from_mapping
from exray.schema.errors import DataError, UsageError
from exray.schema.records import Quantization


def image_spec(**keys: object) -> ImageSpec:
    return spec_from_mapping({"image": keys}).image


def single(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def noise(height: int = 6, width: int = 8) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def run(image: NDArray[Any], **keys: object) -> NDArray[np.float32]:
    """Preprocess without resizing: the size is that of the rotated image."""
    height, width = image.shape[:2]
    sideways = keys.get("rotate") in (90, 270)
    return preprocess(image, image_spec(**keys), (width, height) if sideways else (height, width))


def test_default_spec_only_resizes_bilinear_to_the_models_size() -> None:
    image = noise()
    expected = preprocess(image, image_spec(resize={"method": "bilinear"}), (3, 4))
    actual = preprocess(image, image_spec(), (3, 4))
    assert actual.shape == (3, 4, 3)
    assert actual.dtype == np.float32
    np.testing.assert_array_equal(actual, expected)


def test_size_of_the_spec_wins_over_the_models() -> None:
    assert preprocess(noise(), image_spec(resize={"size": [2, 5]}), (3, 4)).shape == (2, 5, 3)


def test_no_size_anywhere_says_what_to_add() -> None:
    with pytest.raises(UsageError, match=r"not fixed.*resize: \{size"):
        preprocess(noise(), image_spec(), None)


@pytest.mark.parametrize(
    ("degrees", "operation"),
    [
        (90, Image.Transpose.ROTATE_90),
        (180, Image.Transpose.ROTATE_180),
        (270, Image.Transpose.ROTATE_270),
    ],
)
def test_rotate_is_counter_clockwise_as_in_pillow(degrees: int, operation: Image.Transpose) -> None:
    image = noise()
    expected = np.asarray(Image.fromarray(image).transpose(operation))
    np.testing.assert_array_equal(run(image, rotate=degrees), expected)


@pytest.mark.parametrize(
    ("flip", "operation"),
    [
        ("horizontal", Image.Transpose.FLIP_LEFT_RIGHT),
        ("vertical", Image.Transpose.FLIP_TOP_BOTTOM),
    ],
)
def test_flip_is_that_of_pillow(flip: str, operation: Image.Transpose) -> None:
    image = noise()
    expected = np.asarray(Image.fromarray(image).transpose(operation))
    np.testing.assert_array_equal(run(image, flip=flip), expected)


def test_rotate_comes_before_flip() -> None:
    image = noise()
    expected = np.rot90(image)[:, ::-1]
    np.testing.assert_array_equal(run(image, rotate=90, flip="horizontal"), expected)


def test_bgr_reverses_the_channels() -> None:
    image = noise()
    np.testing.assert_array_equal(run(image, channels="bgr"), image[:, :, ::-1])


def test_gray_is_bt601_luma_without_rounding() -> None:
    image = noise(20, 20)
    actual = run(image, channels="gray")
    red, green, blue = np.moveaxis(image.astype(np.float64), 2, 0)
    np.testing.assert_allclose(
        actual[:, :, 0], 0.299 * red + 0.587 * green + 0.114 * blue, rtol=0, atol=1e-4
    )
    pillow = np.asarray(Image.fromarray(image).convert("L"), np.float32)
    assert np.abs(actual[:, :, 0] - pillow).max() <= 0.502  # Pillow rounds to whole numbers


@pytest.mark.parametrize(
    ("height", "width", "fraction", "top", "left", "side"),
    [
        (480, 640, 0.875, 30, 110, 420),
        (375, 500, 1.0, 0, 62, 375),  # 62.5 is rounded down
        (340, 400, 0.875, 21, 51, 297),  # a side of 297.5 too
        (332, 332, 0.875, 21, 21, 290),
        (7, 5, 0.01, 3, 2, 1),  # one pixel at least
    ],
)
def test_central_crop_is_a_centred_square_rounded_down(
    height: int, width: int, fraction: float, top: int, left: int, side: int
) -> None:
    image = noise(height, width)
    expected = image[top : top + side, left : left + side]
    np.testing.assert_array_equal(crop_center(image, fraction), expected)


def test_crop_comes_before_resize() -> None:
    image = noise(40, 60)
    expected = preprocess(crop_center(image, 0.5), image_spec(), (8, 8))
    actual = preprocess(image, image_spec(crop={"central": 0.5}), (8, 8))
    np.testing.assert_array_equal(actual, expected)


def test_range_maps_0_and_255_exactly_to_its_ends() -> None:
    ends = np.array([[[0, 255, 0]]], np.uint8)
    for low, high in ((-1, 1), (0, 1), (-0.7, 1.3), (1, -1)):
        actual = run(ends, values={"range": [low, high]})
        np.testing.assert_array_equal(actual[0, 0], single(low, high, low))


def test_range_minus_one_to_one_is_the_usual_formula() -> None:
    image = noise()
    actual = run(image, values={"range": [-1, 1]})
    np.testing.assert_allclose(actual, image / 127.5 - 1, rtol=0, atol=2e-7)


def test_mean_and_std_apply_per_channel_after_the_channel_order() -> None:
    image = noise()
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]
    actual = run(image, channels="bgr", values={"mean": mean, "std": std})
    expected = (image[:, :, ::-1] / 255 - mean) / std
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_scale_and_offset_apply_to_0_to_255() -> None:
    image = noise()
    actual = run(image, values={"scale": 0.5, "offset": -3})
    np.testing.assert_array_equal(actual, image * np.float32(0.5) - 3)


def test_nchw_puts_the_channels_first() -> None:
    image = noise()
    actual = run(image, layout="nchw")
    np.testing.assert_array_equal(actual, image.transpose(2, 0, 1))
    assert actual.flags.c_contiguous


def test_values_between_pixels_are_not_rounded() -> None:
    """Rounding to 8 bits after resizing would be a step of its own."""
    step = np.array([[[0] * 3, [255] * 3]], np.uint8)
    actual = preprocess(step, image_spec(), (1, 4))
    np.testing.assert_array_equal(actual[0, :, 0], single(0, 63.75, 191.25, 255))


def test_gray_arrays_get_three_channels() -> None:
    plane = noise()[:, :, 0]
    expected = np.stack([plane] * 3, axis=2)
    np.testing.assert_array_equal(as_rgb(plane), expected)
    np.testing.assert_array_equal(as_rgb(plane[:, :, None]), expected)


def test_transparency_of_arrays_is_dropped() -> None:
    image = noise()
    transparent = np.concatenate([image, image[:, :, :1]], axis=2)
    np.testing.assert_array_equal(as_rgb(transparent), image)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
    ],
    ids=["float", "two channels", "batch", "empty", "vector"],
)
def test_array_that_is_no_image_is_named_by_shape_and_dtype(array: NDArray[Any]) -> None:
    with pytest.raises(DataError, match=r"shape \(.*dtype .*expected an image"):
        preprocess(array, image_spec(), (2, 2))


def test_input_is_left_untouched() -> None:
    image = noise()
    before = image.copy()
    run(image, rotate=180, values={"range": [-1, 1]})
    np.testing.assert_array_equal(image, before)


INT8 = np.dtype(np.int8)
UINT8 = np.dtype(np.uint8)
HALVES = single(-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.49999997)


def test_quantize_rounds_halves_to_even_before_adding_the_zero_point() -> None:
    """Adding an odd zero point first would turn the ties round."""
    actual = quantize(HALVES, Quantization((1.0,), (3,)), INT8)
    np.testing.assert_array_equal(actual, np.array([-2, -2, 0, 0, 2, 2, 0]) + 3)
    assert actual.dtype == np.int8


def test_quantize_clamps_to_the_type() -> None:
    far = single(-1e9, -200, 200, 1e9, np.inf, -np.inf)
    actual = quantize(far, Quantization((1.0,), (-1,)), INT8)
    np.testing.assert_array_equal(actual, [-128, -128, 127, 127, 127, -128])


def test_quantize_maps_what_is_no_number_to_the_zero_point() -> None:
    actual = quantize(single(np.nan), Quantization((0.5,), (-7,)), INT8)
    np.testing.assert_array_equal(actual, [-7])


def test_quantize_inverts_dequantization() -> None:
    scale, zero_point = 1 / 127.5, -1
    integers = np.arange(-128, 128)
    real = (np.float32(scale) * (integers - zero_point)).astype(np.float32)
    actual = quantize(real, Quantization((scale,), (zero_point,)), INT8)
    np.testing.assert_array_equal(actual, integers)


def test_quantize_per_channel_uses_the_axis() -> None:
    values = np.ones((2, 3), np.float32)
    actual = quantize(values, Quantization((0.5, 0.25, 0.1), (0, 1, 2), axis=1), INT8)
    np.testing.assert_array_equal(actual, [[2, 5, 12]] * 2)


def test_quantize_without_quantization_rounds_and_clamps() -> None:
    actual = quantize(single(-3, 0.5, 1.5, 254.6, 300), None, UINT8)
    np.testing.assert_array_equal(actual, [0, 0, 2, 255, 255])


def test_quantize_holds_the_ends_of_int32() -> None:
    actual = quantize(single(-1e12, 1e12), None, np.dtype(np.int32))
    np.testing.assert_array_equal(actual, [-(2**31), 2**31 - 1])


def test_quantize_leaves_a_float_input_in_real_units() -> None:
    actual = quantize(single(0.1), Quantization((0.5,), (1,)), np.dtype(np.float16))
    np.testing.assert_array_equal(actual, single(0.1).astype(np.float16))


@pytest.mark.keras
# The converter warns that it was told no statistics of a quantized input: this one is float.
@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")
def test_quantize_equals_the_operator_of_litert() -> None:
    tf: Any = pytest.importorskip("tensorflow")
    litert: Any = pytest.importorskip("ai_edge_litert.interpreter")
    content = quantizing_model(tf)
    for resolver in ("AUTO", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"):
        interpreter = litert.Interpreter(
            model_content=content,
            experimental_op_resolver_type=getattr(litert.OpResolverType, resolver),
        )
        interpreter.allocate_tensors()
        output = interpreter.get_output_details()[0]
        scale, zero_point = output["quantization"]
        spread = np.random.default_rng(3).normal(0, 5, 58).astype(np.float32)
        values = np.concatenate([HALVES[:6] * np.float32(scale), spread])[None]
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
        interpreter.invoke()
        integers = interpreter.get_tensor(output["index"]).reshape(values.shape)
        actual = quantize(values, Quantization((scale,), (zero_point,)), INT8)
        np.testing.assert_array_equal(actual, integers)


def quantizing_model(tf: Any) -> bytes:
    """Convert a network that only quantizes and reshapes: float input, int8 output."""
    source = tf.keras.Input((64,), batch_size=1)
    network = tf.keras.Model(source, tf.keras.layers.Reshape((8, 8))(source))
    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    # A power of two as scale, so that halves of it are halves exactly.
    samples = np.linspace(-8, 7.9375, 64, dtype=np.float32)[None]
    converter.representative_dataset = lambda: [[samples]]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_output_type = tf.int8
    content: bytes = converter.convert()
    return content
