"""Causes from frames and what is known of their inputs."""

from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from exray.diagnosis.causes import Cause
from exray.playback.image_spec import ImageSpec
from exray.playback.spec import PreprocessSpec
from exray.schema.errors import DataError

from .affine import affine_causes, channel_causes
from .confidence import LEAST_MATCH_DB
from .image_search import PROOF_FRAMES, Found, reference_match, search_image
from .naming import causes_from_search
from .observed import ObservedFrame

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
    image = (spec or PreprocessSpec()).image
    found = _searched(frames, image, load)
    if found is None or found.best.match_db < LEAST_MATCH_DB:
        return []
    nsr = [frame.nsr for frame in frames if frame.nsr is not None]
    evidence = {"input_nsr": round(sum(nsr) / len(nsr), 6)} if nsr else {}
    return causes_from_search(found, evidence)


def recorded_causes(frames: Sequence[ObservedFrame], spec: PreprocessSpec | None) -> list[Cause]:
    """Return what the two sides' sketches tell without the recorded inputs."""
    same = [frame for frame in frames if frame.nsr is not None]
    image = spec.image if spec is not None else None
    return affine_causes(same, image, LEAST_MATCH_DB) or channel_causes(same, LEAST_MATCH_DB)


def _searched(frames: Sequence[ObservedFrame], image: ImageSpec, load: Load) -> Found | None:
    """Search, if the declared preprocessing is what the reference does with these inputs."""
    readable = [frame for frame in frames[:PROOF_FRAMES] if _is_image(frame, load)]
    if not readable or reference_match(image, readable, load) < LEAST_MATCH_DB:
        return None
    return search_image(image, readable, load)


def _is_image(frame: ObservedFrame, load: Load) -> bool:
    try:
        value = load(frame)
    except DataError:
        return False
    return value.dtype == "uint8" and (value.ndim == 2 or value.shape[-1] in (1, 3, 4))
