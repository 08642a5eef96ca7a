"""A made-up fleet in a lake of its own, with known faults, to look at the dashboards with.

Devices of three models run an int8 network of weekly builds on a canary pack; a float
reference ran the same inputs. Every number is made up from the settings alone, so what the
dashboards have to show is known: `Faults`.
"""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from exray.schema.channels import channels
from exray.schema.histogram import histogram
from exray.schema.identity import input_key, sketch_family
from exray.schema.sketch import fold, sketch

from .sample_columns import Floats, Ints, ids, lists, names, nulled, table_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from exray.lake import Lake

MODEL_NAME = "sorter"
REFERENCE_BUILD = "golden"
DEVICE_MODELS = ("pi5", "pixel8", "jetson")
DEVICE_KERNELS = ("xnnpack", "xnnpack", "builtin")
DEVICE_SPEED = (1.0, 0.6, 0.8)
ELEMENTS = 64
CLASSES = 10
STAGE_NS = 1_500_000
MOST_DISTRIBUTIONS = 2000
"""Tensors of a build at level distribution: enough to look at."""

WEEK_NS = 7 * 86_400 * 10**9
HOUR_NS = 3_600 * 10**9

_INFERENCE, _STAGE, _INPUT = 1, 2, 3
_SPANS_PER_FRAME = 1 << 12
"""Span ids of a frame: its own, these three, then two for each layer."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong with which builds, counted from 0, or from -1 for the newest; None: nothing.

    Args:
        quantization: At the eighth layer, `loss_db` of SQNR are lost on every device, and
            what follows inherits it; accuracy falls.
        slow: The fourth layer takes four times as long on the second device model.
        nonfinite: The sixth layer puts out NaN on the third device model.
        overhead: Recording takes 5 % of the time.
        silent: From this build on the first device says nothing.
        loss_db: What the eighth layer loses.
        wrong_ratio: Share of answers that its loss makes wrong.
    """

    quantization: int | None = -3
    slow: int | None = -1
    nonfinite: int | None = -2
    overhead: int | None = -2
    silent: int | None = -1
    loss_db: float = 12.0
    wrong_ratio: float = 0.1


@dataclass(frozen=True)
class Fleet:
    """What a made-up lake holds.

    Args:
        end_ns: When the newest build began, since 1970 UTC; its frames follow within an hour.
        devices: Devices, of three models in turn.
        builds: Builds, a week apart.
        builds_per_device: Builds that each device ran, the newest among them for the first.
        frames_per_run: Frames of one device under one build.
        layers: Layers of the network, at least 10.
        inputs: Inputs of the canary pack.
        measured_every: One frame of so many has its tensors summarised.
    """

    end_ns: int
    devices: int = 12
    builds: int = 8
    builds_per_device: int = 8
    frames_per_run: int = 8
    layers: int = 14
    inputs: int = 16
    measured_every: int = 2
    faults: Faults = field(default_factory=Faults)

    @cached_property
    def build_names(self) -> list[str]:
        """Names of the builds, oldest first."""
        return [f"1.{number}.0" for number in range(self.builds)]

    @cached_property
    def layer_names(self) -> list[str]:
        """Names of the layers in the order of the network."""
        return [f"block_{number}/conv" for number in range(self.layers - 1)] + ["logits"]

    @cached_property
    def layer_ops(self) -> list[str]:
        """Operators of the layers."""
        kinds = ("CONV_2D", "DEPTHWISE_CONV_2D", "ADD")
        return [kinds[i % 3] for i in range(self.layers - 1)] + ["FULLY_CONNECTED"]

    def has(self, fault: str, build: int) -> bool:
        """Whether *build*, counted from 0, has this fault."""
        number: int | None = getattr(self.faults, fault)
        return number is not None and number % self.builds == build

    def model_sha256(self, build: int | None) -> str:
        """Hash of a build's model; of the reference's for None."""
        text = f"{MODEL_NAME} {REFERENCE_BUILD if build is None else self.build_names[build]}"
        return hashlib.sha256(text.encode()).hexdigest()

    def sqnr_db(self, build: int) -> Floats:
        """Return the SQNR of each layer in *build*, shape (layers,), dB."""
        level = np.linspace(34.0, 26.0, self.layers)
        if self.has("quantization", build):
            level[7] -= self.faults.loss_db
            level[8:] -= 0.75 * self.faults.loss_db
        return level

    def started_ns(self, build: int | None) -> int:
        """When a build's first frames ran; the reference's, a week before all, for None."""
        number = -1 if build is None else build
        return self.end_ns - (self.builds - 1 - number) * WEEK_NS


def write_sample(
    lake: "Lake", fleet: Fleet, progress: "Callable[[int, int], None] | None" = None
) -> None:
    """Write a fleet to a lake, a commit for each build."""
    pack = _Pack(fleet)
    lake.append(_model_rows(fleet))
    lake.append(_run_rows(pack, None))
    for build in range(fleet.builds):
        lake.append(_run_rows(pack, build))
        if progress is not None:
            progress(build + 1, fleet.builds)


class _Pack:
    """The canary pack: what the reference makes of each input, and an error for each layer."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.names = [f"canary-{number:03}.png" for number in range(fleet.inputs)]
        self.keys = np.array([input_key(name) for name in self.names])
        self.families = [sketch_family(int(key)) for key in self.keys]
        random = np.random.default_rng(7)
        shape = (fleet.inputs, fleet.layers + 1, ELEMENTS)
        # the last "layer" is the model's input
        self.values = random.standard_normal(shape) * 2.0
        noise = random.standard_normal(shape)
        norm = np.linalg.norm(self.values, axis=2) / np.linalg.norm(noise, axis=2)
        self.noise = noise * norm[:, :, None]
        self.value_sketches = self._sketched(self.values)
        self.noise_sketches = self._sketched(self.noise)

    def _sketched(self, arrays: Floats) -> Floats:
        return np.array(
            [
                [sketch(array, family) for array in of_input]
                for of_input, family in zip(arrays, self.families, strict=True)
            ]
        )


@dataclass(frozen=True, slots=True)
class _Frames:
    """Frames of one build: number, run, input and start of each, shape (frames,)."""

    number: Ints
    run: Ints
    device: Ints
    input: Ints
    start_ns: Ints
    measured: Any


def _model_rows(fleet: Fleet) -> "dict[str, pa.Table]":
    """Graphs of all models, and which of their layers answer to each other."""
    builds: list[int | None] = [None, *range(fleet.builds)]
    layers, count = fleet.layers, len(builds)
    index = np.tile(np.arange(layers), count)
    no_names: list[str] = []
    graphs = table_of(
        "graphs",
        layers * count,
        {
            "model_name": MODEL_NAME,
            "model_sha256": [fleet.model_sha256(build) for build in builds for _ in range(layers)],
            "subgraph_index": 0,
            "layer_index": index,
            "layer_name": fleet.layer_names * count,
            "op": fleet.layer_ops * count,
            "input_names": [no_names] * len(index),
            "output_names": [[name] for name in fleet.layer_names * count],
            "output_shapes": [[f"1,{ELEMENTS}"] for _ in index],
            "output_dtypes": [["int8"] for _ in index],
            "output_scales": [[0.05] for _ in index],
            "output_zero_points": [[0] for _ in index],
            "parents": [[int(i) - 1] for i in index],
            "macs": 1_000_000,
            "weight_bytes": 10_000,
            "activation_bytes": ELEMENTS,
        },
    )
    of_edge = np.tile(np.arange(layers), fleet.builds)
    alignments = table_of(
        "alignments",
        len(of_edge),
        {
            "edge_model_sha256": [
                fleet.model_sha256(build) for build in range(fleet.builds) for _ in range(layers)
            ],
            "reference_model_sha256": fleet.model_sha256(None),
            "edge_layer_index": of_edge,
            "reference_layer_index": of_edge,
            "method": "name",
            "distance": 0.05,
            "runner_up": 0.9,
            "version": 1,
            "recorded_ns": fleet.started_ns(None),
        },
    )
    return {"graphs": graphs, "alignments": alignments}


def _run_rows(pack: _Pack, build: int | None) -> "dict[str, pa.Table]":
    """All rows of one build, or of the reference."""
    fleet = pack.fleet
    devices = _devices(fleet, build)
    frames = _frames(pack, build, devices)
    shared = _shared(fleet, build, frames)
    return {
        "runs": _runs(fleet, build, devices),
        "frames": _frame_table(pack, build, frames, shared),
        "spans": _span_table(fleet, frames, shared),
        "layer_spans": _layer_table(fleet, build, frames, shared),
        "tensors": _tensor_table(pack, build, frames, shared),
    }


def _devices(fleet: Fleet, build: int | None) -> Ints:
    """Devices that ran a build."""
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


def _frames(pack: _Pack, build: int | None, devices: Ints) -> _Frames:
    fleet = pack.fleet
    per_run = fleet.inputs if build is None else fleet.frames_per_run
    count = len(devices) * per_run
    run = np.repeat(np.arange(len(devices)), per_run)
    in_run = np.tile(np.arange(per_run), len(devices))
    first = 0 if build is None else (build + 1) * fleet.devices * fleet.frames_per_run * 4
    step_ns = HOUR_NS // max(1, per_run)
    return _Frames(
        number=first + np.arange(count),
        run=run,
        device=devices[run],
        input=(in_run + devices[run]) % fleet.inputs,
        start_ns=fleet.started_ns(build) + in_run * step_ns + devices[run] % 1000 * 10**6,
        measured=(in_run % (1 if build is None else fleet.measured_every)) == 0,
    )


def _shared(fleet: Fleet, build: int | None, frames: _Frames) -> "Callable[[Ints], dict[str, Any]]":
    """Return what gives rows below the chosen frames the columns that all tables share."""
    start = int(fleet.started_ns(build))
    # a build's frames run within one UTC day, or two; the path must say which
    days = frames.start_ns // (86_400 * 10**9)
    labels = {int(day): str(np.datetime64(int(day), "D")) for day in np.unique(days)}
    keys = sorted(labels)

    def columns(chosen: Ints) -> dict[str, Any]:
        number = frames.number[chosen]
        return {
            "run_id": ids(_run_high(build), frames.device[chosen] + 1, 16),
            "build": REFERENCE_BUILD if build is None else fleet.build_names[build],
            "model_name": MODEL_NAME,
            "model_sha256": fleet.model_sha256(build),
            "trace_id": ids(start, number, 16),
            "frame_span_id": ids(0, number * _SPANS_PER_FRAME, 8),
            "role": "reference" if build is None else "edge",
            "dt": names([labels[key] for key in keys], np.searchsorted(keys, days[chosen])),
        }

    return columns


def _run_high(build: int | None) -> int:
    return (0x0190 << 48) + (0 if build is None else build + 1)


def _runs(fleet: Fleet, build: int | None, devices: Ints) -> "pa.Table":
    kind = devices % len(DEVICE_MODELS)
    reference = build is None
    return table_of(
        "runs",
        len(devices),
        {
            "run_id": ids(_run_high(build), devices + 1, 16),
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
            "device_model": "workstation" if reference else names(list(DEVICE_MODELS), kind),
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


def _layer_ns(fleet: Fleet, build: int | None, frames: _Frames) -> Ints:
    """Time of every layer in every frame, shape (frames, layers), ns."""
    random = np.random.default_rng(100 + (0 if build is None else build))
    base = np.random.default_rng(3).uniform(0.2e6, 1.2e6, fleet.layers)
    kind = frames.device % len(DEVICE_MODELS)
    times = base * np.array(DEVICE_SPEED)[kind][:, None]
    times *= random.lognormal(0.0, 0.08, times.shape)
    if build is not None and fleet.has("slow", build):
        times[:, 3] *= np.where(kind == 1, 4.0, 1.0)
    whole: Ints = times.astype(np.int64)
    return whole


def _frame_table(
    pack: _Pack, build: int | None, frames: _Frames, shared: "Callable[[Ints], dict[str, Any]]"
) -> "pa.Table":
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
            "span_id": ids(0, frames.number * _SPANS_PER_FRAME, 8),
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
            "level": names(["latency", "distribution"], frames.measured.astype(np.int64)),
            "sample_rate": np.where(frames.measured, rate, max(rate, 1 - rate)),
            "overhead_ns": (dur_ns * slower).astype(np.int64),
            "canary_id": "sample",
            "status": "unset",
        },
    )


def _span_table(
    fleet: Fleet, frames: _Frames, shared: "Callable[[Ints], dict[str, Any]]"
) -> "pa.Table":
    """A stage and an inference of each frame."""
    chosen = np.repeat(np.arange(len(frames.number)), 2)
    which = np.tile(np.array([_STAGE, _INFERENCE]), len(frames.number))
    own = frames.number[chosen] * _SPANS_PER_FRAME
    return table_of(
        "spans",
        len(chosen),
        shared(chosen)
        | {
            "span_id": ids(0, own + which, 8),
            "parent_span_id": ids(0, own, 8),
            "start_ns": frames.start_ns[chosen] + np.where(which == _INFERENCE, STAGE_NS, 0),
            "dur_ns": np.where(which == _INFERENCE, 10_000_000, STAGE_NS),
            "name": names(["inference", "preprocess"], (which == _STAGE).astype(np.int64)),
            "kind": "internal",
            "status": "unset",
            "scope": "exray",
        },
    )


def _below(fleet: Fleet, frames: _Frames, chosen: Ints, layer: Ints) -> dict[str, Any]:
    """Columns that a layer's span and its tensor share."""
    own = frames.number[chosen] * _SPANS_PER_FRAME
    return {
        "parent_span_id": ids(0, own + _INFERENCE, 8),
        "layer_index": layer,
        "layer_name": names(fleet.layer_names, layer),
        "op": names(fleet.layer_ops, layer),
        "subgraph_index": 0,
        "inference_index": 0,
    }


def _layer_table(
    fleet: Fleet,
    build: int | None,
    frames: _Frames,
    shared: "Callable[[Ints], dict[str, Any]]",
) -> "pa.Table":
    count = len(frames.number)
    times = _layer_ns(fleet, build, frames)
    chosen = np.repeat(np.arange(count), fleet.layers)
    layer = np.tile(np.arange(fleet.layers), count)
    begun = np.cumsum(times, axis=1) - times + STAGE_NS + frames.start_ns[:, None]
    return table_of(
        "layer_spans",
        len(chosen),
        shared(chosen)
        | _below(fleet, frames, chosen, layer)
        | {
            "span_id": ids(0, frames.number[chosen] * _SPANS_PER_FRAME + 4 + 2 * layer, 8),
            "input_key": None,
            "start_ns": begun.reshape(-1),
            "dur_ns": times.reshape(-1),
            "timing": "probe",
        },
    )


def _tensor_table(
    pack: _Pack, build: int | None, frames: _Frames, shared: "Callable[[Ints], dict[str, Any]]"
) -> "pa.Table":
    """The model input and each layer's output in the frames that are measured."""
    import pyarrow as pa

    fleet = pack.fleet
    seen = np.flatnonzero(frames.measured)
    chosen = np.repeat(seen, fleet.layers + 1)
    layer = np.tile(np.arange(fleet.layers + 1), len(seen))
    inputs = frames.input[chosen]
    is_layer = layer < fleet.layers
    # the model's input is the same on both sides
    gain = np.zeros(len(chosen))
    if build is not None:
        level = np.append(fleet.sqnr_db(build), np.inf)
        jitter = np.random.default_rng(900 + build).normal(0.0, 0.3, len(chosen))
        gain = 10 ** (-(level[layer] + jitter) / 20)
    values = pack.values[inputs, layer] + gain[:, None] * pack.noise[inputs, layer]
    wide = pack.value_sketches[inputs, layer] + gain[:, None] * pack.noise_sketches[inputs, layer]
    broken = np.zeros(len(chosen), np.int64)
    if build is not None and fleet.has("nonfinite", build):
        broken[(layer == 5) & (frames.device[chosen] % len(DEVICE_MODELS) == 2)] = 2
    own = frames.number[chosen] * _SPANS_PER_FRAME
    narrow = np.array([fold(row, 64) for row in wide])
    columns = _below(fleet, frames, chosen, np.minimum(layer, fleet.layers - 1))
    columns["layer_index"] = pa.array(columns["layer_index"], pa.int32())
    for name in ("layer_index", "layer_name", "op"):
        columns[name] = nulled(columns[name], ~is_layer)
    return table_of(
        "tensors",
        len(chosen),
        shared(chosen)
        | columns
        | {
            "span_id": ids(0, own + np.where(is_layer, 4 + 2 * layer, _INPUT), 8),
            "input_key": pack.keys[inputs],
            "start_ns": frames.start_ns[chosen] + STAGE_NS + layer,
            "tensor_role": names(["input", "layer"], is_layer.astype(np.int64)),
            "tensor_name": names([*fleet.layer_names, "image"], layer),
            "tensor_index": 0,
            "dtype": "float32" if build is None else "int8",
            "shape": f"1,{ELEMENTS}",
            "scale": None if build is None else 0.05,
            "zero_point": None if build is None else 0,
            "count": ELEMENTS,
            **{
                f"sum{power if power > 1 else ''}": (values**power).sum(axis=1)
                for power in (1, 2, 3, 4)
            },
            "min": values.min(axis=1),
            "max": values.max(axis=1),
            "nan_count": broken,
            "posinf_count": 0,
            "neginf_count": 0,
            "zero_count": (np.abs(values) < 0.02).sum(axis=1),
            "sat_low_count": 0,
            "sat_high_count": np.zeros(len(chosen), np.int64)
            if build is None
            else (values > 5.5).sum(axis=1),
            "hash": (inputs * 64 + layer) * 1024 + (0 if build is None else build + 1) * is_layer,
            "sketch": lists(narrow.astype(np.float32), pa.float32()),
            "sketch_256": nulled(lists(wide.astype(np.float32), pa.float32()), is_layer),
            "sketch_version": "cs1",
        }
        | _distributions(values, frames, chosen, build),
    )


def _distributions(
    values: Floats, frames: _Frames, chosen: Ints, build: int | None
) -> dict[str, list[str | None]]:
    """Histograms and channels of each run's first frame; of all frames of the reference."""
    wanted = np.zeros(len(frames.number), bool)
    wanted[np.flatnonzero(np.diff(frames.run, prepend=-1))] = True
    rows = np.flatnonzero(wanted[chosen] | (build is None))[:MOST_DISTRIBUTIONS]
    found: dict[str, list[str | None]] = {
        name: [None] * len(chosen) for name in ("histogram", "channels")
    }
    for row in rows:
        array = values[row].astype(np.float32)[None, :]
        by_size, by_channel = histogram(array), channels(array)
        found["histogram"][row] = None if by_size is None else by_size.encode()
        found["channels"][row] = None if by_channel is None else by_channel.encode()
    return found
