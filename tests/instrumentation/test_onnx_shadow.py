"""The repetition on a second session: what it shows, and when it is believed."""

from typing import Any

import numpy as np
import pytest

from exray.instrumentation import onnx_shadow
from exray.instrumentation.guard import forget_logged
from exray.instrumentation.onnx_identity import onnx_model_file
from exray.instrumentation.onnx_shadow import (
    SessionMaker,
    TensorShadow,
    is_same_output,
    with_outputs,
)

from .onnx_builders import image, runtime, session_of, small

ort = runtime()


def shadow() -> tuple[TensorShadow, Any, list[Any]]:
    """Return a shadow, what the session itself gives for an image, and the layers' tensors."""
    session, file = session_of(small()), onnx_model_file(small().SerializeToString())
    assert file is not None
    assert file.graph is not None
    given = {"p": session.run(None, {"x": image()})[0]}
    tensors = [place.tensor for outputs in file.graph.layers for place in outputs]
    return TensorShadow(SessionMaker(session), file), given, tensors


def test_every_tensor_becomes_an_output_once() -> None:
    content = with_outputs(small().SerializeToString(), ["c1", "r1", "c1", "p"])
    names = [output.name for output in ort.InferenceSession(content).get_outputs()]
    assert names == ["p", "c1", "r1"]


def test_tensors_beyond_the_memory_for_one_run_take_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, given, tensors = shadow()
    whole = one.run({"x": image()}, given, tensors)
    monkeypatch.setattr(onnx_shadow, "MOST_BYTES", 3000)
    pieces = one.run({"x": image()}, given, tensors)
    assert list(pieces) == list(whole) == [tensor.name for tensor in tensors]
    assert all(np.array_equal(pieces[name], whole[name]) for name in whole)


def test_another_output_ends_it_for_good(caplog: pytest.LogCaptureFixture) -> None:
    forget_logged()
    one, given, tensors = shadow()
    assert one.run({"x": image()}, {"p": given["p"][:, ::-1]}, tensors) == {}
    assert one.run({"x": image()}, given, tensors) == {}
    assert "gave another output" in caplog.text


def test_a_model_that_cannot_be_opened_again_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    forget_logged()
    one, given, tensors = shadow()
    monkeypatch.setattr(onnx_shadow, "with_outputs", lambda *_: b"no model")
    assert one.run({"x": image()}, given, tensors) == {}
    assert "ONNX Runtime could not repeat a frame" in caplog.text


def test_new_options_choose_the_same_kernels_and_do_not_spin() -> None:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = ort.InferenceSession(small().SerializeToString(), options)
    found = SessionMaker(session).options()
    assert found.intra_op_num_threads == 3
    assert found.graph_optimization_level == ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    assert found.get_session_config_entry("session.disable_quant_qdq") == "1"
    assert found.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (np.array([1, 2], np.float32), np.array([1, 2.001], np.float32), True),
        (np.array([1, 2], np.float32), np.array([2, 1], np.float32), False),
        (np.array([1, np.nan], np.float32), np.array([1, np.nan], np.float32), True),
        (np.array([1, np.inf], np.float32), np.array([1, -np.inf], np.float32), False),
        (np.array([5, -7], np.int8), np.array([6, -7], np.int8), True),
        (np.array([5, -7], np.int8), np.array([90, -7], np.int8), False),
        (np.array([3], np.int64), np.array([4], np.int64), False),
        (np.array([1], np.float32), np.array([[1]], np.float32), False),
        (np.array(["a"]), np.array(["b"]), False),
        ([{"a": 1}], [{"a": 2}], True),  # no array: nothing to tell
    ],
)
def test_outputs_of_one_model_are_the_same_but_for_rounding(
    ours: Any, theirs: Any, expected: bool
) -> None:
    assert is_same_output(ours, theirs) is expected
