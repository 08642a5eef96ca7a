"""Whether an edge gives tokens the ids of another vocabulary.

The vocabulary itself is not known here. But the sketch of a short input gives its ids back, and
under the right tokens each has one id, wherever it stands and in every text: nothing but a
vocabulary does that for hundreds of tokens that recur.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.diagnosis.causes import Cause
from exray.playback.text import read_vocabulary, text_of, tokens_of
from exray.playback.text_spec import TextSpec
from exray.schema.sketch import element_bins
from exray.schema.sketch_bins import ROW

from .hypothesis import CAP_DB
from .menu_search import Change
from .naming import make_cause
from .observed import Numbers, ObservedFrame

PAD = ""
"""Stands where a text has ended: no token is empty."""

RECURRING = 40
"""Times that tokens must recur before their ids say anything."""

DISTINCT = 0.25
"""Ids of so many tokens, at least: one id for all is no vocabulary."""

EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class _Ids:
    """The one id of each token, and how often it was seen to recur."""

    by_token: dict[str, int]
    recurring: int


def vocabulary_causes(
    frames: Sequence[ObservedFrame],
    raws: Sequence[NDArray[Any]],
    spec: TextSpec,
    changes: Sequence[Change[TextSpec]],
    without_db: float,
) -> list[Cause]:
    """Return that the vocabulary is another, and what of the tokens is otherwise beside it.

    Args:
        frames: Paired frames.
        raws: Their texts.
        spec: What the reference declares.
        changes: What may be done otherwise with tokens before they have ids.
        without_db: How well the best alternative with the declared vocabulary matches.
    """
    if spec.unknown is None:  # which tokens are dropped is the other vocabulary's matter
        return []
    read = [_ids_of(frame) for frame in frames]
    if any(ids is None for ids in read):
        return []
    seen = [ids for ids in read if ids is not None]
    for change in (None, *changes):
        plan = spec if change is None else change.apply(spec)
        found = _one_id_each(seen, raws, plan, spec.length)
        if found is not None:
            told = [] if change is None else [_change_cause(change, found, without_db)]
            return [*told, _vocabulary_cause(found, spec, without_db)]
    return []


def _ids_of(frame: ObservedFrame) -> Numbers | None:
    """Return the numbers of an input that its sketch holds as they are."""
    edge = frame.edge
    if edge.count > ROW or len(edge.sketch) != ROW or edge.quantization is not None:
        return None
    bins = element_bins(edge.count, frame.family).astype(np.int64)
    signs = np.where(bins < ROW, 1.0, -1.0)
    values: Numbers = signs * edge.sketch[bins % ROW]
    ids: Numbers = np.rint(values)
    return ids if np.allclose(values, ids, atol=0.01) and ids.min(initial=0.0) >= 0 else None


def _one_id_each(
    seen: Sequence[Numbers], raws: Sequence[NDArray[Any]], plan: TextSpec, length: int
) -> _Ids | None:
    by_token: dict[str, int] = {}
    recurring = 0
    for ids, raw in zip(seen, raws, strict=True):
        tokens = _placed(raw, plan, length)
        if len(tokens) != len(ids):
            return None
        for token, number in zip(tokens, ids, strict=True):
            known = by_token.setdefault(token, int(number))
            if known != number:
                return None
            recurring += token != PAD
    recurring -= len(by_token.keys() - {PAD})
    is_vocabulary = len(set(by_token.values())) >= DISTINCT * len(by_token)
    return _Ids(by_token, recurring) if recurring >= RECURRING and is_vocabulary else None


def _placed(raw: NDArray[Any], plan: TextSpec, length: int) -> list[str]:
    """Return the token at each place of the model's input."""
    tokens = tokens_of(text_of(raw), plan)
    kept = tokens[: plan.length] if plan.cut == "right" else tokens[-plan.length :]
    fill = [PAD] * (length - len(kept))
    return kept + fill if plan.padding == "right" else fill + kept


def _vocabulary_cause(found: _Ids, spec: TextSpec, without_db: float) -> Cause:
    declared = read_vocabulary(spec.vocabulary)
    other = [
        f"'{token}' {number}, reference {declared[token] + spec.shift}"
        for token, number in found.by_token.items()
        if token in declared and declared[token] + spec.shift != number
    ]
    return make_cause(
        "text",
        f"edge gives tokens the ids of another vocabulary: {'; '.join(other[:EXAMPLES])}",
        "Ship the vocabulary file that the model was trained with.",
        match_db=CAP_DB,
        without_db=without_db,
        evidence={
            "part": "vocabulary",
            "tokens": len(found.by_token),
            "tokens_of_other_id": len(other),
            "recurring": found.recurring,
        },
    )


def _change_cause(change: Change[TextSpec], found: _Ids, without_db: float) -> Cause:
    return make_cause(
        "text",
        f"edge {change.edge}, reference: {change.reference}",
        f"Set {change.part} to {change.reference} on the edge.",
        match_db=CAP_DB,
        without_db=without_db,
        evidence={"part": change.part, "recurring": found.recurring},
    )
