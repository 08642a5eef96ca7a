"""Frames of one build: who ran them, when, on what, and what they have in common."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import Ints, ids, names
from .fleet import HOUR_NS, MODEL_NAME, REFERENCE_BUILD, Fleet

Shared = Callable[[Ints], dict[str, Any]]
"""Gives the chosen frames' rows the columns that all tables share."""

INFERENCE, STAGE, INPUT = 1, 2, 3
SPANS_PER_FRAME = 1 << 12
"""Span ids of a frame: its own, these three, then two for each layer."""


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames of one build, arrays of shape (frames,).

    Args:
        number: Number among all frames of the lake.
        device: Device that ran it.
        input: Input of the pack.
        start_ns: When it began, since 1970 UTC.
        measured: Whether its tensors are summarised.
        distributed: Whether they have histograms and channels besides: the newest measured
            frame of each input, which is the one that is compared.
    """

    number: Ints
    device: Ints
    input: Ints
    start_ns: Ints
    measured: NDArray[np.bool_]
    distributed: NDArray[np.bool_]


def choose_devices(fleet: Fleet, build: int | None) -> Ints:
    """Return the devices that ran a build, or for None the reference's one."""
    if build is None:
        return np.zeros(1, np.int64)
    devices = np.arange(fleet.devices)
    # the builds of each device follow one another, the newest last for the first devices
    age = (fleet.builds - 1 - build - devices) % fleet.builds
    chosen = devices[age < fleet.builds_per_device]
    silent = fleet.faults.silent
    if silent is not None and build >= silent % fleet.builds:
        chosen = chosen[chosen != 0]
    return chosen


def choose_frames(fleet: Fleet, build: int | None, devices: Ints) -> Frames:
    """Return the frames that *devices* recorded of a build, or of the reference."""
    per_run = fleet.inputs if build is None else fleet.frames_per_run
    count = len(devices) * per_run
    run = np.repeat(np.arange(len(devices)), per_run)
    in_run = np.tile(np.arange(per_run), len(devices))
    first = 0 if build is None else (build + 1) * fleet.devices * fleet.frames_per_run * 4
    step_ns = HOUR_NS // max(1, per_run)
    inputs = (in_run + devices[run]) % fleet.inputs
    start_ns = fleet.started_ns(build) + in_run * step_ns + devices[run] % 1000 * 10**6
    measured = (in_run % (1 if build is None else fleet.measured_every)) == 0
    return Frames(
        number=first + np.arange(count),
        device=devices[run],
        input=inputs,
        start_ns=start_ns,
        measured=measured,
        distributed=_newest(inputs, start_ns, measured),
    )


def _newest(inputs: Ints, start_ns: Ints, measured: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which frame is the newest measured one of its input; of equal ones the first."""
    rows = np.flatnonzero(measured)
    order = rows[np.lexsort((rows, -start_ns[rows]))]
    _, first = np.unique(inputs[order], return_index=True)
    newest = np.zeros(len(inputs), bool)
    newest[order[first]] = True
    return newest


def shared_columns(fleet: Fleet, build: int | None, frames: Frames) -> Shared:
    """Return what gives rows below the chosen frames the columns that all tables share."""
    start = int(fleet.started_ns(build))
    # a build's frames run within one UTC day, or two; the path must say which
    days = frames.start_ns // (86_400 * 10**9)
    labels = {int(day): str(np.datetime64(int(day), "D")) for day in np.unique(days)}
    keys = sorted(labels)

    def columns(chosen: Ints) -> dict[str, Any]:
        number = frames.number[chosen]
        return {
            "run_id": ids(run_high(build), frames.device[chosen] + 1, 16),
            "build": REFERENCE_BUILD if build is None else fleet.build_names[build],
            "model_name": MODEL_NAME,
            "model_sha256": fleet.model_sha256(build),
            "trace_id": ids(start, number, 16),
            "frame_span_id": ids(0, number * SPANS_PER_FRAME, 8),
            "role": "reference" if build is None else "edge",
            "dt": names([labels[key] for key in keys], np.searchsorted(keys, days[chosen])),
        }

    return columns


def run_high(build: int | None) -> int:
    """Return the first eight bytes of a build's run ids."""
    return (0x0190 << 48) + (0 if build is None else build + 1)
