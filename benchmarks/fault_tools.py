"""What other tools name of the same faults: in the int8 networks that the bench trains itself.

Each build is made in the forms that the tools take: a .tflite file, one with float twins for
TensorFlow Lite's debugger, and what tf2onnx converts for ONNX Runtime. All of them get the
build before, too. The tools are the dependency group ``bench-tools``; one that is not
installed is left out, with the reason.

    EXRAY_TEST_DATA=... python benchmarks/fault_tools.py [--sample 12] [--controls 4] [--resume]

`faults.py` writes what is kept into its document.
"""

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from fault_cases import CONTROL, OPERATOR, Case, Made, cases_of, in_order
from fault_networks import HELD_OUT
from fault_report import detected
from fault_rivals import Build, Rig, Tool
from fault_stand import EDGE, recorded
from fault_tool_report import Judged, tool_tables
from networks import data_folder
from tool_onnx import QdqLossDebug
from tool_tflite import QuantizationDebugger
from tool_whylogs import Whylogs

from exray.schema.errors import ExrayError

CONTROLS = ("recalibrated", "exported again")
"""Benign changes that all tools see: of the file."""


def main() -> None:
    """Plant, ask every tool, keep, print."""
    options = _options()
    lines = read(options.keep) if options.resume or options.report else []
    if not options.report:
        data = data_folder()
        options.keep.parent.mkdir(parents=True, exist_ok=True)
        with options.keep.open("a" if options.resume else "w") as kept:
            for line in _run(options, data, {line["case"] for line in lines}):
                kept.write(json.dumps(line) + "\n")
                kept.flush()
                lines.append(line)
    print("\n".join(tool_tables(lines)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    work = Path(tempfile.gettempdir(), "exray-fault-tools")
    parser.add_argument("--sample", type=int, default=12, help="faults per network")
    parser.add_argument("--controls", type=int, default=4, help="benign changes per network")
    parser.add_argument("--networks", default=",".join(network.name for network in HELD_OUT))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, default=work, help="folder of what is made once")
    parser.add_argument("--keep", type=Path, help="lines of JSON; tools.jsonl there if left out")
    parser.add_argument("--resume", action="store_true", help="leave out cases that are there")
    parser.add_argument("--report", action="store_true", help="only print what is there")
    options = parser.parse_args()
    options.keep = options.keep or options.work / "tools.jsonl"
    return options


def read(file: Path) -> list[dict[str, Any]]:
    """Return the lines that a file keeps, none where there is none."""
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def _run(options: argparse.Namespace, data: Path, known: set[str]) -> Iterator[dict[str, Any]]:
    for network in HELD_OUT:
        if network.name not in options.networks.split(","):
            continue
        rig = Rig(network, data, options.work / network.name)
        tools = {tool.name: _ready(tool, rig) for tool in _tools()}
        for case, made in _made(rig, cases_of(network, "int8"), options):
            if case.name not in known:
                answers = _answers(rig, case, made, tools, options.seed)
                layer = made.expected[0].layer if made.expected else None
                yield {"case": case.name, "fault": case.fault, "layer": layer, "tools": answers}
                print(case.name, file=sys.stderr, flush=True)
        rig.workshop.stand.close()


def _made(
    rig: Rig, cases: Iterable[Case], options: argparse.Namespace
) -> Iterator[tuple[Case, Made]]:
    """Make the first cases of each sort that can be made."""
    left = {OPERATOR: options.sample, CONTROL: options.controls}
    for case in in_order(cases, options.seed):
        is_shared = case.family == OPERATOR or case.fault in CONTROLS
        if not is_shared or not left[case.family]:
            continue
        try:
            made = rig.workshop.make(case, options.seed)
        except ExrayError:
            continue
        if made is not None:
            left[case.family] -= 1
            yield case, made


Ready = tuple[Tool, dict[int, float]] | str
"""A tool and its numbers of the build before; or why there is none."""


def _tools() -> Sequence[Tool]:
    return (QuantizationDebugger(), QdqLossDebug(), Whylogs())


def _ready(tool: Tool, rig: Rig) -> Ready:
    missing = [name for name in tool.needs if find_spec(name) is None]
    if missing:
        return f"{', '.join(missing)} not installed"
    try:
        return tool, tool.measure(rig.sound())
    except Exception as error:  # noqa: BLE001 - whatever another tool does not take is its answer
        return f"cannot read this network: {type(error).__name__}: {str(error)[:200]}"


def _answers(
    rig: Rig, case: Case, made: Made, tools: dict[str, Ready], seed: int
) -> dict[str, dict[str, Any]]:
    answers = {"exray": _timed(lambda: _diagnosed(rig, made))}
    build = rig.build(case, made, seed)
    for name, ready in tools.items():
        if isinstance(ready, str):
            answers[name] = {"skipped": ready}
        else:
            answers[name] = _timed(lambda ready=ready: _measured(*ready, build))
    return answers


def _timed(judge: Any) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        judged: Judged = judge()
    except Exception as error:  # noqa: BLE001 - likewise
        return {"skipped": f"{type(error).__name__}: {str(error)[:200]}"}
    seconds = round(time.perf_counter() - started, 3)
    return {"detected": judged.is_detected, "layers": judged.layers, "seconds": seconds}


def _diagnosed(rig: Rig, made: Made) -> Judged:
    tables = recorded(made.file, rig.files.inputs, EDGE)
    found = rig.workshop.stand.diagnose(tables, made.file)
    missing = 0 if found.entry is None else found.entry.frames_missing
    layers = [cause.where.layer_index for cause in found.failing]
    told = {"status": found.status, "frames_missing": missing, "named": []}
    return Judged(detected(told), [-1 if layer is None else layer for layer in layers[:3]])


def _measured(tool: Tool, before: dict[int, float], build: Build) -> Judged:
    numbers = tool.measure(build)
    is_detected = any(tool.alarms(x, before.get(layer, x)) for layer, x in numbers.items())
    # what is not a number is as bad as can be; of equal ones the earlier layer comes first
    worst = sorted(numbers, key=lambda layer: (-_finite(numbers[layer]), layer))
    return Judged(is_detected, worst[:3])


def _finite(value: float) -> float:
    return float("inf") if math.isnan(value) else value


if __name__ == "__main__":
    main()
