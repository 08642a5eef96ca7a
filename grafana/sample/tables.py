"""Runs, frames, spans and layers of one build."""

from typing import TYPE_CHECKING, Any

import numpy as np

from .columns import Ints, ids, lists, names, table_of
from .fleet import MODEL_NAME, REFERENCE_BUILD, Fleet
from .frames import INFERENCE, SPANS_PER_FRAME, STAGE, Frames, Shared, run_high
from .pack import Pack

if TYPE_CHECKING:
    import pyarrow as pa

DEVICE_KERNELS = ("xnnpack", "xnnpack", "builtin")
DEVICE_SPEED = (1.0, 0.6, 0.8)
CLASSES = 10
STAGE_NS = 1_500_000


def run_table(fleet: Fleet, build: int | None, devices: Ints) -> "pa.Table":
    """Return a run for each device."""
    kind = devices % len(DEVICE_KERNELS)
    reference = build is None
    return table_of(
        "runs",
        len(devices),
        {
            "run_id": ids(run_high(build), devices + 1, 16),
            "build": REFERENCE_BUILD if build is None else fleet.build_names[build],
            "role": "reference" if reference else "edge",
            "started_ns": fleet.started_ns(build),
            "recorded_ns": fleet.started_ns(build),
            "model_name": MODEL_NAME,
            "model_sha256": fleet.model_sha256(build),
            "model_format": "tflite",
            "model_precision": "float32" if reference else "int8",
            "runtime_name": "litert",
            "runtime_version": "2.3.0",
            "kernels": "xnnpack" if reference else names(list(DEVICE_KERNELS), kind),
            "device_id": "workstation" if reference else [f"device-{i:05}" for i in devices],
            "device_model": "workstation" if reference else names(list(fleet.device_models), kind),
            "device_manufacturer": "",
            "host_arch": "x86_64" if reference else "aarch64",
            "host_name": "",
            "os_type": "linux",
            "os_version": "6.6",
            "vcs_revision": fleet.model_sha256(build)[:40],
            "exray_version": "0.1.0",
            "clock_ok": True,
        },
    )


def _layer_ns(fleet: Fleet, build: int | None, frames: Frames) -> Ints:
    """Time of every layer in every frame, shape (frames, layers), ns."""
    random = np.random.default_rng(100 + (0 if build is None else build))
    base = np.random.default_rng(3).uniform(0.2e6, 1.2e6, fleet.layers)
    kind = frames.device % len(DEVICE_KERNELS)
    times = base * np.array(DEVICE_SPEED)[kind][:, None]
    times *= random.lognormal(0.0, 0.08, times.shape)
    if build is not None and fleet.has("slow", build):
        times[:, 3] *= np.where(kind == 1, 4.0, 1.0)
    whole: Ints = times.astype(np.int64)
    return whole


def frame_table(pack: Pack, build: int | None, frames: Frames, shared: Shared) -> "pa.Table":
    """Return the frames themselves."""
    import pyarrow as pa

    fleet = pack.fleet
    count = len(frames.number)
    every = np.arange(count)
    model_ns = _layer_ns(fleet, build, frames).sum(axis=1)
    label = frames.input % CLASSES
    wrong = 0.0 if build is None else 0.06
    if build is not None and fleet.has("quantization", build):
        wrong += fleet.faults.wrong_ratio
    random = np.random.default_rng(500 + (0 if build is None else build))
    answer = np.where(random.random(count) < wrong, (label + 1) % CLASSES, label)
    slower = 0.05 if build is not None and fleet.has("overhead", build) else 0.004
    dur_ns = model_ns + STAGE_NS
    rate = 1 / (1 if build is None else fleet.measured_every)
    return table_of(
        "frames",
        count,
        shared(every)
        | {
            "span_id": ids(0, frames.number * SPANS_PER_FRAME, 8),
            "input_key": pack.keys[frames.input],
            "start_ns": frames.start_ns,
            "dur_ns": dur_ns,
            "input_id": names(pack.names, frames.input),
            "frame_index": every,
            "label": names([str(number) for number in range(CLASSES)], label),
            "prediction_ids": lists(answer[:, None].astype(np.int32), pa.int32()),
            "prediction_scores": lists(np.full((count, 1), 0.9, np.float32), pa.float32()),
            "output_hash": frames.input * 1000 + answer,
            "stage_ns": STAGE_NS,
            "model_ns": model_ns,
            "level": names(
                ["latency", "summary", "distribution"],
                frames.measured.astype(np.int64) + frames.distributed,
            ),
            "sample_rate": np.where(frames.measured, rate, max(rate, 1 - rate)),
            "overhead_ns": (dur_ns * slower).astype(np.int64),
            "canary_id": "sample",
            "status": "unset",
        },
    )


def span_table(fleet: Fleet, frames: Frames, shared: Shared) -> "pa.Table":
    """A stage and an inference of each frame."""
    chosen = np.repeat(np.arange(len(frames.number)), 2)
    which = np.tile(np.array([STAGE, INFERENCE]), len(frames.number))
    own = frames.number[chosen] * SPANS_PER_FRAME
    return table_of(
        "spans",
        len(chosen),
        shared(chosen)
        | {
            "span_id": ids(0, own + which, 8),
            "parent_span_id": ids(0, own, 8),
            "start_ns": frames.start_ns[chosen] + np.where(which == INFERENCE, STAGE_NS, 0),
            "dur_ns": np.where(which == INFERENCE, 10_000_000, STAGE_NS),
            "name": names(["inference", "preprocess"], (which == STAGE).astype(np.int64)),
            "kind": "internal",
            "status": "unset",
            "scope": "exray",
        },
    )


def below(fleet: Fleet, frames: Frames, chosen: Ints, layer: Ints) -> dict[str, Any]:
    """Columns that a layer's span and its tensor share."""
    own = frames.number[chosen] * SPANS_PER_FRAME
    return {
        "parent_span_id": ids(0, own + INFERENCE, 8),
        "layer_index": layer,
        "layer_name": names(fleet.layer_names, layer),
        "op": names(fleet.layer_ops, layer),
        "subgraph_index": 0,
        "inference_index": 0,
    }


def layer_table(
    fleet: Fleet,
    build: int | None,
    frames: Frames,
    shared: Shared,
) -> "pa.Table":
    """Return a span for each layer of each frame."""
    count = len(frames.number)
    times = _layer_ns(fleet, build, frames)
    chosen = np.repeat(np.arange(count), fleet.layers)
    layer = np.tile(np.arange(fleet.layers), count)
    begun = np.cumsum(times, axis=1) - times + STAGE_NS + frames.start_ns[:, None]
    return table_of(
        "layer_spans",
        len(chosen),
        shared(chosen)
        | below(fleet, frames, chosen, layer)
        | {
            "span_id": ids(0, frames.number[chosen] * SPANS_PER_FRAME + 4 + 2 * layer, 8),
            "input_key": None,
            "start_ns": begun.reshape(-1),
            "dur_ns": times.reshape(-1),
            "timing": "probe",
        },
    )
