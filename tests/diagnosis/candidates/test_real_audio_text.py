"""Faults of the keyword spotter's front end and of the reviews' tokens, on real inputs."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from exray.diagnosis.candidates.judging import replayed_causes
from exray.diagnosis.candidates.observed import ObservedFrame
from exray.diagnosis.causes import Cause
from exray.playback.audio import preprocess_audio
from exray.playback.dataset import open_dataset
from exray.playback.spec import PreprocessSpec, spec_from_mapping
from exray.playback.text import preprocess_text
from exray.schema.identity import input_key, sketch_family
from exray.schema.records import Quantization

from .scenes import seen

pytestmark = pytest.mark.realdata

FRAMES = 4

KEYWORDS: dict[str, object] = {"samples": 16000, "level": "maximum", "mfcc": 10}

INT8 = Quantization((0.5847029089927673,), (83,))
"""Input of the int8 keyword spotter."""


def made(raw: NDArray[Any], spec: PreprocessSpec) -> NDArray[Any]:
    if spec.audio is not None:
        return preprocess_audio(raw, spec.audio)[:49]
    assert spec.text is not None
    return preprocess_text(raw, spec.text)


def named(
    inputs: Path,
    declared: PreprocessSpec,
    edge: PreprocessSpec,
    quantization: Quantization | None = None,
) -> list[Cause]:
    """Return what is named of an edge, from what the lake would hold of it."""
    raws: dict[str, NDArray[Any]] = {}
    frames: list[ObservedFrame] = []
    for item in open_dataset(inputs, limit=FRAMES):
        raws[item.input_id] = raw = item.load()
        key = input_key(item.input_id)
        ours = seen(made(raw, edge), sketch_family(key), quantization)
        theirs = seen(made(raw, declared), sketch_family(key))
        distance = float(np.square(ours.sketch - theirs.sketch).sum())
        frames.append(ObservedFrame(item.input_id, key, distance, ours, replace(theirs)))
    return replayed_causes(frames, declared, lambda frame: raws[frame.input_id])


@pytest.mark.parametrize(
    ("fault", "part"),
    [
        ({"level": "full_scale"}, "level"),
        ({"gain": 0.5}, "gain"),
        ({"window": {"hop": 160}}, "window.hop"),
        ({"window": {"length": 400}}, "window.length"),
        ({"spectrum": "power"}, "spectrum"),
        ({"mel": {"high": 8000}}, "mel.high"),
        ({"log": "decimal"}, "log"),
        ({"bytes": "big"}, "bytes"),
    ],
)
def test_fault_of_the_keyword_spotter_is_named(
    data: Path, fault: Mapping[str, object], part: str
) -> None:
    declared, edge = (spec_from_mapping({"audio": {**KEYWORDS, **f}}) for f in ({}, fault))
    causes = named(data / "speech-commands" / "wav", declared, edge, INT8)
    assert [(cause.code, cause.evidence["part"]) for cause in causes] == [
        ("preprocessing.audio", part)
    ]


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("case", "keep"),
        ("split", "alphanumeric"),
        ("padding", "left"),
        ("shift", 1),
        ("unknown", 0),
    ],
)
def test_fault_of_the_reviews_tokens_is_named(data: Path, part: str, value: object) -> None:
    text: dict[str, object] = {
        "vocabulary": data / "text" / "text_classification_vocab.txt",
        "start": "<START>",
        "unknown": 2,
        "length": 256,
    }
    declared, edge = (spec_from_mapping({"text": t}) for t in (text, text | {part: value}))
    causes = named(data / "text" / "imdb_test_public_250.csv", declared, edge)
    assert [(cause.code, cause.evidence["part"]) for cause in causes] == [
        ("preprocessing.text", part)
    ]
