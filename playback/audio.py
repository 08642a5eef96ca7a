"""A recording through the front end that a spec declares, as TensorFlow defines its steps.

`tf.signal.stft`, `tf.signal.linear_to_mel_weight_matrix` and
`tf.signal.mfccs_from_log_mel_spectrograms`, in double precision and without TensorFlow.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.schema.errors import DataError

from .audio_spec import AudioSpec

Reals = NDArray[np.float64]

LN_10 = float(np.log(10))

FULL_SCALE = 32768.0
"""Range of 16-bit samples to one side."""


def preprocess_audio(samples: NDArray[Any], spec: AudioSpec) -> NDArray[np.float32]:
    """Return the features of a recording.

    Args:
        samples: Shape ``(n,)``, int16 as `exray.playback.decode.decode_wav` returns them, or
            real numbers.
        spec: The steps.

    Returns:
        Shape ``(pieces, bands)``, float32.

    Raises:
        DataError: *samples* is no recording, or is shorter than one piece.
    """
    if samples.ndim != 1 or samples.dtype.kind not in "if":
        msg = (
            f"got an array of shape {samples.shape} and dtype {samples.dtype}, expected a recording: "
            "one channel of samples, int16 or float"
        )
        raise DataError(msg)
    pieces = spec.pieces(len(samples))
    if not pieces:
        msg = (
            f"got {len(samples)} samples, expected {spec.window.length} or more for one window. "
            "Set 'audio: {samples: N}' to pad recordings"
        )
        raise DataError(msg)
    waveform = _leveled(_sized(_bytes(samples, spec), spec.samples), spec) * spec.gain
    starts = np.arange(pieces)[:, None] * spec.window.hop
    cut = waveform[starts + np.arange(spec.window.length)]
    spectrum = np.abs(np.fft.rfft(cut * _window(spec), spec.fft))
    if spec.spectrum == "power":
        spectrum = np.square(spectrum)
    if spec.mel is not None:
        mel = spec.mel
        spectrum = spectrum @ mel_weights(mel.count, mel.low, mel.high, spec.fft, spec.sample_rate)
    features = _logarithm(spectrum, spec)
    if spec.mfcc is not None:
        with np.errstate(invalid="ignore"):  # of minus infinity there is no transform
            features = features @ _cosines(features.shape[1])[:, : spec.mfcc]
    return features.astype(np.float32)


def check_rate(sample_rate_hz: int | None, spec: AudioSpec) -> None:
    """Refuse a recording of another rate than declared.

    Args:
        sample_rate_hz: Of the recording, None where it is not known.
        spec: What is declared.

    Raises:
        DataError: It has another rate.
    """
    if sample_rate_hz not in (None, spec.sample_rate):
        msg = (
            f"got a recording of {sample_rate_hz} Hz, the spec declares {spec.sample_rate} Hz. "
            "Resample it, or declare its rate"
        )
        raise DataError(msg)


@lru_cache(maxsize=64)
def mel_weights(count: int, low: float, high: float, fft: int, sample_rate: int) -> Reals:
    """Return the weight of each frequency in each band, shape ``(fft // 2 + 1, bands)``.

    As ``tf.signal.linear_to_mel_weight_matrix``: triangles over the mel scale, of which the
    frequency 0 has no part.
    """
    frequencies = np.linspace(0.0, sample_rate / 2, fft // 2 + 1)[1:, None]
    edges = np.linspace(float(_mel(np.array(low))), float(_mel(np.array(high))), count + 2)
    start, middle, end = edges[:-2], edges[1:-1], edges[2:]
    position = _mel(frequencies)
    rising: Reals = (position - start) / (middle - start)
    falling: Reals = (end - position) / (end - middle)
    weights = np.maximum(0.0, np.minimum(rising, falling))
    return np.concatenate([np.zeros((1, count)), weights])


def _mel(hertz: NDArray[Any]) -> Reals:
    mel: Reals = 1127.0 * np.log1p(hertz.astype(np.float64) / 700.0)
    return mel


def _bytes(samples: NDArray[Any], spec: AudioSpec) -> Reals:
    if spec.bytes == "big" and samples.dtype.kind == "i":
        samples = samples.byteswap()
    return samples.astype(np.float64)


def _sized(samples: Reals, count: int | None) -> Reals:
    if count is None or len(samples) == count:
        return samples
    return samples[:count] if len(samples) > count else np.pad(samples, (0, count - len(samples)))


def _leveled(samples: Reals, spec: AudioSpec) -> Reals:
    if spec.level == "raw":
        return samples
    if spec.level == "full_scale":
        return samples / FULL_SCALE
    top = samples.max() if spec.level == "maximum" else np.abs(samples).max()
    return samples / top if top else samples


def _window(spec: AudioSpec) -> Reals:
    length = spec.window.length
    if spec.window.shape == "none":
        return np.ones(length)
    middle = 0.5 if spec.window.shape == "hann" else 0.54
    window: Reals = middle - (1 - middle) * np.cos(2 * np.pi * np.arange(length) / length)
    return window


def _logarithm(spectrum: Reals, spec: AudioSpec) -> Reals:
    if spec.log == "none":
        return spectrum
    with np.errstate(divide="ignore"):  # without an offset silence is minus infinity
        natural: Reals = np.log(spectrum + spec.log_offset)
    scaled: Reals = natural / {"natural": 1.0, "decimal": LN_10, "decibel": LN_10 / 10}[spec.log]
    return scaled


@lru_cache(maxsize=16)
def _cosines(count: int) -> Reals:
    """Return the cosine transform of type 2, scaled as TensorFlow scales it: (bands, count)."""
    bands, order = np.arange(count)[:, None], np.arange(count)
    transform: Reals = 2 * np.cos(np.pi * order * (2 * bands + 1) / (2 * count))
    transform /= np.sqrt(2 * count)
    return transform
