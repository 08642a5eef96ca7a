"""Recordings and texts through real networks: the accuracy that their data states."""

from pathlib import Path

import pytest

from exray.instrumentation.config import Level
from exray.playback.dataset import open_dataset
from exray.playback.labels import load_labels
from exray.playback.pipeline import Pipeline, play
from exray.playback.result import PlaybackResult
from exray.playback.spec import PreprocessSpec, spec_from_mapping

pytestmark = pytest.mark.realdata

KEYWORDS = spec_from_mapping({"audio": {"samples": 16000, "level": "maximum", "mfcc": 10}})


def run(
    model: Path, spec: PreprocessSpec, inputs: Path, labels: Path, lake: Path
) -> PlaybackResult:
    """Play all inputs without recording."""
    pipeline = Pipeline(
        model=model, spec=spec, build="b", role="reference", lake=lake, level=Level.OFF
    )
    return play(pipeline, open_dataset(inputs), load_labels(labels))


@pytest.mark.parametrize(
    ("model", "correct"), [("kws_ref_model_float32.tflite", 169), ("kws_ref_model.tflite", 168)]
)
def test_keywords_are_heard_as_often_as_stated(
    data: Path, tmp_path: Path, model: str, correct: int
) -> None:
    """93.9 and 93.3 percent of 180."""
    speech = data / "speech-commands"
    result = run(
        data / "mlcommons-tiny" / "kws" / model,
        KEYWORDS,
        speech / "wav",
        speech / "labels_public.csv",
        tmp_path / "lake",
    )
    assert (result.correct, result.labelled) == (correct, 180)


def test_reviews_are_read_as_often_as_stated(data: Path, tmp_path: Path) -> None:
    """86.4 percent of 250."""
    text = data / "text"
    spec = {
        "vocabulary": text / "text_classification_vocab.txt",
        "start": "<START>",
        "unknown": 2,
        "length": 256,
    }
    reviews = text / "imdb_test_public_250.csv"
    model = text / "text_classification.tflite"
    result = run(model, spec_from_mapping({"text": spec}), reviews, reviews, tmp_path / "lake")
    assert (result.correct, result.labelled) == (216, 250)
