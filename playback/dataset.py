"""Recorded inputs: a folder of images, recordings or texts, an npz file, a CSV of texts."""

import csv
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.schema.errors import UsageError

from .decode import (
    AUDIO_SUFFIXES,
    IMAGE_SUFFIXES,
    TEXT_SUFFIXES,
    decode_image,
    decode_wav,
    read_text,
    wav_rate,
)

INPUT_NAMES = ("images", "inputs")
"""Arrays of an npz that are its inputs, the first one found; else its largest array is."""

INDEX_DIGITS = 6
"""Digits of the id of an npz input without a name; fixed, so that a part keeps its ids."""

_NUMERIC_KINDS = "biuf"
"""Kinds of dtype that a model takes: bool, integers, floats."""


@dataclass(frozen=True, slots=True)
class Item:
    """One recorded input.

    Args:
        input_id: Its name, which joins edge and reference.
        load: Returns the input: pixels of an image file, shape ``(height, width, 3)``,
            uint8, RGB; samples of a recording, shape ``(n,)``, int16; bytes of a text, shape
            ``(n,)``, uint8; or an array as the npz holds it, without the batch axis. Raises
            `DataError` for a file that cannot be read.
        label: Class index that an npz brings along, else None.
        sample_rate_hz: Returns the rate of a recording, None where it is not known.
    """

    input_id: str
    load: Callable[[], NDArray[Any]]
    label: int | None = None
    sample_rate_hz: Callable[[], int | None] = lambda: None


@dataclass(frozen=True, slots=True)
class Dataset:
    """Recorded inputs in a fixed order; each is read when its ``load()`` is called."""

    path: Path
    items: Sequence[Item]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __getitem__(self, index: int) -> Item:
        return self.items[index]


def open_dataset(path: str | Path, limit: int | None = None, label_offset: int = 0) -> Dataset:
    """Find the recorded inputs of a folder, an npz file or a CSV file of texts.

    Images of a folder and the folders in it are ordered by id, the path relative to the
    folder with ``/``; other files and names that begin with a dot are passed over. A folder
    without images may hold recordings (.wav), one without these texts (.txt). A CSV has the
    texts in its column ``text`` and their ids in ``file``, or the line's index. An npz
    brings ``images``, ``inputs`` or its largest array, ids in ``files`` if it is there
    (else the index as ``000007``), and class indices in ``labels`` if it is there.

    Args:
        path: The folder or file.
        limit: Keep the first so many inputs, None for all.
        label_offset: Added to each label that an npz brings.

    Raises:
        UsageError: There is nothing of that kind at *path*, or *limit* keeps nothing.
    """
    if not str(path).strip():
        msg = "inputs: got an empty path, expected a folder of images or an .npz"
        raise UsageError(msg)
    path = Path(path)
    if limit is not None and limit < 1:
        msg = f"limit: got {limit}, expected 1 or more inputs, or no limit"
        raise UsageError(msg)
    if path.is_dir():
        items = _folder_items(path)
    elif path.is_file() and zipfile.is_zipfile(path):
        items = _npz_items(path, label_offset)
    elif path.is_file() and path.suffix.lower() == ".csv":
        items = _csv_items(path)
    else:
        is_input = path.suffix.lower() in (*IMAGE_SUFFIXES, *AUDIO_SUFFIXES, *TEXT_SUFFIXES)
        found = "is another file" if path.exists() else "does not exist"
        msg = (
            f"inputs {path}: {found}, expected a folder of images, of {AUDIO_SUFFIXES[0]} or of "
            f"{TEXT_SUFFIXES[0]} files, an .npz, or a CSV with a column 'text'. "
            f"{'Name the folder it is in' if is_input else 'Check the path'}"
        )
        raise UsageError(msg)
    return Dataset(path, items[:limit])


def _folder_items(folder: Path) -> list[Item]:
    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        # Hidden files are no inputs: thumbnails, and "._x.jpg" as macOS leaves them.
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in names if not name.startswith(".")]
    for suffixes in (IMAGE_SUFFIXES, AUDIO_SUFFIXES, TEXT_SUFFIXES):
        files = {
            file.relative_to(folder).as_posix(): file
            for file in found
            if file.suffix.lower() in suffixes
        }
        if files:
            return [_file_item(name, files[name]) for name in sorted(files)]
    counts = Counter(file.suffix or "no suffix" for file in found).most_common(5)
    others = ", ".join(f"{count} {suffix}" for suffix, count in counts) or "nothing"
    kinds = " ".join((*IMAGE_SUFFIXES, *AUDIO_SUFFIXES, *TEXT_SUFFIXES))
    msg = f"inputs {folder}: no image, found {others}; expected {kinds}. Name another folder"
    raise UsageError(msg)


def _file_item(name: str, path: Path) -> Item:
    suffix = path.suffix.lower()
    if suffix in AUDIO_SUFFIXES:
        return Item(name, partial(decode_wav, path), sample_rate_hz=partial(wav_rate, path))
    return Item(name, partial(read_text if suffix in TEXT_SUFFIXES else decode_image, path))


def _csv_items(path: Path) -> list[Item]:
    """Return the texts of a CSV file, in its order."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"inputs {path}: not a readable CSV file ({error}). Write it as UTF-8 with commas"
        raise UsageError(msg) from error
    if not rows or rows[0].get("text") is None:
        columns = ", ".join(map(str, rows[0])) if rows else "no rows"
        msg = f"inputs {path}: no column 'text', got {columns}. Add one with the texts"
        raise UsageError(msg)
    texts: dict[str, str] = {}
    for index, row in enumerate(rows):
        name = row.get("file") or f"{index:0{INDEX_DIGITS}d}"
        if name in texts:
            msg = f"inputs {path}: '{name}' twice in column 'file'. Give each text its own name"
            raise UsageError(msg)
        texts[name] = row["text"] or ""
    return [Item(name, partial(_text_bytes, text)) for name, text in texts.items()]


def _text_bytes(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)


def _npz_items(path: Path, label_offset: int) -> list[Item]:
    arrays = _read_arrays(path)
    named = [name for name in INPUT_NAMES if name in arrays]
    others = [name for name in arrays if name not in ("labels", "files")]
    numeric = [
        name for name in others if arrays[name].dtype.kind in _NUMERIC_KINDS and arrays[name].ndim
    ]
    if not named and not numeric:
        msg = f"inputs {path}: no array of numbers, got {sorted(arrays)}. Add one named 'images'"
        raise UsageError(msg)
    chosen = named[0] if named else max(numeric, key=lambda name: arrays[name].size)
    inputs = arrays[chosen]
    if inputs.dtype.kind not in _NUMERIC_KINDS or not inputs.ndim or not inputs.size:
        msg = (
            f"inputs {path}: '{chosen}' has shape {inputs.shape} and dtype {inputs.dtype},"
            " expected numbers, one or more inputs along the first dimension"
        )
        raise UsageError(msg)
    count = len(inputs)
    ids = _npz_ids(path, arrays.get("files"), count)
    labels = _npz_labels(path, arrays.get("labels"), count)
    return [
        Item(ids[i], partial(inputs.__getitem__, i), labels[i] + label_offset if labels else None)
        for i in range(count)
    ]


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read every array; pickled objects are refused, as reading them may run any code."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: np.asarray(archive[name]) for name in archive.files}
    except Exception as error:  # a damaged zip answers with errors of many types
        msg = (
            f"inputs {path}: not a readable npz ({error})."
            " Write arrays of numbers with numpy.savez, no Python objects"
        )
        raise UsageError(msg) from error


def _npz_ids(path: Path, files: NDArray[Any] | None, count: int) -> list[str]:
    if files is None:
        return [f"{i:0{INDEX_DIGITS}d}" for i in range(count)]
    ids = [str(name) for name in files.ravel()]
    twice = [name for name, uses in Counter(ids).items() if uses > 1]
    if len(ids) != count or twice:
        got = f"'{twice[0]}' twice" if twice else f"{len(ids)} names for {count} inputs"
        msg = f"inputs {path}: 'files' holds {got}, expected a name of its own for each input"
        raise UsageError(msg)
    return ids


def _npz_labels(path: Path, labels: NDArray[Any] | None, count: int) -> list[int] | None:
    if labels is None:
        return None
    if labels.dtype.kind not in "iu" or labels.size != count:
        msg = (
            f"inputs {path}: 'labels' has shape {labels.shape} and dtype {labels.dtype},"
            f" expected {count} integers, the class index of each input"
        )
        raise UsageError(msg)
    return [int(label) for label in labels.ravel()]
