"""The declared audio front end, held to TensorFlow's own steps."""

import json
from pathlib import Path

import numpy as np
import pytest

from exray.playback.audio import check_rate, preprocess_audio
from exray.playback.audio_spec import AudioSpec, MelSpec, WindowSpec
from exray.schema.errors import DataError

GOLDEN = json.loads((Path(__file__).parent / "golden" / "tensorflow_audio.json").read_text())
"""What tf.signal of TensorFlow 2.21 made of the samples, divided by their maximum, in float64."""

SAMPLES = np.array(GOLDEN["samples"], np.int16)


def test_mfcc_are_tensorflows() -> None:
    made = preprocess_audio(SAMPLES, AudioSpec(level="maximum", mfcc=10))
    np.testing.assert_allclose(made, GOLDEN["mfcc"], atol=2e-5)


def test_log_mel_bands_are_tensorflows() -> None:
    made = preprocess_audio(SAMPLES, AudioSpec(level="maximum"))
    np.testing.assert_allclose(made, GOLDEN["log_mel"], atol=2e-5)


def test_hamming_window_and_power_are_tensorflows() -> None:
    spec = AudioSpec(
        level="maximum",
        window=WindowSpec(shape="hamming"),
        spectrum="power",
        mel=None,
        log="none",
    )
    made = preprocess_audio(SAMPLES, spec)
    assert made.shape == (4, 257)
    np.testing.assert_allclose(made[:, :20], GOLDEN["hamming_power"], rtol=1e-5, atol=2e-5)


def test_level_by_the_maximum_is_not_that_by_the_peak() -> None:
    samples = np.array([100, -200] * 300, np.int16)
    by_maximum, by_peak = (
        preprocess_audio(samples, AudioSpec(level=level, log="none"))
        for level in ("maximum", "peak")
    )
    np.testing.assert_allclose(by_maximum, 2 * by_peak, rtol=1e-5)


def test_decibels_are_ten_decimal_logarithms() -> None:
    decimal, decibel = (
        preprocess_audio(SAMPLES, AudioSpec(log=log)) for log in ("decimal", "decibel")
    )
    np.testing.assert_allclose(decibel, 10 * decimal, rtol=1e-5)


def test_short_recording_is_padded_and_long_one_cut() -> None:
    spec = AudioSpec(samples=960)
    assert preprocess_audio(SAMPLES[:700], spec).shape == (2, 40)
    np.testing.assert_array_equal(
        preprocess_audio(SAMPLES, spec), preprocess_audio(SAMPLES[:960], spec)
    )


def test_recording_shorter_than_a_window_is_refused() -> None:
    with pytest.raises(DataError, match="got 100 samples, expected 480 or more"):
        preprocess_audio(SAMPLES[:100], AudioSpec())


def test_image_is_no_recording() -> None:
    with pytest.raises(DataError, match=r"got an array of shape \(4, 4, 3\)"):
        preprocess_audio(np.zeros((4, 4, 3), np.uint8), AudioSpec())


def test_other_rate_than_declared_is_refused() -> None:
    check_rate(16000, AudioSpec())
    check_rate(None, AudioSpec())
    with pytest.raises(DataError, match="of 44100 Hz, the spec declares 16000 Hz"):
        check_rate(44100, AudioSpec())


def test_silence_without_an_offset_is_said_in_the_numbers() -> None:
    spec = AudioSpec(log_offset=0.0, mel=MelSpec(count=4))
    assert np.isneginf(preprocess_audio(np.zeros(480, np.int16), spec)).all()
