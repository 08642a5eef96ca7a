"""Single operators of the edge run on the reference's tensors: its own error, not that of others.

An operator that reads what the reference computed there inherits nothing: what then
parts it from the reference is its own doing. The same operator made soundly, with the
reference's weights quantized as they should be, tells how much of that had to be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from exray.instrumentation.patching import untraced
from exray.playback.image import quantize
from exray.schema.errors import ModelError
from exray.schema.quantization import dequantize

from .parameters import Reals
from .reference_tensors import Read, open_interpreter
from .tflite_model import Array, SingleOp, TfliteModel

FAMILIES = ("xnnpack", "builtin")
"""Kernel families in which an operator is replayed."""


@dataclass(slots=True)
class ReferenceFrame:
    """What the reference computed of one input, in the edge's numbering.

    Args:
        model_input: The model input in real units.
        read: Gives a reference layer's output.
        counterparts: Reference layer by edge layer.
    """

    model_input: Reals
    read: Read
    counterparts: Mapping[int, int]
    known: dict[int, Reals] = field(default_factory=dict[int, "Reals"])

    def output(self, layer_index: int) -> Reals | None:
        """Return what the edge layer should have computed, None where nothing tells it."""
        if layer_index not in self.known:
            reference = self.counterparts.get(layer_index)
            found = None if reference is None else self.read(reference)
            if found is None:
                return None
            self.known[layer_index] = found
        return self.known[layer_index]


def copied(frame: ReferenceFrame, layers: Sequence[int]) -> ReferenceFrame:
    """Return a frame that holds its layers, so that the model may run again."""
    for layer in layers:
        frame.output(layer)
    held = frame.known
    return ReferenceFrame(frame.model_input, lambda _: None, {}, held)


class OpReplay:
    """Runs single operators of one .tflite file.

    Args:
        model: The file.
    """

    def __init__(self, model: TfliteModel) -> None:
        self._model = model
        self._interpreters: dict[tuple[int, str], tuple[SingleOp, Any]] = {}

    def run(
        self, layer_index: int, inputs: Sequence[Array], kernels: str, cut: SingleOp | None = None
    ) -> Reals:
        """Run one operator.

        Args:
            layer_index: Which.
            inputs: Its activation inputs in its own dtypes.
            kernels: xnnpack, builtin or reference.
            cut: The operator, if it is not the file's own.

        Returns:
            Its first output in real units, shape as stored.

        Raises:
            ModelError: The runtime refuses the operator alone.
        """
        single, interpreter = self._interpreter(layer_index, kernels, cut)
        details = {int(d["index"]): d for d in interpreter.get_input_details()}
        given = [int(d["index"]) for d in interpreter.get_input_details()]
        try:
            with untraced():
                for index, value in zip(given, inputs, strict=True):
                    interpreter.set_tensor(index, value.reshape(details[index]["shape"]))
                interpreter.invoke()
                output = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        except (ValueError, RuntimeError) as error:
            msg = f"operator {layer_index} cannot be run alone: {str(error).splitlines()[0]}"
            raise ModelError(msg) from error
        return dequantize(output, single.quantization, np.float64)

    def inputs(self, layer_index: int, frame: ReferenceFrame, kernels: str) -> list[Array] | None:
        """Return an operator's inputs as the reference has them, in the operator's own numbers.

        Where the reference does not have one, as behind an operator that it folds into
        another, the edge's own operators make it from what the reference has.
        """
        model = self._model
        wanted: list[Array] = []
        for tensor in model.activations(model.ops[layer_index]):
            info = model.tensors[tensor]
            values = self._values(tensor, frame, kernels)
            if values is None or values.size != np.prod(info.shape, dtype=int):
                return None
            dtype = np.dtype(info.dtype)
            wanted.append(quantize(values.reshape(info.shape), info.quantization, dtype))
        return wanted

    def _values(self, tensor: int, frame: ReferenceFrame, kernels: str) -> Reals | None:
        writer = self._model.writers.get(tensor)
        if writer is None:
            return frame.model_input if tensor in self._model.graph.inputs else None
        found = frame.output(writer)
        if found is None:
            inputs = self.inputs(writer, frame, kernels)
            if inputs is None or self._model.ops[writer].outputs[0] != tensor:
                return None
            found = frame.known[writer] = self.run(writer, inputs, kernels)
        return found

    def _interpreter(
        self, layer_index: int, kernels: str, cut: SingleOp | None
    ) -> tuple[SingleOp, Any]:
        if cut is not None:
            return cut, open_interpreter(cut.content, kernels)
        key = (layer_index, kernels)
        if key not in self._interpreters:
            single = self._model.cut(layer_index)
            self._interpreters[key] = single, open_interpreter(single.content, kernels)
        return self._interpreters[key]


@dataclass(frozen=True, slots=True)
class LocalError:
    """How far one operator alone is from the reference.

    Args:
        local_db: SQNR of the operator on the reference's inputs, by kernel family.
        sound_db: The same of the operator made soundly from the reference's weights; None
            where it cannot be made.
        kernels_db: SQNR of one kernel family against the other, None if one refuses it.
        frames: Inputs that it rests on.
    """

    local_db: Mapping[str, float]
    sound_db: float | None
    kernels_db: float | None
    frames: int

    @property
    def worst_db(self) -> float:
        """The lowest SQNR of any family."""
        return min(self.local_db.values())

    @property
    def avoidable_db(self) -> float | None:
        """How much better the operator would be if it were sound."""
        return None if self.sound_db is None else self.sound_db - self.worst_db


def local_error(
    replay: OpReplay,
    layer_index: int,
    frames: Sequence[ReferenceFrame],
    sound: SingleOp | None = None,
) -> LocalError | None:
    """Run one operator on the reference's inputs and hold it against the reference's output.

    Args:
        replay: Of the edge's file.
        layer_index: The operator.
        frames: What the reference computed.
        sound: The operator made soundly, None where it cannot be.

    Returns:
        None where the reference does not tell the operator's inputs or output, or the
        runtime refuses to run it alone.
    """
    shares: dict[str, list[float]] = {family: [] for family in FAMILIES}
    sound_shares: list[float] = []
    apart: list[float] = []
    for frame in frames:
        wanted = frame.output(layer_index)
        outputs: dict[str, Reals] = {}
        for family in FAMILIES:
            try:
                inputs = replay.inputs(layer_index, frame, family)
                if inputs is None or wanted is None:
                    return None
                outputs[family] = replay.run(layer_index, inputs, family)
            except ModelError:
                continue
            shares[family].append(share_of_error(outputs[family], wanted))
            if sound is not None and family == FAMILIES[0]:
                made = replay.run(layer_index, inputs, "builtin", sound)
                sound_shares.append(share_of_error(made, wanted))
        if len(outputs) == len(FAMILIES):
            apart.append(share_of_error(outputs["xnnpack"], outputs["builtin"]))
    local = {family: mean_db(found) for family, found in shares.items() if found}
    if not local:
        return None
    return LocalError(
        local,
        mean_db(sound_shares) if sound_shares else None,
        mean_db(apart) if apart else None,
        len(frames),
    )


def share_of_error(values: Reals, wanted: Reals) -> float:
    """Return squared error / squared *wanted*; 100, the scale's end, where it is not finite."""
    error = float(np.square(values.ravel() - wanted.ravel()).sum())
    energy = float(np.square(wanted).sum())
    share = error / energy if energy else float(error > 0)
    return share if np.isfinite(share) else 100.0


def mean_db(shares: Sequence[float]) -> float:
    """Return the SQNR of frames with these shares of error, dB, -20 to 140."""
    return float(np.clip(-10 * np.log10(max(float(np.mean(shares)), 1e-14)), -20, 140))
