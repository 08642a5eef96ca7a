"""What may be done with a text otherwise than declared."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.playback.text import preprocess_text, read_vocabulary
from exray.playback.text_spec import TextSpec

from .menu_search import Change, Menu

SHIFTS = (-3, -2, -1, 1, 2, 3, 4)
"""Shifts of all ids of a vocabulary: special tokens counted or not."""

LENGTHS = (16, 20, 32, 50, 64, 80, 100, 120, 128, 150, 200, 250, 256, 300, 384, 400, 500, 512)
"""Tokens after which texts are cut, before they are filled up to the model's length."""

OF_TOKENS = frozenset({"case", "split", "start", "padding", "cut", "length"})
"""Parts that decide which token stands where, whatever its id."""


def text_menu(spec: TextSpec) -> Menu[TextSpec]:
    """Return what may be done otherwise than *spec*."""
    make = partial(_make, length=spec.length)
    return Menu(spec, list(_changes(spec)), make, is_exact=True)


def _make(raw: NDArray[Any], spec: TextSpec, *, length: int) -> NDArray[Any]:
    """Return ids, filled up to the model's length where the plan cuts texts before."""
    ids = preprocess_text(raw, spec)
    rest = length - spec.length
    return np.pad(
        ids, (0, rest) if spec.padding == "right" else (rest, 0), constant_values=spec.pad
    )


def _changes(spec: TextSpec) -> Iterator[Change[TextSpec]]:
    size = len(read_vocabulary(spec.vocabulary))
    yield from _listed(spec, "case", "treats case as", ("lower", "keep"))
    splits = ("words", "alphanumeric", "spaces", "characters")
    yield from _listed(spec, "split", "splits into", splits)
    yield from _listed(spec, "unknown", "gives other tokens id", (None, 0, 1, 2, 3, size))
    starts = [
        name for name in ("<START>", "[CLS]", "<s>") if name in read_vocabulary(spec.vocabulary)
    ]
    yield from _listed(spec, "start", "starts with", (None, *starts))
    yield from _listed(spec, "padding", "pads at the", ("right", "left"))
    yield from _listed(spec, "cut", "cuts at the", ("right", "left"))
    shorter = tuple(length for length in LENGTHS if length < spec.length)
    yield from _listed(spec, "length", "keeps tokens of a text:", shorter)
    yield from _listed(spec, "pad", "pads with id", (0, 1, 2, size))
    yield from _listed(spec, "shift", "shifts ids by", tuple(spec.shift + s for s in SHIFTS))


def _listed(
    spec: TextSpec, name: str, told: str, values: tuple[object, ...]
) -> Iterator[Change[TextSpec]]:
    declared = getattr(spec, name)
    for value in values:
        if value != declared:
            shown = "none" if value is None else str(value)
            known = "none" if declared is None else str(declared)
            yield Change(name, f"{told} {shown}", known, partial(_with, {name: value}))


def _with(changes: dict[str, object], spec: TextSpec) -> TextSpec:
    return spec.model_copy(update=changes)
