"""ONNX Runtime's quantization debugging: SQNR of activations, float model against quantized."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fault_rivals import Array, Build

from exray.diagnosis.layers.tflite_model import TfliteModel

OPSET = 17
WORSE_DB = 3.0
"""Loss of SQNR against the build before that counts: the tool itself names no limit."""

ACTIVATIONS = frozenset({"Relu", "Clip"})


class QdqLossDebug:
    """`onnxruntime.quantization.qdq_loss_debug`, over networks that tf2onnx converts."""

    name = "qdq_loss_debug"
    needs = ("onnxruntime", "onnx", "tf2onnx")

    def __init__(self) -> None:
        self._floats: dict[Path, dict[str, list[Array]]] = {}

    def measure(self, build: Build) -> dict[int, float]:
        """Return the SQNR of each layer against the float model, dB, negated."""
        tool: Any = importlib.import_module("onnxruntime.quantization.qdq_loss_debug")
        work = build.file.parent
        if build.float_file not in self._floats:
            self._floats[build.float_file] = _collected(
                build.float_file, build.inputs, work / "float.onnx"
            )
        floats = self._floats[build.float_file]
        own = _collected(build.file, build.stored, work / "case.onnx")
        names = zip(_outputs(build.float_file), _outputs(build.file), strict=True)
        matched = {
            str(layer): {"pre_qdq": own[mine], "post_qdq": own[mine], "float": floats[theirs]}
            for layer, (theirs, mine) in enumerate(names)
            if theirs in floats and mine in own
        }
        errors = tool.compute_activation_error(matched)
        return {int(layer): -float(error["xmodel_err"]) for layer, error in errors.items()}

    def alarms(self, value: float, before: float) -> bool:
        """Whether a layer lost more than it should against the build before."""
        return not value <= before + WORSE_DB


def _collected(file: Path, inputs: Array, target: Path) -> dict[str, list[Array]]:
    """Return activations by the name of the TFLite tensor that they are, behind its activation."""
    onnx: Any = importlib.import_module("onnx")
    tf2onnx: Any = importlib.import_module("tf2onnx")
    tool: Any = importlib.import_module("onnxruntime.quantization.qdq_loss_debug")
    tf2onnx.convert.from_tflite(str(file), opset=OPSET, output_path=str(target))
    model = onnx.load(str(target))
    augmented = target.with_suffix(".augmented.onnx")
    tool.modify_model_output_intermediate_tensors(str(target), str(augmented))
    name = model.graph.input[0].name
    found = tool.collect_activations(str(augmented), iter([{name: row[None]} for row in inputs]))
    return {told: found[kept] for told, kept in _kept(model.graph, found)}


def _kept(graph: Any, found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the tensors' names in the TFLite file, and what holds their real values here."""
    for node in graph.node:
        output = node.output[0]
        if node.op_type == "DequantizeLinear" and output in found:
            yield node.input[0], output
        elif node.op_type != "QuantizeLinear" and output in found:
            told = output.split("_Gemm__")[0]
            readers = [other for other in graph.node if output in other.input]
            is_activated = len(readers) == 1 and readers[0].op_type in ACTIVATIONS
            last = readers[0].output[0] if is_activated else output
            if last in found:
                yield told, last


def _outputs(file: Path) -> list[str]:
    model = TfliteModel.load(file)
    return [model.tensors[op.outputs[0]].name for op in model.ops]
