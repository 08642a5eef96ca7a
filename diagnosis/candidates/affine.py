"""Causes that two sketches tell without the recorded inputs: other values, other order.

Whatever scales and shifts the whole model input shows as a linear relation of both sides'
sketches and the sketch of ones, which the seed gives. Which pixel went where does not.
"""

from collections.abc import Sequence
from itertools import permutations

import numpy as np

from exray.diagnosis.causes import Cause
from exray.playback.image_spec import ImageSpec
from exray.schema.channels import Channels
from exray.schema.errors import DataError
from exray.schema.sketch import fold, ones_sketch

from .basis import COLOURS, image_input
from .geometry import geometry_from_spec
from .hypothesis import Declared, Hypothesis, capped_db
from .naming import make_cause, told_values
from .observed import Numbers, ObservedFrame, Seen
from .values import Values, declared_channels, declared_values, value_maps

UNCHANGED = 0.01
"""Change of gain, or of offset in spans, below which the values are the declared ones."""


def affine_causes(
    frames: Sequence[ObservedFrame],
    spec: ImageSpec | None,
    least_db: float,
    code: str = "value_range",
) -> list[Cause]:
    """Return the cause that an affine relation of the two model inputs shows, if one does.

    Args:
        frames: Paired frames with inputs of one size.
        spec: What the reference declares, None where that is not known.
        least_db: Match below which nothing is named.
        code: What a map is called that has no name of its own.
    """
    if not frames:
        return []
    gain, offset, match_db, without_db = _fit(frames)
    if match_db < least_db or (abs(gain - 1) < UNCHANGED and abs(offset) < UNCHANGED):
        return []
    evidence = {"frames": len(frames), "gain": round(gain, 6), "offset": round(offset, 6)}
    named = _named(gain, offset, spec) if spec is not None else None
    if named is None:
        edge = f"edge's model input is {gain:.4g} times the reference's {offset:+.4g}"
        what, fix = edge, "Map values on the edge as the reference does."
        if code == "value_range" and _is_twice(gain, offset, frames):
            code, fix = "normalised_twice", "Normalise once on the edge."
    else:
        code, what, fix = named
    return [
        make_cause(code, what, fix, match_db=match_db, without_db=without_db, evidence=evidence)
    ]


def channel_causes(frames: Sequence[ObservedFrame], least_db: float) -> list[Cause]:
    """Return another order of channels, where per-channel statistics were recorded."""
    known = [pair for frame in frames if (pair := _statistics(frame)) is not None]
    if not known:
        return []
    ours, theirs = (np.stack([pair[side] for pair in known]) for side in (0, 1))
    spread = float(np.square(theirs - theirs.mean(axis=2, keepdims=True)).sum())
    matches = {
        order: capped_db(
            float(np.square(ours - theirs[:, :, list(order)]).sum()) / max(spread, 1e-30)
        )
        for order in permutations(range(3))
    }
    best = max(matches, key=matches.__getitem__)
    if best == (0, 1, 2) or matches[best] < least_db:
        return []
    order = ", ".join(str(channel) for channel in best)
    what = f"edge's channels hold the reference's channels {order}, by their statistics"
    return [
        make_cause(
            "channel_order",
            what,
            "Feed the channels on the edge in the reference's order.",
            match_db=matches[best],
            without_db=matches[0, 1, 2],
            evidence={"frames": len(known)},
        )
    ]


def _fit(frames: Sequence[ObservedFrame]) -> tuple[float, float, float, float]:
    """Return gain, offset, and how well the edge matches with and without them, in dB."""
    edge = np.concatenate([frame.edge.sketch for frame in frames])
    reference = np.concatenate([frame.reference.sketch for frame in frames])
    ones = np.concatenate(
        [fold(ones_sketch(f.edge.count, f.family), len(f.edge.sketch)) for f in frames]
    )
    columns = np.stack([reference, ones], axis=1)
    scale: Numbers = np.sqrt(np.square(columns).sum(axis=0))
    scaled: Numbers = columns / scale
    solution: Numbers = np.linalg.lstsq(scaled, edge, rcond=None)[0] / scale
    mean = float(edge @ ones) / float(ones @ ones)
    centred = max(float(np.square(edge - mean * ones).sum()), 1e-30)
    rounding = sum(frame.edge.count * frame.edge.step**2 / 12 for frame in frames)
    left = max(float(np.square(edge - columns @ solution).sum()), rounding)
    before = float(np.square(edge - reference).sum())
    return (
        float(solution[0]),
        float(solution[1]),
        capped_db(left / centred),
        capped_db(before / centred),
    )


def _named(gain: float, offset: float, spec: ImageSpec) -> tuple[str, str, str] | None:
    """Return code, what and fix, as the declared values read after this map."""
    declared = declared_values(spec)
    edge = Values(
        "fitted",
        declared.code,
        gain * declared.gain,
        gain * declared.offset + offset,
        fitted=1,
    )
    met = next((v for v in value_maps(declared)[1:] if v.near(edge)), edge)
    channels = declared_channels(spec)
    whole = Declared(geometry_from_spec(spec, (1, 1)), channels, declared)
    best = Hypothesis(whole.geometry, channels, met, frozenset({met.code}))
    if met.code == "normalised_twice":
        what = f"edge normalises twice, reference once to {declared.name}"
        return met.code, what, "Normalise once on the edge."
    return (met.code, *told_values(best, whole))


def _is_twice(gain: float, offset: float, frames: Sequence[ObservedFrame]) -> bool:
    """Tell a second division by 255 or 127.5 where the reference is normalised already."""
    energy = sum(float(np.square(frame.reference.sketch).sum()) for frame in frames)
    size = np.sqrt(energy / sum(frame.reference.count for frame in frames))
    maps = ((1 / 255, 0.0), (1 / 127.5, -1.0), (2 / 255, -1.0))
    near = any(abs(gain / g - 1) < UNCHANGED and abs(offset - o) < UNCHANGED for g, o in maps)
    return near and bool(size < 4)


def _statistics(frame: ObservedFrame) -> tuple[Numbers, Numbers] | None:
    """Return both sides' mean and spread by channel, each of shape (2, 3)."""
    sides = [_of_channels(seen) for seen in (frame.edge, frame.reference)]
    if sides[0] is None or sides[1] is None:
        return None
    return sides[0], sides[1]


def _of_channels(seen: Seen) -> Numbers | None:
    target = image_input(seen)
    if target is None or target.channels != COLOURS or seen.channels is None:
        return None
    try:
        told = Channels.decode(seen.channels)
    except DataError:
        return None
    means = told.sums / told.elements
    spreads = np.sqrt(np.maximum(told.sums2 / told.elements - np.square(means), 0))
    return np.stack([means, spreads])
