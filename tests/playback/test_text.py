"""The declared way from a text to token ids."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from exray.playback.text import preprocess_text, read_vocabulary
from exray.playback.text_spec import TextSpec
from exray.schema.errors import DataError, UsageError


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    path = tmp_path / "vocabulary.txt"
    path.write_text("<PAD> 0\n<START> 1\n<UNKNOWN> 2\ndon't 5\ndon 6\nt 7\npanic 8\n")
    return path


def raw(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode(), np.uint8)


def ids(text: str, vocabulary: Path, **spec: object) -> list[float]:
    declared = TextSpec.model_validate({"vocabulary": vocabulary, "length": 5, **spec})
    made: list[float] = preprocess_text(raw(text), declared).tolist()
    return made


def test_text_becomes_ids_padded_at_the_end(vocabulary: Path) -> None:
    assert ids("Don't panic!", vocabulary, start="<START>") == [1, 5, 8, 0, 0]


def test_padding_may_stand_in_front(vocabulary: Path) -> None:
    assert ids("panic", vocabulary, padding="left", pad=9) == [9, 9, 9, 9, 8]


def test_unknown_tokens_are_dropped_or_get_an_id(vocabulary: Path) -> None:
    assert ids("no panic", vocabulary) == [8, 0, 0, 0, 0]
    assert ids("no panic", vocabulary, unknown=2) == [2, 8, 0, 0, 0]


def test_case_may_be_kept(vocabulary: Path) -> None:
    assert ids("Panic", vocabulary, case="keep", unknown=2)[0] == 2


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("words", [5, 8, 0, 0, 0]),
        ("alphanumeric", [6, 7, 8, 0, 0]),
        ("spaces", [5, 2, 0, 0, 0]),
        ("characters", [2, 2, 2, 2, 7]),
    ],
)
def test_text_is_split_as_declared(vocabulary: Path, split: str, expected: list[int]) -> None:
    assert ids("don't panic.", vocabulary, split=split, unknown=2) == expected


@pytest.mark.parametrize(
    ("cut", "expected"), [("right", [8, 8, 8, 8, 8]), ("left", [8, 8, 8, 8, 7])]
)
def test_long_text_is_cut_at_the_declared_side(
    vocabulary: Path, cut: str, expected: list[int]
) -> None:
    assert ids("panic " * 9 + "t", vocabulary, cut=cut) == expected


def test_ids_may_be_shifted(vocabulary: Path) -> None:
    assert ids("panic", vocabulary, shift=3)[0] == 11


def test_vocabulary_without_ids_counts_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("a\nb\n")
    assert read_vocabulary(path) == {"a": 0, "b": 1}


def test_missing_vocabulary_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"vocabulary .*gone\.txt: cannot be read"):
        ids("a", tmp_path / "gone.txt")


def test_start_that_is_no_token_is_named(vocabulary: Path) -> None:
    with pytest.raises(UsageError, match="no token '<BEGIN>', which the spec starts with"):
        ids("a", vocabulary, start="<BEGIN>")


def test_bytes_that_are_no_text_are_refused(vocabulary: Path) -> None:
    spec = TextSpec(vocabulary=vocabulary, length=3)
    with pytest.raises(DataError, match="not a text in UTF-8"):
        preprocess_text(np.array([255, 254], np.uint8), spec)
    with pytest.raises(DataError, match="expected a text"):
        preprocess_text(np.zeros((2, 2, 3), np.uint8), spec)
