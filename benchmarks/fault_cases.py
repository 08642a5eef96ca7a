"""The cases of the fault bench: which faults and benign changes, where, of which networks.

Every case has a name that says all of it, and a random generator seeded by that name: a
case comes out the same whichever ran before it.
"""

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from fault_makers import (
    FAULTS,
    KERNEL_FAULTS,
    Fault,
    Op,
    export_again,
    recalibrate,
    round_weights,
)
from fault_networks import Files, Network
from fault_stand import EDGE, Stand, Tables, disguised, joined, recorded

from exray.diagnosis.layers.reference_tensors import Read, open_interpreter
from exray.diagnosis.layers.replay import OpReplay, share_of_error
from exray.diagnosis.layers.tflite_model import TfliteModel
from exray.playback.dataset import open_dataset
from exray.playback.feed import fit, prepare
from exray.playback.runners import open_runner
from exray.schema.quantization import dequantize

PRECISIONS = ("int8", "float")
OPERATOR, KERNEL, STATE, TWO, CONTROL = "operator", "kernel", "state", "two at once", "control"
PER_FAULT = 6
"""Layers, drawn by chance, that each fault is planted into, of each network and precision."""

KERNEL_LAYERS, STATES, PAIRS = 2, 2, 6
EXPORTS, CHANGES, TWINS = 5, 24, 2
"""Benign changes of each kind, of each network and precision; twins of those trained here."""

BENIGN_EDITS: dict[str, Callable[[TfliteModel, Any, np.random.Generator], bool]] = {
    "exported again": export_again,
    "recalibrated": recalibrate,
    "weights rounded": round_weights,
}

TWIN_CODES = ("model.other_weights",)
"""What may be said of a network trained again: its weights are not the reference's."""


@dataclass(frozen=True, slots=True)
class Case:
    """One build to diagnose.

    Args:
        network: Whose.
        precision: int8 or float.
        family: Kind of fault, or `CONTROL`.
        fault: Its name.
        number: Which of several.
        count: Of how many.
    """

    network: str
    precision: str
    family: str
    fault: str
    number: int
    count: int = 1

    @property
    def name(self) -> str:
        """What it is called in the results."""
        return f"{self.network}/{self.precision}/{self.family}/{self.fault}/{self.number}"

    def rng(self, seed: int) -> np.random.Generator:
        """Return a generator of its own."""
        return np.random.default_rng([seed, zlib.crc32(self.name.encode())])


@dataclass(frozen=True, slots=True)
class Expected:
    """What names a fault rightly.

    Args:
        codes: Any of them.
        layer: Where it is, None for no layer.
        parts: What of the preprocessing it is, any of them; empty for what is no part of it.
    """

    codes: tuple[str, ...]
    layer: int | None = None
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """A build made for a case.

    Args:
        tables: What was recorded of it.
        file: The model file that it says it ran.
        expected: Each fault's codes, any of which is right, and place.
        allowed: Codes that are no false alarm of a benign change.
    """

    tables: Tables
    file: Path
    expected: tuple[Expected, ...] = ()
    allowed: tuple[str, ...] = ()


def cases_of(network: Network, precision: str) -> Iterator[Case]:
    """Yield the cases of one network."""
    kinds: list[tuple[str, str, int]] = [
        *((OPERATOR, fault.name, PER_FAULT) for fault in FAULTS),
        *((KERNEL, fault.name, KERNEL_LAYERS) for fault in KERNEL_FAULTS),
        (STATE, "state carried", STATES),
        (TWO, "two at once", PAIRS),
        (CONTROL, "rerun", 1),
        (CONTROL, "builtin kernels", 1),
        (CONTROL, "2 threads", 1),
        (CONTROL, "exported again", EXPORTS),
        (CONTROL, "recalibrated" if precision == "int8" else "weights rounded", CHANGES),
    ]
    if network.is_held_out:
        kinds.append((CONTROL, "trained again", TWINS))
    for family, fault, count in kinds:
        for number in range(count):
            yield Case(network.name, precision, family, fault, number, count)


def planting_rng(fault: Fault, layer: int, seed: int) -> np.random.Generator:
    """Return what draws the details of a fault in a layer."""
    return np.random.default_rng([seed, zlib.crc32(fault.name.encode()), layer])


def in_order(cases: Iterable[Case], seed: int) -> list[Case]:
    """Return cases such that any first part of them is a sample of each kind and network.

    Of each kind's cases the n-th stands, somewhere by chance, in the n-th of as many equal
    parts of the whole.
    """

    def place(case: Case) -> float:
        return (case.number + float(case.rng(seed).random())) / case.count

    return sorted(cases, key=place)


class Workshop:
    """Makes the builds of one network and precision.

    Args:
        stand: Where they will be diagnosed.
        files: The network's.
        retrained: Returns the files of the network trained again, from a seed.
    """

    def __init__(self, stand: Stand, files: Files, retrained: Callable[[int], Files]) -> None:
        self.stand, self.files, self.retrained = stand, files, retrained
        self.model = TfliteModel.load(stand.sound)
        self._felt: dict[str, list[int]] = {}
        self._untried: dict[str, list[int]] = {}

    def make(self, case: Case, seed: int) -> Made | None:
        """Make a case; None where there is nothing to plant it into, or nothing feels it.

        Raises:
            ExrayError: The runtime refuses the build.
        """
        rng = case.rng(seed)
        if case.family == CONTROL:
            return self._control(case, rng)
        if case.family == STATE:
            return self._state(case, rng)
        if case.family == TWO:
            return self._two(rng)
        faults = KERNEL_FAULTS if case.family == KERNEL else FAULTS
        fault = next(fault for fault in faults if fault.name == case.fault)
        layer = self._felt_layer(fault, case, seed)
        if layer is None:
            return None
        file = self._written(self._planted(fault, layer, seed))
        tables = recorded(file, self.files.inputs, EDGE)
        if case.family == KERNEL:
            tables, file = self._as_sound(tables, file), self.stand.sound
        return Made(tables, file, (Expected(fault.codes, layer),))

    def _planted(self, fault: Fault, layer: int, seed: int) -> Any:
        """Return the tables with a fault in one layer; None where it has nothing to edit."""
        objects = self.model.edited()
        rng = planting_rng(fault, layer, seed)
        return objects if fault.edit(Op(self.model, objects, layer), rng) else None

    def _felt_layer(self, fault: Fault, case: Case, seed: int) -> int | None:
        """Return the layer of a case: each of a fault has its own, among those that feel it."""
        felt = self._felt.setdefault(fault.name, [])
        left = self._untried.setdefault(fault.name, self._layers(case, seed))
        while left and len(felt) <= case.number:
            layer = left.pop(0)
            objects = self._planted(fault, layer, seed)
            if objects is not None and self._felt_db(objects, layer) < fault.felt_db:
                felt.append(layer)
        return felt[case.number] if len(felt) > case.number else None

    def _layers(self, case: Case, seed: int) -> list[int]:
        """Return layers in an order that all cases of a fault share: each takes its own."""
        kind = Case(case.network, case.precision, case.family, case.fault, 0)
        order = kind.rng(seed).permutation(len(self.model.ops))
        return [int(layer) for layer in order]

    def _two(self, rng: np.random.Generator) -> Made | None:
        """Plant two faults into layers of their own."""
        usable = [fault for fault in FAULTS if "range" not in fault.name]
        for _ in range(40):
            layers = rng.choice(len(self.model.ops), 2, replace=False)
            faults: list[Fault] = [
                usable[int(i)] for i in rng.choice(len(usable), 2, replace=False)
            ]
            objects = self.model.edited()
            planted = [
                fault.edit(Op(self.model, objects, int(layer)), rng)
                for fault, layer in zip(faults, layers, strict=True)
            ]
            if not all(planted):
                continue
            felt = [
                self._felt_db(objects, int(layer)) < fault.felt_db
                for fault, layer in zip(faults, layers, strict=True)
            ]
            if all(felt):
                file = self._written(objects)
                expected = tuple(
                    Expected(fault.codes, int(layer))
                    for fault, layer in zip(faults, layers, strict=True)
                )
                return Made(recorded(file, self.files.inputs, EDGE), file, expected)
        return None

    def _state(self, case: Case, rng: np.random.Generator) -> Made | None:
        """Record all inputs twice, the second time with something left over from the first."""
        for layer in self._layers(case, int(rng.integers(1 << 30))):
            objects = self.model.edited()
            op = Op(self.model, objects, layer)
            bias = op.bias()
            if bias is None or not bias.any():
                continue
            left = rng.normal(0, 0.3, bias.shape) * np.abs(bias).mean()
            op.put(2, (bias + left).astype(bias.dtype))
            if self._felt_db(objects, layer) >= 40.0:
                continue
            file = self._written(objects)
            clean = recorded(self.stand.sound, self.files.inputs, EDGE)
            second = self._as_sound(recorded(file, self.files.inputs, EDGE), file)
            expected = (Expected(("state.carried",)),)
            return Made(joined(clean, second), self.stand.sound, expected)
        return None

    def _twin(self, case: Case) -> Made:
        """Run the network as it came out of another training on the same data."""
        files = self.retrained(case.number + 2)  # the first seed is the original's
        file = files.int8_file if case.precision == "int8" else files.float_file
        return Made(recorded(file, self.files.inputs, EDGE), file, allowed=TWIN_CODES)

    def _control(self, case: Case, rng: np.random.Generator) -> Made | None:
        if case.fault == "trained again":
            return self._twin(case)
        options: dict[str, Any] = {
            "builtin kernels": {"kernels": "builtin"},
            "2 threads": {"threads": 2},
        }.get(case.fault, {})
        file = self.stand.sound
        if case.fault in BENIGN_EDITS:
            objects = self.model.edited()
            if not BENIGN_EDITS[case.fault](self.model, objects, rng):
                return None
            file = self._written(objects)
        return Made(recorded(file, self.files.inputs, EDGE, **options), file)

    def _as_sound(self, tables: Tables, file: Path) -> Tables:
        return disguised(
            tables, sha256_of(file), sha256_of(self.stand.sound), self.stand.sound.stem
        )

    def _written(self, objects: Any) -> Path:
        file = self.stand.folder / "case.tflite"
        file.write_bytes(self.model.pack(objects))
        return file

    @cached_property
    def _sound_run(self) -> tuple[Read, Callable[[int], Any]]:
        """What reads the sound model's layers and stored tensors after its first input."""
        interpreter = open_interpreter(self.model.content, "xnnpack", preserve=True)
        runner = open_runner(self.stand.sound)
        item = next(iter(open_dataset(self.files.inputs, limit=1)))
        value = fit(prepare(item.load(), None, runner.input), runner.input)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], value)
        interpreter.invoke()
        stored: Callable[[int], Any] = interpreter.get_tensor

        def read(layer: int) -> Any:
            output = self.model.ops[layer].outputs[0]
            quantization = self.model.tensors[output].quantization
            return dequantize(stored(output), quantization, np.float64)

        return read, stored

    def _felt_db(self, objects: Any, layer: int) -> float:
        """Return how far the edited operator is from the sound one on the same inputs, dB."""
        read, stored_tensor = self._sound_run
        op = self.model.ops[layer]
        stored = [stored_tensor(t) for t in self.model.activations(op)]
        wanted = read(layer)
        if wanted is None:
            return 140.0
        edited = self.model.cut(layer, objects)
        found = OpReplay(self.model).run(layer, stored, "builtin", edited)
        return float(-10 * np.log10(max(share_of_error(found, wanted), 1e-14)))


def sha256_of(file: Path) -> str:
    """Return the hash that a model's file is recorded under."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
