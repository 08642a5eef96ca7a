"""A sampled frame, repeated on a second interpreter."""

from typing import Any

import numpy as np
import pytest

from exray.instrumentation.guard import forget_logged
from exray.instrumentation.litert_shadow import Shadow
from exray.schema.identity import tensor_hash
from exray.testing import MemorySink, recording

from .builders import (
    INT8,
    TINY_LAYERS,
    make_input,
    make_interpreter,
    needs_native,
    run,
    seen_tensors,
)


class FakeProbe:
    """Stands for the probe of the second interpreter."""

    def __init__(self) -> None:
        self.begun = 0

    def begin(self, mode: object, family: int) -> None:
        self.begun += 1

    def end(self) -> str:
        return "recording"


class FakeInterpreter:
    """Gives the outputs that it is told to give."""

    def __init__(self, *outputs: float) -> None:
        self.outputs = list(outputs)
        self.fed: list[Any] = []

    def get_input_details(self) -> list[dict[str, Any]]:
        return [{"index": 0, "shape": np.array([2])}]

    def get_output_details(self) -> list[dict[str, Any]]:
        return [{"index": 1}]

    def set_tensor(self, index: int, value: Any) -> None:
        self.fed.append(value)

    def invoke(self) -> None:
        return

    def get_tensor(self, index: int) -> Any:
        return np.array([self.outputs.pop(0)], np.float32)


def make_shadow(*outputs: float) -> tuple[Shadow, FakeProbe]:
    probe = FakeProbe()
    interpreter: Any = FakeInterpreter(*outputs)
    fake: Any = probe
    return Shadow(lambda: (interpreter, fake)), probe


def shadow_run(shadow: Shadow, output: float) -> object:
    output_hash = tensor_hash(np.array([output], np.float32))
    return shadow.run([np.zeros(2, np.float32)], output_hash, 0)


def test_a_repetition_with_the_same_output_is_the_recording() -> None:
    shadow, _ = make_shadow(1.0)
    assert shadow_run(shadow, 1.0) == "recording"


def test_a_model_that_gives_another_output_is_not_repeated_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    forget_logged()
    shadow, probe = make_shadow(1.0, 2.0)
    assert shadow_run(shadow, 3.0) is None
    assert shadow_run(shadow, 2.0) is None
    assert probe.begun == 1
    (message,) = caplog.messages
    assert "as one with state does" in message


def test_one_that_cannot_be_made_is_asked_for_once() -> None:
    asked: list[int] = []

    def make() -> None:
        asked.append(1)

    shadow = Shadow(make)
    assert [shadow_run(shadow, 0.0) for _ in range(3)] == [None] * 3
    assert len(asked) == 1


@needs_native
def test_layers_of_a_fused_interpreter_are_those_of_the_model() -> None:
    sink = MemorySink()
    value = make_input(dtype=np.int8)
    plain = run(make_interpreter(INT8), value)
    with recording(MemorySink(), level="latency"):
        interpreter = make_interpreter(INT8)
    with recording(sink):
        output = run(interpreter, value)

    assert output.tobytes() == plain.tobytes()
    layers = [site.layer for site, _ in seen_tensors(sink.frames[0], "layer")]
    assert [layer.op for layer in layers if layer is not None] == TINY_LAYERS
