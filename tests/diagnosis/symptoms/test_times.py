"""What became slower, which kernels are slow, and which layer is slow for its work."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from exray.diagnosis.causes import Cause
from exray.diagnosis.symptoms import find_times
from exray.schema.records import LAYER_ROW, LayerBlock, LayerSite

from ..lakes import Recording, make_graph
from .scenes import causes

NAMES = ["a", "b", "c", "d", "e", "f"]
USUAL_MS = (1.0,) * len(NAMES)

_ids = itertools.count(1 << 40)


def make_run(
    build: str,
    layers_ms: Sequence[float] = USUAL_MS,
    *,
    stage_ms: float = 2.0,
    kernels: str = "xnnpack",
    role: str = "edge",
    sha256: str = "aa",
    busy: float = 1.0,
    seed: int = 0,
) -> Recording:
    """Return a run of 16 frames whose times vary by a few percent, on a machine so busy."""
    rng = np.random.default_rng(seed)
    recording = Recording(make_graph(sha256, NAMES), build, role, kernels=kernels, level="latency")
    ops = recording.graph.ops
    sites = [LayerSite(i, op.layer_name, op.op, timing="probe") for i, op in enumerate(ops)]
    for i in range(16):
        frame = recording.add(f"{i}.png")
        times_ms = busy * np.array(layers_ms) * np.exp(rng.normal(0, 0.03, len(NAMES)))
        rows = np.zeros(len(NAMES), LAYER_ROW)
        rows["site"] = np.arange(len(NAMES))
        rows["span_id"] = [next(_ids) for _ in NAMES]
        rows["start_ns"] = frame.start_ns
        rows["dur_ns"] = (times_ms * 1e6).astype(np.int64)
        frame.inferences[0].layers = LayerBlock(sites, rows)
        frame.inferences[0].dur_ns = int(times_ms.sum() * 1e6)
        frame.spans[0].dur_ns = int(busy * stage_ms * 1e6 * np.exp(rng.normal(0, 0.03)))
    return recording


def make_reference(layers_ms: Sequence[float] = USUAL_MS) -> Recording:
    return make_run("r", layers_ms, role="reference", sha256="bb", kernels="tensorflow")


def in_turns(edge_ms: Sequence[float], runs: int = 4, stage_ms: float = 2.0) -> list[Recording]:
    """Return runs of both builds in turns, the machine more or less busy in each."""
    rng = np.random.default_rng(9)
    found = [make_reference()]
    for seed in range(runs):
        for build, layers_ms, stage in (("before", USUAL_MS, 2.0), ("e", edge_ms, stage_ms)):
            busy = float(np.exp(rng.normal(0, 0.04)))
            found.append(make_run(build, layers_ms, stage_ms=stage, busy=busy, seed=seed))
    return found


def test_a_layer_that_takes_twice_as_long_is_named(tmp_path: Path) -> None:
    found = causes(tmp_path, find_times, *in_turns((1, 1, 3.0, 1, 1, 1)), baseline="before")
    (cause,) = found
    assert (cause.code, cause.where.layer_index, cause.fails) == ("latency.layer", 2, True)
    ratio = cause.evidence["ratio"]
    assert isinstance(ratio, float)
    assert 2.6 < ratio < 3.4


def test_a_stage_that_takes_longer_is_named(tmp_path: Path) -> None:
    (cause,) = causes(tmp_path, find_times, *in_turns(USUAL_MS, stage_ms=3.0), baseline="before")
    assert (cause.code, cause.where.stage, cause.fails) == ("latency.stage", "preprocess", True)


def test_equal_builds_in_turns_on_a_busy_machine_are_not_told_apart(tmp_path: Path) -> None:
    assert causes(tmp_path, find_times, *in_turns(USUAL_MS), baseline="before") == []


def test_one_run_each_does_not_fail_a_build_but_says_what_is_missing(tmp_path: Path) -> None:
    found = causes(
        tmp_path,
        find_times,
        *(make_reference(), make_run("before"), make_run("e", busy=2.5, seed=1)),
        baseline="before",
    )
    assert {cause.fails for cause in found} == {False}
    assert any("needs 3 more runs a side" in cause.what for cause in found)


def test_a_machine_a_little_busier_is_not_mentioned(tmp_path: Path) -> None:
    runs = (make_reference(), make_run("before"), make_run("e", busy=1.4, seed=1))
    assert causes(tmp_path, find_times, *runs, baseline="before") == []


def test_reference_kernels_in_production_fail(tmp_path: Path) -> None:
    slow = make_run("e", [30.0] * len(NAMES), kernels="reference")
    found = causes(
        tmp_path, find_times, make_reference(), make_run("before"), slow, baseline="before"
    )
    kernel = next(cause for cause in found if cause.code == "latency.kernel")
    assert kernel.fails
    assert kernel.fix == "Run the model on xnnpack kernels again."


def expected_ms(cause: Cause) -> tuple[float, float]:
    now, then = cause.evidence["now_ms"], cause.evidence["expected_ms"]
    assert isinstance(now, float)
    assert isinstance(then, float)
    return now, then


def test_advice_names_operator_kernel_and_saving_from_what_was_measured(tmp_path: Path) -> None:
    slow = make_run("e", (3, 3, 20, 3, 3, 3), kernels="builtin")
    fast = make_run("other", (1, 1, 2, 1, 1, 1), sha256="aa", kernels="xnnpack")
    found = causes(tmp_path, find_times, make_reference(), slow, fast)
    cause = next(cause for cause in found if cause.code == "latency.kernel")
    now, then = expected_ms(cause)
    assert (cause.code, cause.fails, cause.where.layer_index) == ("latency.kernel", False, 2)
    assert cause.evidence["basis"] == "measured with this model file"
    assert 33 < now < 37
    assert 6.5 < then < 7.5


def test_advice_from_other_models_is_said_to_be_an_estimate(tmp_path: Path) -> None:
    macs = np.array([1000 * (i + 1) for i in range(len(NAMES))])
    slow = make_run("e", list(macs / 500), kernels="builtin")
    fast = make_run("other", list(macs / 2000), sha256="cc", kernels="xnnpack")
    (cause,) = causes(tmp_path, find_times, make_reference(), slow, fast)
    now, then = expected_ms(cause)
    assert "estimated from other models" in cause.what
    assert 3.8 < now / then < 4.2


def test_estimate_goes_by_layers_of_like_size(tmp_path: Path) -> None:
    """Small layers that take ten times as long for their work say little of large ones."""
    macs = np.array([1000 * (i + 1) for i in range(len(NAMES))])
    fast_ms, slow_ms = macs / 2000, macs / 100
    for index in (0, 1, 2):
        fast_ms[index] *= 10
    slow = make_run("e", list(slow_ms), kernels="builtin")
    others = [
        make_run(f"other{i}", list(fast_ms), sha256=f"c{i}", kernels="xnnpack") for i in range(5)
    ]
    cause = next(
        x
        for x in causes(tmp_path, find_times, make_reference(), slow, *others)
        if "kernel" in x.code
    )
    _, then = expected_ms(cause)
    assert 0.9 * fast_ms.sum() < then < 1.1 * fast_ms.sum()


def test_without_faster_kernels_seen_nothing_is_advised(tmp_path: Path) -> None:
    slow = make_run("e", kernels="builtin")
    assert causes(tmp_path, find_times, make_reference(), slow) == []


def test_a_layer_far_slower_than_its_peers_is_noted(tmp_path: Path) -> None:
    per_mac = np.array([1.0, 1, 1, 60, 1, 1]) * np.arange(1, 7)
    found = causes(
        tmp_path, find_times, make_reference(list(range(1, 7))), make_run("e", list(per_mac))
    )
    (cause,) = found
    assert (cause.code, cause.where.layer_index, cause.fails) == ("latency.layer", 3, False)


def test_what_is_slow_in_the_reference_too_is_no_news(tmp_path: Path) -> None:
    per_mac = list(np.array([1.0, 1, 1, 60, 1, 1]) * np.arange(1, 7))
    assert causes(tmp_path, find_times, make_reference(per_mac), make_run("e", per_mac)) == []
