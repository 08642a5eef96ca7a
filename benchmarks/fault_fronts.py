"""Front ends of the fault bench: how networks declare to hear recordings and to read texts.

The keyword spotter and the network of film reviews are those that tests of the diagnosis
name; the other two are trained by `fault_training.py`, with front ends and a vocabulary of
their own, and no list of what may be done otherwise was made by their results.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from exray.playback.audio import preprocess_audio
from exray.playback.dataset import Item, open_dataset
from exray.playback.spec import PreprocessSpec, spec_from_mapping
from exray.playback.text import preprocess_text

Array = np.ndarray[Any, Any]

KNOWN_WORDS = 5000
"""Tokens of the vocabulary that is made here: those that reviews hold most often."""

_TINY = "mlcommons-tiny/kws"
_SPEECH = "speech-commands/wav"
_REVIEWS = "text/imdb_test_public_250.csv"


@dataclass(frozen=True, slots=True)
class Front:
    """A network with the way that its inputs take to it.

    Args:
        name: What tables call it.
        medium: What its inputs are.
        inputs: Below the data.
        declared: The front end, as a spec has it.
        float_file: Below the data; empty for those trained here.
        int8_file: Likewise; empty too where ids come in, which no scale fits.
        vocabulary: Below the data; empty for one that is made here.
    """

    name: str
    medium: Literal["audio", "text"]
    inputs: str
    declared: dict[str, object] = field(default_factory=dict[str, object])
    float_file: str = ""
    int8_file: str = ""
    vocabulary: str = ""

    @property
    def is_held_out(self) -> bool:
        """Whether nothing was chosen by its results."""
        return not self.float_file

    @property
    def precisions(self) -> tuple[str, ...]:
        """Which files there are."""
        return ("int8", "float") if self.medium == "audio" else ("float",)

    def spec(self, data: Path, folder: Path, **changes: object) -> PreprocessSpec:
        """Return the declared front end, with changes.

        Args:
            data: Folder of the data.
            folder: Where this network's own files are.
            changes: Keys of the spec; a mapping changes keys within.
        """
        told = dict(self.declared)
        if self.medium == "text":
            told["vocabulary"] = str(self.vocabulary_file(data, folder))
        for key, value in changes.items():
            inner = told.get(key)
            merged = inner | value if isinstance(inner, dict) and isinstance(value, dict) else value
            told[key] = merged
        return spec_from_mapping({self.medium: told})

    def vocabulary_file(self, data: Path, folder: Path) -> Path:
        """Return its vocabulary; writes it where there is none yet."""
        if self.vocabulary:
            return data / self.vocabulary
        file = folder / "vocabulary.txt"
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            file.write_text("\n".join(_frequent(data / self.inputs)) + "\n", "utf-8")
        return file


FRONTS = (
    Front(
        "bands",
        "audio",
        _SPEECH,
        {
            "samples": 16000,
            "level": "full_scale",
            "window": {"length": 512, "hop": 256, "shape": "hamming"},
            "fft": 512,
            "spectrum": "power",
            "mel": {"count": 32, "low": 60, "high": 7600},
            "log": "decibel",
            "log_offset": 1e-9,
        },
    ),
    Front(
        "words",
        "text",
        _REVIEWS,
        {
            "case": "keep",
            "split": "alphanumeric",
            "unknown": 1,
            "length": 128,
            "padding": "left",
            "cut": "left",
        },
    ),
    Front(
        "kws wav",
        "audio",
        _SPEECH,
        {
            "samples": 16000,
            "level": "maximum",
            "window": {"length": 480, "hop": 320, "shape": "hann"},
            "mel": {"count": 40, "low": 20, "high": 4000},
            "mfcc": 10,
        },
        f"{_TINY}/kws_ref_model_float32.tflite",
        f"{_TINY}/kws_ref_model.tflite",
    ),
    Front(
        "reviews",
        "text",
        _REVIEWS,
        {"start": "<START>", "unknown": 2, "length": 256},
        "text/text_classification.tflite",
        vocabulary="text/text_classification_vocab.txt",
    ),
)
"""Those held out first."""


def front_inputs(name: str, data: Path, folder: Path) -> tuple[Array, Array]:
    """Return what a network with a front end is trained on: model inputs and classes."""
    front = next(front for front in FRONTS if front.name == name)
    spec = front.spec(data, folder)
    items = list(open_dataset(data / front.inputs))
    if spec.audio is not None:
        made = np.stack([preprocess_audio(item.load(), spec.audio) for item in items])
        words = [item.input_id.split("/")[0] for item in items]
        return made[..., None], np.array([sorted(set(words)).index(word) for word in words])
    assert spec.text is not None
    ids = np.stack([preprocess_text(item.load(), spec.text) for item in items])
    with (data / front.inputs).open(newline="", encoding="utf-8") as file:
        return ids, np.array([int(row["label"]) for row in csv.DictReader(file)])


def some_inputs(front: Front, data: Path, count: int, target: Path) -> Path:
    """Return a few of a network's recorded inputs, spread over all, as a dataset of their own."""
    items = list(open_dataset(data / front.inputs))
    chosen = [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]
    if front.medium == "audio":
        return _linked(data / front.inputs, chosen, target)
    if not target.with_suffix(".csv").exists():
        with target.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["file", "text"])
            texts = [(x.input_id, x.load().tobytes().decode("utf-8")) for x in chosen]
            writer.writerows(texts)
    return target.with_suffix(".csv")


def written_spec(spec: PreprocessSpec, file: Path) -> Path:
    """Write a spec as a file that a diagnosis reads."""
    told = json.loads(spec.model_dump_json())
    file.write_text(yaml.safe_dump({spec.medium: told[spec.medium]}), "utf-8")
    return file


def _linked(source: Path, items: Sequence[Item], target: Path) -> Path:
    for item in items:
        link = target / item.input_id
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to((source / item.input_id).resolve())
    return target


def _frequent(reviews: Path) -> list[str]:
    counts: Counter[str] = Counter()
    for item in open_dataset(reviews):
        counts.update(re.findall(r"\w+", item.load().tobytes().decode("utf-8")))
    return ["[PAD]", "[UNK]", *(word for word, _ in counts.most_common(KNOWN_WORDS))]
