"""Answers that depend on the inputs before."""

from dataclasses import replace
from pathlib import Path

from exray.diagnosis.causes import Cause
from exray.diagnosis.symptoms import find_state

from ..lakes import Array, Recording, make_graph, make_values, with_noise
from .scenes import causes


def add(recording: Recording, name: str, value: Array, output: Array) -> None:
    frame = recording.add(name, value, {0: output}, output=output)
    frame.output_hash = hash(output.tobytes())


def found(
    path: Path, *, carried: bool, reference_too: bool = False, op: str = "CONV_2D"
) -> list[Cause]:
    """Return what is said of an edge that sees every input twice."""
    graph = make_graph("aa", ["stem", "memory"])
    graph = replace(graph, ops=(graph.ops[0], replace(graph.ops[1], op=op)))
    edge = Recording(graph, "e")
    reference = Recording(make_graph("bb", ["stem", "memory"]), "r", "reference")
    for turn in range(2):
        for i in range(4):
            value, output = make_values(i), make_values(100 + i)
            other = with_noise(output, 20.0, seed=turn) if turn else output
            add(edge, f"{i}", value, other if carried else output)
            add(reference, f"{i}", value, other if reference_too else output)
    return causes(path, find_state, edge, reference)


def test_the_same_input_with_another_output_is_found(tmp_path: Path) -> None:
    (cause,) = found(tmp_path, carried=True)
    assert (cause.code, cause.where.stage) == ("state.carried", "inference")
    assert (cause.evidence["pairs"], cause.evidence["differing"]) == (4, 4)


def test_the_operator_that_keeps_tensors_is_named(tmp_path: Path) -> None:
    (cause,) = found(tmp_path, carried=True, op="SVDF")
    assert (cause.where.layer_index, cause.where.op) == (1, "SVDF")
    assert "reset_all_variables" in cause.fix


def test_equal_outputs_carry_nothing(tmp_path: Path) -> None:
    assert found(tmp_path, carried=False, op="SVDF") == []


def test_a_reference_that_carries_too_is_meant_to(tmp_path: Path) -> None:
    assert found(tmp_path, carried=True, reference_too=True, op="SVDF") == []
