"""Constants of a .tflite file, and single operators cut out of it."""

from pathlib import Path

import numpy as np
import pytest

from exray.diagnosis.layers.reference_tensors import TfliteTensors, open_interpreter
from exray.diagnosis.layers.tflite_model import TfliteModel
from exray.schema.errors import ModelError
from exray.schema.quantization import dequantize

from .faulty import FLOAT, INT8


@pytest.mark.parametrize("file", [INT8, FLOAT])
def test_every_operator_alone_computes_what_it_does_in_the_model(file: Path) -> None:
    model = TfliteModel.load(file)
    whole = TfliteTensors(model, "builtin")
    rng = np.random.default_rng(5)
    value = rng.uniform(0, 255, model.tensors[model.graph.inputs[0]].shape).astype(
        whole.input.dtype
    )
    read = whole.run(value)
    for index, op in enumerate(model.ops):
        single = model.cut(index)
        interpreter = open_interpreter(single.content, "builtin")
        for detail, tensor in zip(interpreter.get_input_details(), single.inputs, strict=True):
            stored = whole._interpreter.get_tensor(tensor)
            interpreter.set_tensor(detail["index"], stored)
        interpreter.invoke()
        found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        real = dequantize(found, model.tensors[op.outputs[0]].quantization, np.float64)
        np.testing.assert_array_equal(real, read(index), err_msg=f"{index} {op.op}")


def test_a_cut_holds_its_own_weights_alone() -> None:
    model = TfliteModel.load(FLOAT)
    assert len(model.cut(0).content) < len(model.content) / 2


def test_activations_are_no_constants() -> None:
    model = TfliteModel.load(INT8)
    op = model.ops[0]
    assert model.activations(op) == (op.inputs[0],)
    weights = model.constant(op.inputs[1])
    assert weights is not None
    assert weights.dtype == np.int8
    assert weights.shape == model.tensors[op.inputs[1]].shape


def test_edited_tables_leave_the_file_alone() -> None:
    model = TfliteModel.load(INT8)
    edited = model.edited()
    edited.subgraphs[0].tensors[0].name = b"other"
    assert TfliteModel(model.pack(edited), "edited").tensors[0].name == "other"
    assert model.tensors[0].name != "other"
    assert TfliteModel(model.pack(), "again").graph == model.graph


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model '.*none\.tflite' cannot be read"):
        TfliteModel.load(tmp_path / "none.tflite")
