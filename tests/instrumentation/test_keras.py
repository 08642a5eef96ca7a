"""What is recorded of a Keras model: frames, layers, tensors, identity."""

import importlib
from typing import Any

import numpy as np
import pytest

import exray
from exray.instrumentation import keras as keras_adapter
from exray.instrumentation.patching import untraced
from exray.schema.identity import tensor_hash
from exray.testing import MemorySink, recording

from .builders import seen_tensors
from .keras_builders import (
    MODELS,
    bits,
    functional,
    images,
    layer_names,
    layer_timings,
    many,
    nested,
    recurrent,
    roles,
    sequential,
    shared,
    subclassed,
    vectors,
)

pytestmark = pytest.mark.keras


@pytest.fixture(name="keras", scope="module")
def keras_fixture() -> Any:
    pytest.importorskip("tensorflow")
    return importlib.import_module("keras")


# --- frames -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("method", ["__call__", "predict", "predict_on_batch"])
def test_results_are_those_of_untraced_calls_bit_for_bit(
    keras: Any, kind: str, method: str
) -> None:
    """Three calls, so that state shows which tracing moved; the first may build the model."""
    make, batch = MODELS[kind]
    options = {"verbose": 0} if method == "predict" else {}

    def application() -> list[list[bytes]]:
        keras.utils.set_random_seed(1)
        compute = getattr(make(keras), method)
        return [bits(compute(batch(n), **options)) for n in (2, 2, 3)]

    expected, sink = application(), MemorySink()
    with recording(sink):
        assert application() == expected
    assert len(sink.frames) == 3
    assert all(layer_names(frame) for frame in sink.frames)


def test_a_call_is_a_frame_named_by_its_input_with_all_that_the_model_did(keras: Any) -> None:
    model, sink, value = sequential(keras), MemorySink(), vectors()
    with recording(sink):
        output = np.asarray(model(value))

    (frame,) = sink.frames
    (inference,) = frame.inferences
    assert frame.input_id == f"{tensor_hash(value) % 2**64:016x}"
    assert frame.output_hash == tensor_hash(output)
    assert roles(frame) == ["input", "layer", "layer", "output"]
    assert layer_names(frame) == ["a", "b"]
    assert inference.dur_ns > 0
    assert frame.start_ns <= inference.start_ns


def test_a_predicted_batch_is_a_frame_whatever_else_predict_does(keras: Any) -> None:
    model, sink, values = sequential(keras), MemorySink(), vectors(10)
    with recording(sink):
        outputs = model.predict(values, batch_size=4, verbose=0)
        model.predict_on_batch(values)

    assert len(sink.frames) == 4
    assert [seen_tensors(f, "input")[0][0].shape[0] for f in sink.frames] == [4, 4, 2, 10]
    assert [f.output_hash for f in sink.frames[:3]] == [
        tensor_hash(outputs[i : i + 4]) for i in (0, 4, 8)
    ]
    assert [layer_names(f) for f in sink.frames] == [["a", "b"]] * 4
    assert len({f.run.run_id for f in sink.frames}) == len(sink.runs) == 1


def test_targets_that_a_data_set_brings_are_no_input(keras: Any) -> None:
    tensorflow = pytest.importorskip("tensorflow")
    model, sink, values = sequential(keras), MemorySink(), vectors(4)
    batches = tensorflow.data.Dataset.from_tensor_slices((values, values)).batch(2)
    with recording(sink):
        model.predict(batches, verbose=0)
        model.predict(values, batch_size=2, verbose=0)

    assert [roles(frame) for frame in sink.frames] == [["input", "layer", "layer", "output"]] * 4
    assert [f.input_id for f in sink.frames[:2]] == [f.input_id for f in sink.frames[2:]]


def test_calls_and_batches_inside_a_frame_belong_to_it(keras: Any) -> None:
    model, other, sink = sequential(keras), shared(keras), MemorySink()
    with recording(sink), exray.frame("a") as frame:
        model(vectors())
        other.predict(vectors(6), batch_size=4, verbose=0)
        frame.prediction(model.predict_on_batch(vectors()))

    (recorded,) = sink.frames
    assert (recorded.input_id, len(recorded.inferences)) == ("a", 4)
    assert recorded.prediction_ids is not None
    runs = [inference.run for inference in recorded.inferences]
    assert [run.model_name for run in runs] == ["row", "sharing", "sharing", "row"]
    assert recorded.run is runs[0]


def test_batches_computed_together_have_no_time_of_their_own(keras: Any) -> None:
    model, sink = sequential(keras), MemorySink()
    model.compile(steps_per_execution=2)
    with recording(sink):
        model.predict(vectors(8), batch_size=4, verbose=0)

    assert [frame.dur_ns for frame in sink.frames] == [-1, -1]
    assert [frame.inferences[0].dur_ns for frame in sink.frames] == [-1, -1]
    assert [layer_names(frame) for frame in sink.frames] == [["a", "b"]] * 2


def test_an_error_of_the_model_is_raised_untouched_with_an_error_frame(keras: Any) -> None:
    class Broken(keras.Model):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            raise error

    error, sink, model = ZeroDivisionError("mine"), MemorySink(), Broken()
    keras.config.disable_traceback_filtering()
    try:
        with recording(sink):
            for run in (model, model.predict_on_batch):
                with pytest.raises(ZeroDivisionError) as caught:
                    run(vectors())
                assert caught.value is error
                assert error.__context__ is error.__cause__ is None
    finally:
        keras.config.enable_traceback_filtering()

    assert [(f.status, f.status_message) for f in sink.frames] == [
        ("error", "ZeroDivisionError: mine")
    ] * 2
    assert [len(frame.inferences) for frame in sink.frames] == [1, 1]


def test_an_input_that_does_not_fit_is_the_same_error_traced_or_not(keras: Any) -> None:
    model, sink = sequential(keras), MemorySink()
    said: list[str] = []
    for method in (model, model.predict_on_batch):
        with pytest.raises(ValueError, match="incompatible") as plain:
            method(np.zeros((1, 5), np.float32))
        said.append(str(plain.value))
    with recording(sink):
        for method, expected in zip((model, model.predict_on_batch), said, strict=True):
            with pytest.raises(ValueError, match="incompatible") as caught:
                method(np.zeros((1, 5), np.float32))
            assert str(caught.value) == expected
        model(vectors())

    assert [frame.status for frame in sink.frames] == ["error", "error", "unset"]
    assert layer_names(sink.frames[2]) == ["a", "b"]


# --- layers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "layers"),
    [
        ("functional", ["x", "conv", "bn", "both", "flat"]),
        ("sequential", ["a", "b"]),
        ("unbuilt", ["a", "b"]),
        ("subclassed", ["first", "second"]),
        ("nested", ["x", "inner/deep", "head"]),
        ("shared", ["x", "twice", "twice"]),
    ],
)
def test_every_layer_is_seen_from_the_first_call_on(
    keras: Any, kind: str, layers: list[str]
) -> None:
    make, batch = MODELS[kind]
    for method in ("__call__", "predict_on_batch"):
        model, sink = make(keras), MemorySink()
        with recording(sink):
            getattr(model, method)(batch(1))
            getattr(model, method)(batch(1))
        assert [layer_names(frame) for frame in sink.frames] == [layers] * 2


def test_layers_of_an_eager_call_are_timed_and_those_of_a_compiled_one_not(keras: Any) -> None:
    model, sink = functional(keras), MemorySink()
    with recording(sink):
        model(images())
        model.predict_on_batch(images())

    called, predicted = sink.frames
    assert layer_timings(called) == [("none", False)] + [("eager", True)] * 4
    assert layer_timings(predicted) == [("none", False)] * 5
    (inference,) = called.inferences
    assert inference.layers is not None
    for row in inference.layers.rows[1:]:
        assert inference.start_ns <= row["start_ns"]
        assert row["start_ns"] + row["dur_ns"] <= inference.start_ns + inference.dur_ns


def test_a_tensors_row_is_carried_by_its_layers_span(keras: Any) -> None:
    model, sink = shared(keras), MemorySink()
    with recording(sink):
        model(vectors())

    (frame,) = sink.frames
    block = frame.inferences[0].layers
    assert block is not None
    seen = seen_tensors(frame, "layer")
    assert [row["span_id"] for _, row in seen] == block.rows["span_id"].tolist()
    assert [(site.name, site.index) for site, _ in seen] == [
        ("x", 0),
        ("twice", 0),
        ("twice#1", 1),
    ]


def test_further_outputs_of_a_layer_are_children_of_its_span(keras: Any) -> None:
    inputs = keras.Input((5, 3))
    model = keras.Model(inputs, keras.layers.LSTM(4, return_state=True, name="lstm")(inputs))
    sink = MemorySink()
    with recording(sink):
        model(np.ones((1, 5, 3), np.float32))

    first, second, third = seen_tensors(sink.frames[0], "layer")[1:]
    assert [site.name for site, _ in (first, second, third)] == ["lstm", "lstm:1", "lstm:2"]
    assert [second[1]["parent_span_id"], third[1]["parent_span_id"]] == [first[1]["span_id"]] * 2
    assert [second[1]["dur_ns"], third[1]["dur_ns"]] == [0, 0]


def test_inputs_and_outputs_of_a_model_of_many_are_all_seen(keras: Any) -> None:
    model, sink = many(keras), MemorySink()
    value = {"right": vectors(seed=9), "left": vectors()}
    with recording(sink):
        outputs = model(value)

    (frame,) = sink.frames
    assert [row["hash"] for _, row in seen_tensors(frame, "input")] == [
        tensor_hash(value["left"]),
        tensor_hash(value["right"]),
    ]
    assert [row["hash"] for _, row in seen_tensors(frame, "output")] == [
        tensor_hash(np.asarray(outputs[name])) for name in ("one", "two")
    ]
    assert frame.output_hash == tensor_hash(np.asarray(outputs["one"]))


def test_an_input_has_one_id_however_the_application_hands_it_over(keras: Any) -> None:
    tensorflow = pytest.importorskip("tensorflow")
    for make in (sequential, subclassed):
        model, sink, value = make(keras), MemorySink(), vectors()
        with recording(sink):
            model(value)
            model(inputs=value)
            model(value.astype(np.float64))
            model(tensorflow.constant(value))
            model.predict(value.astype(np.float64), verbose=0)
            model.predict_on_batch(value)
        assert len(sink.frames) == 6
        assert len({frame.input_id for frame in sink.frames}) == 1


def test_strings_are_counted_and_hashed_and_hide_no_other_layer(keras: Any) -> None:
    tensorflow = pytest.importorskip("tensorflow")
    inputs = keras.Input((), dtype="string", name="text")
    ids = keras.layers.StringLookup(vocabulary=["a", "b"], name="ids")(inputs)
    model = keras.Model(inputs, keras.layers.Embedding(3, 4, name="embedding")(ids))
    sink = MemorySink()
    with recording(sink):
        model(tensorflow.constant(["a", "zebra"]))

    (frame,) = sink.frames
    assert [row["count"] for _, row in seen_tensors(frame, "layer")] == [2, 2, 8]


def test_half_precision_is_summarised(keras: Any) -> None:
    for dtype in ("float16", "bfloat16"):
        layer, sink = keras.layers.Dense(2, dtype=dtype, name="half"), MemorySink()
        model = keras.Sequential([keras.Input((3,)), layer])
        with recording(sink):
            output = np.asarray(model(vectors())).astype(np.float64)
        ((site, row),) = seen_tensors(sink.frames[0], "layer")
        assert site.dtype == dtype
        assert row["sum"] == pytest.approx(output.sum())


def test_level_latency_records_times_and_no_tensor(
    keras: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("layers were looked at")

    monkeypatch.setattr(keras_adapter, "LayerTap", fail)
    monkeypatch.setattr(keras_adapter, "shadow_pass", fail)
    model, sink, original = subclassed(keras), MemorySink(), keras.Operation.__call__
    with recording(sink, level="latency"):
        output = model(vectors())
        model.predict_on_batch(vectors())
        assert keras.Operation.__call__ is original

    for frame in sink.frames:
        assert frame.inferences[0].dur_ns > 0
        assert frame.inferences[0].layers is None
        assert seen_tensors(frame) == []
    assert sink.frames[0].output_hash == tensor_hash(np.asarray(output))
    (graph,) = sink.graphs.values()
    assert [op.layer_name for op in graph.ops] == ["first", "second"]


def test_a_batch_too_large_to_keep_its_layers_is_seen_in_a_second_pass(
    keras: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras_adapter, "MOST_KEPT_BYTES", 1000)
    model, sink = functional(keras), MemorySink()
    expected = bits(model(images(2)))
    with recording(sink):
        assert bits(model(images(2))) == expected

    (frame,) = sink.frames
    assert layer_names(frame) == ["x", "conv", "bn", "both", "flat"]
    assert layer_timings(frame) == [("none", False)] * 5


def test_a_predict_step_of_the_applications_own_is_what_the_layers_are_seen_of(
    keras: Any,
) -> None:
    class Halved(keras.Sequential):  # type: ignore[misc]
        def predict_step(self, data: Any) -> Any:
            return self(data[0] / 2)

    model = Halved([keras.Input((3,)), keras.layers.Dense(2, name="only")])
    sink, value = MemorySink(), vectors()
    expected = np.asarray(model(value / 2))
    with recording(sink):
        model.predict_on_batch(value)

    ((_, row),) = seen_tensors(sink.frames[0], "layer")
    assert row["sum"] == pytest.approx(expected.sum(), rel=1e-5)


def test_frames_of_one_model_share_their_sites(keras: Any) -> None:
    model, sink = functional(keras), MemorySink()
    with recording(sink):
        for _ in range(3):
            model(images())

    first, second, third = (frame.inferences[0] for frame in sink.frames)
    assert first.layers and second.layers and third.layers
    assert first.tensors and second.tensors and third.tensors
    assert first.layers.sites is second.layers.sites is third.layers.sites
    assert first.tensors.sites is second.tensors.sites is third.tensors.sites


def test_a_plain_call_beside_traced_ones_is_left_alone(keras: Any) -> None:
    model, sink = recurrent(keras), MemorySink()
    with recording(sink), untraced():
        model(np.ones((1, 5, 3), np.float32))
        model.predict(np.ones((1, 5, 3), np.float32), verbose=0)

    assert sink.frames == []


def test_a_nested_models_own_run_is_not_opened_by_the_outer_ones_call(keras: Any) -> None:
    model, sink = nested(keras), MemorySink()
    with recording(sink):
        model(vectors())
        model.get_layer("inner")(vectors())

    assert [frame.run.model_name for frame in sink.frames] == ["outer", "inner"]
    assert layer_names(sink.frames[1]) == ["deep"]
