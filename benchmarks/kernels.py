"""What kernels cost, and whether the saving that a diagnosis expects comes true.

Every network runs on reference, builtin and XNNPACK kernels in turn, so that whatever else
the machine does falls on all of them alike. Of one half of the XNNPACK runs a diagnosis of
the run on slower kernels knows; its expectation is held against the other half, the rerun.
It is asked twice: with the network's own times on XNNPACK, and with those of the other
networks alone, by which it estimates.

    EXRAY_TEST_DATA=... python benchmarks/kernels.py [--rounds 12] [--frames 6] [--only V1]
    python benchmarks/kernels.py --report | --write docs/kernels.md

What was measured stays in the folder ``--work``, a network at a time; one that is measured
again takes its old place. Only that needs a quiet machine. ``--report`` then asks the
diagnosis and prints the tables of all that is there, ``--write`` writes them as a document.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from kernel_report import Advice, Measured, document, tables
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
    "V1 .25 128 uint8": "google-coral/mobilenet_v1_0.25_128_quant.tflite",
    "V1 .25 QAT float": "tflite-support/mobilenet_v1_0.25_224_float.tflite",
    "V1 .25 QAT uint8": "tflite-support/mobilenet_v1_0.25_224_quant.tflite",
    "SSD uint8": "ml-exray/ssd_mobilenet_v1_coco_300.tflite",
    "DeepLab float": "tflite-support/deeplabv3.tflite",
    "ResNet8 float": f"{TINY}/ic/pretrainedResnet.tflite",
    "ResNet8 int8": f"{TINY}/ic/pretrainedResnet_quant.tflite",
    "VWW float": f"{TINY}/vww/vww_96_float.tflite",
    "VWW int8": f"{TINY}/vww/vww_96_int8.tflite",
    "KWS float": f"{TINY}/kws/kws_ref_model_float32.tflite",
    "KWS int8": f"{TINY}/kws/kws_ref_model.tflite",
}

TURNS = (
    ("reference", "slow"),
    ("xnnpack", "known"),
    ("builtin", "builtin"),
    ("xnnpack", "rerun"),
)
"""Kernels of a round's runs, and the lake of each."""

_TIMES = """
SELECT s.op, r.run_id, s.layer_index, median(s.dur_ns) / 1e6 AS ms
FROM layer_spans AS s
INNER JOIN runs AS r ON s.run_id = r.run_id
WHERE s.dur_ns IS NOT NULL
GROUP BY s.op, s.layer_index, r.run_id
"""


def main() -> None:
    """Run, or diagnose and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    work = Path(tempfile.gettempdir(), "exray-kernels")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--only", default="", help="networks whose name holds it")
    parser.add_argument("--work", type=Path, default=work, help="folder of what was measured")
    parser.add_argument("--report", action="store_true", help="print the tables of what is there")
    parser.add_argument("--write", type=Path, help="write them as a document")
    options = parser.parse_args()
    if options.report or options.write:
        names = [name for name in FILES if _file(options.work, name).exists()]
        found = [told(options.work, name, names) for name in names]
        if options.write:
            options.write.write_text(document(found), "utf-8")
        print("\n".join(tables(found)))
        return
    data = data_folder()
    for name in [name for name in FILES if options.only in name]:
        started = time.monotonic()
        measure(name, data / FILES[name], options.work, options.rounds, options.frames)
        print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)


def _file(work: Path, name: str) -> Path:
    return work / name / "measured.json"


def measure(name: str, file: Path, work: Path, rounds: int, frames: int) -> None:
    """Run a network on each family in turn, and keep its times."""
    own = work / name
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir(parents=True)
    inputs = _inputs(file, own / "inputs.npz", frames)
    model_ms: dict[str, list[float]] = defaultdict(list)
    loads: list[float] = []
    for _ in range(rounds):
        for family, lake in TURNS:
            loads.append(os.getloadavg()[0])
            pipeline = Pipeline(
                model=file,
                spec=None,
                build=lake,
                role="edge",
                lake=own / lake,
                level=Level.LATENCY,
                kernels=family,
                threads=1,
            )
            result = play(pipeline, open_dataset(inputs), None)
            model_ms[family].append(statistics.median(result.model_ms))
    kept = {
        "rounds": rounds,
        "frames": frames,
        "load": statistics.median(loads),
        "model_ms": {family: min(times) for family, times in model_ms.items()},
    }
    _file(work, name).write_text(json.dumps(kept), "utf-8")


def _inputs(file: Path, target: Path, frames: int) -> Path:
    spec = open_runner(file).input
    rng = np.random.default_rng(1)
    shape = (frames, *(int(size or 1) for size in spec.shape[1:]))
    if spec.dtype.kind == "f":
        values = rng.normal(size=shape)
    else:
        limits = np.iinfo(spec.dtype)
        values = rng.integers(limits.min, limits.max, shape, endpoint=True)
    np.savez(target, inputs=values.astype(spec.dtype))
    return target


def told(work: Path, name: str, names: Sequence[str]) -> Measured:
    """Return what was measured of a network, and what a diagnosis says of it."""
    kept: dict[str, Any] = json.loads(_file(work, name).read_text("utf-8"))
    layers = {lake: layers_ms(Lake.open(work / name / lake)) for _, lake in TURNS}
    others = [other for other in names if other != name]
    return Measured(
        name=name,
        model_ms=kept["model_ms"],
        operators_ms={
            "reference": layers["slow"],
            "builtin": layers["builtin"],
            "xnnpack": layers["rerun"],
        },
        rerun_ms=sum(layers["rerun"].values()),
        load=kept["load"],
        measured={
            kernels: advice(work, name, lake, [name])
            for kernels, lake in (("reference", "slow"), ("builtin", "builtin"))
        },
        estimated=advice(work, name, "slow", others),
    )


def layers_ms(lake: Lake) -> dict[str, float]:
    """Return the time of each operator of the fastest run, ms, summed over layers."""
    with connect(lake) as connection:
        rows = connection.execute(_TIMES).fetchall()
    runs: dict[object, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for op, run_id, _, ms in rows:
        runs[run_id][str(op)] += float(ms)
    return dict(min(runs.values(), key=lambda times: sum(times.values())))


def advice(work: Path, name: str, build: str, known: Sequence[str]) -> Advice | None:
    """Return what a diagnosis advises, that knows some networks' times on XNNPACK."""
    lake = Lake.open(work / name / build)
    beside = [Lake.open(work / other / "known") for other in known]

    def find(connection, watch) -> list[Cause]:  # type: ignore[no-untyped-def]
        slow = resolve(connection, build, None)
        scene = scene_of(lake, connection, watch, (slow, slow, None), Replay())
        return list(find_kernels(scene))

    causes = with_lake(lake, "kernels", find, beside=beside)
    if not causes:
        return None
    evidence: dict[str, Any] = dict(causes[0].evidence)
    where = causes[0].where
    return Advice(
        layer=where.layer_index or 0,
        op=str(where.op),
        kernels=evidence["better_kernels"],
        now_ms=evidence["now_ms"],
        expected_ms=evidence["expected_ms"],
    )


if __name__ == "__main__":
    main()
