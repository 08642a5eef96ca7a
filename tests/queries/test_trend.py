"""Builds and layers against those before them, and devices that fell silent."""

import pytest

from .builders import START_NS, Rows

DAY_NS = 86_400 * 10**9


def add_build(rows: Rows, number: int, **values: object) -> None:
    row = {
        "build": f"b{number}",
        "role": "edge",
        "model_name": "net",
        "model_sha256": f"sha{number}",
        "kernels": "xnnpack",
        "device": "pi5",
    }
    counts = {"devices": 1, "frames": 10, "failed_frames": 0, "measured_frames": 10}
    times = {"first_ns": START_NS + number * DAY_NS, "last_ns": START_NS + number * DAY_NS}
    stats: dict[str, object] = {"judged": 10, "correct": 9, "p99_ms": 10.0, "recorded_ns": 1}
    layer = {key: values.pop(key) for key in ("sqnr_db", "p50_ms", "nan_count") if key in values}
    rows.add("build_stats", row | counts | times | stats | {"model_precision": "int8"} | values)
    named = {"layer_index": 0, "layer_name": "l0", "op": "CONV_2D", "recorded_ns": 1}
    rows.add("layer_build_stats", row | named | layer)


def test_a_layer_is_held_against_the_median_of_five_builds_before() -> None:
    rows = Rows()
    for number, sqnr_db in enumerate([99.0, 30.0, 31.0, 29.0, 30.0, 90.0, 18.0]):
        add_build(rows, number, sqnr_db=sqnr_db, p50_ms=1.0 + number // 6)
    query = (
        "SELECT build, builds_before, usual_sqnr_db, loss_db, p50_ratio FROM layer_trend"
        " WHERE build IN ('b0', 'b6') ORDER BY build"
    )
    assert rows.ask(query) == [("b0", 0, None, None, None), ("b6", 5, 30.0, 12.0, 2.0)]


def test_a_build_is_held_against_the_one_before_of_its_own_kind() -> None:
    rows = Rows()
    add_build(rows, 0, correct=8, p99_ms=10.0)
    add_build(rows, 1, correct=1, p99_ms=90.0, device="pixel8", sqnr_db=1.0)
    add_build(rows, 2, correct=6, p99_ms=15.0)
    query = (
        "SELECT build, build_index, newest, previous_top1_ratio, top1_ratio, p99_ratio"
        " FROM build_trend WHERE device = 'pi5' ORDER BY build"
    )
    assert rows.ask(query) == [
        ("b0", 1, False, None, 0.8, None),
        ("b2", 2, True, 0.8, 0.6, 1.5),
    ]


def test_accuracy_is_lost_where_chance_does_not_explain_it() -> None:
    rows = Rows()
    for number, (judged, correct) in enumerate([(1000, 900), (1000, 850), (20, 16)]):
        add_build(rows, number, judged=judged, correct=correct)
    found = rows.ask("SELECT build, top1_loss FROM build_trend ORDER BY build")
    assert found[0] == ("b0", None)
    assert found[1] == ("b1", pytest.approx(0.05))
    assert found[2] == ("b2", 0.0)  # five points lower, but of twenty inputs


def test_accuracy_against_the_reference_is_that_of_the_inputs_of_both() -> None:
    rows = Rows()
    add_build(rows, 0, paired_judged=20, edge_only_correct=1, reference_only_correct=3)
    assert rows.ask("SELECT reference_top1_delta FROM build_trend") == [(-0.1,)]


def test_a_layer_that_lost_nothing_is_not_the_worst() -> None:
    rows = Rows()
    add_build(rows, 0, sqnr_db=30.0, nan_count=2)
    add_build(rows, 1, sqnr_db=31.0)
    query = "SELECT worst_layer, worst_loss_db, nonfinite_count FROM build_trend ORDER BY build"
    assert rows.ask(query) == [(None, None, 2), (None, -1.0, 0)]


def test_a_rollup_written_again_counts_once() -> None:
    rows = Rows()
    add_build(rows, 0, frames=10)
    add_build(rows, 0, frames=12, recorded_ns=2)
    assert rows.ask("SELECT frames FROM build_trend") == [(12,)]


def test_the_longest_silent_device_comes_first_with_its_newest_build() -> None:
    rows = Rows()
    for device, build, day in (("d1", "b0", 0), ("d1", "b1", 3), ("d2", "b0", 1)):
        run = rows.run(build, device_id=device)
        rows.frame(run, start_ns=START_NS + day * DAY_NS)
    rows.run("golden", "reference", device_id="desk")
    query = "SELECT device_id, build, strftime(last_seen, '%d') FROM device_list"
    assert rows.ask(query) == [("d2", "b0", "10"), ("d1", "b1", "12")]


def test_peers_of_a_build_are_those_of_its_kind_in_their_order() -> None:
    rows = Rows()
    for build in ("1.9", "1.10", "1.8"):  # as they came, not as their names sort
        rows.run(build)
    rows.run("1.10", device_model="pixel8")
    rows.run("1.11", kernels="builtin")
    rows.run("1.12", model_name="other")
    rows.run("1.13", "reference")
    asked = rows.ask("SELECT build, selected, len(run_ids) FROM build_peers('1.8')")
    assert asked == [("1.9", False, 32), ("1.10", False, 32), ("1.8", True, 32)]


def test_runs_of_a_peer_select_it_alone() -> None:
    rows = Rows()
    for _ in range(2):
        rows.run("1.9")
    rows.run("1.10")
    ((run_ids,),) = rows.ask("SELECT run_ids FROM build_peers('1.10') WHERE build = '1.9'")
    selected = rows.ask(f"SELECT build, count(*) FROM _run_selected('{run_ids}') GROUP BY build")
    assert selected == [("1.9", 2)]


def test_a_build_that_is_not_there_has_no_peers() -> None:
    rows = Rows()
    rows.run("1.9")
    assert rows.ask("FROM build_peers('2.0')") == []
