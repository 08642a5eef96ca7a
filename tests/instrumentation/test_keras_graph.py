"""Layers as rows: nested models opened, parents, multiply-accumulates."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exray.instrumentation.graph import graph_from_tflite
from exray.instrumentation.keras_graph import OutputSpec, flatten_layers, keras_graph, output_name
from exray.instrumentation.keras_model import load_keras
from exray.instrumentation.keras_tap import LayerTap
from exray.schema.records import GraphOp

pytestmark = pytest.mark.keras


@pytest.fixture(name="keras", scope="module")
def keras_fixture() -> Any:
    pytest.importorskip("tensorflow")
    return importlib.import_module("keras")


def rows(model: Any) -> tuple[GraphOp, ...]:
    return keras_graph(model, model_name="m", sha256="ab").ops


def wiring(model: Any) -> dict[str, tuple[int, ...]]:
    return {op.layer_name: op.parents for op in rows(model)}


def test_row_of_a_layer_has_its_shape_weights_and_settings(keras: Any) -> None:
    inputs = keras.Input((8, 8, 3), name="x")
    conv = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")
    assert rows(keras.Model(inputs, conv(inputs)))[1] == GraphOp(
        subgraph_index=0,
        layer_index=1,
        layer_name="conv",
        op="Conv2D",
        input_names=("x",),
        output_names=("conv",),
        output_shapes=("1,8,8,4",),
        output_dtypes=("float32",),
        output_scales=(None,),
        output_zero_points=(None,),
        parents=(0,),
        macs=8 * 8 * 4 * 27,
        weight_bytes=4 * (4 * 27 + 4),
        activation_bytes=4 * 8 * 8 * 4,
        attributes={
            "fused_activation": "RELU",
            "stride": [1, 1],
            "dilation": [1, 1],
            "filter": [3, 3],
            "padding": "SAME",
            "groups": 1,
            "data_format": "channels_last",
        },
    )


def test_sequential_begins_at_the_model_input(keras: Any) -> None:
    layers = [keras.layers.Dense(2, name="a"), keras.layers.ReLU(name="b")]
    assert wiring(keras.Sequential([keras.Input((3,)), *layers])) == {"a": (-1,), "b": (0,)}


def test_parents_pass_through_operations_that_are_no_layers(keras: Any) -> None:
    inputs = keras.Input((3,), name="x")
    left = keras.layers.Dense(3, name="left")(inputs)
    right = keras.layers.Dense(3, name="right")(inputs)
    both = keras.layers.ReLU(name="both")(left + 2 * right)
    row = rows(keras.Model(inputs, both))[-1]
    assert row.layer_name == "both"
    assert set(row.input_names) == {"left", "right"}


def test_nested_models_are_opened_and_named_by_path(keras: Any) -> None:
    inner = keras.Input((3,), name="inner_x")
    backbone = keras.Model(inner, keras.layers.Dense(3, name="fc")(inner), name="backbone")
    head = keras.Sequential([keras.layers.ReLU(name="act")], name="head")
    inputs = keras.Input((3,), name="x")
    model = keras.Model(inputs, keras.layers.Softmax(name="out")(head(backbone(inputs))))
    assert wiring(model) == {
        "x": (-1,),
        "backbone/inner_x": (0,),
        "backbone/fc": (1,),
        "head/act": (2,),
        "out": (3,),
    }
    assert [flat.index for flat in flatten_layers(model)] == [0, 1, 2, 3, 4]


def test_shared_layer_is_one_row_with_all_its_parents(keras: Any) -> None:
    left, right = keras.Input((3,), name="left"), keras.Input((3,), name="right")
    tower = keras.layers.Dense(3, name="tower")
    out = keras.layers.Add(name="out")([tower(left), tower(right)])
    assert wiring(keras.Model([left, right], out)) == {
        "left": (-1,),
        "right": (-1,),
        "tower": (0, 1),
        "out": (2,),
    }


def test_other_models_uses_of_a_layer_are_not_its_parents(keras: Any) -> None:
    shared = keras.layers.Dense(3, name="shared")
    first, second = keras.Input((3,), name="first"), keras.Input((3,), name="second")
    shared(keras.layers.ReLU()(first))
    assert wiring(keras.Model(second, shared(second))) == {"second": (-1,), "shared": (0,)}


def test_layer_of_many_outputs_names_and_shapes_each(keras: Any) -> None:
    inputs = keras.Input((5, 3))
    lstm = keras.layers.LSTM(4, return_sequences=True, return_state=True, name="lstm")
    row = rows(keras.Model(inputs, lstm(inputs)))[1]
    assert row.output_names == ("lstm", "lstm:1", "lstm:2")
    assert row.output_shapes == ("1,5,4", "1,4", "1,4")


def test_unknown_dimensions_are_marked_and_count_nothing(keras: Any) -> None:
    inputs = keras.Input((None, None, 3))
    row = rows(keras.Model(inputs, keras.layers.Conv2D(4, 3, padding="same")(inputs)))[1]
    assert (row.output_shapes, row.macs, row.activation_bytes) == (("1,-1,-1,4",), 0, 0)


@pytest.mark.parametrize(
    ("layer", "macs"),
    [
        (("Conv2D", (4, 3)), 6 * 6 * 4 * 9 * 2),
        (("Conv2D", (4, 3), {"groups": 2}), 6 * 6 * 4 * 9),
        (("DepthwiseConv2D", (3,)), 6 * 6 * 2 * 9),
        (("SeparableConv2D", (5, 3)), 6 * 6 * (2 * 9 + 2 * 5)),
        (("Conv2DTranspose", (4, 3)), 8 * 8 * 2 * 9 * 4),
        (("Dense", (7,)), 8 * 8 * 7 * 2),
        (("MaxPooling2D", (2,)), 0),
    ],
)
def test_macs_agree_with_counts_by_hand(keras: Any, layer: Any, macs: int) -> None:
    name, arguments, *options = layer
    made = getattr(keras.layers, name)(*arguments, **(options[0] if options else {}))
    inputs = keras.Input((8, 8, 2))
    assert rows(keras.Model(inputs, made(inputs)))[1].macs == macs


def test_subclassed_model_takes_shapes_from_a_traced_call(keras: Any) -> None:
    class Homemade(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            keras.Model.__init__(self)
            self.fc = keras.layers.Dense(3, name="fc")

        def call(self, inputs: Any) -> Any:
            return self.fc(inputs) + 1

    model = Homemade()
    with LayerTap(model) as tap:
        model(np.ones((2, 5), np.float32))
    seen = {call.layer.index: call.specs for call in tap.calls}
    assert seen == {0: (OutputSpec((1, 3), "float32"),)}
    (row,) = keras_graph(model, model_name="m", sha256="", seen=seen).ops
    assert (row.parents, row.output_shapes, row.macs) == ((), ("1,3",), 15)


def test_output_name_tells_outputs_and_calls_apart() -> None:
    assert output_name("fc", 0) == "fc"
    assert output_name("fc", 1, 2) == "fc#2:1"


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("keras_file", "tflite_file"),
    [
        (
            "derived/mobilenet_v2_1.0_224_dequant.keras",
            "google-coral/tf2_mobilenet_v2_1.0_224_ptq.tflite",
        ),
        ("mlcommons-tiny/ic/pretrainedResnet.h5", "mlcommons-tiny/ic/pretrainedResnet.tflite"),
        ("mlcommons-tiny/vww/vww_96.h5", "mlcommons-tiny/vww/vww_96_float.tflite"),
    ],
)
def test_real_twins_need_the_same_multiply_accumulates(
    keras: Any, data: Path, keras_file: str, tflite_file: str
) -> None:
    graph = graph_from_tflite(data / tflite_file, model_name="m", sha256="")
    expected = sum(op.macs for op in graph.ops)
    found = rows(load_keras(data / keras_file))
    assert sum(op.macs for op in found) == expected
    assert all(op.parents for op in found)
