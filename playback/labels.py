"""True classes of recorded inputs, read from a CSV file."""

import csv
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self

from exray.schema.errors import UsageError

KEY_COLUMN = "file"
"""Column that names the input; without it the first column does."""

NAMES_SHOWN = 3
"""Names that a report of missing labels spells out."""

_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)


@dataclass(frozen=True, slots=True)
class LabelMatch:
    """Which inputs have a label, and what was left over on both sides.

    Args:
        labels: Class index by input id.
        inputs_without_label: Input ids in their order.
        labels_without_input: Keys of the file in its order.
    """

    labels: Mapping[str, int]
    inputs_without_label: tuple[str, ...]
    labels_without_input: tuple[str, ...]

    @classmethod
    def of(
        cls,
        labels: Mapping[str, int],
        input_ids: Iterable[str],
        keys: Iterable[str],
        found: Mapping[str, str],
    ) -> Self:
        """Note what is left over of inputs and *keys* beside those *found*, key by input id."""
        used = set(found.values())
        return cls(
            labels,
            tuple(input_id for input_id in input_ids if input_id not in found),
            tuple(key for key in keys if key not in used),
        )

    def describe(self) -> str:
        """Return one sentence on what was left over, empty where nothing was."""
        parts = [
            f"{len(names)} {what} ({', '.join(names[:NAMES_SHOWN])}"
            f"{', ...' if len(names) > NAMES_SHOWN else ''})"
            for what, names in (
                ("inputs without label", self.inputs_without_label),
                ("labels without input", self.labels_without_input),
            )
            if names
        ]
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Labels:
    """Class indices by the key that a file gives them under.

    Args:
        path: The file.
        column: Its column of labels.
        by_key: Class index, offset added.
    """

    path: Path
    column: str
    by_key: Mapping[str, int]

    def match(self, input_ids: Iterable[str]) -> LabelMatch:
        """Look up all inputs, and tell what has no counterpart."""
        ids = list(input_ids)
        keys = match_keys(ids, self.by_key)
        labels = {input_id: self.by_key[key] for input_id, key in keys.items()}
        return LabelMatch.of(labels, ids, self.by_key, keys)


def match_keys(input_ids: Sequence[str], keys: Collection[str]) -> dict[str, str]:
    """Return the key that names each input: its id, else the id without its folders.

    Where inputs of several folders share a file name, that name alone names none of
    them: it cannot say which one it means.
    """
    uses = Counter(PurePosixPath(input_id).name for input_id in input_ids)
    found: dict[str, str] = {}
    for input_id in input_ids:
        name = PurePosixPath(input_id).name
        key = input_id if input_id in keys or uses[name] > 1 else name
        if key in keys:
            found[input_id] = key
    return found


def load_labels(source: str | Path, offset: int = 0) -> Labels:
    """Read the labels of a CSV file with a header.

    Args:
        source: ``CSV`` or ``CSV:COLUMN``. Without a column it is the only one that holds
            nothing but integers. The key stands in the column ``file``, else in the first.
        offset: Added to each label, such as 1 for networks whose class 0 is background.

    Returns:
        The labels. A line without one is passed over.

    Raises:
        UsageError: The file or the column is missing, there is no telling which column
            is meant, or a line is damaged or contradicts another one.
    """
    if not str(source).strip():
        msg = "labels: got an empty path, expected CSV or CSV:COLUMN; leave it out for no labels"
        raise UsageError(msg)
    path, column = _split_column(str(source))
    rows = _rows(path)
    header = rows[0][1]
    key_at = header.index(KEY_COLUMN) if KEY_COLUMN in header else 0
    label_at = _label_index(path, rows, key_at, column)
    by_key: dict[str, int] = {}
    for line, row in rows[1:]:
        key, text = row[key_at], row[label_at].strip()
        if not text:
            continue
        if not _INTEGER.fullmatch(text):
            msg = (
                f"labels {path}: line {line}: '{header[label_at]}' is '{text}', expected an"
                f" integer. {_choice(header, _integer_columns(rows, key_at))}"
            )
            raise UsageError(msg)
        label = int(text) + offset
        if by_key.setdefault(key, label) != label:
            msg = f"labels {path}: line {line}: another label for '{key}' than above. Keep one"
            raise UsageError(msg)
    return Labels(path, header[label_at], by_key)


def _split_column(source: str) -> tuple[Path, str | None]:
    """Split ``CSV:COLUMN``, but neither a drive letter nor a colon in a file's name."""
    head, colon, tail = source.rpartition(":")
    if colon and not Path(source).is_file() and Path(head).is_file():
        return Path(head), tail
    return Path(source), None


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return header and rows, each with its line number and as many cells as the header."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True, skipinitialspace=True)
            rows = [(reader.line_num, row) for row in reader if row]
    except FileNotFoundError as error:
        msg = f"labels {path}: no such file. Pass CSV or CSV:COLUMN with an existing file"
        raise UsageError(msg) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"labels {path}: not a readable CSV file ({error}). Write it as UTF-8 with commas"
        raise UsageError(msg) from error
    header = rows[0][1] if rows else []
    if not header or any(_INTEGER.fullmatch(cell.strip()) for cell in header):
        msg = f"labels {path}: no header, got {header}. Add a first line such as 'file,label'"
        raise UsageError(msg)
    for line, row in rows:
        if len(row) != len(header):
            msg = (
                f"labels {path}: line {line}: got {len(row)} cells, expected {len(header)}"
                f" as in the header {', '.join(header)}. Quote texts that hold a comma"
            )
            raise UsageError(msg)
    return rows


def _label_index(
    path: Path, rows: list[tuple[int, list[str]]], key_at: int, column: str | None
) -> int:
    header = rows[0][1]
    if column is not None:
        if column in header:
            return header.index(column)
        msg = f"labels {path}: no column '{column}'; there are {', '.join(header)}. Name one"
        raise UsageError(msg)
    integers = _integer_columns(rows, key_at)
    if len(integers) == 1:
        return integers[0]
    found = "more than one column" if integers else "no column"
    msg = f"labels {path}: {found} of integers. {_choice(header, integers)}"
    raise UsageError(msg)


def _integer_columns(rows: list[tuple[int, list[str]]], key_at: int) -> list[int]:
    """Return the columns, the key's aside, in which every filled cell is an integer."""
    found: list[int] = []
    for at in range(len(rows[0][1])):
        filled = [text for _, row in rows[1:] if (text := row[at].strip())]
        if at != key_at and filled and all(_INTEGER.fullmatch(text) for text in filled):
            found.append(at)
    return found


def _choice(header: list[str], integers: list[int]) -> str:
    if integers:
        return f"Name one as CSV:COLUMN: {', '.join(header[at] for at in integers)}"
    return f"Add one with the class index; there are {', '.join(header)}"
