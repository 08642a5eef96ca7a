"""Small lakes, made from records as instrumentation makes them."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.exporters.convert import tables_from_records
from exray.lake import Lake
from exray.schema.identity import input_key, sketch_family
from exray.schema.records import (
    TENSOR_ROW,
    FrameRecord,
    Graph,
    GraphOp,
    InferenceRecord,
    LayerSite,
    Run,
    SpanRecord,
    TensorBlock,
    TensorSite,
)
from exray.schema.statistics import summarize_into

START_NS = 1_769_904_000_000_000_000
"""1 February 2026."""

SIZE = 512
"""Elements of every tensor, unless a test gives others."""

Array = NDArray[Any]

_ids = itertools.count(1)


def make_graph(sha256: str, names: Sequence[str], excluded: Iterable[int] = ()) -> Graph:
    """Return a chain of layers; *excluded* compute no activations."""
    shapes = [(1, SIZE)] * len(names)
    left_out = set(excluded)
    ops = [
        GraphOp(
            subgraph_index=0,
            layer_index=i,
            layer_name=name,
            op="SHAPE" if i in left_out else "CONV_2D",
            input_names=(),
            output_names=(name,),
            output_shapes=(",".join(map(str, shapes[i])),),
            output_dtypes=("float32",),
            output_scales=(None,),
            output_zero_points=(None,),
            parents=(i - 1,),
            macs=0 if i in left_out else 1000 * (i + 1),
            weight_bytes=10,
            activation_bytes=10,
            excluded_reason="shape arithmetic" if i in left_out else None,
            attributes={"fused_activation": "RELU6"},
        )
        for i, name in enumerate(names)
    ]
    return Graph(f"net_{sha256[:4]}", sha256, tuple(ops))


@dataclass(slots=True)
class Recording:
    """One run of one model: collects its frames.

    Args:
        graph: The model; its hash names it.
    """

    graph: Graph
    build: str = "e"
    role: str = "edge"
    level: str = "summary"
    kernels: str = "xnnpack"
    frames: list[FrameRecord] = field(default_factory=list[FrameRecord])
    run: Run = field(init=False)

    def __post_init__(self) -> None:
        """Open the run."""
        number = next(_ids)
        self.run = Run(
            run_id=(number << 96 | number).to_bytes(16),
            build=self.build,
            role=self.role,
            started_ns=START_NS + number,
            model_name=self.graph.model_name,
            model_sha256=self.graph.model_sha256,
            runtime_name="litert",
            kernels=self.kernels,
            device_id="d1",
            device_model="pi5",
        )

    def add(
        self,
        input_id: str,
        model_input: Array | None = None,
        layers: Mapping[int, Array] | None = None,
        *,
        raw: Array | None = None,
        stages: Mapping[str, Array] | None = None,
        label: int | None = None,
        prediction: int | None = None,
        status: str = "unset",
        output: Array | None = None,
    ) -> FrameRecord:
        """Add a frame that took 3 ms, 2 ms of them in the model."""
        number = next(_ids)
        key, start_ns = input_key(input_id), START_NS + number * 10**7
        family = sketch_family(key)
        trace_id, span_id = number.to_bytes(16), number.to_bytes(8)
        inference_id = (number << 20).to_bytes(8)
        outside = [] if raw is None else [(TensorSite("raw", "raw", 0, "float32", ()), raw)]
        outside += [
            (TensorSite("stage", name, 0, str(value.dtype), ()), value)
            for name, value in (stages or {}).items()
        ]
        inside = [] if model_input is None else [_input_site(model_input)]
        for index, value in (layers or {}).items():
            op = self.graph.ops[index]
            layer = LayerSite(index, op.layer_name, op.op)
            inside.append(
                (TensorSite("layer", op.layer_name, 0, "float32", (), layer=layer), value)
            )
        if output is not None:
            inside.append((TensorSite("output", "scores", 0, "float32", output.shape), output))
        inference = InferenceRecord(
            run=self.run,
            span_id=inference_id,
            start_ns=start_ns,
            dur_ns=2_000_000,
            tensors=_block(inside, family, inference_id) if inside else None,
        )
        frame = FrameRecord(
            run=self.run,
            trace_id=trace_id,
            span_id=span_id,
            parent_span_id=None,
            input_id=input_id,
            input_key=key,
            frame_index=len(self.frames),
            start_ns=start_ns,
            dur_ns=3_000_000,
            level=self.level,
            status=status,
            label=None if label is None else str(label),
            prediction_ids=None if prediction is None else (prediction,),
            inferences=[inference],
            spans=[_stage(trace_id, span_id, start_ns)],
            tensors=[_block(outside, family, span_id)] if outside else [],
        )
        self.frames.append(frame)
        return frame


def make_lake(path: Path, *recordings: Recording) -> Lake:
    """Write recordings to a new or existing lake."""
    lake = Lake.open_or_create(path)
    for recording in recordings:
        lake.append(tables_from_records([recording.run], [recording.graph], recording.frames, []))
    return lake


def make_values(seed: int, size: int = SIZE) -> Array:
    """Return numbers that are far from those of any other seed."""
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32)


def with_noise(values: Array, sqnr_db: float, seed: int = 99) -> Array:
    """Return *values* with an error of this SQNR, exactly."""
    noise = make_values(seed, values.size)
    noise *= np.linalg.norm(values) / np.linalg.norm(noise) * 10 ** (-sqnr_db / 20)
    return values + noise


def _input_site(value: Array) -> tuple[TensorSite, Array]:
    return TensorSite("input", "image", 0, "float32", value.shape), value


def _block(seen: list[tuple[TensorSite, Array]], family: int, parent: bytes) -> TensorBlock:
    rows = np.zeros(len(seen), TENSOR_ROW)
    rows["site"] = np.arange(len(seen))
    rows["span_id"] = [next(_ids) for _ in seen]
    rows["parent_span_id"] = int.from_bytes(parent)
    rows["start_ns"] = START_NS
    rows["dur_ns"] = -1
    wide: dict[int, NDArray[np.float32]] = {}
    for i, (site, value) in enumerate(seen):
        sketch = summarize_into(rows, i, value, quantization=None, family=family)
        if site.role != "layer":
            wide[i] = sketch
    return TensorBlock([site for site, _ in seen], rows, wide)


def _stage(trace_id: bytes, frame_span_id: bytes, start_ns: int) -> SpanRecord:
    return SpanRecord(
        name="preprocess",
        trace_id=trace_id,
        span_id=next(_ids).to_bytes(8),
        parent_span_id=frame_span_id,
        start_ns=start_ns,
        dur_ns=1_000_000,
    )
