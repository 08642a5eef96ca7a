"""Operators as rows: names, parents, what is excluded and why; and real networks."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from exray.instrumentation.graph import (
    TfliteGraph,
    graph_from_subgraphs,
    graph_from_tflite,
    read_tflite,
)
from exray.instrumentation.tflite_file import TfliteOp, TfliteSubgraph, TfliteTensor
from exray.schema.errors import ModelError
from exray.schema.records import GraphOp, Quantization


def tensor(
    name: str,
    shape: tuple[int, ...] = (1, 2),
    dtype: str = "float32",
    constant_bytes: int = 0,
    quantization: Quantization | None = None,
    is_variable: bool = False,
) -> TfliteTensor:
    """Build a tensor; `describe` numbers it."""
    return TfliteTensor(0, name, dtype, shape, quantization, constant_bytes, is_variable)


def describe(
    tensors: Sequence[TfliteTensor],
    ops: Sequence[tuple[str, Sequence[int], Sequence[int]]],
    inputs: Sequence[int] = (0,),
    outputs: Sequence[int] = (1,),
) -> TfliteGraph:
    """Describe a model of one subgraph."""
    subgraph = TfliteSubgraph(
        tensors=tuple(
            TfliteTensor(
                i,
                t.name,
                t.dtype,
                t.shape,
                t.quantization,
                t.constant_bytes,
                t.is_variable,
            )
            for i, t in enumerate(tensors)
        ),
        ops=tuple(TfliteOp(op, tuple(read), tuple(written)) for op, read, written in ops),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
    )
    return graph_from_subgraphs([subgraph], model_name="m", sha256="ab")


def reasons(graph: TfliteGraph) -> list[str | None]:
    return [op.excluded_reason for op in graph.graph.ops]


def parents(graph: TfliteGraph) -> list[tuple[int, ...]]:
    return [op.parents for op in graph.graph.ops]


def test_graph_row_names_shapes_and_counts() -> None:
    graph = describe(
        [
            tensor("x", (1, 5), "int8"),
            tensor("y", (1, 7), "int8", quantization=Quantization((0.5,), (-3,))),
            tensor("w", (7, 5), "int8", constant_bytes=35),
            tensor("b", (7,), "int32", constant_bytes=28),
        ],
        [("FULLY_CONNECTED", (0, 2, 3), (1,))],
    )
    assert graph.graph.ops == (
        GraphOp(
            subgraph_index=0,
            layer_index=0,
            layer_name="y",
            op="FULLY_CONNECTED",
            input_names=("x",),
            output_names=("y",),
            output_shapes=("1,7",),
            output_dtypes=("int8",),
            output_scales=(0.5,),
            output_zero_points=(-3,),
            parents=(-1,),
            macs=35,
            weight_bytes=63,
            activation_bytes=7,
        ),
    )
    assert (graph.graph.model_name, graph.graph.model_sha256) == ("m", "ab")
    assert graph.precision == "int8"


def test_a_convolution_tells_how_many_scales_its_weights_have() -> None:
    each = Quantization((0.1, 0.2, 0.3), (0, 0, 0), 0)
    graph = describe(
        [
            tensor("x", (1, 4, 4, 1), "int8"),
            tensor("y", (1, 4, 4, 3), "int8"),
            tensor("z", (1, 4, 4, 3), "int8"),
            tensor("one", (3, 1, 1, 1), "int8", constant_bytes=3, quantization=each),
            tensor(
                "two",
                (1, 2, 2, 3),
                "int8",
                constant_bytes=12,
                quantization=Quantization((0.1,), (0,)),
            ),
        ],
        [("CONV_2D", (0, 3), (1,)), ("DEPTHWISE_CONV_2D", (1, 4), (2,))],
    )
    told = [
        (op.attributes["weight_scales"], op.attributes["weight_channels"]) for op in graph.graph.ops
    ]
    assert told == [(3, 3), (1, 3)]


def test_parents_are_the_writers_in_order_without_repeats() -> None:
    graph = describe(
        [tensor("x"), tensor("out"), tensor("a"), tensor("b")],
        [("RELU", (0,), (2,)), ("ADD", (2, 2), (3,)), ("CONCATENATION", (3, 0, 2, 3), (1,))],
    )
    assert parents(graph) == [(-1,), (0,), (1, -1, 0)]
    assert graph.output_layers == (2,)


def test_shape_arithmetic_is_excluded_and_is_no_parent() -> None:
    graph = describe(
        [
            tensor("x"),
            tensor("out"),
            tensor("pool"),
            tensor("shape", (2,), "int32"),
            tensor("slice", (), "int32"),
            tensor("pack", (2,), "int32"),
            tensor("one", (), "int32", constant_bytes=4),
        ],
        [
            ("MEAN", (0, 6), (2,)),
            ("SHAPE", (2,), (3,)),
            ("STRIDED_SLICE", (3, 6, 6, 6), (4,)),
            ("PACK", (4, 6), (5,)),
            ("RESHAPE", (2, 5), (1,)),
        ],
    )
    assert reasons(graph) == [None, *["shape arithmetic"] * 3, None]
    assert parents(graph) == [(-1,), (0,), (1,), (2,), (0,)]
    assert graph.graph.ops[4].input_names == ("pool",)


def test_integers_that_come_from_the_input_are_activations() -> None:
    graph = describe(
        [tensor("x"), tensor("best", (1,), "int64"), tensor("axis", (), "int32", 4)],
        [("ARG_MAX", (0, 2), (1,))],
    )
    assert reasons(graph) == [None]


def test_weights_restored_by_an_operator_are_a_constant() -> None:
    graph = describe(
        [
            tensor("x", (1, 5)),
            tensor("out", (1, 7)),
            tensor("half", (7, 5), "float16", constant_bytes=70),
            tensor("w", (7, 5)),
        ],
        [("DEQUANTIZE", (2,), (3,)), ("FULLY_CONNECTED", (0, 3, -1), (1,))],
    )
    assert reasons(graph) == ["constant", None]
    assert parents(graph) == [(), (-1,)]
    assert graph.graph.ops[1].input_names == ("x",)
    assert graph.precision == "float32"


def test_chance_and_state_are_activations() -> None:
    graph = describe(
        [
            tensor("x"),
            tensor("out"),
            tensor("size", (1,), "int32", constant_bytes=4),
            tensor("noise"),
            tensor("handle", (), "resource"),
            tensor("state"),
            tensor("memory", is_variable=True),
            tensor("remembered"),
        ],
        [
            ("RANDOM_UNIFORM", (2,), (3,)),
            ("VAR_HANDLE", (), (4,)),
            ("READ_VARIABLE", (4,), (5,)),
            ("RELU", (6,), (7,)),
            ("ADD", (3, 5), (1,)),
            ("ASSIGN_VARIABLE", (4, 1), ()),
        ],
    )
    assert reasons(graph) == [None, "resource handle", None, None, None, "no output"]
    assert parents(graph)[3:] == [(), (0, 2), (1, 4)]
    assert graph.graph.ops[5].layer_name == "ASSIGN_VARIABLE:5"


def test_layers_lists_every_output_of_an_operator() -> None:
    scales = Quantization((0.5, 0.25), (0, 0), axis=1)
    graph = describe(
        [tensor("x"), tensor("out"), tensor("b", dtype="int8", quantization=scales)],
        [("SPLIT", (0,), (1, 2))],
    )
    assert [[t.index for t in outputs] for outputs in graph.layers] == [[1, 2]]
    assert graph.layers[0][1].quantization == scales
    assert graph.graph.ops[0].output_scales == (None, None)  # one per channel is not one
    assert graph.graph.ops[0].layer_name == "out"


def test_output_that_is_the_input_has_no_layer() -> None:
    graph = describe([tensor("x", dtype="uint8")], [], outputs=(0,))
    assert graph.output_layers == (-1,)
    assert graph.precision == "uint8"


def test_other_subgraphs_keep_their_own_indices() -> None:
    body = TfliteSubgraph(
        tensors=(TfliteTensor(0, "x", "float32", (1,)), TfliteTensor(1, "y", "float32", (1,))),
        ops=(TfliteOp("RELU", (0,), (1,)),),
        inputs=(0,),
        outputs=(1,),
    )
    graph = graph_from_subgraphs([body, body], model_name="m", sha256="")
    assert [(op.subgraph_index, op.layer_index) for op in graph.graph.ops] == [(0, 0), (1, 0)]
    assert len(graph.layers) == 1


def test_missing_file_is_a_model_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "gone.tflite"
    with pytest.raises(ModelError, match=r"gone\.tflite' cannot be read: No such file"):
        graph_from_tflite(path, model_name="gone", sha256="")


# Multiply-accumulates in millions: MobileNet papers, MLPerf Tiny.
PUBLISHED_MACS = [
    ("google-coral/tf2_mobilenet_v2_1.0_224_ptq.tflite", 300.8),
    ("google-coral/mobilenet_v1_0.25_128_quant.tflite", 13.6),
    ("tflite-support/mobilenet_v1_0.25_224_float.tflite", 41.0),
    ("derived/v1_025_int8.tflite", 41.0),
    ("mlcommons-tiny/ic/pretrainedResnet.tflite", 12.5),
    ("mlcommons-tiny/vww/vww_96_int8.tflite", 7.5),
    ("mlcommons-tiny/kws/kws_ref_model.tflite", 2.66),
]


@pytest.mark.realdata
@pytest.mark.parametrize(("file", "millions"), PUBLISHED_MACS)
def test_macs_of_real_networks_agree_with_the_published(
    data: Path, file: str, millions: float
) -> None:
    graph = graph_from_tflite(data / file, model_name=file, sha256="")
    assert sum(op.macs for op in graph.ops) / 1e6 == pytest.approx(millions, rel=0.01)


@pytest.mark.realdata
def test_layer_index_is_the_runtimes_operator_index(data: Path) -> None:
    """Without delegates the interpreter lists exactly the file's operators, in order."""
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    plain = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    files = sorted(data.rglob("*.tflite"))
    assert len(files) > 20
    for file in files:
        graph = read_tflite(file, model_name=file.stem, sha256="")
        interpreter = litert.Interpreter(str(file), experimental_op_resolver_type=plain)
        details = interpreter._get_ops_details()
        ops = graph.graph.ops
        assert [op.layer_index for op in ops] == [detail["index"] for detail in details]
        assert [op.op for op in ops] == [detail["op_name"] for detail in details]
        assert [[t.index for t in outputs] for outputs in graph.layers] == [
            [int(t) for t in detail["outputs"]] for detail in details
        ]


@pytest.mark.realdata
def test_tensors_of_real_networks_agree_with_the_runtime(data: Path) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    for file in sorted(data.rglob("*.tflite")):
        graph = read_tflite(file, model_name=file.stem, sha256="")
        interpreter = litert.Interpreter(str(file))
        details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
        for found in (*graph.inputs, *graph.outputs, *sum(graph.layers, ())):
            expected = details[found.index]
            assert found.name == expected["name"]
            assert found.dtype == expected["dtype"].__name__
            assert list(found.shape) == expected["shape"].tolist()
            parameters = expected["quantization_parameters"]
            if found.quantization is not None:
                assert list(found.quantization.scales) == parameters["scales"].tolist()
                assert list(found.quantization.zero_points) == parameters["zero_points"].tolist()
            elif "int" in found.dtype:
                assert not parameters["scales"].any()


@pytest.mark.realdata
def test_free_batch_dimension_leaves_its_shape_arithmetic_excluded(data: Path) -> None:
    graph = read_tflite(data / "derived" / "v1_025_int8.tflite", model_name="v1", sha256="")
    excluded = {op.op: op.excluded_reason for op in graph.graph.ops if op.excluded_reason}
    assert excluded == dict.fromkeys(["SHAPE", "STRIDED_SLICE", "PACK"], "shape arithmetic")
