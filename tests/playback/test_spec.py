"""A spec's keys, defaults, and what a wrong one is told."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from exray.playback.image_spec import (
    CentralCrop,
    ImageSpec,
    MeanStdValues,
    RangeValues,
    ScaleOffsetValues,
)
from exray.playback.spec import PreprocessSpec, load_spec, spec_from_mapping
from exray.schema.errors import SpecError

EVERY_KEY = """\
image:
  channels: bgr
  rotate: 90
  flip: horizontal
  crop: {central: 0.875}
  resize: {size: [224, 192], method: area}
  values: {range: [-1, 1]}
  layout: nchw
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "spec.yaml"
    path.write_text(text, "utf-8")
    return path


def error_of(image: object) -> str:
    with pytest.raises(SpecError) as caught:
        spec_from_mapping({"image": image}, "spec.yaml")
    return str(caught.value)


def test_every_key_is_read(tmp_path: Path) -> None:
    image = load_spec(write(tmp_path, EVERY_KEY)).image
    assert (image.channels, image.rotate, image.flip, image.layout) == (
        "bgr",
        90,
        "horizontal",
        "nchw",
    )
    assert image.crop == CentralCrop(central=0.875)
    assert (image.resize.size, image.resize.method) == ((224, 192), "area")
    assert image.values == RangeValues(range=(-1, 1))


@pytest.mark.parametrize("text", ["", "image:\n", "image: {}\n", "# nothing\n"])
def test_silent_file_means_the_defaults(tmp_path: Path, text: str) -> None:
    assert load_spec(write(tmp_path, text)) == PreprocessSpec()


def test_no_file_means_the_defaults() -> None:
    image = load_spec(None).image
    assert image == ImageSpec()
    assert (image.channels, image.rotate, image.flip, image.crop) == ("rgb", 0, "none", "none")
    assert (image.resize.size, image.resize.method) == (None, "bilinear")
    assert (image.values, image.layout) == ("raw", "nhwc")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("raw", "raw"),
        ({"range": [0, 1]}, RangeValues(range=(0, 1))),
        ({"mean": [0.5], "std": [0.2]}, MeanStdValues(mean=(0.5,), std=(0.2,))),
        ({"scale": 2, "offset": -1}, ScaleOffsetValues(scale=2, offset=-1)),
        ({"scale": 2}, ScaleOffsetValues(scale=2, offset=0)),
    ],
)
def test_each_form_of_values_is_read(values: object, expected: object) -> None:
    assert spec_from_mapping({"image": {"values": values}}).image.values == expected


@pytest.mark.parametrize(
    "image",
    [
        {},
        {"crop": {"central": 0.5}, "values": {"range": [-1, 1]}},
        {"values": {"mean": [0.1, 0.2, 0.3], "std": [1, 2, 3]}},
        {"resize": {"size": [3, 4], "method": "bicubic"}, "values": {"scale": 2}},
    ],
)
def test_spec_survives_json(image: dict[str, Any]) -> None:
    spec = spec_from_mapping({"image": image})
    assert spec_from_mapping(json.loads(spec.model_dump_json())) == spec


def test_spec_cannot_be_changed() -> None:
    spec = PreprocessSpec()
    with pytest.raises(ValidationError, match="frozen"):
        spec.image = ImageSpec()


KEYS = "channels, rotate, flip, crop, resize, values, layout"
SIZE = "[height, width], two integers from 1 to 8192"
NEAREST = "Did you mean 'central'?"
METHODS = "'nearest', 'bilinear', 'area', 'bicubic' or 'bilinear_antialias'"
FORMS = "raw, {range: [a, b]}, {mean: [...], std: [...]} or {scale: s, offset: o}"


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (["rgb"], ": got ['rgb'], expected a mapping, or leave the key out"),
        ({"chanels": "rgb"}, f": unknown key 'chanels', expected {KEYS}. Did you mean 'channels'?"),
        ({"channels": "cmyk"}, ".channels: got 'cmyk', expected 'rgb', 'bgr' or 'gray'"),
        (
            {"layout": "NHWC"},
            ".layout: got 'NHWC', expected 'nhwc' or 'nchw'. Did you mean 'nhwc'?",
        ),
        ({"flip": "h"}, ".flip: got 'h', expected 'none', 'horizontal' or 'vertical'"),
        ({"rotate": 45}, ".rotate: got 45, expected 0, 90, 180 or 270"),
        ({"rotate": "90"}, ".rotate: got '90', expected 0, 90, 180 or 270"),
        ({"crop": 0.875}, ".crop: got 0.875, expected none or {central: fraction}"),
        ({"crop": {"centre": 0.5}}, ".crop: unknown key 'centre', expected central. " + NEAREST),
        ({"crop": {"central": 1.5}}, ".crop.central: got 1.5, expected less than or equal to 1"),
        ({"resize": "area"}, ".resize: got 'area', expected a mapping, or leave the key out"),
        ({"resize": {"size": 224}}, f".resize.size: got 224, expected {SIZE}"),
        ({"resize": {"size": [224, 0]}}, ".resize.size[1]: got 0, expected greater than 0"),
        ({"resize": {"method": "cv2"}}, f".resize.method: got 'cv2', expected {METHODS}"),
        ({"values": "rwa"}, f".values: got 'rwa', expected {FORMS}"),
        ({"values": {"rnage": [0, 1]}}, f".values: got {{'rnage': [0, 1]}}, expected {FORMS}"),
        ({"values": {"range": [0, 1], "std": 2}}, ".values: unknown key 'std', expected range"),
        ({"values": {"range": [0]}}, ".values.range: got [0], expected [a, b], two numbers"),
        ({"values": {"range": [0, "1"]}}, ".values.range[1]: got '1', expected a valid number"),
        ({"values": {"scale": math.nan}}, ".values.scale: got nan, expected a finite number"),
        ({"values": {"mean": [0.5]}}, ".values.std: missing. Add this key beside the others"),
        ({"values": {"mean": 1, "std": [1]}}, ".values.mean: got 1, expected a list of numbers"),
        (
            {"values": {"mean": [0.5], "std": [1, 2]}},
            ".values: got 1 in mean and 2 in std, expected as many numbers in both",
        ),
        (
            {"values": {"mean": [0.5], "std": [0]}},
            ".values: got 0 in std [0.0], expected numbers to divide by",
        ),
        (
            {"channels": "gray", "values": {"mean": [0, 0, 0], "std": [1, 1, 1]}},
            ": got 3 numbers in values.mean, expected 1 with channels gray",
        ),
    ],
)
def test_wrong_key_or_value_is_named_with_what_is_right(image: object, message: str) -> None:
    assert error_of(image) == f"spec.yaml: image{message}"


@pytest.mark.parametrize(
    ("image", "word"),
    [
        ({"chanels": "rgb"}, "channels"),
        ({"channels": "grb"}, "rgb"),
        ({"resize": {"method": "bilinar"}}, "bilinear"),
        ({"flip": None}, "none"),  # YAML reads null and ~ so
    ],
)
def test_nearest_word_is_suggested(image: object, word: str) -> None:
    assert error_of(image).endswith(f". Did you mean '{word}'?")


@pytest.mark.parametrize("value", [0, -1])
def test_a_range_without_width_is_refused(value: int) -> None:
    assert "expected two different numbers" in error_of({"values": {"range": [value, value]}})


def test_a_size_beyond_memory_is_refused() -> None:
    assert error_of({"resize": {"size": [100_000, 224]}}) == (
        "spec.yaml: image.resize.size[0]: got 100000, expected less than or equal to 8192"
    )


def test_each_mistake_has_a_line() -> None:
    text = error_of({"channels": "x", "rotate": 1, "resize": {"size": [1.5, 2]}})
    assert [line.split(": ")[1] for line in text.splitlines()] == [
        "image.channels",
        "image.rotate",
        "image.resize.size[0]",
    ]


def test_audio_is_declared_and_read_back() -> None:
    declared = {"audio": {"samples": 16000, "mfcc": 10, "mel": {"count": 20}}}
    spec = spec_from_mapping(declared)
    assert spec.medium == "audio"
    assert spec_from_mapping(json.loads(spec.model_dump_json())) == spec


def test_vocabulary_counts_from_the_spec_and_is_recorded_whole(tmp_path: Path) -> None:
    spec = load_spec(write(tmp_path, "text: {vocabulary: words.txt, length: 4}\n"))
    assert spec.medium == "text"
    assert spec.text is not None
    assert spec.text.vocabulary == tmp_path / "words.txt"
    assert spec_from_mapping(json.loads(spec.model_dump_json())) == spec


def test_two_media_in_one_spec_are_refused() -> None:
    both = {"audio": {}, "text": {"vocabulary": "v.txt", "length": 3}}
    with pytest.raises(SpecError, match="got audio and text, expected one medium"):
        spec_from_mapping(both)


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        ({"fft": 256}, "got fft 256 below window.length 480"),
        ({"mel": {"high": 9000}}, "expected a range up to half the sample rate, 8000 Hz"),
        ({"mfcc": 50}, "got mfcc 50 of 40 mel bands, expected at most as many"),
        ({"mel": None, "mfcc": 10}, "got mfcc 10 of no mel bands"),
        ({"windows": {}}, "unknown key 'windows'.*Did you mean 'window'"),
    ],
)
def test_audio_that_contradicts_itself_is_refused(audio: object, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        spec_from_mapping({"audio": audio})


def test_misspelt_section_is_named() -> None:
    with pytest.raises(
        SpecError, match=r"unknown key 'imgae', expected image, audio, text. Did you mean"
    ):
        spec_from_mapping({"imgae": {}})


def test_file_that_is_no_mapping_shows_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"got \['rgb'\], expected a mapping 'image: \{channels"):
        load_spec(write(tmp_path, "- rgb\n"))


def test_key_given_twice_is_refused(tmp_path: Path) -> None:
    """YAML parsers keep the last one silently."""
    path = write(tmp_path, "image:\n  flip: none\n  flip: horizontal\n")
    with pytest.raises(SpecError, match=r"key 'flip' again in line 3. Keep one$"):
        load_spec(path)


def test_yaml_that_refers_to_itself_ends_in_an_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="unknown key 'x'"):
        load_spec(write(tmp_path, "image: &a\n  x: *a\n"))


@pytest.mark.parametrize("text", ["image: {a: [}", "a: !!python/name:os.system", "\x00"])
def test_broken_or_unsafe_yaml_is_refused(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(SpecError, match="not valid YAML") as caught:
        load_spec(path)
    assert str(caught.value).startswith(str(path))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"nowhere.yaml: no such preprocessing spec"):
        load_spec(tmp_path / "nowhere.yaml")


def test_folder_or_binary_file_is_no_spec(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path, binary):
        with pytest.raises(SpecError, match="not a readable text file"):
            load_spec(path)
