"""The fault bench's cases of front ends: which mistakes and benign changes, of which networks."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from fault_cases import CONTROL, TWO, Case, Expected, Made
from fault_front_steps import BENIGN, BUILTIN, FAULTS, HALF, Mistake, other_vocabulary
from fault_fronts import Front, some_inputs, written_spec
from fault_networks import FRAMES, Files, train
from fault_stand import EDGE, Making, Stand, recorded

from exray.diagnosis.layers.reference_tensors import TfliteTensors
from exray.diagnosis.layers.tflite_model import TfliteModel
from exray.playback.audio import preprocess_audio
from exray.playback.audio_spec import AudioSpec
from exray.playback.dataset import Item, open_dataset
from exray.playback.feed import fit, real_values
from exray.playback.runners import InputSpec
from exray.playback.spec import PreprocessSpec
from exray.playback.text import preprocess_text, read_vocabulary
from exray.playback.text_spec import TextSpec

Array = np.ndarray[Any, Any]

FRONT = "front end"
"""Family of these faults."""

PAIRS = 6

FELT_NSR, FELT_IDS = 1e-4, 0.01
"""Model inputs that are nearer, 40 dB, are one input for a comparison: nothing is felt. Ids are
names, of which so many must be others."""


def front_cases(front: Front, precision: str) -> Iterator[Case]:
    """Yield the cases of one network's front end."""
    kinds: list[tuple[str, str, int]] = [
        *((FRONT, fault.name, len(fault.mistakes)) for fault in FAULTS[front.medium]),
        (TWO, "two steps at once", PAIRS),
        *((CONTROL, name, 1) for name in BENIGN[front.medium]),
    ]
    for family, fault, count in kinds:
        for number in range(count):
            yield Case(front.name, precision, family, fault, number, count)


class FrontWorkshop:
    """Makes the builds of one network's front end.

    Args:
        front: The network.
        precision: Which of its files is the edge's.
        data: Folder of the data.
        folder: Where this network's own files are.
    """

    def __init__(self, front: Front, precision: str, data: Path, folder: Path) -> None:
        self.front, self._data, self._folder = front, data, folder
        files = _files_of(front, data, folder)
        self._inputs = files.inputs
        sound = files.int8_file if precision == "int8" else files.float_file
        self._target = TfliteTensors(TfliteModel.load(sound)).input
        own = folder / precision
        own.mkdir(exist_ok=True)
        self.stand = Stand(
            own,
            files.float_file,
            sound,
            files.inputs,
            making=self._making(()),
            preprocess=written_spec(front.spec(data, folder), own / "declared.yaml"),
        )

    def make(self, case: Case, seed: int) -> Made | None:
        """Make a case; None where the model would refuse its inputs, or nothing is felt.

        Raises:
            ExrayError: The front end refuses an input.
        """
        if case.family == CONTROL:
            return self._control(case)
        if case.family == TWO:
            return self._two(case.rng(seed))
        fault = next(fault for fault in FAULTS[self.front.medium] if fault.name == case.fault)
        return self._made((fault.mistakes[case.number],), (fault.parts,))

    def _two(self, rng: np.random.Generator) -> Made | None:
        """Make mistakes in two steps, each of them felt beside the other."""
        faults = FAULTS[self.front.medium]
        for _ in range(20):
            chosen = [faults[int(i)] for i in rng.choice(len(faults), 2, replace=False)]
            if set(chosen[0].parts) & set(chosen[1].parts):
                continue
            one, two = (fault.mistakes[rng.integers(len(fault.mistakes))] for fault in chosen)
            if self._differ((one, two), (one,)) and self._differ((one, two), (two,)):
                return self._made((one, two), tuple(fault.parts for fault in chosen))
        return None

    def _made(
        self, mistakes: tuple[Mistake, ...], parts: tuple[tuple[str, ...], ...]
    ) -> Made | None:
        if not self._differ(mistakes, ()):
            return None
        code = f"preprocessing.{self.front.medium}"
        expected = tuple(Expected((code,), parts=named) for named in parts)
        tables = recorded(self.stand.sound, self._inputs, EDGE, making=self._making(mistakes))
        return Made(tables, self.stand.sound, expected)

    def _control(self, case: Case) -> Made:
        making = self._making((Mistake(before=BENIGN[self.front.medium][case.fault]),))
        kernels = "builtin" if case.fault == BUILTIN else "xnnpack"
        chosen = _rounded(making) if case.fault == HALF else making
        tables = recorded(self.stand.sound, self._inputs, EDGE, kernels=kernels, making=chosen)
        return Made(tables, self.stand.sound)

    def _making(self, mistakes: tuple[Mistake, ...]) -> Making:
        """Return a front end with some mistakes."""
        spec = self._spec(mistakes)

        def making(item: Item, target: InputSpec) -> Array:
            raw = item.load()
            for mistake in mistakes:
                raw = raw if mistake.before is None else mistake.before(raw)
            made = self._made_input(raw, spec)
            return made.reshape([int(size or 1) for size in target.shape])

        return making

    def _made_input(self, raw: Array, spec: PreprocessSpec) -> Array:
        count = int(np.prod([int(size or 1) for size in self._target.shape]))
        if spec.audio is not None:
            return _heard(raw, spec.audio, count)
        assert spec.text is not None
        return _read(raw, spec.text, count)

    def _spec(self, mistakes: tuple[Mistake, ...]) -> PreprocessSpec:
        changes: dict[str, Any] = {}
        for mistake in mistakes:
            for key, value in mistake.changes.items():
                is_part = isinstance(value, dict) and key in changes
                changes[key] = changes[key] | value if is_part else value
        if "vocabulary" in changes:
            changes["vocabulary"] = str(self._vocabulary(changes["vocabulary"]))
        return self.front.spec(self._data, self._folder, **changes)

    def _vocabulary(self, kind: str) -> Path:
        file = self._folder / f"vocabulary-{kind}.txt"
        known = read_vocabulary(self.front.vocabulary_file(self._data, self._folder))
        tokens = sorted(known, key=lambda token: known[token])
        file.write_text("\n".join(other_vocabulary(kind, tokens)) + "\n", "utf-8")
        return file

    def _differ(self, some: tuple[Mistake, ...], others: tuple[Mistake, ...]) -> bool:
        """Whether two front ends make other inputs, of the size that the model takes."""
        try:
            one, other = (self._values(mistakes) for mistakes in (some, others))
        except ValueError:  # as many numbers as the model takes cannot be made of these
            return False
        if self.front.medium == "text":
            return bool((one != other).mean() > FELT_IDS)
        distances = np.square(one - other).sum(1) / np.maximum(np.square(other).sum(1), 1e-30)
        return bool(distances.mean() > FELT_NSR)

    def _values(self, mistakes: tuple[Mistake, ...]) -> Array:
        """Return what comes through to the model, real values, a row for each input."""
        making, target = self._making(mistakes), self._target
        stored = [fit(making(item, target), target) for item in self._items]
        return np.stack([real_values(value, target).ravel() for value in stored])

    @cached_property
    def _items(self) -> list[Item]:
        return list(open_dataset(self._inputs))


def _files_of(front: Front, data: Path, folder: Path) -> Files:
    """Return a network's files; trains it where that is to be done."""
    folder.mkdir(parents=True, exist_ok=True)
    if front.is_held_out and not (folder / "float.tflite").exists():
        train(front.name, data, folder)
    return Files(
        data / front.float_file if front.float_file else folder / "float.tflite",
        data / front.int8_file if front.int8_file else folder / "int8.tflite",
        some_inputs(front, data, FRAMES, folder / "inputs"),
    )


def _heard(samples: Array, spec: AudioSpec, count: int) -> Array:
    """Return the features of a recording as an application has them: the first that fit.

    Raises:
        ValueError: No whole number of pieces fits the model.
    """
    pieces, rest = divmod(count, spec.bands)
    if rest:
        msg = f"{spec.bands} numbers of a piece do not fill {count}"
        raise ValueError(msg)
    needed = spec.window.length + spec.window.hop * (pieces - 1)
    whole = spec.model_copy(update={"samples": max(needed, spec.samples or 0)})
    return preprocess_audio(samples, whole)[:pieces]


def _read(text: Array, spec: TextSpec, count: int) -> Array:
    """Return ids, filled up to what the model takes."""
    ids = preprocess_text(text, spec)
    rest = np.full(max(0, count - len(ids)), spec.pad, np.float32)
    return np.concatenate([ids, rest] if spec.padding == "right" else [rest, ids])


def _rounded(making: Making) -> Making:
    """Return a front end whose numbers are kept in half precision."""

    def rounded(item: Item, target: InputSpec) -> Array:
        return making(item, target).astype(np.float16).astype(np.float32)

    return rounded
