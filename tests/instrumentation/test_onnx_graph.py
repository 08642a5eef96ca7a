"""An ONNX file becomes rows that say what computes what, in which layout."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exray.instrumentation.onnx_file import file_from_proto, parse_onnx, read_onnx
from exray.instrumentation.onnx_graph import OnnxGraph, onnx_graph
from exray.schema.errors import MissingExtraError, ModelError
from exray.schema.records import GraphOp, Quantization

from .onnx_builders import LAYERS, model_of, quantized, small

pytest.importorskip("onnx")


def described(model: Any) -> OnnxGraph:
    return onnx_graph(file_from_proto(model), model_name="m", sha256="0" * 64)


def rows(model: Any) -> dict[str, GraphOp]:
    """Return the operators by their first output."""
    ops = described(model).graph.ops
    return {op.output_names[0]: op for op in ops}


def node(op: str, inputs: list[str], output: str, **attributes: Any) -> Any:
    from onnx import helper

    return helper.make_node(op, inputs, [output], **attributes)


# --- rows -------------------------------------------------------------------------------


def test_each_operator_is_a_row_in_the_files_order_with_its_parents() -> None:
    ops = described(small()).graph.ops
    assert [op.op for op in ops] == LAYERS
    assert [op.layer_index for op in ops] == list(range(len(ops)))
    parents = [op.parents for op in ops]
    assert parents[:6] == [(-1,), (0,), (1,), (2,), (3,), (4, 1)]
    assert parents[6:] == [(i,) for i in range(5, 11)]


def test_a_row_is_named_by_its_node_else_by_its_tensor() -> None:
    named = rows(small())
    assert (named["c1"].layer_name, named["c1"].output_names) == ("conv1", ("c1",))
    assert named["r2"].layer_name == "r2"


def test_shapes_are_of_one_input_and_products_are_counted() -> None:
    named = rows(small())
    assert named["c1"].output_shapes == ("1,8,8,8",)
    assert named["c1"].macs == 8 * 8 * 8 * 3 * 3 * 3
    assert named["c2"].macs == 8 * 8 * 8 * 3 * 3
    assert named["l"].macs == 8 * 5
    assert named["r1"].macs == 0
    assert named["c1"].weight_bytes == (8 * 3 * 3 * 3 + 8) * 4
    assert named["c1"].activation_bytes == 8 * 8 * 8 * 4


def test_attributes_have_the_names_that_tflites_have() -> None:
    attributes = rows(small())["c1"].attributes
    assert attributes["stride"] == [2, 2]
    assert attributes["padding"] == [1, 1, 1, 1]


def test_what_follows_from_shapes_and_constants_alone_is_excluded() -> None:
    nodes = [
        node("Shape", ["x"], "shape"),
        node("Mul", ["two", "two"], "four"),
        node("Reshape", ["x", "shape"], "y"),
        node("Add", ["y", "four"], "z"),
    ]
    constants: dict[str, Any] = {"two": np.array([2], np.float32)}
    named = rows(model_of(nodes, {"x": ["N", 3]}, {"z": ["N", 3]}, constants))
    reasons = {name: op.excluded_reason for name, op in named.items()}
    assert reasons == {"shape": "shape arithmetic", "four": "constant", "y": None, "z": None}
    assert named["y"].parents == (-1,)
    assert named["z"].parents == (named["y"].layer_index,)


def test_what_a_body_reads_from_outside_is_a_parent_of_the_operator() -> None:
    from onnx import TensorProto, helper

    result = helper.make_tensor_value_info("inner", TensorProto.FLOAT, ["N", 3])
    body = helper.make_graph([node("Neg", ["a"], "inner")], "body", [], [result])
    nodes = [
        node("Relu", ["x"], "a"),
        node("If", ["yes"], "z", then_branch=body, else_branch=body),
    ]
    constants: dict[str, Any] = {"yes": np.array(True)}
    named = rows(model_of(nodes, {"x": ["N", 3]}, {"z": ["N", 3]}, constants))
    assert named["z"].excluded_reason is None
    assert named["z"].parents == (named["a"].layer_index,)


def test_an_unknown_size_is_said_and_counts_nothing() -> None:
    nodes = [node("MatMul", ["x", "w"], "z")]
    constants: dict[str, Any] = {"w": np.ones((4, 4), np.float32)}
    named = rows(model_of(nodes, {"x": ["N", "T", 4]}, {"z": ["N", "T", 4]}, constants))
    assert named["z"].output_shapes == ("1,-1,4",)
    assert (named["z"].macs, named["z"].activation_bytes) == (0, 0)


# --- layouts ----------------------------------------------------------------------------


def layouts_of(model: Any) -> dict[str, str | None]:
    return {name: place.layout for name, place in described(model).places.items()}


def test_images_have_channels_first_and_vectors_no_layout() -> None:
    found = layouts_of(small())
    assert {found[name] for name in ("x", "c1", "r1", "a", "m", "g")} == {"nchw"}
    assert {found[name] for name in ("f", "l", "p")} == {None}


def test_four_dimensions_that_no_image_operator_touches_have_no_layout() -> None:
    nodes = [node("Transpose", ["x"], "t", perm=[0, 2, 1, 3]), node("Softmax", ["t"], "z")]
    found = layouts_of(model_of(nodes, {"x": [1, 2, 3, 4]}, {"z": [1, 3, 2, 4]}))
    assert set(found.values()) == {None}


def test_transposes_between_layouts_are_no_layers_and_are_looked_through() -> None:
    nodes = [
        node("Mul", ["x", "half"], "scaled"),
        node("Transpose", ["scaled"], "first", perm=[0, 3, 1, 2]),
        node("Conv", ["first", "w"], "c"),
        node("Transpose", ["c"], "last", perm=[0, 2, 3, 1]),
        node("Relu", ["last"], "z"),
    ]
    constants: dict[str, Any] = {
        "half": np.array([0.5], np.float32),
        "w": np.ones((2, 3, 1, 1), np.float32),
    }
    model = model_of(nodes, {"x": [1, 4, 4, 3]}, {"z": [1, 4, 4, 2]}, constants)
    named, found = rows(model), layouts_of(model)
    assert named["first"].excluded_reason == named["last"].excluded_reason
    assert named["first"].excluded_reason == "changes the layout alone"
    assert named["c"].parents == (named["scaled"].layer_index,)
    assert named["z"].parents == (named["c"].layer_index,)
    assert (found["x"], found["scaled"], found["c"], found["z"]) == ("nhwc", "nhwc", "nchw", "nhwc")


def test_signals_have_a_layout_too() -> None:
    nodes = [node("Conv", ["x", "w"], "z")]
    constants: dict[str, Any] = {"w": np.ones((2, 3, 1), np.float32)}
    found = layouts_of(model_of(nodes, {"x": [1, 3, 9]}, {"z": [1, 2, 9]}, constants))
    assert found == {"x": "ncw", "z": "ncw"}


# --- quantization -----------------------------------------------------------------------


def test_a_group_between_dequantize_and_quantize_is_one_layer(tmp_path: Path) -> None:
    ops = described(quantized(tmp_path, "QDQ")).graph.ops
    layers = [op for op in ops if op.excluded_reason is None]
    assert [op.op for op in layers] == [
        "QuantizeLinear",
        *("Conv", "Conv", "Conv", "Add", "MaxPool", "GlobalAveragePool", "Flatten", "Gemm"),
        *("Softmax", "DequantizeLinear"),
    ]
    assert {op.output_dtypes for op in layers[:-1]} == {("int8",)}
    assert all(op.output_scales[0] for op in layers[:-1])
    index = {op.layer_name: op.layer_index for op in layers}
    assert next(op for op in layers if op.op == "Add").parents == (index["conv3"], index["conv1"])


def test_a_clamp_inside_a_group_is_the_activation_of_its_operator() -> None:
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], "qx"),
        node("DequantizeLinear", ["qx", "s", "z"], "dx"),
        node("Conv", ["dx", "w"], "c"),
        node("Relu", ["c"], "r"),
        node("QuantizeLinear", ["r", "s", "z"], "qr"),
        node("DequantizeLinear", ["qr", "s", "z"], "y"),
    ]
    constants: dict[str, Any] = {
        "s": np.array(0.1, np.float32),
        "z": np.array(3, np.int8),
        "w": np.ones((2, 3, 1, 1), np.float32),
    }
    model = model_of(nodes, {"x": [1, 3, 4, 4]}, {"y": [1, 2, 4, 4]}, constants)
    conv = described(model).graph.ops[2]
    assert conv.output_names == ("qr",)
    assert conv.attributes["fused_activation"] == "RELU"
    assert described(model).graph.ops[3].excluded_reason == "part of Conv c"
    assert described(model).places["qr"].quantization == Quantization(
        (float(np.float32(0.1)),), (3,)
    )


def test_an_operator_whose_float_output_another_reads_stands_alone() -> None:
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], "qx"),
        node("DequantizeLinear", ["qx", "s", "z"], "dx"),
        node("Relu", ["dx"], "r"),
        node("QuantizeLinear", ["r", "s", "z"], "qr"),
        node("DequantizeLinear", ["qr", "s", "z"], "dr"),
        node("Add", ["dr", "r"], "y"),
    ]
    constants: dict[str, Any] = {"s": np.array(0.1, np.float32), "z": np.array(3, np.int8)}
    named = rows(model_of(nodes, {"x": [1, 3]}, {"y": [1, 3]}, constants))
    assert named["r"].output_dtypes == ("float32",)
    assert named["qr"].excluded_reason is None


def test_operators_on_integers_tell_scale_and_shape(tmp_path: Path) -> None:
    found = described(quantized(tmp_path, "QOperator"))
    ops = {op.op: op for op in found.graph.ops}
    for name in ("QLinearConv", "QLinearAdd", "MaxPool", "QGemm", "QLinearSoftmax"):
        assert ops[name].output_scales[0], name
        assert ops[name].output_shapes[0], name
    assert ops["MaxPool"].output_scales == ops["QLinearAdd"].output_scales
    assert ops["QLinearConv"].macs and ops["QGemm"].macs
    assert found.precision == "int8"


def test_scales_per_channel_are_kept_with_their_axis() -> None:
    nodes = [node("QuantizeLinear", ["x", "s", "z"], "q", axis=-3)]
    nodes.append(node("DequantizeLinear", ["q", "s", "z"], "y", axis=1))
    constants: dict[str, Any] = {"s": np.array([0.5, 0.25], np.float32), "z": np.zeros(2, np.int8)}
    model = model_of(nodes, {"x": [1, 2, 4, 4]}, {"y": [1, 2, 4, 4]}, constants)
    expected = Quantization((0.5, 0.25), (0, 0), 1)
    assert described(model).places["q"].quantization == expected


# --- files that are none ----------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"TFL3 is another format", b"\x00" * 64])
def test_what_is_no_model_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"model 'bad\.onnx' is truncated or no ONNX model"):
        read_onnx(content, name="bad.onnx")


def test_a_truncated_model_is_refused() -> None:
    content = small().SerializeToString()
    with pytest.raises(ModelError, match="truncated"):
        parse_onnx(content[: len(content) // 2], name="cut.onnx")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setitem(sys.modules, "onnx.shape_inference", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'exray\[onnx\]'"):
        parse_onnx(b"", name="m.onnx")
