"""Which layers are suspected first, from literal tensors."""

import math

import pytest

from .builders import Row, Rows

Sides = tuple[Row, Row, Row]
"""Runs of edge, reference and baseline."""


def three_builds(*parents: list[int], ops: dict[int, str] | None = None) -> tuple[Rows, Sides]:
    """An edge "aa" and a baseline "cc" of the same layers as the reference "bb"."""
    rows = Rows()
    runs = (
        rows.run("e", model_sha256="aa"),
        rows.run("r", "reference", model_sha256="bb"),
        rows.run("p", model_sha256="cc"),
    )
    for sha256 in ("aa", "bb", "cc"):
        rows.graph(sha256, *parents)
    for row in rows.tables["graphs"]:
        index = row["layer_index"]
        assert isinstance(index, int)
        row["op"] = (ops or {}).get(index, "CONV_2D")
    for sha256 in ("aa", "cc"):
        rows.align(sha256, "bb", {i: i for i in range(len(parents))})
    return rows, runs


def play(rows: Rows, run: Row, *outputs: float, input_id: str = "a.png") -> None:
    """A frame with the same input 1000 everywhere, and a value for each layer."""
    frame = rows.frame(run, input_id)
    rows.tensor(frame, "input", [1000.0])
    for index, value in enumerate(outputs):
        ops = {row["layer_index"]: row["op"] for row in rows.tables["graphs"]}
        rows.layer(frame, index, [value], op=ops[index])


def order(rows: Rows, baseline: str = "", columns: str = "layer_index") -> list[object]:
    """One column of the suspects, the first suspect first."""
    found = rows.ask(f"SELECT {columns} FROM layer_culprits('e', 'r', '{baseline}')")
    return [row[0] for row in found]


def test_without_baseline_the_largest_loss_against_the_inputs_comes_first() -> None:
    rows, runs = three_builds([-1], [0], [1])
    play(rows, runs[1], 100.0, 100.0, 100.0)
    play(rows, runs[0], 101.0, 130.0, 140.0)  # 40 dB, 10.5 dB, 8 dB: the last is not the worst
    assert order(rows) == [1, 2, 0]
    assert order(rows, columns="fails") == [False, False, False]


def test_the_first_failing_layer_comes_before_one_that_loses_more() -> None:
    rows, runs = three_builds([-1], [0], [1])
    play(rows, runs[1], 100.0, 100.0, 100.0)
    play(rows, runs[2], 101.0, 101.0, 101.0)
    play(rows, runs[0], 101.0, 110.0, 190.0)
    assert order(rows, "p") == [1, 2, 0]
    assert order(rows, "p", "inputs_pass") == [True, False, True]


def test_a_loss_that_the_baseline_has_too_is_not_suspected() -> None:
    rows, runs = three_builds([-1], [0], [1])
    play(rows, runs[1], 100.0, 100.0, 100.0)
    play(rows, runs[2], 150.0, 150.0, 150.0)
    play(rows, runs[0], 150.0, 150.0, 195.0)
    assert order(rows, "p", "layer_index") == [2, 0, 1]
    assert order(rows, "p", "fails") == [True, False, False]


def test_every_failing_branch_whose_inputs_pass_is_suspected() -> None:
    rows, runs = three_builds([-1], [-1], [0, 1])
    play(rows, runs[1], 100.0, 100.0, 100.0)
    play(rows, runs[2], 101.0, 101.0, 101.0)
    play(rows, runs[0], 110.0, 120.0, 150.0)
    assert order(rows, "p", "fails AND inputs_pass") == [True, True, False]
    assert order(rows, "p") == [0, 1, 2]


def test_failing_passes_through_layers_that_were_not_measured() -> None:
    rows, runs = three_builds([-1], [0], [1])
    for run, values in zip(runs, ([110.0, 180.0], [100.0, 100.0], [101.0, 101.0]), strict=True):
        frame = rows.frame(run)
        rows.tensor(frame, "input", [1000.0])
        rows.layer(frame, 0, values[:1])
        rows.layer(frame, 2, values[1:])
    assert order(rows, "p") == [0, 2]
    assert order(rows, "p", "inputs_pass") == [True, False]


@pytest.mark.parametrize(("edge", "fails"), [(111.21, False), (111.23, True)])
def test_one_db_is_enough_on_the_same_inputs(edge: float, fails: bool) -> None:
    rows, runs = three_builds([-1])
    play(rows, runs[1], 100.0)
    play(rows, runs[2], 110.0)  # 20 dB; 1 dB worse is 111.22
    play(rows, runs[0], edge)
    assert order(rows, "p", "fails") == [fails]
    assert order(rows, "p", "same_inputs") == [True]


@pytest.mark.parametrize(("edge", "fails"), [(103.1, False), (103.2, True)])
def test_a_layer_that_keeps_thirty_db_does_not_fail(edge: float, fails: bool) -> None:
    rows, runs = three_builds([-1])
    play(rows, runs[1], 100.0)
    play(rows, runs[2], 100.0)
    play(rows, runs[0], edge)  # 30 dB is 103.162
    assert order(rows, "p", "fails") == [fails]


@pytest.mark.parametrize(("edge", "fails"), [(114.11, False), (114.14, True)])
def test_other_inputs_need_three_db(edge: float, fails: bool) -> None:
    rows, runs = three_builds([-1])
    for input_id in ("a.png", "b.png"):
        play(rows, runs[1], 100.0, input_id=input_id)
    play(rows, runs[2], 110.0, input_id="b.png")  # 20 dB; 3 dB worse is 114.125
    play(rows, runs[0], edge)
    assert order(rows, "p", "fails") == [fails]
    assert order(rows, "p", "same_inputs") == [False]


def test_what_agrees_does_not_fail_however_equal_the_baseline_is() -> None:
    rows, runs = three_builds([-1])
    play(rows, runs[1], 100.0)
    play(rows, runs[2], 100.0)
    play(rows, runs[0], 101.0)  # 40 dB, the baseline 140
    assert order(rows, "p", "fails") == [False]


def test_a_layer_that_lost_finite_values_fails() -> None:
    rows, runs = three_builds([-1], [0])
    play(rows, runs[1], 100.0, 100.0)
    play(rows, runs[2], 101.0, 101.0)
    play(rows, runs[0], 101.0, math.nan)
    assert order(rows, "p") == [1, 0]
    assert order(rows, "p", "sqnr_db")[0] == -20.0


def test_a_softmax_is_left_out() -> None:
    rows, runs = three_builds([-1], [0], ops={1: "SOFTMAX"})
    play(rows, runs[1], 100.0, 100.0)
    play(rows, runs[0], 101.0, 900.0)
    assert order(rows) == [0]


def test_a_baseline_without_the_layer_says_nothing_of_it() -> None:
    rows, runs = three_builds([-1], [0])
    play(rows, runs[1], 100.0, 100.0)
    play(rows, runs[2], 101.0)
    play(rows, runs[0], 101.0, 190.0)
    found = rows.ask("SELECT layer_index, worse_db, fails FROM layer_culprits('e', 'r', 'p')")
    assert {row[0]: row[1:] for row in found}[1] == (None, False)


def test_a_build_between_two_takes_the_steps_apart() -> None:
    rows = Rows()
    runs = {
        build: rows.run(build, "reference" if build == "r" else "edge", model_sha256=sha256)
        for build, sha256 in (("e", "aa"), ("k", "aa"), ("f", "bb"), ("r", "cc"))
    }
    for sha256 in ("aa", "bb", "cc"):
        rows.graph(sha256, [-1])
    for edge, reference in (("aa", "cc"), ("aa", "bb"), ("bb", "cc")):
        rows.align(edge, reference, {0: 0})
    for build, value in (("r", 100.0), ("f", 101.0), ("k", 111.1), ("e", 112.211)):
        play(rows, runs[build], value)
    whole = rows.ask("FROM layer_decomposition('e', 'k', 'f', 'r')")
    assert whole == [
        (
            0,
            "l0",
            "CONV_2D",
            *(pytest.approx(x, abs=0.01) for x in (18.26, 40, 20, 40)),
            "quantization",
        )
    ]
    part = rows.ask("SELECT kernel_sqnr_db, largest FROM layer_decomposition('e', '', 'f', 'r')")
    assert part == [(None, "quantization")]
