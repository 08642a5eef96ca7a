"""Nothing that fails inside exray reaches an application of Keras, wherever it fails."""

import importlib
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import exray
from exray.instrumentation import (
    capture,
    frames,
    inference,
    keras_graph,
    keras_identity,
    keras_layers,
    keras_patching,
    keras_predict,
    keras_shadow,
    keras_tap,
)
from exray.instrumentation import keras as keras_adapter
from exray.instrumentation.guard import forget_logged
from exray.instrumentation.keras import EagerExecution, KerasModel, PredictExecution
from exray.instrumentation.keras_tap import LayerCall, LayerTap
from exray.instrumentation.recorder import Recorder
from exray.instrumentation.traced_model import TracedModel
from exray.testing import MemorySink, recording

from .builders import raising, seen_tensors
from .keras_builders import bits, layer_names, many, subclassed, vectors

pytestmark = pytest.mark.keras

PLACES: list[tuple[Any, str]] = [
    (MemorySink, "add_run"),
    (MemorySink, "add_graph"),
    (MemorySink, "add_frame"),
    (KerasModel, "__init__"),
    (KerasModel, "describe"),
    (KerasModel, "ensure_run"),
    (KerasModel, "learn"),
    (TracedModel, "ensure_run"),
    (TracedModel, "rebind"),
    (TracedModel, "share_sites"),
    (EagerExecution, "__init__"),
    (EagerExecution, "read_inputs"),
    (EagerExecution, "read_outputs"),
    (EagerExecution, "read_layers"),
    (PredictExecution, "__init__"),
    (PredictExecution, "read_layers"),
    (LayerTap, "__init__"),
    (LayerTap, "see"),
    (LayerTap, "see_inputs"),
    (LayerCall, "__init__"),
    (LayerCall, "arrays"),
    (Recorder, "open_run"),
    (Recorder, "close_frame"),
    (keras_adapter, "keras_graph"),
    (keras_adapter, "functional_of"),
    (keras_adapter, "digest_of_model"),
    (keras_adapter, "model_inputs"),
    (keras_adapter, "shadow_pass"),
    (keras_adapter, "predict_call"),
    (keras_adapter, "import_keras"),
    (keras_graph, "flatten_layers"),
    (keras_identity, "keras_graph"),
    (keras_layers, "new_span_id_int"),
    (keras_layers, "TensorSite"),
    (keras_patching, "wrap_predict_function"),
    (keras_patching, "KerasModel"),
    (keras_patching, "Inference"),
    (keras_patching, "flatten_tensors"),
    (keras_patching, "is_symbolic"),
    (keras_patching, "computes_eagerly"),
    (keras_patching, "_trains"),
    (keras_predict, "import_keras"),
    (keras_predict, "Batch"),
    (keras_shadow, "LayerTap"),
    (keras_shadow, "kept_state"),
    (keras_tap, "flatten_layers"),
    (keras_tap, "flatten_tensors"),
    (keras_tap, "import_keras"),
    (keras_tap, "is_symbolic"),
    (keras_tap, "_tapped"),
    (capture, "summarize_into"),
    (inference, "tensor_hash"),
    (inference, "RecordingFrame"),
    (frames, "FrameRecord"),
]


def place_id(place: tuple[Any, str]) -> str:
    return f"{getattr(place[0], '__name__', place[0])}.{place[1]}"


@pytest.fixture(name="keras", scope="module")
def keras_fixture() -> Any:
    pytest.importorskip("tensorflow")
    return importlib.import_module("keras")


@pytest.fixture(autouse=True)
def _in_an_application(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # pyright: ignore[reportUnusedFunction] - autouse
    monkeypatch.delenv("EXRAY_GUARD")
    forget_logged()
    yield
    forget_logged()


class Application:
    """Two models, called and predicted, in a frame and outside, rightly and wrongly."""

    def __init__(self, keras: Any) -> None:
        keras.utils.set_random_seed(2)
        self.models = subclassed(keras), many(keras)
        self.inputs = vectors(), {"left": vectors(), "right": vectors(seed=9)}

    def run(self) -> list[bytes]:
        """Return the bits of all results."""
        results: list[bytes] = []
        for model, value in zip(self.models, self.inputs, strict=True):
            with exray.frame("a"):
                results += bits(model(value))
            results += bits(model(value))
            results += bits(model.predict_on_batch(value))
            with pytest.raises(ValueError, match=r"TensorShape|named input"):
                model.predict_on_batch(np.zeros((1, 2, 7), np.float32))
        return results


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name.startswith("exray")
    ]


@pytest.fixture(name="expected", scope="module")
def expected_fixture(keras: Any) -> list[bytes]:
    return Application(keras).run()


@pytest.fixture(name="application", scope="module")
def application_fixture(keras: Any) -> Application:
    """Return one that was run: most of these tests' time would be to compile its models."""
    application = Application(keras)
    application.run()
    return application


@pytest.mark.parametrize("place", PLACES, ids=place_id)
def test_the_application_gets_its_results_a_few_lines_are_logged_and_recording_goes_on(
    place: tuple[Any, str],
    keras: Any,
    application: Application,
    expected: list[bytes],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # One of its models was traced before, by another configuration; the other never.
    keras_patching.traced_models.pop(application.models[1], None)
    operation = keras.Operation.__call__
    sink = MemorySink()
    with recording(sink):
        with monkeypatch.context() as broken:
            broken.setattr(*place, raising(OSError("broken")))
            assert application.run() == expected
            lines = warnings_of(caplog)
            assert application.run() == expected
        assert warnings_of(caplog) == lines  # once each, however often it fails
        assert 1 <= len(lines) == len(set(lines)) <= 6
        assert all(line.startswith("exray") for line in lines)
        assert keras.Operation.__call__ is operation

        assert application.run() == expected
    whole = sink.frames[-8:]  # before them may be some that waited for a run
    assert [frame.status for frame in whole] == ["unset", "unset", "unset", "error"] * 2
    assert [len(layer_names(f)) for f in whole if f.status == "unset"] == [2] * 3 + [5] * 3


def test_one_layer_that_cannot_be_read_leaves_inputs_and_outputs(
    keras: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LayerCall, "arrays", raising(OSError("broken")))
    sink = MemorySink()
    with recording(sink):
        subclassed(keras)(vectors())
    assert [site.role for site, _ in seen_tensors(sink.frames[0])] == ["input", "output"]


def test_an_interrupt_while_layers_are_kept_is_the_applications(
    keras: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, operation, sink = subclassed(keras), keras.Operation.__call__, MemorySink()
    with recording(sink):
        with monkeypatch.context() as interrupted:
            interrupted.setattr(LayerTap, "see", raising(KeyboardInterrupt()))
            with pytest.raises(KeyboardInterrupt):
                model(vectors())
        assert keras.Operation.__call__ is operation
        model(vectors())
    assert [frame.status for frame in sink.frames] == ["error", "unset"]
