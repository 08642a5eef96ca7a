"""Preprocessing as the reference declares it, where a cause says that the edge's is another."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from exray.diagnosis.causes import Cause
from exray.playback.image_spec import ImageSpec
from exray.playback.spec import PreprocessSpec
from exray.playback.spec_part import SpecPart

from .change import Change
from .configuration import Configuration

PREFIX = "preprocessing."

IMAGE_KEYS: dict[str, tuple[str, ...]] = {
    "channel_order": ("channels",),
    "value_range": ("values",),
    "mean_std": ("values",),
    "normalised_twice": ("values",),
    "dtype": ("values",),
    "orientation": ("rotate", "flip"),
    "resize": ("resize",),
    "crop": ("crop",),
    "layout": ("layout",),
    "compression": (),
}
"""What of a spec decides what each code speaks of; nothing does of a JPEG."""

MENDABLE = (*(f"{PREFIX}{code}" for code in IMAGE_KEYS), f"{PREFIX}audio", f"{PREFIX}text")
"""Codes that can be mended before the model."""


def spec_changes(causes: Sequence[Cause], reference: PreprocessSpec | None) -> Iterable[Change]:
    """Yield changes of the edge's spec: for the first cause alone, then for all together.

    Args:
        causes: Causes of `MENDABLE` codes, the likeliest first.
        reference: What the reference declares; None for the default.
    """
    wanted = reference or PreprocessSpec()
    for chosen in (causes[:1], causes):
        if chosen and (chosen is not causes or len(causes) > 1):
            keys = sorted({key for cause in chosen for key in keys_of(cause)})
            yield Change(
                f"preprocess as the reference does: {', '.join(keys) or 'no JPEG'}",
                tuple(chosen),
                partial(_apply, wanted, chosen),
                " ".join(dict.fromkeys(cause.fix for cause in chosen)),
            )


def keys_of(cause: Cause) -> tuple[str, ...]:
    """Return the keys of the spec's section that a cause speaks of."""
    code = cause.code.removeprefix(PREFIX)
    if code in IMAGE_KEYS:
        return IMAGE_KEYS[code]
    return (str(cause.evidence.get("part", "")).partition(".")[0],)


def with_keys_of(
    own: PreprocessSpec, wanted: PreprocessSpec, causes: Sequence[Cause]
) -> PreprocessSpec:
    """Return a spec that says what another one does of what causes speak of.

    Args:
        own: The edge's.
        wanted: The reference's.
        causes: Causes of `MENDABLE` codes.
    """
    medium = wanted.medium
    source: SpecPart = getattr(wanted, medium)
    target: SpecPart = getattr(own, medium) or source
    keys = {key for cause in causes for key in keys_of(cause)}
    update = {key: getattr(source, key) for key in keys if key in type(source).model_fields}
    if isinstance(target, ImageSpec) and isinstance(source, ImageSpec) and "resize" in update:
        # how, not to what size: that is the model's
        update["resize"] = target.resize.model_copy(update={"method": source.resize.method})
    changed = target.model_copy(update=update)
    return PreprocessSpec.model_validate({medium: changed.model_dump()})


def _apply(
    wanted: PreprocessSpec, causes: Sequence[Cause], old: Configuration, _: Path
) -> Configuration:
    return replace(old, spec=with_keys_of(old.spec or PreprocessSpec(), wanted, causes))
