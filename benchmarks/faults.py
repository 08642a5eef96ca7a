"""Plant faults into real networks, and count which a diagnosis names, where, and how fast.

For every network: the float file is the reference, its int8 file (or the float file
itself) the previous build; each fault is one edit of one operator, recorded as a new
build over the same inputs. Benign changes, which do change numbers, count as false
alarms where a cause fails them. A fault counts if it changes its own operator's output:
below 30 dB against the unedited operator on the same inputs; others are counted apart.

    EXRAY_TEST_DATA=... python benchmarks/faults.py [--sample N] [--seed 1] [--no-baseline]

Prints per fault: how many, detected, named rightly (the first cause has its code), at the
right layer (the first cause, the first three), each with its 95 % Clopper-Pearson
interval over all, false alarms likewise, and the time of a diagnosis.
"""

import argparse
import contextlib
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from fault_makers import (
    FAULTS,
    Fault,
    Op,
    export_again,
    half_precision,
    recalibrate,
)
from networks import data_folder

from exray.diagnosis.align_runs import ensure_alignment
from exray.diagnosis.causes import Cause, Replay, Scene, ranked
from exray.diagnosis.comparison_reader import read_comparison
from exray.diagnosis.layers.find import find_layer_causes
from exray.diagnosis.layers.reference_tensors import TfliteTensors
from exray.diagnosis.layers.replay import OpReplay, share_of_error
from exray.diagnosis.layers.tflite_model import TfliteModel
from exray.lake import Lake
from exray.playback.dataset import open_dataset
from exray.playback.feed import fit, prepare
from exray.playback.pipeline import Pipeline, play
from exray.playback.spec import load_spec
from exray.queries import connect
from exray.queries.select import resolve_pair
from exray.schema.errors import ExrayError

FRAMES = 6
FELT_DB = 30.0
REFERENCE, SOUND = "reference", "sound"
SPECS = {
    "imagenet": "image: {crop: {central: 0.875}, values: {range: [-1, 1]}}",
    "cifar": "image: {values: {range: [0, 255]}}",
    "vww": "image: {resize: {method: area}, values: {range: [0, 1]}}",
    "kws": "",
    "whole": "image: {values: {range: [-1, 1]}}",
}
INPUTS = {
    "imagenet": "ml-exray/val",
    "cifar": "cifar10/cifar10_test_0000_0499.npz",
    "vww": "coco-cc/images",
    "whole": "ml-exray/val",
}
IC, VWW, KWS = "mlcommons-tiny/ic", "mlcommons-tiny/vww", "mlcommons-tiny/kws"


@dataclass(frozen=True)
class Network:
    """A sound build and the reference that it was made from."""

    name: str
    kind: str
    reference: str
    sound: str


NETWORKS = (
    Network(
        "ResNet8 int8",
        "cifar",
        f"{IC}/pretrainedResnet.tflite",
        f"{IC}/pretrainedResnet_quant.tflite",
    ),
    Network("VWW int8", "vww", f"{VWW}/vww_96_float.tflite", f"{VWW}/vww_96_int8.tflite"),
    Network(
        "KWS int8", "kws", f"{KWS}/kws_ref_model_float32.tflite", f"{KWS}/kws_ref_model.tflite"
    ),
    Network("V1 int8", "imagenet", "derived/v1_025_float.tflite", "derived/v1_025_int8.tflite"),
    Network(
        "ResNet8 float",
        "cifar",
        f"{IC}/pretrainedResnet.tflite",
        f"{IC}/pretrainedResnet.tflite",
    ),
    Network("VWW float", "vww", f"{VWW}/vww_96_float.tflite", f"{VWW}/vww_96_float.tflite"),
    Network(
        "KWS float",
        "kws",
        f"{KWS}/kws_ref_model_float32.tflite",
        f"{KWS}/kws_ref_model_float32.tflite",
    ),
    Network("V1 float", "imagenet", "derived/v1_025_float.tflite", "derived/v1_025_float.tflite"),
)


@dataclass(frozen=True)
class Case:
    """One build to diagnose: a fault at a layer, or a control (no fault)."""

    network: Network
    build: str
    file: Path
    fault: Fault | None = None
    layer: int | None = None
    control: str = ""


@dataclass
class Result:
    """What the diagnosis of one case said."""

    case: Case
    causes: tuple[Cause, ...]
    seconds: float

    @property
    def detected(self) -> bool:
        """Whether a cause fails the build."""
        return bool(self.causes)

    @property
    def right_code(self) -> bool:
        """Whether the first cause has the fault's code."""
        fault = self.case.fault
        return bool(self.causes) and fault is not None and self.causes[0].code in fault.codes

    def right_layer(self, first: int) -> bool:
        """Whether one of the first causes is at the fault's layer."""
        return any(c.where.layer_index == self.case.layer for c in self.causes[:first])


@dataclass
class Stand:
    """One network with its lake, inputs and files."""

    data: Path
    folder: Path
    network: Network
    unfelt: int = 0
    refused: int = 0
    cases: list[Case] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.reference = self.data / self.network.reference
        self.sound = self.data / self.network.sound
        text = SPECS[self.network.kind]
        self.spec = self.folder / "spec.yaml" if text else None
        if self.spec is not None:
            self.spec.write_text(text)
        self.inputs = self._inputs()
        self.lake = self.folder / "lake"
        self.model = TfliteModel.load(self.sound)
        self.record(REFERENCE, self.reference)
        self.record(SOUND, self.sound)

    def _inputs(self) -> Path:
        if self.network.kind != "kws":
            return self.data / INPUTS[self.network.kind]
        stored = np.load(self.data / "energyrunner/kws01_0000_0499.npz")["mfcc"]
        real = (stored.astype(np.float32) - 83) * np.float32(0.5847029)
        path = self.folder / "inputs.npz"
        np.savez(path, mfcc=real.reshape(-1, 49, 10, 1))
        return path

    def record(
        self, build: str, file: Path, kernels: str = "xnnpack", threads: int | None = None
    ) -> None:
        """Play the inputs through a file as a build."""
        pipeline = Pipeline(
            model=file,
            spec=load_spec(self.spec) if self.spec else None,
            build=build,
            role="reference" if build == REFERENCE else "edge",
            lake=self.lake,
            kernels=kernels,
            threads=threads,
        )
        play(pipeline, open_dataset(self.inputs, limit=FRAMES), None)

    def plant(self, fault: Fault, layer: int, rng: np.random.Generator) -> bool:
        """Make and record one fault; False where there is nothing to plant or to feel."""
        objects = self.model.edited()
        if not fault.edit(Op(self.model, objects, layer), rng):
            return False
        file = self.folder / f"{fault.name.replace(' ', '_')}_{layer}.tflite"
        file.write_bytes(self.model.pack(objects))
        if not self._is_felt(file, layer):
            self.unfelt += 1
            return False
        build = file.stem
        try:
            self.record(build, file)
        except ExrayError:
            self.refused += 1
            return False
        self.cases.append(Case(self.network, build, file, fault, layer))
        return True

    def _is_felt(self, file: Path, layer: int) -> bool:
        """Whether the edited operator differs from the sound one on the same inputs."""
        faulty, tensors = TfliteModel.load(file), TfliteTensors(self.model)
        item = next(iter(open_dataset(self.inputs, limit=1)))
        spec = load_spec(self.spec) if self.spec else None
        value = fit(prepare(item.load(), spec, tensors.input), tensors.input)
        read = tensors.run(value)
        stored = [
            tensors._interpreter.get_tensor(t)
            for t in self.model.activations(self.model.ops[layer])
        ]
        wanted = read(layer)
        found = OpReplay(faulty).run(layer, stored, "builtin")
        share = share_of_error(found, wanted) if wanted is not None else 0.0
        return bool(-10 * np.log10(max(share, 1e-14)) < FELT_DB)

    def control(self, name: str, file: Path | None = None, **options: object) -> None:
        """Record one benign change."""
        build = f"control_{name}".replace(" ", "_")
        target = file or self.sound
        self.record(build, target, **options)  # type: ignore[arg-type]
        self.cases.append(Case(self.network, build, target, control=name.rstrip(" 0123456789")))

    def edited(self, name: str, edit: object, rng: np.random.Generator) -> Path | None:
        """Write a benign edit of the whole model."""
        objects = self.model.edited()
        assert callable(edit)
        if not edit(self.model, objects, rng):
            return None
        file = self.folder / f"{name}.tflite"
        file.write_bytes(self.model.pack(objects))
        return file

    def diagnose(self, baseline: bool) -> Iterator[Result]:
        """Diagnose every case of this network."""
        lake = Lake.open(self.lake)
        with contextlib.closing(connect(lake)) as connection:
            for case in self.cases:
                start = time.perf_counter()
                edge, reference = resolve_pair(connection, case.build, REFERENCE)
                note = ensure_alignment(lake, connection, edge, reference)
                before = None
                if baseline:
                    before, _ = resolve_pair(connection, SOUND, REFERENCE)
                    ensure_alignment(lake, connection, before, reference)
                scene = Scene(
                    lake=lake,
                    cursors=connection,  # type: ignore[arg-type]
                    comparison=read_comparison(connection, edge, reference, note),
                    edge=edge,
                    reference=reference,
                    baseline_selection=before,
                    replay=Replay(
                        inputs=self.inputs,
                        edge_model=case.file,
                        reference_model=self.reference,
                        preprocess=self.spec,
                    ),
                )
                causes = ranked(find_layer_causes(scene))
                failing = tuple(cause for cause in causes if cause.fails)
                yield Result(case, failing, time.perf_counter() - start)


def main() -> None:
    """Plant, diagnose, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sample", type=int, default=0, help="faults per network; 0: all")
    parser.add_argument("--controls", type=int, default=0, help="recalibrations per network")
    parser.add_argument("--networks", default="", help="only those whose name holds this")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-baseline", action="store_true", help="without a previous build")
    options = parser.parse_args()
    results: list[Result] = []
    unfelt = refused = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, network in enumerate(NETWORKS):
            if options.networks not in network.name:
                continue
            stand = Stand(data_folder(), Path(folder, str(number)), network)
            rng = np.random.default_rng([options.seed, number])
            plant_faults(stand, options.sample, rng)
            plant_controls(stand, options.controls or max(2, options.sample // 2 or 20), rng)
            for result in stand.diagnose(not options.no_baseline):
                results.append(result)
                complain(result)
            unfelt, refused = unfelt + stand.unfelt, refused + stand.refused
            print(f"{network.name}: {len(stand.cases)} cases", file=sys.stderr, flush=True)
    print_table(results, unfelt, refused, baseline=not options.no_baseline)


def plant_faults(stand: Stand, sample: int, rng: np.random.Generator) -> None:
    """Plant every fault in every layer, or a sample of them, each kind in its turn."""
    layers = range(len(stand.model.ops))
    left = {fault.name: list(rng.permutation(list(layers))) for fault in FAULTS}
    planted = 0
    while any(left.values()) and (not sample or planted < sample):
        for fault in FAULTS:
            while left[fault.name]:
                if stand.plant(fault, int(left[fault.name].pop()), rng):
                    planted += 1
                    break
            if sample and planted >= sample:
                return


def plant_controls(stand: Stand, recalibrations: int, rng: np.random.Generator) -> None:
    """Record benign changes."""
    is_float = stand.network.reference == stand.network.sound
    stand.control("rerun")
    stand.control("other kernels", kernels="builtin")
    stand.control("other threads 2", threads=2)
    stand.control("other threads 4", threads=4)
    made: list[tuple[str, object]] = [(f"exported again {i}", export_again) for i in range(2)]
    if is_float:
        made.append(("half precision", half_precision))
    else:
        made += [(f"recalibrated {i}", recalibrate) for i in range(recalibrations)]
    for name, edit in made:
        file = stand.edited(name.replace(" ", "_"), edit, rng)
        if file is not None:
            stand.control(name, file)


def complain(result: Result) -> None:
    """Say which case was not named rightly."""
    case = result.case
    wrong = (
        result.detected if case.fault is None else not (result.right_code and result.right_layer(1))
    )
    if wrong:
        told = "; ".join(
            f"{c.code} {c.where.layer_index} {c.evidence.get('kind', '')}"
            for c in result.causes[:3]
        )
        print(f"  {case.network.name} {case.build}: {told or 'nothing'}", file=sys.stderr)


def clopper_pearson(count: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a share (Clopper and Pearson, Biometrika 26, 1934)."""
    tail = (1 - confidence) / 2

    def at_most(found: int, share: float) -> float:
        terms = (
            math.comb(total, i) * share**i * (1 - share) ** (total - i) for i in range(found + 1)
        )
        return math.fsum(terms)

    def share_where(found: int, wanted: float) -> float:
        low, high = 0.0, 1.0
        for _ in range(60):  # at_most() falls as the share grows
            middle = (low + high) / 2
            low, high = (middle, high) if at_most(found, middle) > wanted else (low, middle)
        return low

    low = share_where(count - 1, 1 - tail) if count else 0.0
    return low, share_where(count, tail) if count < total else 1.0


def interval(count: int, total: int) -> str:
    """Return a rate with its exact interval."""
    low, high = clopper_pearson(count, total)
    share = count / total if total else 0.0
    return f"{count}/{total} {share:6.1%} ({low:.1%} .. {high:.1%})"


def print_table(results: Sequence[Result], unfelt: int, refused: int, *, baseline: bool) -> None:
    """Print the rates."""
    faults = [r for r in results if r.case.fault is not None]
    controls = [r for r in results if r.case.fault is None]
    print(f"{'with' if baseline else 'without'} a baseline, {FRAMES} frames")
    print(f"{'fault':24}{'planted':>8}{'detected':>9}{'code':>6}{'layer':>6}{'of 3':>6}{'s':>7}")
    for fault in FAULTS:
        of = [r for r in faults if r.case.fault is fault]
        if of:
            print(row(fault.name, of))
    print(row("all", faults))
    print(f"detected            {interval(sum(r.detected for r in faults), len(faults))}")
    print(f"right code          {interval(sum(r.right_code for r in faults), len(faults))}")
    for first, name in ((1, "right layer, first"), (3, "right layer, of 3")):
        right = sum(r.right_layer(first) for r in faults)
        print(f"{name:20}{interval(right, len(faults))}")
    for name in sorted({r.case.control for r in controls}):
        of = [r for r in controls if r.case.control == name]
        print(f"control {name:16}{sum(r.detected for r in of)} of {len(of)} failed")
    print(f"false alarms        {interval(sum(r.detected for r in controls), len(controls))}")
    print(f"not felt by their own operator, left out: {unfelt}; refused by the runtime: {refused}")
    print(f"cores {os.cpu_count()}, load {os.getloadavg()[0]:.1f}")


def row(name: str, results: Iterable[Result]) -> str:
    """Return one line of the table."""
    of = list(results)
    seconds = statistics.median(r.seconds for r in of) if of else 0.0
    counts = (
        sum(r.detected for r in of),
        sum(r.right_code for r in of),
        sum(r.right_layer(1) for r in of),
        sum(r.right_layer(3) for r in of),
    )
    numbers = "".join(f"{n:{w}}" for n, w in zip(counts, (9, 6, 6, 6), strict=True))
    return f"{name:24}{len(of):8}{numbers}{seconds:7.1f}"


if __name__ == "__main__":
    main()
