"""Inputs run through a configuration: its spec, kernels, classes and state."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exray.diagnosis.repair import rerun as module
from exray.diagnosis.repair.configuration import Configuration
from exray.diagnosis.repair.rerun import rerun
from exray.playback.dataset import Item, open_dataset
from exray.playback.feed import Array
from exray.playback.runners import InputSpec
from exray.playback.spec import load_spec

from .edges import BGR, IMAGES, INT8, RGB

SOUND = Configuration(model=INT8, spec=load_spec(RGB))


def items(count: int = 4) -> list[Item]:
    return list(open_dataset(IMAGES))[:count]


def test_each_input_has_its_answer_output_and_model_input() -> None:
    answers = rerun(SOUND, items())
    assert list(answers) == [item.input_id for item in items()]
    for answer in answers.values():
        assert answer.best is not None
        assert answer.count == 8
        assert answer.sketch is not None
        assert answer.given is not None
        assert len(answer.sketch) == len(answer.given) == 256


def test_another_spec_feeds_something_else() -> None:
    first, second = (
        next(iter(rerun(replace(SOUND, spec=load_spec(spec)), items(1)).values()))
        for spec in (RGB, BGR)
    )
    assert first.given is not None
    assert second.given is not None
    assert not np.array_equal(first.given, second.given)


def test_classes_are_shifted() -> None:
    plain, shifted = rerun(SOUND, items()), rerun(replace(SOUND, class_shift=-1), items())
    assert [a.best for a in shifted.values()] == [(a.best or 0) - 1 for a in plain.values()]


def test_the_kernels_asked_for_are_used_for_tflite_files(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []
    load = _counting(monkeypatch, asked)
    rerun(replace(SOUND, kernels="builtin"), items(1))
    assert (asked, load) == (["builtin"], [1])


@pytest.mark.parametrize(("resets", "loads"), [(False, 1), (True, 4)])
def test_a_model_that_is_to_forget_is_loaded_for_each_input(
    monkeypatch: pytest.MonkeyPatch, resets: bool, loads: int
) -> None:
    counted = _counting(monkeypatch, [])
    rerun(replace(SOUND, resets=resets), items())
    assert sum(counted) == loads


class _Model:
    """Stands for a runner: puts out its first number."""

    input = InputSpec((1, 64, 64, 3), np.dtype(np.float32))
    output_quantization = None

    def run(self, value: Array) -> Array:
        return value.reshape(-1)[:8]


def _counting(patch: pytest.MonkeyPatch, asked: list[str | None]) -> list[int]:
    """Let models be loaded that only count how often; return the loads."""
    loads: list[int] = []

    def plan(model: Path, *, kernels: str | None) -> Callable[[], _Model]:
        asked.append(kernels)

        def load() -> _Model:
            loads.append(1)
            return _Model()

        return load

    patch.setattr(module, "plan_runner", plan)
    return loads
