"""A .tflite file read into plain values, and files that are damaged."""

import contextlib
import copy
import importlib
import random
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from exray.instrumentation.tflite_file import (
    TfliteSignature,
    TfliteTensor,
    read_signatures,
    read_subgraphs,
)
from exray.schema.errors import ModelError
from exray.schema.records import Quantization

TINY_INT8 = Path(__file__).parent.parent / "data" / "tiny_int8.tflite"


@pytest.fixture(name="schema", scope="module")
def schema_fixture() -> ModuleType:
    """Generated accessors, which can write files too."""
    pytest.importorskip("ai_edge_litert")
    return importlib.import_module("ai_edge_litert.schema_py_generated")


# Any: the generated classes have no types.
def build_model(schema: Any) -> Any:
    """Build a model with one convolution, one custom operator and every kind of tensor."""

    def tensor(name: str, kind: int, shape: list[int], buffer: int = 0) -> Any:
        made = schema.TensorT()
        made.name, made.type, made.shape, made.buffer = name, kind, shape, buffer
        return made

    def quantize(made: Any, scale: list[float], zero_point: list[int], axis: int = 0) -> Any:
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale, made.quantization.zeroPoint = scale, zero_point
        made.quantization.quantizedDimension = axis
        return made

    kinds = schema.TensorType
    conv, custom = schema.OperatorT(), schema.OperatorT()
    conv.opcodeIndex, conv.inputs, conv.outputs = 0, [0, 1, -1], [2]
    conv.builtinOptionsType = schema.BuiltinOptions.Conv2DOptions
    conv.builtinOptions = schema.Conv2DOptionsT()
    conv.builtinOptions.strideH, conv.builtinOptions.strideW = 2, 1
    conv.builtinOptions.padding = schema.Padding.VALID
    conv.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.RELU6
    custom.opcodeIndex, custom.inputs, custom.outputs = 1, [2], [3]
    graph = schema.SubGraphT()
    graph.tensors = [
        quantize(tensor("x", kinds.INT8, [1, 4, 4, 3]), [0.5], [-128]),
        quantize(tensor("w", kinds.INT8, [2, 3, 3, 3], 1), [0.25, 0.125], [0, 0]),
        quantize(tensor("a;b", kinds.UINT8, [1, 2, 2, 2]), [0.5, 2.0], [], axis=3),
        quantize(tensor("y", kinds.FLOAT32, [1, 5]), [0.5], [0]),
    ]
    graph.operators, graph.inputs, graph.outputs = [conv, custom], [0], [3]
    codes = [schema.OperatorCodeT(), schema.OperatorCodeT()]
    codes[0].builtinCode = codes[0].deprecatedBuiltinCode = schema.BuiltinOperator.CONV_2D
    codes[1].builtinCode = codes[1].deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    codes[1].customCode = "Twirl"
    model = schema.ModelT()
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], codes
    model.buffers = [schema.BufferT(), schema.BufferT()]
    model.buffers[1].data = list(range(54))
    return model


def content_of(model: Any) -> bytes:
    flatbuffers: Any = importlib.import_module("flatbuffers")  # no types either
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_tensors_have_name_type_shape_and_quantization(schema: ModuleType) -> None:
    (graph,) = read_subgraphs(content_of(build_model(schema)), name="m")
    assert graph.tensors == (
        TfliteTensor(0, "x", "int8", (1, 4, 4, 3), Quantization((0.5,), (-128,))),
        TfliteTensor(1, "w", "int8", (2, 3, 3, 3), Quantization((0.25, 0.125), (0, 0)), 54),
        TfliteTensor(2, "a;b", "uint8", (1, 2, 2, 2), Quantization((0.5, 2.0), (0, 0), 3)),
        TfliteTensor(3, "y", "float32", (1, 5)),  # a scale on floats is a leftover
    )
    assert (graph.inputs, graph.outputs) == ((0,), (3,))


def test_scales_of_constants_are_counted_where_they_are_left_out(schema: ModuleType) -> None:
    content = content_of(build_model(schema))

    (whole,) = read_subgraphs(content, name="m")
    (graph,) = read_subgraphs(content, name="m", with_constant_scales=False)

    assert [t.scale_count for t in graph.tensors] == [t.scale_count for t in whole.tensors]
    assert [t.scale_count for t in graph.tensors] == [1, 2, 2, 0]
    assert [t.quantization is None for t in graph.tensors] == [False, True, False, True]


def test_ops_have_their_options_and_custom_ops_their_own_name(schema: ModuleType) -> None:
    (graph,) = read_subgraphs(content_of(build_model(schema)), name="m")
    conv, custom = graph.ops
    assert (conv.op, conv.inputs, conv.outputs) == ("CONV_2D", (0, 1, -1), (2,))
    assert conv.attributes == {
        "fused_activation": "RELU6",
        "padding": "VALID",
        "stride": [2, 1],
        "dilation": [1, 1],
    }
    assert (custom.op, custom.is_custom, custom.attributes) == ("Twirl", True, {})


def test_operator_and_type_of_a_newer_schema_are_named_by_their_numbers(
    schema: ModuleType,
) -> None:
    model = build_model(schema)
    model.operatorCodes[0].builtinCode = 9999
    model.subgraphs[0].tensors[3].type = 99

    (graph,) = read_subgraphs(content_of(model), name="m")

    assert graph.ops[0].op == "BUILTIN_9999"
    assert (graph.tensors[3].dtype, graph.tensors[3].size_bytes) == ("type_99", 0)


def test_size_bytes_counts_packed_bits_and_nothing_for_strings() -> None:
    assert TfliteTensor(0, "a", "float32", (1, 3)).size_bytes == 12
    assert TfliteTensor(0, "a", "int4", (1, 3)).size_bytes == 2
    assert TfliteTensor(0, "a", "string", (4,)).size_bytes == 0


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\x89HDF\r\n\x1a\n" + b"\0" * 64])
def test_other_file_is_a_model_error_that_says_what_it_starts_with(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"model 'm' is not a TFLite file: .* expected b'TFL3'"):
        read_subgraphs(content, name="m")


def test_truncated_file_is_a_model_error_that_says_what_to_do(schema: ModuleType) -> None:
    content = content_of(build_model(schema))
    for end in (8, 40, len(content) // 2, len(content) - 60):
        with pytest.raises(ModelError, match=r"'m' is truncated or damaged: .* compare its SHA"):
            read_subgraphs(content[:end], name="m")


def test_model_without_subgraph_is_a_model_error(schema: ModuleType) -> None:
    model = copy.copy(build_model(schema))
    model.subgraphs = []
    with pytest.raises(ModelError, match="holds no subgraph"):
        read_subgraphs(content_of(model), name="m")


def test_scales_that_fit_no_dimension_are_damage(schema: ModuleType) -> None:
    model = build_model(schema)
    model.subgraphs[0].tensors[1].quantization.quantizedDimension = 9
    with pytest.raises(ModelError, match="2 scales along dimension 9"):
        read_subgraphs(content_of(model), name="m")


def test_any_flipped_byte_gives_a_model_or_a_model_error(schema: ModuleType) -> None:
    content = content_of(build_model(schema))
    rng = random.Random(7)
    started_s = time.monotonic()
    for position in range(8, len(content)):
        damaged = bytearray(content)
        damaged[position] = rng.randrange(256)
        with contextlib.suppress(ModelError):
            read_subgraphs(bytes(damaged), name="m")
    assert time.monotonic() - started_s < 20  # no count read from the file runs away


def test_without_a_runtime_the_error_names_the_extra() -> None:
    script = (
        "import sys; from exray.instrumentation.tflite_file import read_subgraphs\n"
        "sys.modules['flatbuffers'] = None\n"
        "read_subgraphs(bytes(4) + b'TFL3' + bytes(32), name='m')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert done.stderr.splitlines()[-1].endswith(
        "reading a .tflite file needs the extra 'litert', not installed here. "
        "pip install 'exray[litert]'"
    )


def test_reading_a_model_does_not_import_tensorflow(schema: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "m.tflite"
    file.write_bytes(content_of(build_model(schema)))
    script = (
        "import sys; from exray.instrumentation.tflite_file import read_subgraphs\n"
        "assert 'flatbuffers' not in sys.modules\n"
        "read_subgraphs(open(sys.argv[1], 'rb').read(), name='m')\n"
        "assert 'tensorflow' not in sys.modules\n"
        "assert not [name for name in sys.modules if 'schema_py_generated' in name]\n"
    )
    subprocess.run([sys.executable, "-c", script, str(file)], check=True)


def test_signatures_have_their_names_and_the_graphs_for_the_same_tensors() -> None:
    signatures = read_signatures(TINY_INT8.read_bytes(), name="int8")

    assert signatures == {
        "serving_default": TfliteSignature(
            0,
            {"keras_tensor": "serving_default_keras_tensor:0"},
            {"output_0": "StatefulPartitionedCall_1:0"},
        )
    }
