"""Alignment on small graphs: each rule, with the trap that it is for."""

import numpy as np
import pytest

from exray.diagnosis.alignment import (
    LayerMatch,
    ModelLayer,
    ModelLayers,
    align,
    layers_from_graph,
)
from exray.schema.records import Graph, GraphOp

IMAGE = (1, 8, 8, 4)
VECTOR = (1, 4)


def layer(
    index: int,
    op: str,
    name: str | None = None,
    *,
    shape: tuple[int, ...] = IMAGE,
    parents: tuple[int, ...] | None = None,
    activation: str | None = "",
    macs: int = 0,
    excluded_reason: str | None = None,
) -> ModelLayer:
    """Build a layer that reads the one before it and whose name says nothing."""
    return ModelLayer(
        index=index,
        name=f"unnamed{op}{index}" if name is None else name,
        op=op,
        count=int(np.prod(shape)),
        shape=shape,
        parents=(index - 1,) if parents is None else parents,
        activation=activation,
        macs=macs,
        excluded_reason=excluded_reason,
    )


def model(*layers: ModelLayer, sha256: str = "") -> ModelLayers:
    return ModelLayers(sha256, layers)


def counterparts(matches: list[LayerMatch]) -> list[int | None]:
    return [match.reference_layer_index for match in matches]


def methods(matches: list[LayerMatch]) -> list[str]:
    return [match.method for match in matches]


def block(start: int, name: str = "", reads: int | None = None) -> list[ModelLayer]:
    """Build Keras' convolution, normalization and activation as three layers."""
    parents = None if reads is None else (reads,)
    return [
        layer(start, "Conv2D", name and f"{name}", parents=parents),
        layer(start + 1, "BatchNormalization", name and f"{name}_bn"),
        layer(start + 2, "ReLU", name and f"{name}_relu"),
    ]


def keras_net() -> ModelLayers:
    """Build a stem, a residual block with a shortcut in its own convolution, and a head."""
    return model(
        layer(0, "InputLayer", "input_1", parents=(-1,)),
        *block(1, "stem"),
        *block(4, "left"),
        layer(7, "Conv2D", "right"),
        layer(8, "Conv2D", "shortcut", parents=(3,)),
        layer(9, "BatchNormalization", "right_bn", parents=(7,)),
        layer(10, "Add", "join", parents=(8, 9)),
        layer(11, "Activation", "join_relu", activation="RELU"),
        layer(12, "GlobalAveragePooling2D", "pool", shape=VECTOR),
        layer(13, "Dropout", "dropout", shape=VECTOR),
        layer(14, "Dense", "dense", shape=(1, 3), activation="SOFTMAX"),
    )


def tflite_net(*, named: bool = True) -> ModelLayers:
    """Build the same net as a converter writes it: fused, branches in another order."""

    def name(text: str) -> str | None:
        return text if named else None

    relu = "RELU"
    return model(
        layer(0, "QUANTIZE", name("tfl.quantize"), parents=(-1,)),
        layer(1, "CONV_2D", name("m/stem_relu/Relu;m/stem_bn/Fused;m/left/conv"), activation=relu),
        layer(2, "CONV_2D", name("m/left_relu/Relu;m/left_bn/Fused;m/left/conv"), activation=relu),
        layer(3, "CONV_2D", name("m/right_bn/Fused;m/right/conv;m/shortcut/conv")),
        layer(4, "CONV_2D", name("m/shortcut/BiasAdd;m/shortcut/conv"), parents=(1,)),
        layer(5, "ADD", name("m/join_relu/Relu;m/join/add"), parents=(4, 3), activation=relu),
        layer(6, "MEAN", name("m/pool/Mean"), shape=VECTOR),
        layer(7, "FULLY_CONNECTED", name("m/dense/MatMul;m/dense/BiasAdd"), shape=(1, 3)),
        layer(8, "SOFTMAX", name("StatefulPartitionedCall:0"), shape=(1, 3)),
    )


RIGHT = [0, 3, 6, 9, 8, 11, 12, None, 14]
"""What `tflite_net` finds in `keras_net`; Dense shows only its softmax."""

COLUMNS = 15


def near(pairs: list[int | None], columns: int, *, other: float = 1.0) -> np.ndarray:
    """Build distances in which each edge layer is near one reference layer."""
    distances = np.full((len(pairs), columns), other)
    for i, j in enumerate(pairs):
        if j is not None:
            distances[i, j] = 0.05
    return distances


def test_align_same_file_matches_every_layer_with_itself() -> None:
    net = model(
        layer(0, "CONV_2D"),
        layer(1, "SHAPE", excluded_reason="shape arithmetic"),
        layer(2, "RESHAPE", parents=(0, 1)),
        sha256="ab",
    )
    matches = align(net, net)
    assert methods(matches) == ["same_model", "none", "same_model"]
    assert counterparts(matches) == [0, None, 2]


def test_align_same_tensor_names_are_method_name_whatever_the_converter_appended() -> None:
    float_net = model(layer(0, "CONV_2D", "a/Relu;a/Conv2D"), layer(1, "SOFTMAX", "Identity"))
    int8_net = model(layer(0, "CONV_2D", "a/Relu;a/Conv2D"), layer(1, "SOFTMAX", "Identity_int8"))
    matches = align(int8_net, float_net)
    assert counterparts(matches) == [0, 1]
    assert methods(matches) == ["name", "name"]


@pytest.mark.parametrize("named", [True, False])
def test_align_finds_the_layer_with_the_same_output_without_distances(named: bool) -> None:
    matches = align(tflite_net(named=named), keras_net())
    assert counterparts(matches) == RIGHT
    expected = "overlap" if named else "structure"
    assert methods(matches) == ["structure", *[expected] * 6, "none", "structure"]


def test_align_on_a_common_input_names_the_sketch_where_names_say_nothing() -> None:
    distances = near(RIGHT, COLUMNS)
    distances[6, 13] = distances[6, 12]  # Dropout holds the same values
    matches = align(tflite_net(named=False), keras_net(), distances)
    assert counterparts(matches) == RIGHT
    assert methods(matches) == ["structure", *["sketch"] * 6, "none", "sketch"]


def test_align_survives_distances_that_say_nothing() -> None:
    noise = np.random.default_rng(0).uniform(0.9, 1.4, (9, COLUMNS))
    for common_input in (True, False):
        matches = align(tflite_net(), keras_net(), noise, common_input=common_input)
        assert counterparts(matches) == RIGHT


def test_align_is_not_misled_by_names_of_other_layers() -> None:
    edge = tflite_net()
    names = [one.name for one in edge.layers]
    layers = [
        layer(
            one.index,
            one.op,
            names[i - 1],
            shape=one.shape,
            parents=one.parents,
            activation=one.activation,
        )
        for i, one in enumerate(edge.layers)
    ]
    assert counterparts(align(model(*layers), keras_net())) == RIGHT


def test_align_works_with_roles_exchanged() -> None:
    matches = align(keras_net(), tflite_net())
    assert counterparts(matches) == [0, None, None, 1, None, None, 2, None, 4, 3, None, 5, 6, 6, 8]
    assert "within 'm/stem_relu/Relu'" in str(matches[1].reason)


def test_align_logits_have_no_counterpart_in_a_layer_that_applies_softmax() -> None:
    logits = align(tflite_net(), keras_net())[7]
    assert logits.method == "none"
    assert logits.reason == "the reference computes it within 'dense', and not as an output"


def test_align_lists_excluded_operators_with_their_reason() -> None:
    edge = model(
        layer(0, "CONV_2D", parents=(-1,)),
        layer(1, "SHAPE", shape=(4,), excluded_reason="shape arithmetic"),
        layer(2, "RESHAPE", parents=(0, 1), shape=(1, 256)),
    )
    reference = model(layer(0, "Conv2D", parents=(-1,)), layer(1, "Flatten", shape=(1, 256)))
    matches = align(edge, reference)
    assert counterparts(matches) == [0, None, 1]
    assert matches[1].reason == "shape arithmetic"


def test_align_counted_up_names_do_not_shift_the_layers() -> None:
    """Keras 3 exports ``conv`` as ``conv_1`` although a layer ``conv_1`` follows."""
    reference = model(
        layer(0, "Conv2D", "conv", parents=(-1,), activation="RELU"),
        layer(1, "Conv2D", "conv_1", activation="RELU"),
        layer(2, "Conv2D", "conv_2", activation="RELU"),
    )
    edge = model(
        layer(
            0, "CONV_2D", "net_1/conv_1/Relu;net_1/conv_1/conv", parents=(-1,), activation="RELU"
        ),
        layer(1, "CONV_2D", "net_1/conv_1_2/Relu;net_1/conv_1_2/conv", activation="RELU"),
        layer(2, "CONV_2D", "net_1/conv_2_1/Relu;net_1/conv_2_1/conv", activation="RELU"),
    )
    assert counterparts(align(edge, reference)) == [0, 1, 2]


def test_align_copies_go_to_the_layer_of_their_name_kind_or_shape() -> None:
    reference = model(
        layer(0, "GlobalAveragePooling2D", "pool", parents=(-1,), shape=(1, 1, 1, 4)),
        layer(1, "Dropout", "drop", shape=(1, 1, 1, 4)),
        layer(2, "Reshape", "flat", shape=VECTOR),
        layer(3, "Activation", "again", shape=VECTOR, activation="NONE"),
    )
    edge = model(
        layer(0, "MEAN", parents=(-1,), shape=(1, 1, 1, 4)),
        layer(1, "QUANTIZE", shape=(1, 1, 1, 4)),
        layer(2, "RESHAPE", shape=VECTOR),
        layer(3, "RESHAPE", "m/again/Reshape", shape=VECTOR),
    )
    assert counterparts(align(edge, reference)) == [0, 1, 2, 3]


def test_align_quantized_input_without_input_layer_says_so() -> None:
    edge = model(layer(0, "QUANTIZE", parents=(-1,)), layer(1, "CONV_2D"))
    matches = align(edge, model(layer(0, "CONV_2D", parents=(-1,))))
    assert counterparts(matches) == [None, 0]
    assert matches[0].reason == "a copy of the model input, which is no layer of the reference"


def twins(op: str, join: str) -> ModelLayers:
    return model(
        layer(0, op, parents=(-1,)),
        layer(1, op, parents=(0,)),
        layer(2, op, parents=(0,)),
        layer(3, join, parents=(1, 2), shape=(1, 8, 8, 8)),
    )


def test_align_twin_branches_are_left_open_and_what_joins_them_is_found() -> None:
    matches = align(twins("CONV_2D", "CONCATENATION"), twins("Conv2D", "Concatenate"))
    assert counterparts(matches) == [0, None, None, 3]
    assert matches[1].reason == "2 reference layers fit alike: 'unnamedConv2D1', 'unnamedConv2D2'"


@pytest.mark.parametrize("common_input", [True, False])
def test_align_twin_branches_are_told_apart_by_clear_distances(common_input: bool) -> None:
    distances = near([0, 2, 1, 3], 4)
    matches = align(
        twins("CONV_2D", "CONCATENATION"),
        twins("Conv2D", "Concatenate"),
        distances,
        common_input=common_input,
    )
    assert counterparts(matches) == [0, 2, 1, 3]
    assert methods(matches)[1] == "sketch"


def test_align_branches_of_other_cost_are_told_apart_without_distances() -> None:
    def net(op: str, join: str, macs: tuple[int, int]) -> ModelLayers:
        return model(
            layer(0, op, parents=(-1,), macs=macs[0]),
            layer(1, op, parents=(-1,), macs=macs[1]),
            layer(2, join, parents=(0, 1)),
        )

    matches = align(net("CONV_2D", "ADD", (900, 2500)), net("Conv2D", "Add", (2500, 900)))
    assert counterparts(matches) == [1, 0, 2]


def clamped_by_range() -> ModelLayers:
    """Build a file of quantization-aware training: ranges clamp, no operator says so."""
    return model(
        layer(0, "CONV_2D", parents=(-1,)), layer(1, "CONV_2D"), layer(2, "ADD", parents=(0, 1))
    )


def test_align_ranges_that_clamp_answer_to_the_activation() -> None:
    reference = model(
        layer(0, "InputLayer", parents=(-1,)),
        *block(1),
        *block(4),
        layer(7, "Add", parents=(3, 6)),
    )
    assert counterparts(align(clamped_by_range(), reference)) == [3, 6, 7]


def one_relu_missing() -> tuple[ModelLayers, ModelLayers]:
    edge = model(
        layer(0, "CONV_2D", parents=(-1,), activation="RELU6"),
        layer(1, "CONV_2D"),
        layer(2, "CONV_2D", activation="RELU6"),
    )
    reference = model(layer(0, "InputLayer", parents=(-1,)), *block(1), *block(4), *block(7))
    return edge, reference


def test_align_a_missing_clamp_is_compared_with_the_clamped_layer() -> None:
    edge, reference = one_relu_missing()
    assert counterparts(align(edge, reference)) == [3, 6, 9]


def test_align_a_fault_that_moves_an_output_does_not_move_its_match() -> None:
    """A zeroed bias can be nearer to the value before normalization than to its own."""
    edge = model(layer(0, "CONV_2D", parents=(-1,), activation="RELU"), layer(1, "CONV_2D"))
    reference = model(*block(0, reads=-1), layer(3, "Conv2D"), layer(4, "BatchNormalization"))
    assert counterparts(align(edge, reference, near([2, 3], 5))) == [2, 4]


def unwired(net: ModelLayers) -> ModelLayers:
    layers = [
        layer(one.index, one.op, one.name, shape=one.shape, parents=(), activation=one.activation)
        for one in net.layers
    ]
    return model(*layers)


def test_align_without_a_reference_graph_names_or_sketches_suffice() -> None:
    reference = unwired(keras_net())
    by_name = align(tflite_net(), reference)
    assert counterparts(by_name) == [0, 3, 6, 9, 8, 11, 12, None, None]
    by_sketch = align(tflite_net(named=False), reference, near(RIGHT, COLUMNS))
    assert counterparts(by_sketch) == RIGHT


def test_align_distances_of_other_inputs_prove_nothing_alone() -> None:
    reference = unwired(keras_net())
    matches = align(tflite_net(named=False), reference, near(RIGHT, COLUMNS), common_input=False)
    assert counterparts(matches) == [0, *[None] * 8]


def test_align_another_number_of_classes_leaves_the_head_open() -> None:
    edge = model(layer(0, "CONV_2D", parents=(-1,)), layer(1, "FULLY_CONNECTED", shape=(1, 1001)))
    reference = model(layer(0, "Conv2D", parents=(-1,)), layer(1, "Dense", shape=(1, 1000)))
    matches = align(edge, reference)
    assert counterparts(matches) == [0, None]
    assert matches[1].reason == "no reference layer has 1001 elements"


def test_align_another_network_matches_nothing() -> None:
    edge = model(
        layer(0, "CONV_2D", parents=(-1,), macs=100), layer(1, "DEPTHWISE_CONV_2D", macs=50)
    )
    reference = model(
        layer(0, "Conv2D", parents=(-1,), macs=400), layer(1, "Conv2D", macs=400), layer(2, "Tanh")
    )
    assert counterparts(align(edge, reference)) == [None, None]


def test_align_a_layer_that_reads_a_later_one_does_not_fail() -> None:
    reference = model(
        layer(0, "Conv2D", "shared", parents=(-1, 1)), layer(1, "ReLU", "relu", parents=(0,))
    )
    edge = model(layer(0, "CONV_2D", "m/relu/Relu", parents=(-1,), activation="RELU"))
    assert counterparts(align(edge, reference)) == [1]


def test_align_reports_distance_and_runner_up_and_none_where_not_measured() -> None:
    edge = model(layer(0, "CONV_2D", parents=(-1,)), layer(1, "TANH"))
    reference = model(layer(0, "Conv2D", parents=(-1,)), layer(1, "Activation", activation="TANH"))
    distances = np.array([[0.1, 0.7], [0.8, np.nan]])
    assert align(edge, reference, distances) == [
        LayerMatch(0, 0, "sketch", 0.1, 0.7),
        LayerMatch(1, 1, "structure", None, 0.8),
    ]


def test_align_distances_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 2\) do not fit 9 edge and 15 reference"):
        align(tflite_net(), keras_net(), np.zeros((2, 2)))


def graph_op(index: int, **fields: object) -> GraphOp:
    values: dict[str, object] = {
        "subgraph_index": 0,
        "layer_index": index,
        "layer_name": "short",
        "op": "CONV_2D",
        "input_names": (),
        "output_names": ("a/Relu;a/Conv2D",),
        "output_shapes": ("1,2,3",),
        "output_dtypes": ("float32",),
        "output_scales": (None,),
        "output_zero_points": (None,),
        "parents": (-1,),
        "macs": 7,
        "weight_bytes": 0,
        "activation_bytes": 0,
        "attributes": {"fused_activation": "RELU"},
    }
    return GraphOp(**(values | fields))  # type: ignore[arg-type]  # a builder's defaults


def test_layers_from_graph_takes_the_primary_subgraph_in_order() -> None:
    ops = (graph_op(1, op="ADD"), graph_op(0), graph_op(0, subgraph_index=1))
    layers = layers_from_graph(Graph("m", "ab", ops))
    assert layers.model_sha256 == "ab"
    assert [(one.index, one.op) for one in layers.layers] == [(0, "CONV_2D"), (1, "ADD")]
    assert layers.layers[0] == ModelLayer(
        0, "a/Relu;a/Conv2D", "CONV_2D", 6, (1, 2, 3), (-1,), "RELU", 7
    )


@pytest.mark.parametrize(
    ("text", "count"),
    [("1,2,3", 6), ("None,8,8,3", 192), ("-1,8", 8), ("1,-1,3", None), ("", 1)],
)
def test_layers_from_graph_counts_one_input_and_knows_what_is_open(
    text: str, count: int | None
) -> None:
    layers = layers_from_graph(Graph("m", "ab", (graph_op(0, output_shapes=(text,)),)))
    assert layers.layers[0].count == count


def test_layers_from_graph_an_activation_nobody_told_is_unknown() -> None:
    told = graph_op(0, op="Activation", attributes={"fused_activation": "RELU"})
    untold = graph_op(1, op="Activation", attributes={})
    layers = layers_from_graph(Graph("m", "ab", (told, untold))).layers
    assert [one.activation for one in layers] == ["RELU", None]
