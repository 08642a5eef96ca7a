"""A text through the steps that a spec declares, to token ids."""

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.schema.errors import DataError, UsageError

from .text_spec import TextSpec

_TOKENS = {
    "words": re.compile(r"[\w']+"),
    "alphanumeric": re.compile(r"\w+"),
    "spaces": re.compile(r"\S+"),
    "characters": re.compile(r".", re.DOTALL),
}
"""What a token is, by way to split."""


def preprocess_text(raw: NDArray[Any], spec: TextSpec) -> NDArray[np.float32]:
    """Return the token ids of a text.

    Args:
        raw: Its bytes in UTF-8, shape ``(n,)``, uint8.
        spec: The steps.

    Returns:
        Shape ``(length,)``, float32: whole numbers.

    Raises:
        DataError: *raw* is no text.
        UsageError: The vocabulary cannot be read.
    """
    ids = token_ids(text_of(raw), spec)
    kept = ids[: spec.length] if spec.cut == "right" else ids[-spec.length :]
    fill = [spec.pad] * (spec.length - len(kept))
    return np.array(kept + fill if spec.padding == "right" else fill + kept, np.float32)


def text_of(raw: NDArray[Any]) -> str:
    """Return the text that bytes hold.

    Raises:
        DataError: They are not UTF-8, or no bytes.
    """
    if raw.ndim != 1 or raw.dtype != np.uint8:
        msg = (
            f"got an array of shape {raw.shape} and dtype {raw.dtype}, expected a text: a .txt file "
            "or a row of a CSV with the column 'text'"
        )
        raise DataError(msg)
    try:
        return raw.tobytes().decode("utf-8")
    except UnicodeDecodeError as error:
        msg = f"not a text in UTF-8 ({error}). Convert it"
        raise DataError(msg) from error


def token_ids(text: str, spec: TextSpec) -> list[int]:
    """Return the ids of a text's tokens, the start's first."""
    vocabulary = read_vocabulary(spec.vocabulary)
    first = 0 if spec.start is None else 1
    known = (vocabulary.get(token) for token in tokens_of(text, spec)[first:])
    ids = [spec.unknown if i is None else i + spec.shift for i in known]
    start = [] if spec.start is None else [_start(spec, vocabulary)]
    return start + [i for i in ids if i is not None]


def tokens_of(text: str, spec: TextSpec) -> list[str]:
    """Return a text's tokens, known or not, the start's first."""
    told = text.lower() if spec.case == "lower" else text
    start = [] if spec.start is None else [spec.start]
    return start + [str(token) for token in _TOKENS[spec.split].findall(told)]


@lru_cache(maxsize=8)
def read_vocabulary(path: Path) -> dict[str, int]:
    """Return the id of each token.

    Raises:
        UsageError: The file is missing, empty, or damaged.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"vocabulary {path}: cannot be read ({error}). Name a text file in UTF-8"
        raise UsageError(msg) from error
    rows = [line.rsplit(" ", 1) for line in lines if line]
    if not rows:
        msg = f"vocabulary {path}: is empty, expected a token on each line"
        raise UsageError(msg)
    if all(len(row) == 2 and row[1].isdecimal() for row in rows):
        return {token: int(number) for token, number in rows}
    return {line: i for i, line in enumerate(lines)}


def _start(spec: TextSpec, vocabulary: dict[str, int]) -> int:
    if spec.start not in vocabulary:
        msg = f"vocabulary {spec.vocabulary}: no token '{spec.start}', which the spec starts with"
        raise UsageError(msg)
    return vocabulary[spec.start] + spec.shift
