import numpy as np
import pytest

from exray.playback.feed import check_spec, clamped_count, clamping_note, fit, prepare, real_values
from exray.playback.runners import InputSpec
from exray.playback.spec import PreprocessSpec, spec_from_mapping
from exray.schema.errors import DataError, UsageError
from exray.schema.records import Quantization

from .builders import Array

HALF = Quantization((0.5,), (-10,))


def target(
    dtype: str = "float32",
    shape: tuple[int | None, ...] = (1, 4, 4, 3),
    quantization: Quantization | None = None,
) -> InputSpec:
    return InputSpec(shape, np.dtype(dtype), quantization)


def image(height: int = 4, width: int = 4) -> Array:
    return np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)


def spec(**image_keys: object) -> PreprocessSpec:
    return spec_from_mapping({"image": image_keys})


# --- without a spec -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int32", "bool"])
def test_an_array_of_the_models_own_kind_is_fed_unchanged(dtype: str) -> None:
    values = np.arange(48).astype(dtype)
    model = target(dtype, quantization=None if dtype in ("float32", "bool") else HALF)
    fed = fit(prepare(values, None, model), model)
    assert fed.shape == (1, 4, 4, 3)
    assert fed.dtype == dtype
    assert fed.tobytes() == values.tobytes()


def test_an_image_of_the_models_own_size_is_fed_unchanged_to_a_uint8_model() -> None:
    model = target("uint8", quantization=Quantization((1 / 127.5,), (127,)))
    fed = fit(prepare(image(), None, model), model)
    np.testing.assert_array_equal(fed[0], image())


def test_floats_for_an_integer_model_are_quantized_by_its_scale_and_zero_point() -> None:
    model = target("int8", (1, 5), HALF)
    values = np.array([0.0, 0.7, -0.3, 1000.0, -1000.0], np.float32)
    fed = fit(prepare(values, None, model), model)
    assert fed.dtype == np.int8
    assert fed.tolist() == [[-10, -9, -11, 127, -128]]


def test_an_array_of_another_type_becomes_the_models() -> None:
    fed = fit(prepare(np.arange(48, dtype=np.float64), None, target()), target())
    assert fed.dtype == np.float32
    assert fed.ravel().tolist() == list(range(48))


def test_pixels_of_the_models_size_are_real_values_to_an_int8_model() -> None:
    model = target("int8", quantization=Quantization((1.0,), (-128,)))
    fed = fit(prepare(image(), None, model), model)
    np.testing.assert_array_equal(fed[0].astype(int) + 128, image())


def test_a_gray_picture_with_the_models_element_count_is_reshaped() -> None:
    pixels = np.arange(16, dtype=np.uint8).reshape(4, 4)
    fed = fit(prepare(pixels, None, target(shape=(1, 4, 4, 1))), target(shape=(1, 4, 4, 1)))
    assert fed.shape == (1, 4, 4, 1)
    assert fed.ravel().tolist() == list(range(16))


def test_large_token_ids_keep_their_value() -> None:
    ids = np.array([2**24 + 1, 7], np.int64)
    model = target("int32", (1, 2))
    assert fit(prepare(ids, None, model), model).tolist() == [[2**24 + 1, 7]]


def test_a_token_id_that_the_input_cannot_hold_is_an_error() -> None:
    model = target("int32", (1, 2))
    with pytest.raises(DataError, match=r"from 7 to 4294967296; the model takes int32"):
        fit(prepare(np.array([2**32, 7]), None, model), model)


def test_an_image_of_another_size_is_resized_to_the_models_own() -> None:
    flat = np.full((9, 6, 3), 200, np.uint8)
    fed = fit(prepare(flat, None, target()), target())
    np.testing.assert_array_equal(fed, np.full((1, 4, 4, 3), 200, np.float32))


def test_an_array_that_is_no_image_and_does_not_fit_is_an_error_with_both_shapes() -> None:
    with pytest.raises(DataError, match=r"\(5,\) and dtype float32; .* float32 of shape \(1, 4, 4"):
        prepare(np.zeros(5, np.float32), None, target())


@pytest.mark.parametrize(
    ("dtype", "fix"),
    [
        ("int16", "declare how recordings become features"),
        ("uint8", "declare how texts become ids"),
    ],
)
def test_a_recording_or_a_text_without_spec_is_an_error_that_names_what_to_declare(
    dtype: str, fix: str
) -> None:
    with pytest.raises(DataError, match=fix):
        prepare(np.zeros(5, dtype), None, target())


# --- with a spec --------------------------------------------------------------------------


def test_a_spec_is_applied_even_where_the_image_has_size_and_type_of_the_input() -> None:
    model = target("uint8")
    fed = fit(prepare(image(), spec(channels="bgr"), model), model)
    np.testing.assert_array_equal(fed[0], image()[:, :, ::-1])


def test_prepared_values_are_the_same_for_a_float_and_an_integer_model() -> None:
    declared = spec(values={"range": [-1, 1]})
    prepared = [
        prepare(image(9, 9), declared, model)
        for model in (target(), target("int8", quantization=HALF), target("uint8"))
    ]
    assert {values.dtype.name for values in prepared} == {"float32"}
    np.testing.assert_array_equal(prepared[0], prepared[1])
    np.testing.assert_array_equal(prepared[0], prepared[2])


def test_layout_nchw_takes_the_size_from_the_models_last_dimensions() -> None:
    model = target(shape=(1, 3, 5, 6))
    prepared = prepare(image(9, 9), spec(layout="nchw"), model)
    assert prepared.shape == (1, 3, 5, 6)


def test_a_spec_with_a_size_feeds_a_model_whose_input_is_flat() -> None:
    declared = spec(channels="gray", resize={"size": [2, 3]})
    assert prepare(image(), declared, target(shape=(1, 6))).shape == (1, 6)


def test_without_a_size_a_model_whose_input_is_flat_is_an_error_with_the_fix() -> None:
    with pytest.raises(UsageError, match=r"resize: \{size: \[height, width\]\}"):
        prepare(image(), spec(channels="gray"), target(shape=(1, 6)))


def test_an_array_that_is_no_image_is_refused_where_a_spec_is_declared() -> None:
    with pytest.raises(DataError, match="expected an image of uint8"):
        prepare(np.zeros((4, 4, 3), np.float32), PreprocessSpec(), target())


def test_an_image_preprocessed_to_another_shape_is_an_error_with_both_shapes() -> None:
    with pytest.raises(DataError, match=r"preprocessed to \(4, 4, 1\); the model takes float32"):
        prepare(image(), spec(channels="gray"), target())


# --- free dimensions ----------------------------------------------------------------------


def test_free_dimensions_take_the_images_own_size_of_the_spec() -> None:
    model = target(shape=(1, None, None, 3))
    assert prepare(image(), spec(resize={"size": [7, 5]}), model).shape == (1, 7, 5, 3)


def test_free_dimensions_and_no_declared_size_are_an_error_with_the_fix() -> None:
    with pytest.raises(UsageError, match="size is not fixed"):
        prepare(image(), spec(channels="bgr"), target(shape=(1, None, None, 3)))


def test_an_array_with_the_fixed_dimensions_fits_free_ones_with_or_without_batch() -> None:
    model = target(shape=(1, None, 3))
    for values in (np.zeros((7, 3), np.float32), np.zeros((1, 7, 3), np.float32)):
        assert prepare(values, None, model).shape == (1, 7, 3)
    with pytest.raises(DataError, match=r"shape \(1, any, 3\)"):
        prepare(np.zeros((7, 4), np.float32), None, model)


# --- for the record -----------------------------------------------------------------------


def test_integers_fed_unchanged_are_recorded_as_the_real_values_they_stand_for() -> None:
    model = target("int8", (1, 2), HALF)
    values = prepare(np.array([-10, 10], np.int8), None, model)
    assert real_values(values, model).tolist() == [[0.0, 10.0]]


def test_real_values_are_recorded_as_they_are() -> None:
    values = np.ones((1, 2), np.float32)
    assert real_values(values, target("int8", (1, 2), HALF)) is values


# --- before the first input ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "shape"),
    [
        ({"resize": {"size": [4, 5]}}, "(4, 5, 3)"),
        ({"channels": "gray"}, "(4, 4, 1)"),
        ({"layout": "nchw"}, "(3, 4, 3)"),
    ],
)
def test_a_spec_that_cannot_fit_is_refused(keys: dict[str, object], shape: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_spec(spec(**keys), target())
    assert f"makes images of shape {shape}; the model takes float32 of shape (1, 4, 4, 3)" in str(
        caught.value
    )


def test_a_spec_without_a_size_is_refused_where_the_model_has_none() -> None:
    with pytest.raises(UsageError, match=r"Add 'image: \{resize: \{size: \[height, width\]"):
        check_spec(spec(), target(shape=(1, None, None, 3)))


@pytest.mark.parametrize(
    ("keys", "shape"),
    [
        ({}, (1, 4, 4, 3)),
        ({"channels": "gray"}, (1, 4, 4, 1)),
        ({"layout": "nchw"}, (1, 3, 4, 4)),
        ({"resize": {"size": [9, 7]}}, (1, None, None, 3)),
    ],
)
def test_a_spec_that_fits_is_let_through(
    keys: dict[str, object], shape: tuple[int | None, ...]
) -> None:
    check_spec(spec(**keys), target(shape=shape))


def test_a_large_size_is_refused_without_making_such_an_image() -> None:
    with pytest.raises(UsageError, match=r"\(8192, 8192, 3\)"):
        check_spec(spec(resize={"size": [8192, 8192]}), target())


# --- what does not fit a quantized input ----------------------------------------------------


def test_values_beyond_what_the_integers_reach_are_counted() -> None:
    model = target("int8", (1, 4), HALF)  # -59 to 68.5
    values = np.array([[-59.2, -60.0, 68.7, 69.0]], np.float32)
    assert clamped_count(values, model) == 2
    np.testing.assert_array_equal(fit(values, model), [[-128, -128, 127, 127]])


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_nothing_is_clamped_without_quantization(dtype: str) -> None:
    assert clamped_count(np.full((1, 4), 1e9, np.float32), target(dtype, (1, 4))) == 0


def test_clamping_is_told_where_it_is_most_of_the_input() -> None:
    model = target("uint8", quantization=Quantization((1 / 127.5,), (128,)))
    said = clamping_note(0.995, model) or ""
    assert said.startswith("99.5% of the quantized model input was clamped: it holds -1.004 to ")
    assert "'image: {values: {range: [-1, 1]}}'" in said
    assert clamping_note(0.3, model) is None
