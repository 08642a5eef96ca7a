"""Records as instrumentation makes them, small and with defaults."""

import struct
from collections.abc import Sequence

import numpy as np

from exray.schema.identity import input_key
from exray.schema.records import (
    LAYER_ROW,
    TENSOR_ROW,
    WIDE_SKETCH_SIZE,
    FrameRecord,
    Graph,
    GraphOp,
    InferenceRecord,
    LayerBlock,
    LayerSite,
    Quantization,
    Run,
    SpanRecord,
    TensorBlock,
    TensorSite,
)

START_NS = 1_769_904_000_123_456_789  # 2026-02-01T00:00:00 UTC and a bit: no float64 holds it
TRACE_ID = bytes(range(16))


def make_run(number: int = 1, **values: str) -> Run:
    """Return a run whose id is *number*."""
    run = Run(run_id=number.to_bytes(16, "big"), build="1.4.2", role="edge", started_ns=START_NS)
    run.model_name, run.model_sha256 = "net", "ab" * 32
    for name, value in values.items():
        setattr(run, name, value)
    return run


def make_sites(layers: int, model: str = "layer") -> tuple[list[LayerSite], list[TensorSite]]:
    """Return a chain of *layers* and the model input with each layer's output."""
    chain = [LayerSite(i, f"{model}{i}", "CONV_2D", timing="probe") for i in range(layers)]
    whole = Quantization((0.5,), (3,))
    image = TensorSite("input", "image", 0, "uint8", (1, 8, 8, 3), "nhwc", whole)
    outputs = [TensorSite("layer", s.layer_name, 0, "int8", (1, 4), layer=s) for s in chain]
    return chain, [image, *outputs]


def span_word(span_id: bytes) -> int:
    """Return an id's 8 bytes as the native integer of a numpy block."""
    return int(struct.unpack("=Q", span_id)[0])


def make_layer_block(sites: Sequence[LayerSite], first_word: int = 1000) -> LayerBlock:
    """Return one execution of every layer; the last one was not measured."""
    rows = np.zeros(len(sites), LAYER_ROW)
    rows["site"] = np.arange(len(sites))
    rows["span_id"] = first_word + np.arange(len(sites))
    rows["start_ns"] = START_NS + np.arange(len(sites))
    rows["dur_ns"] = 500
    rows["dur_ns"][-1:] = -1
    return LayerBlock(sites, rows)


def make_tensor_block(sites: Sequence[TensorSite], first_word: int = 2000) -> TensorBlock:
    """Return one summary for every site, the first with a wide sketch."""
    rows = np.zeros(len(sites), TENSOR_ROW)
    number = np.arange(len(sites))
    rows["site"] = number
    rows["span_id"] = first_word + number
    rows["parent_span_id"] = 77
    rows["start_ns"] = START_NS + number
    rows["dur_ns"] = -1
    rows["count"] = 192
    rows["sum"] = 0.1 * number
    rows["min"], rows["max"] = -1.0, 2.0
    rows["hash"] = -(2**62) - number
    rows["sketch"] = number[:, None] + np.arange(64, dtype=np.float32)
    return TensorBlock(sites, rows, {0: np.arange(WIDE_SKETCH_SIZE, dtype=np.float32)})


def make_frame(
    number: int = 0, run: Run | None = None, layers: int = 3, input_id: str | None = None
) -> FrameRecord:
    """Return a frame of one inference with one stage before it."""
    run = run or make_run()
    input_id = f"{number:04}.png" if input_id is None else input_id
    span_id = (number + 1).to_bytes(8, "big")
    chain, places = make_sites(layers)
    trace_id = number.to_bytes(8, "big") + TRACE_ID[8:]
    word = 10_000 * (number + 1)
    inference = InferenceRecord(
        run=run,
        span_id=b"inf" + number.to_bytes(5, "big"),
        start_ns=START_NS + 2000,
        dur_ns=9000,
        layers=make_layer_block(chain, word),
        tensors=make_tensor_block(places, word + 5000),
    )
    return FrameRecord(
        run=run,
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=None,
        input_id=input_id,
        input_key=input_key(input_id),
        frame_index=number,
        start_ns=START_NS + number,
        dur_ns=12_000,
        level="summary",
        label="7",
        prediction_ids=(7, 3),
        prediction_scores=(0.75, 0.25),
        inferences=[inference],
        spans=[make_stage(trace_id, span_id, number)],
    )


def make_stage(trace_id: bytes, frame_span_id: bytes, number: int = 0) -> SpanRecord:
    """Return a stage of a frame."""
    return SpanRecord(
        name="preprocess",
        trace_id=trace_id,
        span_id=b"stg" + number.to_bytes(5, "big"),
        parent_span_id=frame_span_id,
        start_ns=START_NS + 10,
        dur_ns=1500,
    )


def make_foreign_span(number: int = 0, run: Run | None = None) -> SpanRecord:
    """Return a span of the application's own."""
    return SpanRecord(
        name="GET /",
        trace_id=TRACE_ID,
        span_id=b"app" + number.to_bytes(5, "big"),
        parent_span_id=None,
        start_ns=START_NS,
        dur_ns=1_000_000,
        kind="server",
        scope="web",
        attributes_json='{"http.route":"/"}',
        run=run,
    )


def make_graph() -> Graph:
    """Return a model of one operator with two outputs."""
    op = GraphOp(
        subgraph_index=0,
        layer_index=4,
        layer_name="conv",
        op="CONV_2D",
        input_names=("x",),
        output_names=("y", "z"),
        output_shapes=("1,2", "3"),
        output_dtypes=("int8", "float32"),
        output_scales=(0.5, None),
        output_zero_points=(-3, None),
        parents=(-1,),
        macs=10,
        weight_bytes=20,
        activation_bytes=30,
        attributes={"stride": 2},
    )
    return Graph("net", "ab" * 32, (op,))
