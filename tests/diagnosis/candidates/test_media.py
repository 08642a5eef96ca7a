"""Recordings and texts: what was done otherwise than declared."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from exray.diagnosis.candidates.judging import recorded_causes, replayed_causes
from exray.diagnosis.candidates.observed import ObservedFrame
from exray.diagnosis.causes import Cause
from exray.playback.audio import preprocess_audio
from exray.playback.spec import PreprocessSpec, spec_from_mapping
from exray.playback.text import preprocess_text
from exray.schema.identity import input_key, sketch_family
from exray.schema.records import Quantization

from .scenes import seen

Array = NDArray[Any]

KEYWORDS: dict[str, object] = {"samples": 8000, "level": "maximum", "mfcc": 10}

INT8 = Quantization((0.58470289,), (83,))
"""Input of a keyword spotter."""


def make_recordings(count: int = 3) -> dict[str, Array]:
    """Return half a second each of tones that come and go, over noise; not centred on zero."""
    rng = np.random.default_rng(5)
    time_s = np.arange(8000) / 16000
    recordings: dict[str, Array] = {}
    for index in range(count):
        tones = sum(
            np.sin(2 * np.pi * f * time_s) * np.exp(-((time_s - t) ** 2) / 0.02)
            for f, t in zip(rng.uniform(120, 3500, 6), rng.uniform(0, 0.5, 6), strict=True)
        )
        wave = 5000 * tones + rng.normal(60, 40, 8000) + 900 * np.maximum(tones, 0)
        recordings[f"{index}.wav"] = wave.astype(np.int16)
    return recordings


RECORDINGS = make_recordings()


def observe(
    raws: Mapping[str, Array],
    reference: Mapping[str, Array],
    edge: Mapping[str, Array],
    quantization: Quantization | None = None,
) -> list[ObservedFrame]:
    frames: list[ObservedFrame] = []
    for name in raws:
        key = input_key(name)
        ours = seen(edge[name], sketch_family(key), quantization)
        theirs = seen(reference[name], sketch_family(key))
        nsr = np.square(ours.sketch - theirs.sketch).sum() / np.square(theirs.sketch).sum()
        frames.append(ObservedFrame(name, key, float(nsr), ours, theirs))
    return frames


def heard(spec: Mapping[str, object], change: Any = None) -> dict[str, Array]:
    """Features of all recordings, of 24 pieces."""
    declared = spec_from_mapping({"audio": {**KEYWORDS, **spec}}).audio
    assert declared is not None
    made: dict[str, Array] = {}
    for name, samples in RECORDINGS.items():
        changed = samples if change is None else change(samples)
        samples_needed = max(8000, 23 * declared.window.hop + 480)
        whole = declared.model_copy(update={"samples": samples_needed})
        made[name] = preprocess_audio(changed, whole)[:24]
    return made


def audio_causes(
    edge: Mapping[str, Array], quantization: Quantization | None = None
) -> list[Cause]:
    frames = observe(RECORDINGS, heard({}), edge, quantization)
    spec = spec_from_mapping({"audio": KEYWORDS})
    return replayed_causes(frames, spec, lambda frame: RECORDINGS[frame.input_id])


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ({"gain": 0.37}, "gain"),
        ({"level": "full_scale"}, "level"),
        ({"window": {"hop": 160}}, "window.hop"),
        ({"window": {"shape": "hamming"}}, "window.shape"),
        ({"fft": 1024}, "fft"),
        ({"spectrum": "power"}, "spectrum"),
        ({"log": "decimal"}, "log"),
        ({"log_offset": 1e-3}, "log_offset"),
        ({"bytes": "big"}, "bytes"),
        ({"mel": {"count": 64}}, "mel.count"),
        ({"mel": {"high": 8000}}, "mel.high"),
        ({"mel": {"high": 7130}}, "mel.high"),
        ({"mel": {"low": 95}}, "mel.low"),
    ],
)
def test_audio_fault_is_named(spec: dict[str, object], part: str) -> None:
    causes = audio_causes(heard(spec))
    assert [cause.code for cause in causes] == ["preprocessing.audio"]
    assert causes[0].evidence["part"] == part
    assert causes[0].confidence > 0.9


def test_other_sample_rate_is_named() -> None:
    causes = audio_causes(heard({}, lambda samples: np.pad(samples[::2], (0, 4000))))
    assert [cause.evidence["part"] for cause in causes] == ["sample_rate"]


def test_recording_resampled_as_players_do_is_named() -> None:
    causes = audio_causes(heard({}, lambda samples: np.pad(decimated(samples), (0, 4000))))
    assert [cause.evidence["part"] for cause in causes] == ["sample_rate"]
    assert "resampled to 8000 Hz" in causes[0].what


def decimated(samples: Array) -> Array:
    """Every other sample behind a filter that leaves nothing to be folded down."""
    taps = np.sinc(np.arange(-100, 101) / 2) / 2 * np.hamming(201)
    halved: Array = np.convolve(samples, taps, "same")[::2]
    return np.rint(halved).astype(np.int16)


def test_audio_fault_is_named_at_an_integer_input() -> None:
    causes = audio_causes(heard({"window": {"hop": 256}}), INT8)
    assert [cause.evidence["part"] for cause in causes] == ["window.hop"]


def test_two_audio_faults_are_both_named() -> None:
    causes = audio_causes(heard({"window": {"hop": 160}, "spectrum": "power"}))
    assert {str(cause.evidence["part"]) for cause in causes} == {"window.hop", "spectrum"}


def test_unknown_change_of_a_recording_is_not_named() -> None:
    def muffled(samples: Array) -> Array:
        return np.convolve(samples, np.ones(5) / 5, "same").astype(np.int16)

    assert not audio_causes(heard({}, muffled))


def test_same_features_have_no_cause() -> None:
    assert not audio_causes(heard({}))


def test_lake_alone_tells_another_logarithm() -> None:
    frames = observe(RECORDINGS, heard({}), heard({"log": "decimal"}))
    causes = recorded_causes(frames, spec_from_mapping({"audio": KEYWORDS}))
    assert [cause.code for cause in causes] == ["preprocessing.audio"]


WORDS = [
    "the",
    "movie",
    "was",
    "so",
    "good",
    "it",
    "isn't",
    "bad",
    "Great",
    "plot",
    "and",
    "GREAT",
    "actors",
    "who",
    "cried",
    "a",
    "lot",
]


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    path = tmp_path / "vocabulary.txt"
    words = sorted({word.lower() for word in WORDS[:-2]} | {"isn", "t"})
    lines = ["<PAD> 0", "<START> 1", "<UNKNOWN> 2"]
    path.write_text("\n".join([*lines, *(f"{word} {i + 4}" for i, word in enumerate(words))]))
    return path


def texts() -> dict[str, Array]:
    rng = np.random.default_rng(3)
    made: dict[str, Array] = {}
    for index in range(5):
        words = rng.choice(WORDS, 30 if index % 2 else 80)
        made[f"{index}.txt"] = np.frombuffer(". ".join(words).encode(), np.uint8)
    return made


def text_causes(words: Path, **edge: object) -> list[Cause]:
    declared: dict[str, object] = {
        "vocabulary": words,
        "length": 64,
        "start": "<START>",
        "unknown": 2,
    }
    spec, other = text_spec(declared), text_spec(declared | edge)
    raws = texts()
    reference, ours = (
        {name: preprocess_text(raw, s.text) for name, raw in raws.items() if s.text}
        for s in (spec, other)
    )
    filled = {name: np.pad(ids, (0, 64 - len(ids))) for name, ids in ours.items()}
    frames = observe(raws, reference, filled)
    return replayed_causes(frames, spec, lambda frame: raws[frame.input_id])


def text_spec(text: Mapping[str, object]) -> PreprocessSpec:
    return spec_from_mapping({"text": text})


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("case", "keep"),
        ("split", "alphanumeric"),
        ("split", "spaces"),
        ("unknown", None),
        ("unknown", 0),
        ("start", None),
        ("padding", "left"),
        ("cut", "left"),
        ("length", 32),
        ("shift", 1),
        ("shift", -2),
    ],
)
def test_text_fault_is_named(vocabulary: Path, part: str, value: object) -> None:
    causes = text_causes(vocabulary, **{part: value})
    assert [cause.code for cause in causes] == ["preprocessing.text"]
    assert causes[0].evidence["part"] == part


def test_two_text_faults_are_both_named(vocabulary: Path) -> None:
    causes = text_causes(vocabulary, padding="left", case="keep")
    assert {str(cause.evidence["part"]) for cause in causes} == {"padding", "case"}


def other_vocabulary(vocabulary: Path, target: Path) -> Path:
    """The same words with each other's ids."""
    lines = vocabulary.read_text().splitlines()
    words, ids = zip(*(line.split() for line in lines[3:]), strict=True)
    mixed = np.random.default_rng(0).permutation(ids)
    pairs = (f"{word} {number}" for word, number in zip(words, mixed, strict=True))
    target.write_text("\n".join([*lines[:3], *pairs]))
    return target


def test_other_vocabulary_is_named_by_ids_that_recur(vocabulary: Path, tmp_path: Path) -> None:
    other = other_vocabulary(vocabulary, tmp_path / "other.txt")
    (cause,) = text_causes(vocabulary, vocabulary=other)
    assert (cause.code, cause.evidence["part"]) == ("preprocessing.text", "vocabulary")
    assert "'" in cause.what


def test_other_vocabulary_and_other_padding_are_both_named(
    vocabulary: Path, tmp_path: Path
) -> None:
    other = other_vocabulary(vocabulary, tmp_path / "other.txt")
    causes = text_causes(vocabulary, vocabulary=other, padding="left")
    assert [cause.evidence["part"] for cause in causes] == ["padding", "vocabulary"]


def test_ids_that_change_from_text_to_text_are_no_vocabulary(vocabulary: Path) -> None:
    spec, raws = text_spec({"vocabulary": vocabulary, "length": 64, "unknown": 2}), texts()
    assert spec.text is not None
    reference = {name: preprocess_text(raw, spec.text) for name, raw in raws.items()}
    edge = {name: ids + 7 * (i + 1) for i, (name, ids) in enumerate(reference.items())}
    frames = observe(raws, reference, edge)
    assert not replayed_causes(frames, spec, lambda frame: raws[frame.input_id])
