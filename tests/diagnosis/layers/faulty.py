"""Builds of the demo's network, with faults planted into single operators."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from exray.diagnosis.causes import Replay
from exray.diagnosis.conclusion import Diagnosis
from exray.diagnosis.diagnose import diagnose
from exray.diagnosis.layers.find import find_layer_causes
from exray.diagnosis.layers.sound_op import put
from exray.diagnosis.layers.tflite_model import TfliteModel
from exray.lake import Lake
from exray.playback.dataset import open_dataset
from exray.playback.pipeline import Pipeline, play
from exray.playback.spec import load_spec

DEMO = Path(str(files("exray.playback").joinpath("demo")))
INT8, FLOAT = DEMO / "demo_int8.tflite", DEMO / "demo_float.tflite"
INPUTS, SPEC = DEMO / "images", DEMO / "reference.yaml"

FRAMES = 6

Edit = Callable[[TfliteModel, Any, int], None]
"""Changes one operator in a model's tables."""


def with_fault(model: Path, target: Path, layer_index: int, edit: Edit) -> Path:
    """Write a copy of *model* in which *edit* has changed one operator."""
    loaded = TfliteModel.load(model)
    objects = loaded.edited()
    edit(loaded, objects, layer_index)
    target.write_bytes(loaded.pack(objects))
    return target


def zero_bias(model: TfliteModel, objects: Any, layer_index: int) -> None:
    """Set the bias of an operator to zero."""
    buffer = objects.subgraphs[0].tensors[model.ops[layer_index].inputs[2]].buffer
    objects.buffers[buffer].data = np.zeros_like(objects.buffers[buffer].data)


def stretch_output(model: TfliteModel, objects: Any, layer_index: int) -> None:
    """Make the output's step sixteen times as large, as a calibration with an outlier does."""
    written = model.ops[layer_index].outputs[0]
    change_scale(model, objects, layer_index)
    for op in model.ops:
        if len(op.inputs) == 3 and op.inputs[0] == written:
            tensor = objects.subgraphs[0].tensors[op.inputs[2]]
            tensor.quantization.scale = tensor.quantization.scale * 16
            stored = np.asarray(objects.buffers[tensor.buffer].data).view(np.int32)
            fitting = np.rint(stored / 16).astype(np.int32)
            objects.buffers[tensor.buffer].data = fitting.view(np.uint8)


def change_scale(model: TfliteModel, objects: Any, layer_index: int) -> None:
    """Make the output's step sixteen times as large, and nothing else."""
    tensor = objects.subgraphs[0].tensors[model.ops[layer_index].outputs[0]]
    tensor.quantization.scale = tensor.quantization.scale * 16


def one_weight_scale(model: TfliteModel, objects: Any, layer_index: int) -> None:
    """Quantize a convolution's weights to 3 bits with one scale for all channels."""
    op = model.ops[layer_index]
    weights, bias = model.constant(op.inputs[1]), model.constant(op.inputs[2])
    assert weights is not None
    assert bias is not None
    tensors = objects.subgraphs[0].tensors
    own = tensors[op.inputs[1]].quantization.scale
    axis = 3 if op.op == "DEPTHWISE_CONV_2D" else 0
    shape = [-1 if dimension == axis else 1 for dimension in range(4)]
    common = own.max() * 127 / 3
    coarse = np.rint(weights * own.reshape(shape) / common).astype(np.int8)
    put(objects, tensors[op.inputs[1]], coarse, np.array([common]))
    step = tensors[op.inputs[0]].quantization.scale[0] * common
    stored = np.rint(bias * tensors[op.inputs[2]].quantization.scale / step)
    put(objects, tensors[op.inputs[2]], stored.astype(np.int32), np.array([step]))


def record(
    lake: Path, build: str, model: Path, kernels: str = "builtin", spec: Path = SPEC
) -> None:
    """Play a few of the demo's images through a model."""
    role = "reference" if build == "reference" else "edge"
    pipeline = Pipeline(
        model=model, spec=load_spec(spec), build=build, role=role, lake=lake, kernels=kernels
    )
    play(pipeline, open_dataset(INPUTS, limit=FRAMES), None)


def diagnosed(
    lake: Path, build: str, baseline: str | None = None, replay: Replay | None = None
) -> Diagnosis:
    """Ask for causes inside the model alone."""
    return diagnose(
        Lake.open(lake),
        build,
        "reference",
        baseline=baseline,
        replay=replay,
        finders=(find_layer_causes,),
    )
