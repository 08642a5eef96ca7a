"""What it costs to let a layer's span out of the process, in CPU time.

Frames of 66 layers, each with the summary of its output, as instrumentation hands them on,
are turned in one run into: spans of OpenTelemetry's SDK, started, ended and encoded one by
one; `ReadableSpan` objects built directly, and those encoded; OTLP bytes by template; a
committed lake. Every way takes its turn in every round; the table shows the median over
the rounds and the least, per layer span, with all other spans of a frame in it, and the
ratio to the SDK of the same run. In the lake a layer is two rows, its time and its tensor.
CPU time is the whole process's, threads included.

Needs opentelemetry-exporter-otlp-proto-common and the extra ``lake``.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from opentelemetry import trace as otel_trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from rich.console import Console
from rich.table import Table

from exray.exporters import ExportResult, LakeExporter, RecordBatch
from exray.exporters.otlp_http import gzip_parts
from exray.exporters.otlp_requests import RequestEncoder
from exray.exporters.readable import ReadableSpans
from exray.schema.identity import input_key, new_run_id, new_span_id, new_span_ids, new_trace_id
from exray.schema.records import (
    LAYER_ROW,
    TENSOR_ROW,
    FrameRecord,
    InferenceRecord,
    LayerBlock,
    LayerSite,
    Quantization,
    Run,
    TensorBlock,
    TensorSite,
)

LAYERS = 66
ROUNDS = 9
SDK_FRAMES = 10  # the SDK's queue holds 2048 spans
BATCH_FRAMES = 2000  # what a batch of 64 MiB holds
ROWS = 2 * LAYERS + 4  # a frame's: two for each layer, input and output, the inference, itself
LIMITS_US = {"OTLP bytes by template": 1.0, "a Parquet row": 3.0}


@dataclass
class Way:
    """One way out, and what it cost in each round.

    Args:
        name: What the table calls it.
        frames: How many frames it takes at once.
        emit: Emits frames.
    """

    name: str
    frames: int
    emit: Callable[[Sequence[FrameRecord]], object]
    costs_us: list[float] = field(default_factory=list[float])

    def measure(self, frames: Sequence[FrameRecord]) -> None:
        """Emit once and note the CPU time per layer span."""
        start_s = time.process_time()
        self.emit(frames[: self.frames])
        cost_s = time.process_time() - start_s
        self.costs_us.append(cost_s * 1e6 / self.frames / LAYERS)


def main() -> None:
    """Measure all ways and print a table."""
    run = make_run()
    sites = make_sites()
    frames = [make_frame(run, *sites, number) for number in range(BATCH_FRAMES)]
    with tempfile.TemporaryDirectory() as folder:
        ways = make_ways(run, Path(folder))
        for way in ways:  # templates, imports, threads
            way.measure(frames)
            way.costs_us.clear()
        for _ in range(ROUNDS):
            for way in ways:
                way.measure(frames)
    lake = ways[-1]
    row_us = [cost_us * LAYERS / ROWS for cost_us in lake.costs_us]
    report([*ways, Way("a Parquet row", lake.frames, lake.emit, row_us)])


def make_ways(run: Run, folder: Path) -> list[Way]:
    """Return the ways, the SDK's first."""
    readable = ReadableSpans(Resource({"service.name": "bench"}))
    encoder = RequestEncoder({"service.name": "bench"})
    lake = LakeExporter(folder / "lake")
    provider = TracerProvider(resource=readable.resource_of(run))
    provider.add_span_processor(BatchSpanProcessor(EncodingExporter()))

    def build(frames: Sequence[FrameRecord]) -> list[ReadableSpan]:
        return [span for frame in frames for span in readable.of_frame(frame)]

    def into_lake(frames: Sequence[FrameRecord]) -> None:
        if lake.export(RecordBatch(frames=tuple(frames))) is not ExportResult.SUCCESS:
            sys.exit("the lake could not be written")

    attributes = [
        [(span.name, dict(span.attributes or {})) for span in readable.of_frame(frame)]
        for frame in [make_frame(run, *make_sites(), number) for number in range(SDK_FRAMES)]
    ]
    return [
        Way("SDK: start, end, encode", SDK_FRAMES, lambda _: emit_by_sdk(provider, attributes)),
        Way("ReadableSpan, built directly", SDK_FRAMES, build),
        Way(
            "ReadableSpan, encoded",
            SDK_FRAMES,
            lambda frames: encode_spans(build(frames)).SerializeToString(),
        ),
        Way("OTLP bytes by template", BATCH_FRAMES, lambda frames: sum_of_sizes(encoder, frames)),
        Way(
            "  and gzip, as sent",
            SDK_FRAMES,
            lambda frames: [gzip_parts(body) for body in encoder.traces(frames)],
        ),
        Way("lake, Parquet committed", BATCH_FRAMES, into_lake),
    ]


def sum_of_sizes(encoder: RequestEncoder, frames: Sequence[FrameRecord]) -> int:
    """Encode *frames* request by request, as the exporter does, and return their size."""
    return sum(len(part) for request in encoder.traces(frames) for part in request)


class EncodingExporter(SpanExporter):
    """Encodes what it gets to bytes, as an OTLP exporter does before it sends."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Encode and forget."""
        encode_spans(spans).SerializeToString()
        return SpanExportResult.SUCCESS


def emit_by_sdk(
    provider: TracerProvider, frames: Sequence[Sequence[tuple[str, dict[str, object]]]]
) -> None:
    """Start and end a span for each that is given, and wait until all are encoded."""
    tracer = provider.get_tracer("bench")
    for spans in frames:
        root = tracer.start_span("frame")
        context = otel_trace.set_span_in_context(root)
        for name, attributes in spans[1:]:
            tracer.start_span(name, context, attributes=attributes).end()  # type: ignore[arg-type]
        root.end()
    provider.force_flush()


# --- frames -------------------------------------------------------------------------------


def make_run() -> Run:
    """Return a run."""
    return Run(
        run_id=new_run_id(),
        build="1.4.2",
        role="edge",
        started_ns=time.time_ns(),
        model_name="bench",
        model_sha256="ab" * 32,
        runtime_name="litert",
        kernels="xnnpack",
    )


def make_sites() -> tuple[list[LayerSite], list[TensorSite]]:
    """Return a chain of layers, their outputs, and the model's input and output."""
    layers = [
        LayerSite(i, f"block_{i}/expand_relu/Relu6;block_{i}/BatchNorm", "CONV_2D", timing="probe")
        for i in range(LAYERS)
    ]
    whole = Quantization((0.0235,), (-128,))
    shape = (1, 112, 112, 32)
    outputs = [
        TensorSite("layer", layer.layer_name, 0, "int8", shape, "nhwc", whole, layer)
        for layer in layers
    ]
    image = TensorSite("input", "image", 0, "uint8", (1, 224, 224, 3), "nhwc", whole)
    return layers, [image, *outputs, TensorSite("output", "classes", 0, "int8", (1, 1000))]


def make_frame(
    run: Run, layers: Sequence[LayerSite], tensors: Sequence[TensorSite], number: int
) -> FrameRecord:
    """Return a frame with random numbers in it, which nothing can compress."""
    rng = np.random.default_rng(number)
    start_ns = time.time_ns()
    span_id, inference_id = new_span_id(), new_span_id()
    rows = np.zeros(LAYERS, LAYER_ROW)
    rows["site"], rows["span_id"] = np.arange(LAYERS), new_span_ids(LAYERS)
    rows["start_ns"] = start_ns + np.sort(rng.integers(0, 10**7, LAYERS))
    rows["dur_ns"] = rng.integers(10**4, 10**6, LAYERS)
    seen = np.zeros(len(tensors), TENSOR_ROW)
    seen["site"], seen["span_id"] = np.arange(len(tensors)), new_span_ids(len(tensors))
    seen["span_id"][0] = np.frombuffer(inference_id, np.uint64)[0]
    seen["span_id"][1 : LAYERS + 1] = rows["span_id"]
    seen["start_ns"][1 : LAYERS + 1], seen["dur_ns"][1 : LAYERS + 1] = (
        rows["start_ns"],
        rows["dur_ns"],
    )
    seen["parent_span_id"] = np.frombuffer(inference_id, np.uint64)[0]
    seen["count"] = rng.integers(1000, 400_000, len(seen))
    for name in ("sum", "sum2", "sum3", "sum4", "min", "max"):
        seen[name] = rng.normal(size=len(seen))
    seen["zero_count"] = rng.integers(0, 1000, len(seen))
    seen["hash"] = rng.integers(-(2**63), 2**63, len(seen))
    seen["sketch"] = rng.normal(size=(len(seen), 64))
    wide = {row: rng.normal(size=256).astype(np.float32) for row in (0, len(seen) - 1)}
    input_id = f"{number:05}.png"
    return FrameRecord(
        run=run,
        trace_id=new_trace_id(),
        span_id=span_id,
        parent_span_id=None,
        input_id=input_id,
        input_key=input_key(input_id),
        frame_index=number,
        start_ns=start_ns,
        dur_ns=10**7,
        level="summary",
        label="281",
        prediction_ids=(281, 282, 285, 287, 292),
        prediction_scores=(0.5, 0.25, 0.125, 0.0625, 0.03125),
        output_hash=int(seen["hash"][-1]),
        overhead_ns=10**5,
        memory_peak_bytes=180 * 2**20,
        cpu_ns=10**7,
        inferences=[
            InferenceRecord(
                run=run,
                span_id=inference_id,
                start_ns=start_ns,
                dur_ns=10**7,
                layers=LayerBlock(layers, rows),
                tensors=TensorBlock(tensors, seen, wide),
            )
        ],
    )


# --- report -------------------------------------------------------------------------------


def report(ways: Sequence[Way]) -> None:
    """Print the table."""
    table = Table(
        title=f"CPU per layer span, frames of {LAYERS} layers, {ROUNDS} rounds",
        title_justify="left",
    )
    table.add_column("")
    for name in ("frames at once", "us, median", "us, least", "ratio to SDK", "limit, us"):
        table.add_column(name, justify="right")
    sdk_us = statistics.median(ways[0].costs_us)
    for way in ways:
        median_us = statistics.median(way.costs_us)
        limit = LIMITS_US.get(way.name.strip())
        table.add_row(
            way.name,
            str(way.frames),
            f"{median_us:.2f}",
            f"{min(way.costs_us):.2f}",
            f"1/{sdk_us / median_us:.0f}" if median_us < sdk_us else "1",
            "" if limit is None else f"{limit:g}",
        )
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
