"""What applications do wrong, or harmlessly otherwise, to recordings and texts before a model.

Every mistake is made by the front end that a spec declares, with other steps, or by a change
of the recording before it; never by what the diagnosis tries its candidates with.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.signal import resample_poly

Array = np.ndarray[Any, Any]
Change = Callable[[Array], Array]


@dataclass(frozen=True, slots=True)
class Mistake:
    """One way to do a step otherwise.

    Args:
        changes: Of the declared spec.
        before: What happens to the recorded input first.
    """

    changes: dict[str, object] = field(default_factory=dict[str, object])
    before: Change | None = None


@dataclass(frozen=True, slots=True)
class FrontFault:
    """A step of a front end, and ways to get it wrong.

    Args:
        name: What tables call it.
        parts: What a diagnosis may call the step.
        mistakes: Each is a case.
    """

    name: str
    parts: tuple[str, ...]
    mistakes: tuple[Mistake, ...]


def _each(key: str, *values: object) -> tuple[Mistake, ...]:
    return tuple(Mistake({key: value}) for value in values)


def _within(part: str, key: str, *values: object) -> tuple[Mistake, ...]:
    return tuple(Mistake({part: {key: value}}) for value in values)


def _resampled(up: int, down: int) -> Change:
    """Return the change of 16-bit samples to another rate, by a filter as players have."""

    def change(samples: Array) -> Array:
        other = resample_poly(samples.astype(float), up, down)
        return np.clip(np.rint(other), -32768, 32767).astype(np.int16)

    return change


_HEARD = (
    *(lambda x: x[::2], lambda x: np.repeat(x, 2)),
    *(_resampled(1, 2), _resampled(3, 1)),
)
"""Recordings at another rate than declared: every other sample, each twice, 8 kHz, 48 kHz."""

_SHAPES = ("hamming", "hann", "none")
_LOGARITHMS = ("natural", "decimal", "decibel", "none")
_LEVELS = ("maximum", "peak", "full_scale", "raw")

AUDIO_FAULTS = (
    # Of a recording that is levelled by a constant, that constant is a gain.
    FrontFault("gain", ("gain", "level"), _each("gain", 0.1, 0.5, 1.7, 6.0)),
    FrontFault("level", ("gain", "level"), _each("level", *_LEVELS)),
    FrontFault(
        "sample rate",
        ("sample_rate",),
        (*(Mistake(before=heard) for heard in _HEARD), *_each("sample_rate", 22050, 44100)),
    ),
    FrontFault("window length", ("window.length",), _within("window", "length", 256, 320, 400)),
    FrontFault("window shape", ("window.shape",), _within("window", "shape", *_SHAPES)),
    FrontFault("hop", ("window.hop",), _within("window", "hop", 160, 200, 400, 480)),
    FrontFault("FFT length", ("fft",), _each("fft", 640, 1024, 2048)),
    FrontFault("mel from", ("mel.low",), _within("mel", "low", 0, 125, 300)),
    FrontFault("mel to", ("mel.high",), _within("mel", "high", 3800, 7000, 8000)),
    FrontFault("mel count", ("mel.count",), _within("mel", "count", 24, 26, 64, 80)),
    FrontFault("logarithm", ("log",), _each("log", *_LOGARITHMS)),
    FrontFault("log offset", ("log_offset",), _each("log_offset", 1e-12, 1e-3, 1e-2, 1.0)),
    FrontFault("magnitude or power", ("spectrum",), _each("spectrum", "magnitude", "power")),
    FrontFault("byte order", ("bytes",), (Mistake(before=lambda x: x.byteswap()),)),
)

_SPLITS = ("words", "alphanumeric", "spaces", "characters")

TEXT_FAULTS = (
    FrontFault("case", ("case",), _each("case", "lower", "keep")),
    FrontFault("tokens", ("split",), _each("split", *_SPLITS)),
    FrontFault("start token", ("start",), _each("start", None)),
    FrontFault("vocabulary shifted", ("shift",), _each("shift", -1, 1, 2, 3)),
    FrontFault("other vocabulary", ("vocabulary",), _each("vocabulary", "sorted", "half", "drawn")),
    FrontFault("unknown id", ("unknown",), _each("unknown", None, 0, 1, 3)),
    FrontFault("padding side", ("padding",), _each("padding", "left", "right")),
    FrontFault("padding id", ("pad",), _each("pad", 1, 2)),
    FrontFault("side cut", ("cut",), _each("cut", "left", "right")),
    FrontFault("length", ("length",), _each("length", 64, 100, 128, 200)),
)

FAULTS = {"audio": AUDIO_FAULTS, "text": TEXT_FAULTS}


def other_vocabulary(kind: str, tokens: list[str]) -> list[str]:
    """Return tokens in the order of another vocabulary, the special ones in their place.

    Args:
        kind: ``sorted`` by the alphabet, ``half`` of them, or ``drawn`` by chance.
        tokens: By id.
    """
    special = [token for token in tokens if token[0] in "<["]
    rest = [token for token in tokens if token[0] not in "<["]
    if kind == "sorted":
        return special + sorted(rest)
    if kind == "half":
        return special + rest[1::2]
    order = np.random.default_rng(1).permutation(len(rest))
    return special + [rest[int(i)] for i in order]


def _resampled_twice(samples: Array) -> Array:
    return _resampled(1, 3)(_resampled(3, 1)(samples))


def _spaced(text: Array) -> Array:
    return np.frombuffer(text.tobytes().replace(b" ", b"  "), np.uint8)


def _ended(text: Array) -> Array:
    return np.frombuffer(text.tobytes() + b"\r\n", np.uint8)


HALF, BUILTIN = "front end in half precision", "front end, builtin kernels"

BENIGN: dict[str, dict[str, Change | None]] = {
    "audio": {
        "front end again": None,
        BUILTIN: None,
        HALF: None,
        "resampled and back": _resampled_twice,
    },
    "text": {
        "front end again": None,
        BUILTIN: None,
        "spaces doubled": _spaced,
        "line ended": _ended,
    },
}
"""Benign changes by medium: what is done to an input before its front end, if anything."""
