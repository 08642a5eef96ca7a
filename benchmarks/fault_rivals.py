"""Builds as other tools take them: the same fault in each of the files that they read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from fault_cases import BENIGN_EDITS, CONTROL, Case, Made, Workshop, planting_rng
from fault_makers import FAULTS, Op
from fault_networks import Files, Network, files_of, train
from fault_stand import Stand

from exray.diagnosis.layers.reference_tensors import TfliteTensors
from exray.diagnosis.layers.tflite_model import TfliteModel
from exray.playback.feed import fit

Array = np.ndarray[Any, Any]

ADDED = frozenset({"QUANTIZE", "DEQUANTIZE", "NumericVerify"})
"""Operators of a debug file that are no layer of the network."""


@dataclass(frozen=True, slots=True)
class DebugFile:
    """A quantized network with a float twin of each layer.

    Args:
        content: The file.
        layers: Layer of the network by the tensor that it writes here.
    """

    content: bytes
    layers: dict[int, int]


@dataclass(frozen=True, slots=True)
class Build:
    """One build of a network.

    Args:
        file: The int8 file.
        float_file: The float file that it was made from.
        debug: The debug file, with the same fault.
        inputs: Real values, an input a row.
        stored: The same as the int8 file takes them.
        is_sound: Whether it is the build before.
    """

    file: Path
    float_file: Path
    debug: DebugFile
    inputs: Array
    stored: Array
    is_sound: bool

    def outputs(self) -> dict[int, Array]:
        """Run it, and return each layer's real values over all inputs."""
        model = TfliteModel.load(self.file)
        tensors = TfliteTensors(model)
        found: dict[int, list[Array]] = {}
        for row in self.stored:
            read = tensors.run(row[None])
            for layer in range(len(model.ops)):
                values = read(layer)
                if values is not None:
                    found.setdefault(layer, []).append(values.ravel())
        return {layer: np.concatenate(values) for layer, values in found.items()}


class Tool(Protocol):
    """Another tool that looks at the layers of a quantized network."""

    name: str
    needs: tuple[str, ...]

    def measure(self, build: Build) -> dict[int, float]:
        """Return how bad each layer is, by the tool's own number: larger is worse."""
        ...

    def alarms(self, value: float, before: float) -> bool:
        """Whether a layer's number is an alarm, given that of the build before."""
        ...


class Rig:
    """Makes the builds of one network, and the files of each that tools take.

    Args:
        network: One that is trained here.
        data: Folder of the data.
        folder: Where its files are kept.
    """

    def __init__(self, network: Network, data: Path, folder: Path) -> None:
        if not (folder / "debug.tflite").exists():
            train(network.name, data, folder, 1, "debug")
        self.files: Files = files_of(network, data, folder)
        work = folder / "tools"
        work.mkdir(exist_ok=True)
        stand = Stand(work, self.files.float_file, self.files.int8_file, self.files.inputs)
        self.workshop = Workshop(stand, self.files, lambda seed: self.files)
        self._debug = TfliteModel.load(folder / "debug.tflite")
        self._twins = twins(self.workshop.model, self._debug)

    def sound(self) -> Build:
        """Return the build before."""
        return self._build(self.files.int8_file, self._debug.content, is_sound=True)

    def build(self, case: Case, made: Made, seed: int) -> Build:
        """Return a case's build."""
        objects = self._debug.edited()
        if case.family == CONTROL:
            BENIGN_EDITS[case.fault](self._debug, objects, case.rng(seed))
        else:
            layer = made.expected[0].layer
            assert layer is not None
            fault = next(fault for fault in FAULTS if fault.name == case.fault)
            op = Op(self._debug, objects, self._twins[layer])
            fault.edit(op, planting_rng(fault, layer, seed))
        return self._build(made.file, self._debug.pack(objects), is_sound=False)

    def _build(self, file: Path, content: bytes, *, is_sound: bool) -> Build:
        inputs = np.load(self.files.inputs)["inputs"].astype(np.float32)
        target = TfliteTensors(self.workshop.model).input
        layers = {self._debug.ops[twin].outputs[0]: layer for layer, twin in enumerate(self._twins)}
        debug = DebugFile(content, layers)
        stored = fit(inputs, target)
        return Build(file, self.files.float_file, debug, inputs, stored, is_sound)


def twins(model: TfliteModel, debug: TfliteModel) -> list[int]:
    """Return the operator of a debug file that is each layer of the network.

    Raises:
        ValueError: It is not the same network.
    """
    # a layer without weights has its like as a twin, which only the check behind it reads
    checked = {op.inputs[1] for op in debug.ops if op.op == "NumericVerify"}
    copies = {op.inputs[0] for op in debug.ops if checked & set(op.outputs)}
    quantized = [
        i
        for i, op in enumerate(debug.ops)
        if op.op not in ADDED
        and debug.tensors[op.outputs[0]].quantization is not None
        and op.outputs[0] not in copies
    ]
    ours = [op.op for op in model.ops]
    theirs = [debug.ops[i].op for i in quantized]
    if ours != theirs:
        msg = f"the debug file's layers are {theirs}, those of the network {ours}"
        raise ValueError(msg)
    return quantized
