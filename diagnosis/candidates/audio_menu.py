"""What an audio front end may do otherwise than declared."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.playback.audio import preprocess_audio
from exray.playback.audio_spec import AudioSpec

from .menu_search import Change, Menu

GAINS = tuple(2.0 ** (step / 2) for step in range(-12, 13) if step)
"""Gains that are tried before any between them: 1/64 to 64."""


WINDOWS: dict[str, tuple[object, ...]] = {
    "length": (160, 200, 256, 320, 400, 480, 512, 640, 800, 1024),
    "hop": (80, 128, 160, 200, 240, 256, 320, 400, 480, 512, 640),
    "shape": ("hann", "hamming", "none"),
}
"""Windows that are met."""

BANDS: dict[str, tuple[object, ...]] = {
    "count": (13, 16, 20, 23, 24, 26, 30, 32, 40, 48, 60, 64, 80, 96, 128),
    "low": (0.0, 20.0, 50.0, 60.0, 80.0, 125.0, 300.0),
    "high": (3400.0, 3800.0, 4000.0, 7500.0, 7600.0, 8000.0),
}
"""Mel bands that are met."""

NEARER_HZ = {"mel.low": 50.0, "mel.high": 500.0}
"""First step from an edge of the list to one between: half a usual gap."""

RATES_HZ = (8000, 11025, 16000, 22050, 32000, 44100, 48000)
"""Sample rates that are met."""


@dataclass(frozen=True, slots=True)
class AudioPlan:
    """A front end, with mistakes that a spec does not declare.

    Args:
        spec: Its steps.
        pieces: Pieces that the model takes.
        stride: Only every so many-th sample is heard, as at a lower rate.
        repeats: Each sample is heard so often, as at a higher rate.
        heard_hz: Rate that recordings are resampled to, None for none.
        rate: Rate that the mel bands are placed for, Hz.
    """

    spec: AudioSpec
    pieces: int
    stride: int = 1
    repeats: int = 1
    heard_hz: int | None = None
    rate: int | None = None

    def with_spec(self, changes: dict[str, object]) -> "AudioPlan":
        """Return the plan with other steps, unchecked: mistakes need not make sense."""
        return replace(self, spec=self.spec.model_copy(update=changes))


def make_audio(samples: NDArray[Any], plan: AudioPlan) -> NDArray[np.float32]:
    """Return the features, of as many pieces as the model takes.

    Raises:
        DataError: The recording is none, or too short.
    """
    spec = plan.spec
    heard = np.repeat(samples[:: plan.stride], plan.repeats)
    if plan.heard_hz is not None:
        heard = _resampled(heard, plan.heard_hz / spec.sample_rate)
    if spec.samples is not None:
        heard = np.pad(heard[: spec.samples], (0, max(0, spec.samples - len(heard))))
    needed = spec.window.length + spec.window.hop * (plan.pieces - 1)
    update: dict[str, object] = {"samples": max(needed, spec.samples or len(heard))}
    if plan.rate is not None:
        update["sample_rate"] = plan.rate
    return preprocess_audio(heard, spec.model_copy(update=update))[: plan.pieces]


def _resampled(samples: NDArray[Any], factor: float) -> NDArray[Any]:
    """Return a recording at another rate, without what that rate cannot hold."""
    count = round(len(samples) * factor)
    spectrum = np.fft.rfft(samples)
    kept = np.zeros(count // 2 + 1, spectrum.dtype)
    common = min(len(spectrum), len(kept))
    kept[:common] = spectrum[:common]
    other = np.fft.irfft(kept, count) * (count / len(samples))
    if samples.dtype.kind != "i":
        return other
    limits = np.iinfo(samples.dtype)
    return np.clip(np.rint(other), limits.min, limits.max).astype(samples.dtype)


def audio_menu(spec: AudioSpec, count: int) -> Menu[AudioPlan]:
    """Return what may be done otherwise than *spec* at a model input of *count* elements."""
    declared = AudioPlan(spec, max(1, count // spec.bands))
    return Menu(declared, list(_changes(spec)), make_audio, refine=_nearer)


def _nearer(change: Change[AudioPlan], step: int) -> Iterable[Change[AudioPlan]]:
    """Yield gains and edges of mel bands between those of the lists."""
    value = change.edge.rsplit(" ", 1)[1]
    for sign in (-1, 1):
        if change.part == "gain":
            yield _gain(float(value) * 2 ** (sign / 2 ** (step + 2)))
        elif change.part in NEARER_HZ:
            name = change.part.removeprefix("mel.")
            hertz = max(0.0, float(value) + sign * NEARER_HZ[change.part] / 2**step)
            yield from _within("mel", name, (hertz,), change.reference)


def _gain(gain: float) -> Change[AudioPlan]:
    def apply(plan: AudioPlan) -> AudioPlan:
        return plan.with_spec({"gain": plan.spec.gain * gain})

    return Change("gain", f"multiplies samples by {gain!r}", "does not", apply)


def _changes(spec: AudioSpec) -> Iterator[Change[AudioPlan]]:
    yield from (_gain(gain) for gain in GAINS)
    yield from _listed(spec, "level", "levels by", ("maximum", "peak", "full_scale", "raw"))
    yield from _listed(spec, "spectrum", "takes the", ("magnitude", "power"))
    yield from _listed(
        spec, "log", "takes the logarithm", ("natural", "decimal", "decibel", "none")
    )
    offsets = (0.0, 1e-12, 1e-10, 1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1.0)
    yield from _listed(spec, "log_offset", "adds before the logarithm", offsets)
    yield from _listed(spec, "bytes", "reads bytes in the order", ("little", "big"))
    yield from _listed(spec, "fft", "transforms samples:", (256, 400, 480, 512, 640, 1024, 2048))
    parts: list[tuple[str, dict[str, tuple[object, ...]]]] = [("window", WINDOWS)]
    if spec.mel is not None:
        parts.append(("mel", BANDS))
    for part, choices in parts:
        for name, values in choices.items():
            yield from _within(part, name, values, getattr(getattr(spec, part), name))
    yield from _rates(spec.sample_rate)


def _rates(declared: int) -> Iterator[Change[AudioPlan]]:
    for factor in (2, 3, 4):
        slower, faster = declared // factor, declared * factor
        yield _rate(f"hears {slower} Hz", declared, partial(_replaced, {"stride": factor}))
        yield _rate(f"hears {faster} Hz", declared, partial(_replaced, {"repeats": factor}))
    for rate in RATES_HZ:
        if rate != declared:
            told = f"places mel bands for {rate} Hz"
            yield _rate(told, declared, partial(_replaced, {"rate": rate}))
            told = f"hears recordings resampled to {rate} Hz"
            yield _rate(told, declared, partial(_replaced, {"heard_hz": rate}))


def _rate(edge: str, declared: int, apply: Callable[[AudioPlan], AudioPlan]) -> Change[AudioPlan]:
    return Change("sample_rate", edge, f"{declared} Hz", apply)


def _replaced(changes: dict[str, Any], plan: AudioPlan) -> AudioPlan:
    return replace(plan, **changes)


def _listed(
    spec: AudioSpec, name: str, told: str, values: tuple[object, ...]
) -> Iterator[Change[AudioPlan]]:
    declared = getattr(spec, name)
    for value in values:
        if value != declared:
            apply = partial(_with_spec, {name: value})
            yield Change(name, f"{told} {value}", str(declared), apply)


def _with_spec(changes: dict[str, object], plan: AudioPlan) -> AudioPlan:
    return plan.with_spec(changes)


def _within(
    part: str, name: str, values: tuple[object, ...], declared: object
) -> Iterator[Change[AudioPlan]]:
    for value in values:
        if value != declared:
            apply = partial(_with_part, part, {name: value})
            yield Change(f"{part}.{name}", f"has {part} {name} {value}", str(declared), apply)


def _with_part(part: str, changes: dict[str, object], plan: AudioPlan) -> AudioPlan:
    inner = getattr(plan.spec, part)
    changed = plan.with_spec({part: inner.model_copy(update=changes)})
    short = changed.spec.fft < changed.spec.window.length
    return changed.with_spec({"fft": changed.spec.window.length}) if short else changed
