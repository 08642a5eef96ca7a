"""What a spec may say about audio: keys, allowed values, defaults."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .spec_part import Number, SpecPart, plain_error

MAX_SAMPLES = 16_000_000
"""Longest recording that a spec may ask for: a thousand seconds at 16 kHz."""

Samples = Annotated[int, Field(strict=True, gt=0, le=MAX_SAMPLES)]
"""A count of samples."""

Count = Annotated[int, Field(strict=True, gt=0, le=4096)]
"""A count of bands or coefficients."""

Hertz = Annotated[Number, Field(ge=0)]


class WindowSpec(SpecPart):
    """How a recording is cut into overlapping pieces.

    Args:
        length: Samples of a piece.
        hop: Samples from the start of one to that of the next.
        shape: ``hann`` and ``hamming`` are periodic, as TensorFlow's are; ``none`` cuts.
    """

    length: Samples = 480
    hop: Samples = 320
    shape: Literal["hann", "hamming", "none"] = "hann"


class MelSpec(SpecPart):
    """Bands of the mel scale (HTK's formula, as TensorFlow has it).

    Args:
        count: Bands.
        low: Lower edge of the first, Hz.
        high: Upper edge of the last, Hz.
    """

    count: Count = 40
    low: Hertz = 20.0
    high: Hertz = 4000.0


class AudioSpec(SpecPart):
    """How a recording becomes a model's input.

    The steps run in this order: bytes, length, level, gain, window, Fourier transform,
    spectrum, mel, log, coefficients. Without ``mel`` and ``mfcc`` the spectrum is the input.

    Args:
        sample_rate: Hz; recordings of another rate are refused, not resampled.
        samples: Length that shorter recordings are padded to with zeros and longer ones cut
            to; None leaves it.
        bytes: Order of the bytes of a sample: ``little``, or ``big`` for a file that says so
            nowhere.
        level: ``maximum`` divides by the largest sample (not its magnitude), ``peak`` by the
            largest magnitude, ``full_scale`` by 32768 (the range of 16 bits); ``raw`` keeps
            the numbers.
        gain: Factor after that.
        window: Pieces.
        fft: Length of the Fourier transform; pieces are padded to it with zeros.
        spectrum: ``magnitude``, or ``power``, its square.
        mel: Bands, None for none.
        log: ``natural``, ``decimal`` (base 10), ``decibel`` (10 times base 10), or ``none``.
        log_offset: Added before the logarithm.
        mfcc: First coefficients of the cosine transform that are kept, None for none.
    """

    sample_rate: Annotated[int, Field(strict=True, gt=0)] = 16000
    samples: Samples | None = None
    bytes: Literal["little", "big"] = "little"
    level: Literal["maximum", "peak", "full_scale", "raw"] = "full_scale"
    gain: Number = 1.0
    window: WindowSpec = WindowSpec()
    fft: Samples = 512
    spectrum: Literal["magnitude", "power"] = "magnitude"
    mel: MelSpec | None = MelSpec()
    log: Literal["natural", "decimal", "decibel", "none"] = "natural"
    log_offset: Annotated[Number, Field(ge=0)] = 1e-6
    mfcc: Count | None = None

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        if self.fft < self.window.length:
            raise plain_error(
                f"got fft {self.fft} below window.length {self.window.length}, expected as many"
                " samples or more"
            )
        if self.mel is not None and not self.mel.low < self.mel.high <= self.sample_rate / 2:
            raise plain_error(
                f"got mel from {self.mel.low:g} to {self.mel.high:g} Hz, expected a range up to half"
                f" the sample rate, {self.sample_rate / 2:g} Hz"
            )
        if self.mfcc is not None and (self.mel is None or self.mfcc > self.mel.count):
            bands = "no mel bands" if self.mel is None else f"{self.mel.count} mel bands"
            raise plain_error(f"got mfcc {self.mfcc} of {bands}, expected at most as many")
        return self

    @property
    def bands(self) -> int:
        """Numbers that stand for each piece."""
        if self.mfcc is not None:
            return self.mfcc
        return self.mel.count if self.mel is not None else self.fft // 2 + 1

    def pieces(self, samples: int) -> int:
        """Return the number of whole pieces that so many samples hold."""
        count = self.samples or samples
        return max(0, 1 + (count - self.window.length) // self.window.hop)
