"""Causes from frames and what is known of their inputs."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from exray.diagnosis.causes import Cause
from exray.playback.image_spec import ImageSpec
from exray.playback.spec import PreprocessSpec
from exray.playback.text_spec import TextSpec
from exray.schema.errors import DataError
from exray.schema.sketch import fold, ones_sketch

from .affine import affine_causes, channel_causes
from .audio_menu import audio_menu
from .confidence import LEAST_MATCH_DB
from .image_search import PROOF_FRAMES, Found, reference_match, search_image
from .menu_search import Menu, Plan, match_of, search_menu
from .naming import causes_from_menu, causes_from_search
from .observed import ObservedFrame
from .text_menu import OF_TOKENS, text_menu
from .vocabulary import vocabulary_causes

TELLING = 0.2
"""Share of the largest variance among frames below which one tells little."""

Load = Callable[[ObservedFrame], NDArray[Any]]


def replayed_causes(
    frames: Sequence[ObservedFrame], spec: PreprocessSpec | None, load: Load
) -> list[Cause]:
    """Return the mistakes of the alternative that makes what the edge saw, if one does.

    Args:
        frames: Paired frames whose inputs are known.
        spec: What the reference declares; None for the default.
        load: Returns the recorded input of a frame.
    """
    declared = spec or PreprocessSpec()
    if not any(frame.nsr is None or frame.nsr > 0 for frame in frames):
        return []
    if declared.medium != "image":
        return _menu_causes(frames, declared, load)
    found = _searched(frames, declared.image, load)
    if found is None or found.best.match_db < LEAST_MATCH_DB:
        return []
    nsr = [frame.nsr for frame in frames if frame.nsr is not None]
    evidence = {"input_nsr": round(sum(nsr) / len(nsr), 6)} if nsr else {}
    return causes_from_search(found, evidence)


def _menu_causes(frames: Sequence[ObservedFrame], spec: PreprocessSpec, load: Load) -> list[Cause]:
    """Return what a recording's or a text's way to the model has that is not declared."""
    read = [(frame, raw) for frame in frames if (raw := _loaded(frame, load)) is not None]
    if not read:
        return []
    known, raws = [frame for frame, _ in read], [raw for _, raw in read]
    count = known[0].edge.count
    if spec.audio is not None:
        return _named_choices("audio", audio_menu(spec.audio, count), known, raws)
    assert spec.text is not None
    menu = text_menu(spec.text)
    causes = _named_choices("text", menu, known, raws)
    return causes or _vocabulary(spec.text, menu, known, raws)


def _vocabulary(
    spec: TextSpec,
    menu: Menu[TextSpec],
    frames: Sequence[ObservedFrame],
    raws: Sequence[NDArray[Any]],
) -> list[Cause]:
    """Return that the vocabulary is another, where the reference's inputs are as declared."""
    if not _is_declared(menu, frames, raws):
        return []
    made = [menu.make(raw, menu.declared) for raw in raws]
    matched = match_of(frames, made, is_exact=True).as_is_db
    if matched >= LEAST_MATCH_DB:
        return []
    changes = [change for change in menu.changes if change.part in OF_TOKENS]
    return vocabulary_causes(frames, raws, spec, changes, matched)


def _named_choices(
    code: str,
    menu: Menu[Plan],
    frames: Sequence[ObservedFrame],
    raws: Sequence[NDArray[Any]],
) -> list[Cause]:
    if not _is_declared(menu, frames, raws):
        return []
    return causes_from_menu(code, search_menu(menu, frames, raws))


def _is_declared(
    menu: Menu[Plan], frames: Sequence[ObservedFrame], raws: Sequence[NDArray[Any]]
) -> bool:
    """Whether what is declared makes what the reference saw."""
    as_reference = [replace(frame, edge=frame.reference) for frame in frames[:2]]
    try:
        made = [menu.make(raw, menu.declared) for raw in raws[:2]]
    except DataError:
        return False
    return match_of(as_reference, made, is_exact=menu.is_exact).as_is_db >= LEAST_MATCH_DB


def _loaded(frame: ObservedFrame, load: Load) -> NDArray[Any] | None:
    try:
        return load(frame)
    except DataError:
        return None


def recorded_causes(frames: Sequence[ObservedFrame], spec: PreprocessSpec | None) -> list[Cause]:
    """Return what the two sides' sketches tell without the recorded inputs."""
    same = [frame for frame in frames if frame.nsr is not None]
    if spec is not None and spec.medium != "image":
        return affine_causes(same, None, LEAST_MATCH_DB, code=spec.medium)
    image = spec.image if spec is not None else None
    return affine_causes(same, image, LEAST_MATCH_DB) or channel_causes(same, LEAST_MATCH_DB)


def _searched(frames: Sequence[ObservedFrame], image: ImageSpec, load: Load) -> Found | None:
    """Search, if the declared preprocessing is what the reference does with these inputs."""
    chosen = most_telling(frames)[:PROOF_FRAMES]
    readable = [frame for frame in chosen if _is_image(frame, load)]
    if not readable or reference_match(image, readable, load) < LEAST_MATCH_DB:
        return None
    return search_image(image, readable, load)


def most_telling(frames: Sequence[ObservedFrame]) -> list[ObservedFrame]:
    """Put frames last of which little came through to the edge's model, else keep their order.

    Where values that lie outside the input's range are clamped, or fall on one step, an image
    may become one number, and everything explains it. Those are the most different ones.
    """
    variances = {frame.input_key: _variance(frame) for frame in frames}
    least = TELLING * max(variances.values(), default=0.0)
    return sorted(frames, key=lambda frame: variances[frame.input_key] < least)


def _variance(frame: ObservedFrame) -> float:
    """Return the variance of the edge's model input, from its sketch."""
    seen, sums = frame.edge.sketch, len(frame.edge.sketch)
    ones = fold(ones_sketch(frame.edge.count, frame.family), sums)
    rest = seen - ones * (seen @ ones) / (ones @ ones)
    return float(rest @ rest) / frame.edge.count


def _is_image(frame: ObservedFrame, load: Load) -> bool:
    value = _loaded(frame, load)
    if value is None:
        return False
    return value.dtype == "uint8" and (value.ndim == 2 or value.shape[-1] in (1, 3, 4))
