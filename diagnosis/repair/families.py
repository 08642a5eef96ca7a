"""The changes that may mend the first cause of a diagnosis, whatever kind it is of."""

from collections.abc import Iterable, Sequence

from exray.diagnosis.causes import Cause, Scene
from exray.playback.spec import PreprocessSpec

from .change import Change
from .model_changes import CODES, model_changes
from .other_changes import KERNEL, LABELS, STATE, class_change, kernel_changes, reset_change
from .spec_changes import MENDABLE, spec_changes

FAMILIES: tuple[tuple[str, ...], ...] = (MENDABLE, CODES, (LABELS,), (STATE,))
"""Codes that are mended together."""


def families(causes: Sequence[Cause]) -> list[list[Cause]]:
    """Group causes that are mended together, the likeliest group first; others are left out."""
    found: list[list[Cause]] = []
    taken: set[tuple[str, ...]] = set()
    for cause in causes:
        codes = next((codes for codes in FAMILIES if cause.code in codes), None)
        if codes is not None and codes not in taken:
            taken.add(codes)
            found.append([other for other in causes if other.code in codes])
    return found


def changes_for(
    causes: Sequence[Cause], scene: Scene, reference: PreprocessSpec | None
) -> Iterable[Change]:
    """Yield changes that may mend a group of causes, the smallest first.

    Args:
        causes: One group of `families`.
        scene: Edge against reference.
        reference: Preprocessing that the reference declares.
    """
    first = causes[0]
    if first.code in MENDABLE:
        yield from spec_changes(causes, reference)
    elif first.code == LABELS:
        yield from class_change(first)
    elif first.code == STATE:
        yield from reset_change(first)
    else:
        if first.code == KERNEL:
            yield from kernel_changes(first, scene.edge.kernels)
        yield from model_changes(scene, causes)
