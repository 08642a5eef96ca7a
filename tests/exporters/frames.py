"""Frames of every kind that an application can record, for tests of what leaves as spans."""

from dataclasses import replace

import numpy as np

from exray.schema.records import (
    TENSOR_ROW,
    WIDE_SKETCH_SIZE,
    FrameRecord,
    InferenceRecord,
    LayerSite,
    MetricRecord,
    Quantization,
    TensorBlock,
    TensorSite,
)

from .builders import (
    START_NS,
    make_frame,
    make_layer_block,
    make_run,
    make_sites,
    make_stage,
    make_tensor_block,
    span_word,
)

WORD = 0x1122334455667788


def carry(inference: InferenceRecord, first_row: int = 1) -> None:
    """Let the inference carry its first tensor and each layer its output."""
    assert inference.layers is not None and inference.tensors is not None
    ids = inference.tensors.rows["span_id"]
    ids[0] = span_word(inference.span_id)
    count = len(inference.layers.rows)
    ids[first_row : first_row + count] = inference.layers.rows["span_id"]


def carried_frame(number: int = 0, layers: int = 3) -> FrameRecord:
    """Return a frame as instrumentation makes it: spans carry their first tensors."""
    frame = make_frame(number, layers=layers)
    carry(frame.inferences[0])
    return frame


def two_model_frame(number: int = 0) -> FrameRecord:
    """Return a frame of two models, each with a run of its own."""
    frame = carried_frame(number)
    chain, places = make_sites(2, "segment")
    other = InferenceRecord(
        run=make_run(2, model_name="second", model_sha256="cd" * 32),
        span_id=b"sec" + number.to_bytes(5, "big"),
        start_ns=START_NS + 5000,
        dur_ns=-1,
        layers=make_layer_block(chain, 70_000 + 10 * number),
        tensors=make_tensor_block(places, 80_000 + 10 * number),
    )
    carry(other)
    frame.inferences.append(other)
    return frame


def failed_frame(number: int = 0) -> FrameRecord:
    """Return a frame in which a stage, and with it the frame, raised."""
    frame = carried_frame(number)
    frame.status, frame.status_message = "error", f"ValueError: número {number}"
    frame.spans[0].status, frame.spans[0].status_message = "error", f"number {number}"
    frame.inferences = []
    return frame


def gaps_frame(number: int = 0) -> FrameRecord:
    """Return a frame in which statistics, sketches and times are missing, here and there."""
    frame = carried_frame(number, layers=6)
    tensors = frame.inferences[0].tensors
    assert tensors is not None
    rows = tensors.rows
    rows["min"][2], rows["max"][2] = np.nan, np.nan
    for name in ("sum", "sum2", "sum3", "sum4"):
        rows[name][3] = np.nan
    rows["sketch"][4] = np.nan
    rows["sketch"][5, 17] = np.nan  # one is enough: half a sketch is none
    rows["sum"][6], rows["sum4"][6] = np.inf, -np.inf
    rows["sketch"][6, :2] = np.inf, -0.0
    tensors.wide_sketches = {0: np.full(WIDE_SKETCH_SIZE, np.nan, np.float32)}
    frame.dur_ns = -1
    frame.output_hash = None
    return frame


def foreign_names_frame(number: int = 0) -> FrameRecord:
    """Return a frame whose names are not ASCII, or not even UTF-8, or very long."""
    frame = make_frame(number, input_id="bücher/猫.png")
    layer = LayerSite(0, "couche_é/猫", "CONVOLUTION_π", timing="probe")
    second = LayerSite(1, "x" * 300, "MUL", subgraph_index=2, timing="eager")
    inference = frame.inferences[0]
    inference.layers = make_layer_block([layer, second])
    sites = [
        TensorSite("input", "entrée", 0, "int8", (1, 2), None, Quantization((0.1, 0.2), (0, 1))),
        TensorSite("layer", "sortie_\udce9", 0, "float32", (), "nhwc", None, layer),
        TensorSite("layer", "t" * 200, 0, "float32", (1,), None, Quantization((), ()), second),
    ]
    inference.tensors = make_tensor_block(sites)
    carry(inference)
    frame.label = "naïve " + "l" * 200
    frame.spans[0] = replace(frame.spans[0], name="vorverarbeiten für 猫")
    return frame


def outside_frame(number: int = 0) -> FrameRecord:
    """Return a frame with tensors outside the model: raw, of a stage, and an application's."""
    frame = carried_frame(number)
    stage = frame.spans[0]
    sites = [
        TensorSite("raw", "raw", 0, "uint8", (8, 8, 3)),
        TensorSite("stage", "preprocess", 0, "float32", (1, 8, 8, 3)),
        TensorSite("custom", "boxes", 0, "float32", (4, 4)),
    ]
    rows = make_tensor_block(sites).rows
    rows["span_id"] = [span_word(frame.span_id), span_word(stage.span_id), WORD + number]
    rows["parent_span_id"] = [0, span_word(frame.span_id), span_word(frame.span_id)]
    rows["dur_ns"] = [frame.dur_ns, stage.dur_ns, 0]
    wide = {0: np.linspace(0, 1, WIDE_SKETCH_SIZE, dtype=np.float32)}
    frame.tensors = [TensorBlock(sites[:2], rows[:2], wide), TensorBlock(sites[2:], rows[2:])]
    frame.tensors[1].rows["site"] = 0
    return frame


def several_outputs_frame(number: int = 0) -> FrameRecord:
    """Return a frame with a layer of two outputs and the model's outputs beside the layers'."""
    frame = make_frame(number, layers=2)
    inference = frame.inferences[0]
    chain, places = make_sites(2)
    more = [
        TensorSite("layer", "second", 1, "float32", (2,), layer=chain[0]),
        TensorSite("output", "out", 0, "float32", (2,), quantization=Quantization((0.5,), (-3,))),
    ]
    inference.tensors = make_tensor_block([*places, *more], 50_000 + 100 * number)
    inference.tensors.wide_sketches = {
        row: np.random.default_rng(row).normal(size=WIDE_SKETCH_SIZE).astype(np.float32)
        for row in (0, 4)
    }
    inference.tensors.rows["dur_ns"][3:] = 0, 250
    carry(inference)
    return frame


def private_frame(number: int = 0) -> FrameRecord:
    """Return a frame whose input's sketch is shortened, as one output's and the stage's are."""
    frame = outside_frame(number)
    inside = frame.inferences[0].tensors
    assert inside is not None
    inside.rows["sketch"][0, 16:] = np.nan
    inside.rows["sketch"][2, 8:] = np.nan
    inside.rows["sketch"][3, 16:] = np.nan
    inside.wide_sketches = {}
    frame.tensors[0].rows["sketch"][1, 32:] = np.nan
    return frame


def distribution_frame(number: int = 0) -> FrameRecord:
    """Return a frame at level distribution: some tensors have histogram and channels."""
    frame = outside_frame(number)
    inside = frame.inferences[0].tensors
    assert inside is not None
    inside.histograms = {1: f"eh1:{number}", 2: "eh1:AAAA"}
    inside.channels = {2: "ch1:" + "B" * (100 + number)}
    frame.tensors[1].histograms = {0: f"eh1:c{number}"}
    return frame


def plain_frame(number: int = 0) -> FrameRecord:
    """Return a frame at level latency: no tensors, no layers, below an application's span."""
    frame = make_frame(number)
    frame.parent_span_id = b"\x00app\xff\x00\x01\x02"
    frame.level, frame.sample_rate = "latency", 0.25
    frame.label = frame.prediction_ids = frame.prediction_scores = None
    frame.inferences[0].layers = frame.inferences[0].tensors = None
    frame.output_hash, frame.overhead_ns = -(2**63), 2**40
    frame.memory_peak_bytes, frame.cpu_ns = 2**63 - 1, 0
    frame.canary_id = "canary-7"
    return frame


def bare_frame(number: int = 0) -> FrameRecord:
    """Return a frame without a model, whose stage has no tensor and another run."""
    frame = make_frame(number)
    frame.inferences, frame.spans = [], []
    frame.spans.append(replace(make_stage(frame.trace_id, frame.span_id), run=make_run(9)))
    frame.metrics = [MetricRecord(name="light", value=0.5, time_ns=START_NS, unit="lx")]
    return frame


def lone_tensors_frame(number: int = 0) -> FrameRecord:
    """Return a frame whose inference has tensors but no layers, and none of them carried."""
    frame = make_frame(number)
    frame.inferences[0].layers = None
    return frame


def empty_block_frame(number: int = 0) -> FrameRecord:
    """Return a frame whose blocks hold nothing."""
    frame = make_frame(number)
    inference = frame.inferences[0]
    inference.layers = make_layer_block([])
    inference.tensors = TensorBlock([], np.empty(0, TENSOR_ROW))
    return frame


KINDS = {
    "carried": carried_frame,
    "two models": two_model_frame,
    "failed": failed_frame,
    "gaps": gaps_frame,
    "foreign names": foreign_names_frame,
    "outside tensors": outside_frame,
    "several outputs": several_outputs_frame,
    "private": private_frame,
    "distribution": distribution_frame,
    "latency": plain_frame,
    "no model": bare_frame,
    "lone tensors": lone_tensors_frame,
    "empty blocks": empty_block_frame,
}
"""A frame of each kind, by what is special about it."""
