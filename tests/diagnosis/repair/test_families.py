"""Which changes are tried against which cause."""

from pathlib import Path

from exray.diagnosis.causes import Cause, Where
from exray.diagnosis.repair.configuration import Configuration
from exray.diagnosis.repair.families import families
from exray.diagnosis.repair.other_changes import class_change, kernel_changes, reset_change

STATE = Configuration(model=Path("m.tflite"), kernels="xnnpack")


def cause(code: str, **evidence: int) -> Cause:
    return Cause(code, "", Where(), 0.9, evidence, "Mend it.")


def test_causes_that_are_mended_together_are_one_group_and_the_likeliest_is_first() -> None:
    codes = ["preprocessing.crop", "quantization.layer", "preprocessing.resize", "latency.layer"]
    groups = families([cause(code) for code in codes])
    assert [[c.code for c in group] for group in groups] == [
        ["preprocessing.crop", "preprocessing.resize"],
        ["quantization.layer"],
    ]


def test_a_shift_of_classes_is_undone() -> None:
    (change,) = class_change(cause("labels.shifted", shift=1))
    assert change.apply(STATE, Path()).class_shift == -1
    assert "Add -1 to each class index" in change.code


def test_without_a_shift_there_is_nothing_to_undo() -> None:
    assert list(class_change(cause("labels.shifted"))) == []


def test_carried_state_is_reset() -> None:
    (change,) = reset_change(cause("state.carried"))
    assert change.apply(STATE, Path()).resets
    assert "reset_all_variables()" in change.code


def test_kernels_at_fault_are_left_for_others() -> None:
    changes = list(kernel_changes(cause("kernel.layer"), "builtin"))
    assert [change.apply(STATE, Path()).kernels for change in changes] == ["reference"]
