import numpy as np
import pytest

import exray
from exray.instrumentation.guard import forget_logged
from exray.testing import MemorySink, recording

from .builders import FLOAT, SPLIT, make_input, make_interpreter, run, seen_tensors

LEFT, RIGHT = np.array([[1, 2, 3, 4]], np.float32), np.array([[5, 5, 5, 5]], np.float32)


def test_a_call_of_a_signature_is_an_inference_with_all_its_tensors() -> None:
    sink = MemorySink()
    with recording(sink):
        result = make_interpreter(FLOAT).get_signature_runner()(keras_tensor=make_input())

    (frame,) = sink.frames
    assert result["output_0"].shape == (1, 5)
    assert [s.role for s, _ in seen_tensors(frame)] == ["input", *["layer"] * 5, "output"]


def test_its_result_is_that_of_an_uninstrumented_interpreter_bit_for_bit() -> None:
    expected = make_interpreter(SPLIT).get_signature_runner()(left=LEFT, right=RIGHT)
    with recording(MemorySink()):
        found = make_interpreter(SPLIT).get_signature_runner()(right=RIGHT, left=LEFT)

    assert {name: value.tobytes() for name, value in found.items()} == {
        name: value.tobytes() for name, value in expected.items()
    }


def test_the_same_input_has_the_same_id_through_invoke_and_through_a_signature() -> None:
    sink = MemorySink()
    with recording(sink):
        interpreter = make_interpreter(SPLIT)
        for detail, value in zip(interpreter.get_input_details(), (LEFT, RIGHT), strict=True):
            interpreter.set_tensor(detail["index"], value)
        interpreter.invoke()
        interpreter.get_signature_runner()(right=RIGHT, left=LEFT)

    first, second = sink.frames
    assert first.input_id == second.input_id
    assert first.output_hash == second.output_hash
    for role in ("input", "layer", "output"):
        assert [(s.name, s.index, r["hash"]) for s, r in seen_tensors(first, role)] == [
            (s.name, s.index, r["hash"]) for s, r in seen_tensors(second, role)
        ]


def test_wrong_arguments_are_refused_in_the_runtimes_own_words_and_log_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    forget_logged()
    plain = make_interpreter(FLOAT).get_signature_runner()
    with pytest.raises(ValueError, match="Invalid") as expected:
        plain(image=make_input())
    with recording(MemorySink()):
        traced = make_interpreter(FLOAT).get_signature_runner()
        with pytest.raises(ValueError, match="Invalid") as found:
            traced(image=make_input())

    assert str(found.value) == str(expected.value)
    assert caplog.messages == []


def test_after_the_runner_is_gone_the_interpreter_may_be_invoked_again() -> None:
    sink = MemorySink()
    with recording(sink):
        interpreter = make_interpreter(FLOAT)
        with exray.frame("a"):
            runner = interpreter.get_signature_runner()
            runner(keras_tensor=make_input())
            with pytest.raises(RuntimeError, match="at least 1 reference"):
                interpreter.invoke()  # as without exray: a runner holds a reference
            del runner
            run(interpreter, make_input())

    assert len(sink.frames[0].inferences) == 3
