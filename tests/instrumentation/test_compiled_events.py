from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from exray.instrumentation.compiled_events import (
    DELEGATE_OPERATOR,
    EVENT,
    EXTRA,
    IGNORED,
    OPERATOR,
    PHASE,
    EventPlan,
    plan_events,
)
from exray.schema.records import LayerSite

Event = tuple[str, int, int, int, int]
"""Tag, type, start and duration in microseconds, metadata."""

END: Event = ("Invoke", 32, 0, 2**32, 1)
"""Telemetry at the end of a subgraph, whose duration is none."""


def events_of(*events: Event) -> tuple[NDArray[np.void], list[str]]:
    """Return a run's events and their tags, in a run's phases."""
    whole = [("LiteRT::Run[buffer registration]", PHASE, 100, 7, 0)]
    whole += [("Invoke", PHASE, 110, 50, 0), *events, END]
    whole += [("LiteRT::Run[Buffer sync]", PHASE, 170, 5, 0)]
    rows = np.zeros(len(whole), EVENT)
    for row, (_, kind, start_us, elapsed_us, metadata) in zip(rows, whole, strict=True):
        row["type"], row["start_us"], row["elapsed_us"] = kind, start_us, elapsed_us
        row["metadata"] = metadata
    return rows, [tag for tag, *_ in whole]


def inside(tag: str, elapsed_us: int, number: int) -> Event:
    """Return an event of an operator inside the delegate."""
    return (tag, DELEGATE_OPERATOR, 0, elapsed_us, number)


def plan(
    ops: Sequence[str], *events: Event, sources: Sequence[Sequence[int]] | None = None
) -> EventPlan:
    """Return the plan of a chain of operators, or of the graph that *sources* describe."""
    layers = [LayerSite(i, f"t{i}", op) for i, op in enumerate(ops)]
    chain = [[i - 1] if i else [] for i in range(len(ops))]
    return plan_events(*events_of(*events), layers, chain if sources is None else sources)


def found(plan: EventPlan) -> list[int]:
    """Return the layers of the events between the phases."""
    layers: list[int] = plan.layers.tolist()
    assert layers[:2] == layers[-2:] == [IGNORED, IGNORED]
    return layers[2:-2]


def test_an_operator_on_litert_kernels_is_known_by_its_index() -> None:
    plan_of_two = plan(
        ["CONV_2D", "SOFTMAX"],
        ("CONV_2D", OPERATOR, 112, 20, 0),
        ("SOFTMAX", OPERATOR, 140, 3, 1),
    )

    assert found(plan_of_two) == [0, 1]
    assert not plan_of_two.delegated


def test_what_does_not_report_itself_ran_in_the_delegate() -> None:
    plan_of_two = plan(
        ["CONV_2D", "SOFTMAX"],
        inside("Convolution (NHWC, QC8) IGEMM", 20, 0),
        ("SOFTMAX", OPERATOR, 140, 3, 1),
    )

    assert found(plan_of_two) == [0, 1]
    assert plan_of_two.delegated


def test_an_event_that_no_operator_claims_is_an_extra() -> None:
    float_kws = plan(
        ["CONV_2D", "RESHAPE", "FULLY_CONNECTED"],
        inside("Convert (NC, F32, QD8)", 1, 0),
        inside("Convolution (NHWC, QD8, F32, QC8W) IGEMM", 20, 1),
        inside("Static Reshape (NC)", 2, 2),
        inside("Static Reshape (NC)", 4, 3),
        inside("Fully Connected (NC, F32) GEMM", 3, 4),
    )

    assert found(float_kws) == [EXTRA, 0, 1, EXTRA, 2]


def test_an_operator_that_the_delegate_dropped_has_no_time() -> None:
    events = [inside("Convolution (NHWC, F32) IGEMM", 20, 0), inside("Softmax (NC, F32)", 3, 1)]
    without_reshape = plan(["CONV_2D", "RESHAPE", "SOFTMAX"], *events)

    assert found(without_reshape) == [0, 2]
    assert [site.timing for site in without_reshape.sites] == ["profiler", "none", "profiler"]
    block = without_reshape.layer_block(events_of(*events)[0], 1000, 10**6)
    assert block.rows["dur_ns"].tolist() == [20_000, -1, 3000]


def test_operators_of_one_kind_are_told_apart_by_their_partition() -> None:
    """Two additions before and one after a custom operator: only the partition says which."""
    assert found(
        plan(
            ["ADD", "CUSTOM", "ADD"],
            inside("Add (ND)", 1, 0),
            ("CUSTOM", OPERATOR, 140, 3, 1),
            inside("Add (ND)", 2, 0),
        )
    ) == [0, 1, 2]
    assert found(
        plan(
            ["ADD", "CUSTOM", "ADD"],
            inside("Add (ND)", 1, 0),
            inside("Add (ND)", 2, 1),
            ("CUSTOM", OPERATOR, 140, 3, 1),
            sources=[[], [0], [0]],
        )
    ) == [0, 2, 1]


def test_a_partition_dropped_altogether_leaves_the_others_in_order() -> None:
    assert found(
        plan(
            ["RESHAPE", "CUSTOM", "ADD"],
            ("CUSTOM", OPERATOR, 140, 3, 1),
            inside("Add (ND)", 2, 0),
        )
    ) == [1, 2]


def test_events_of_a_subgraph_that_an_operator_calls_are_within_that_operator() -> None:
    assert found(
        plan(
            ["WHILE", "ADD"],
            ("WHILE", OPERATOR, 112, 30, 0),
            ("Invoke", PHASE, 113, 28, 0),
            ("ADD", OPERATOR, 114, 3, 1),
            END,
            ("ADD", OPERATOR, 142, 3, 1),
        )
    ) == [0, IGNORED, IGNORED, IGNORED, 1]


def test_an_index_outside_the_graph_is_ignored() -> None:
    assert found(plan(["ADD"], ("NEW", OPERATOR, 112, 30, 7))) == [IGNORED]


def test_durations_are_in_nanoseconds_and_starts_follow_one_another() -> None:
    events = [
        inside("Convolution (NHWC, QC8) IGEMM", 20, 0),
        inside("Add (ND)", 4, 1),
        ("SOFTMAX", OPERATOR, 140, 3, 2),
        inside("Add (ND)", 2, 0),
    ]
    rows, _ = events_of(*events)
    block = plan(["CONV_2D", "ADD", "SOFTMAX", "ADD"], *events).layer_block(rows, 10**9, 2 * 10**9)

    assert block.rows["dur_ns"].tolist() == [20_000, 4000, 3000, 2000]
    starts = (block.rows["start_ns"] - 10**9).tolist()
    assert starts == [10_000, 30_000, 40_000, 43_000]  # the first phase began at 100 us
    assert len(set(block.rows["span_id"].tolist())) == 4


def test_no_layer_begins_after_its_run_ended() -> None:
    events = [("SOFTMAX", OPERATOR, 140, 3, 0)]
    block = plan(["SOFTMAX"], *events).layer_block(events_of(*events)[0], 0, 25_000)

    assert block.rows["start_ns"].tolist() == [25_000]


def test_extras_keep_their_time_and_a_run_has_that_of_its_phases() -> None:
    events = [inside("Add (ND)", 4, 0), inside("Clamp (NC)", 2, 1)]
    rows, _ = events_of(*events)
    plan_of_one = plan(["ADD"], *events)

    assert plan_of_one.extra_ns(rows).tolist() == [2000]
    assert plan_of_one.phases_ns(rows) == (7 + 50 + 5) * 1000


def test_a_plan_fits_every_run_that_reports_the_same_and_no_other() -> None:
    one = [inside("Add (ND)", 4, 0), inside("Clamp (NC)", 2, 1)]
    plan_of_one = plan(["ADD"], *one)

    assert plan_of_one.fits(events_of(inside("Add (ND)", 9, 0), inside("Clamp (NC)", 1, 1))[0])
    assert not plan_of_one.fits(events_of(one[0])[0])
    assert not plan_of_one.fits(events_of(one[0], inside("Add (ND)", 2, 0))[0])
