"""Which kernel's time is whose, and how often it is worth asking."""

from typing import Any

import pytest

from exray.instrumentation.onnx_file import file_from_proto
from exray.instrumentation.onnx_graph import OnnxGraph, onnx_graph
from exray.instrumentation.onnx_profile import (
    FIRST_COST,
    PROFILE_SHARE,
    ProfileTurns,
    kernels_from_optimised,
    times_from_events,
    with_marks,
)
from exray.instrumentation.recorder import Recorder
from exray.testing import MemorySink, recording

from .onnx_builders import image, model_of, runtime, small

ort = runtime()

MS = 1_000_000


def event(name: str, ts: int, dur: int, cat: str = "Node") -> dict[str, Any]:
    return {"cat": cat, "name": name, "ts": ts, "dur": dur, "args": {}}


def optimised(nodes: list[Any]) -> bytes:
    content: bytes = model_of(nodes, {"x": [1]}, {"p": [1]}).SerializeToString()
    return content


def graph() -> OnnxGraph:
    return onnx_graph(file_from_proto(small()), model_name="m", sha256="")


# --- times ------------------------------------------------------------------------------


def test_the_last_run_counts_from_its_own_start() -> None:
    events = [
        event("a_kernel_time", 10, 5),
        event("model_run", 9, 8, "Session"),
        event("a_kernel_time", 101, 3),
        event("b_kernel_time", 105, 2),
        event("model_run", 100, 9, "Session"),
    ]
    times = times_from_events(events, {"a": 0, "b": 4})
    assert times.layers == {0: (1_000, 3_000), 4: (5_000, 2_000)}
    assert times.extra_count == 0


def test_kernels_of_one_layer_add_up_and_those_of_none_are_counted_apart() -> None:
    events = [
        event("a_kernel_time", 1, 3),
        event("reorder_kernel_time", 4, 2),
        event("a2_kernel_time", 6, 4),
        event("a_fence_before", 0, 9),
        event("model_run", 0, 20, "Session"),
    ]
    times = times_from_events(events, {"a": 2, "a2": 2})
    assert times.layers == {2: (1_000, 7_000)}
    assert (times.extra_count, times.extra_ns) == (1, 2_000)


def test_a_profile_without_a_run_tells_nothing() -> None:
    assert times_from_events([event("a_kernel_time", 1, 3)], {"a": 0}).layers == {}


# --- whose kernel it is -----------------------------------------------------------------


def test_a_fused_kernels_time_is_that_of_the_product_in_it() -> None:
    from onnx import helper

    nodes = [
        helper.make_node("FusedConv", ["x"], ["r1"], name="exray_0", domain="com.microsoft"),
        helper.make_node("FusedConv", ["r1"], ["token"], name="r2_nchwc", domain="com.microsoft"),
        helper.make_node("FusedConv", ["token"], ["r3"], name="new", domain="com.microsoft"),
        helper.make_node("ReorderOutput", ["r3"], ["token_1"], name="ReorderOutput"),
        helper.make_node("Softmax", ["token_1"], ["p"], name="exray_11"),
    ]
    found = kernels_from_optimised(optimised(nodes), graph())
    ops = {name: graph().graph.ops[layer].output_names[0] for name, layer in found.items()}
    assert ops == {"exray_0": "c1", "r2_nchwc": "c2", "new": "c3", "exray_11": "p"}


def test_every_kernel_of_the_optimised_graph_is_known_or_a_change_of_layout(tmp_path: Any) -> None:
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "o.onnx")
    options.log_severity_level = 4
    ort.InferenceSession(with_marks(small().SerializeToString()), options)
    content = (tmp_path / "o.onnx").read_bytes()
    found = kernels_from_optimised(content, graph())
    model = ort.InferenceSession(content)
    assert model.run(None, {"x": image()})[0].shape == (1, 5)
    layers = [graph().graph.ops[layer] for layer in found.values()]
    assert {"Conv", "Gemm", "Softmax"} <= {op.op for op in layers}
    products = [op.layer_index for op in graph().graph.ops if op.macs]
    assert set(products) <= set(found.values())


# --- turns ------------------------------------------------------------------------------


def frames_until_timed(recorder: Recorder, turns: ProfileTurns) -> int:
    """Return how many frames of a millisecond went by before one is timed."""
    for count in range(100_000):
        if turns.takes(MS):
            return count
        recorder.sampler.add_untraced(MS, 0, count * MS)
    return -1


def test_without_a_budget_every_frame_is_timed() -> None:
    with recording(MemorySink()) as recorder:
        turns = ProfileTurns(recorder)
        turns.pay(10**12)
        assert turns.takes(1)


def test_under_a_budget_each_is_earned_before_it_is_spent() -> None:
    with recording(MemorySink(), sampling="budget", overhead_budget=0.02) as recorder:
        turns = ProfileTurns(recorder)
        share = 0.02 * PROFILE_SHARE
        assert frames_until_timed(recorder, turns) == pytest.approx(FIRST_COST / share, abs=1)
        turns.pay(FIRST_COST * MS)
        assert frames_until_timed(recorder, turns) == pytest.approx(FIRST_COST / share, abs=1)
