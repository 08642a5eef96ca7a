"""What a delegate leaves behind is told; it fails only where the baseline's took it."""

from collections.abc import Sequence
from dataclasses import replace

from exray.diagnosis.causes import Cause
from exray.diagnosis.layers.delegates import Layer, fallback, partitions


def layers(*delegated: bool, time_ratio: float | None = None) -> list[Layer]:
    """Operators of equal time; a partition goes on until one is left."""
    found: list[Layer] = []
    for index, taken in enumerate(delegated):
        number = 1 + sum(not before for before in delegated[:index])
        ratio = 1 / len(delegated) if time_ratio is None else time_ratio
        partition = number if taken else None
        found.append(Layer(index, f"l{index}", "CONV_2D", taken, ratio, partition))
    return found


def only(causes: Sequence[Cause]) -> Cause:
    (cause,) = causes
    return cause


def test_operators_left_are_a_note() -> None:
    cause = only(list(fallback(layers(True, False, True), [])))
    assert (cause.code, cause.where.layer_index, cause.fails) == ("delegate.fallback", 1, False)


def test_operators_that_take_no_time_are_not_worth_a_word() -> None:
    assert not list(fallback(layers(True, False, time_ratio=0.01), []))


def test_an_operator_that_the_baselines_delegate_took_fails() -> None:
    quick = layers(True, False, time_ratio=0.01)
    cause = only(list(fallback(quick, layers(True, True))))
    assert cause.fails
    assert cause.evidence["operators_lost"] == 1
    assert "which the baseline's delegate took" in cause.what


def test_the_slowest_operator_left_is_named() -> None:
    several = layers(False, False, True)
    several[1] = replace(several[1], time_ratio=0.9, op="CUSTOM")
    assert only(list(fallback(several, []))).where.op == "CUSTOM"


def test_one_partition_is_as_it_should_be() -> None:
    assert not list(partitions(layers(True, True, False), []))


def test_more_partitions_than_in_the_baseline_fail() -> None:
    split = layers(True, False, True)
    assert only(list(partitions(split, []))).fails is False
    assert only(list(partitions(split, layers(True, True, True)))).fails
    assert not list(partitions(split, split))
