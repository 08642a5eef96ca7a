"""What kernels cost, and whether the saving that a diagnosis expects comes true.

Every network runs on reference, builtin and XNNPACK kernels in turn, so that whatever else
the machine does falls on all of them alike. Of one half of the XNNPACK runs a diagnosis of
the run on reference kernels knows; its expectation is held against the other half, the
rerun. It is asked twice: with the network's own times on XNNPACK, and with those of the
other networks alone, by which it estimates from multiply-accumulates.

    EXRAY_TEST_DATA=... python benchmarks/kernels.py [--rounds 6] [--frames 6] [--only V1]

Prints, for every network, its time on each family (median of a frame, the fastest round),
the factor that XNNPACK gains, and the rerun over what was expected; then the factor of
each operator. Then how often the rerun lies within 20 % of what was expected.
"""

import argparse
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from networks import data_folder

from exray.diagnosis.causes import Cause, Replay
from exray.diagnosis.diagnose import scene_of
from exray.diagnosis.opening import with_lake
from exray.diagnosis.symptoms.kernels import find_kernels
from exray.instrumentation.config import Level
from exray.lake import Lake
from exray.playback.dataset import open_dataset
from exray.playback.pipeline import Pipeline, play
from exray.playback.runners import open_runner
from exray.queries import connect
from exray.queries.select import resolve

TINY = "mlcommons-tiny"
FILES = {
    "V2 uint8": "google-coral/tf2_mobilenet_v2_1.0_224_ptq.tflite",
    "V1 .25 float": "derived/v1_025_float.tflite",
    "V1 .25 int8": "derived/v1_025_int8.tflite",
    "ResNet8 float": f"{TINY}/ic/pretrainedResnet.tflite",
    "ResNet8 int8": f"{TINY}/ic/pretrainedResnet_quant.tflite",
    "VWW float": f"{TINY}/vww/vww_96_float.tflite",
    "VWW int8": f"{TINY}/vww/vww_96_int8.tflite",
    "KWS float": f"{TINY}/kws/kws_ref_model_float32.tflite",
    "KWS int8": f"{TINY}/kws/kws_ref_model.tflite",
}
FAMILIES = ("reference", "builtin", "xnnpack")
NEAR = 0.2
"""Share by which a rerun may lie off what was expected."""

_TIMES = """
SELECT s.op, s.layer_index, r.run_id, median(s.dur_ns) / 1e6 AS ms
FROM layer_spans AS s
INNER JOIN runs AS r ON s.run_id = r.run_id
WHERE s.dur_ns IS NOT NULL
GROUP BY s.op, s.layer_index, r.run_id
"""


@dataclass(frozen=True)
class Measured:
    """A network's times, ms: of a whole frame by family, of operators by family."""

    name: str
    model_ms: dict[str, float]
    layers_ms: dict[str, dict[str, float]]
    rerun_ms: float


def main() -> None:
    """Run, diagnose, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--only", default="", help="networks whose name holds it")
    options = parser.parse_args()
    data = data_folder()
    names = [name for name in FILES if options.only in name]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        measured = [
            measure(name, data / FILES[name], folder, options.rounds, options.frames)
            for name in names
        ]
        print("| network | reference ms | builtin ms | XNNPACK ms | reference / XNNPACK |"
              " builtin / XNNPACK | rerun / expected | rerun / estimated |")  # fmt: skip
        print("|---|--:|--:|--:|--:|--:|--:|--:|")
        ratios: list[float] = []
        for found in measured:
            own = expected_ms(folder, found.name, [found.name])
            others = expected_ms(folder, found.name, [n for n in names if n != found.name])
            print(row(found, own, others))
            if own is not None:
                ratios.append(found.rerun_ms / own)
        near = sum(1 - NEAR <= ratio <= 1 + NEAR for ratio in ratios)
        print(f"\nrerun within {NEAR:.0%} of what was expected: {near} of {len(ratios)}\n")
        print_operators(measured)


def measure(name: str, file: Path, folder: Path, rounds: int, frames: int) -> Measured:
    """Run a network on each family in turn; every other XNNPACK run is the rerun's."""
    inputs = folder / f"{name}.npz"
    spec = open_runner(file).input
    rng = np.random.default_rng(1)
    shape = (frames, *(int(size or 1) for size in spec.shape[1:]))
    limits = None if spec.dtype.kind == "f" else np.iinfo(spec.dtype)
    values = (
        rng.normal(size=shape)
        if limits is None
        else rng.integers(limits.min, limits.max, shape, endpoint=True)
    )
    np.savez(inputs, inputs=values.astype(spec.dtype))
    model_ms: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for family, lake in (
            ("reference", "slow"),
            ("xnnpack", "known"),
            ("builtin", "builtin"),
            ("xnnpack", "rerun"),
        ):
            pipeline = Pipeline(
                model=file,
                spec=None,
                build=lake,
                role="edge",
                lake=folder / name / lake,
                level=Level.LATENCY,
                kernels=family,
                threads=1,
            )
            result = play(pipeline, open_dataset(inputs), None)
            model_ms[family].append(statistics.median(result.model_ms))
    layers = {
        lake: layers_ms(Lake.open(folder / name / lake)) for lake in ("slow", "builtin", "rerun")
    }
    by_family = {"reference": layers["slow"], "builtin": layers["builtin"]}
    by_family["xnnpack"] = layers["rerun"]
    return Measured(
        name,
        {family: min(times) for family, times in model_ms.items()},
        by_family,
        sum(layers["rerun"].values()),
    )


def layers_ms(lake: Lake) -> dict[str, float]:
    """Return the time of each operator of the fastest run, ms, summed over layers."""
    with connect(lake) as connection:
        rows = connection.execute(_TIMES).fetchall()
    runs: dict[object, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for op, _, run_id, ms in rows:
        runs[run_id][str(op)] += float(ms)
    return dict(min(runs.values(), key=lambda times: sum(times.values())))


def expected_ms(folder: Path, name: str, known: Sequence[str]) -> float | None:
    """Return what a diagnosis expects of XNNPACK, that knows some networks' times on it."""
    lake = Lake.open(folder / name / "slow")
    beside = [Lake.open(folder / other / "known") for other in known]

    def work(connection, watch) -> list[Cause]:  # type: ignore[no-untyped-def]
        slow = resolve(connection, "slow", None)
        scene = scene_of(lake, connection, watch, (slow, slow, None), Replay())
        return list(find_kernels(scene))

    causes = with_lake(lake, "kernels", work, beside=beside)
    return float(causes[0].evidence["expected_ms"]) if causes else None  # type: ignore[arg-type]


def row(found: Measured, own: float | None, others: float | None) -> str:
    """Return a network's line."""
    times = [found.model_ms[family] for family in FAMILIES]
    cells = [f"{ms:.3f}" for ms in times]
    cells += [f"{times[0] / times[2]:.1f}", f"{times[1] / times[2]:.1f}"]
    cells += [
        "-" if expected is None else f"{found.rerun_ms / expected:.2f}"
        for expected in (own, others)
    ]
    return f"| {found.name} | {' | '.join(cells)} |"


def print_operators(measured: Sequence[Measured]) -> None:
    """Print the factor of each operator in each network, reference over XNNPACK."""
    print("| operator | " + " | ".join(found.name for found in measured) + " |")
    print("|---" + "|--:" * len(measured) + "|")
    operators = sorted({op for found in measured for op in found.layers_ms["reference"]})
    for op in operators:
        cells: list[str] = []
        for found in measured:
            slow = found.layers_ms["reference"].get(op)
            fast = found.layers_ms["xnnpack"].get(op)
            cells.append(f"{slow / fast:.1f}" if slow and fast else "")
        print(f"| {op} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
