"""Plant faults into networks, and count which a diagnosis names, where, how surely, how fast.

For every network the float file is the reference, and its int8 file, or the float file
itself, the previous build. A fault is an edit of operators (of a file, or of what the
runtime made of a file), recorded as a new build over the same inputs; it counts if its own
operator's output changes by enough. Or it is a mistake in what makes recordings and texts
model inputs, and counts if these change. Benign changes, which do change numbers, count as
false alarms where they do not pass.

    EXRAY_TEST_DATA=... python benchmarks/faults.py [--sample N] [--resume] [--keep cases.jsonl]

Every case appends a line of JSON; ``--resume`` goes on where an earlier call stopped. The
order is such that, wherever it stops, each network has had the same share of each kind of fault
and of benign change. ``--report`` prints, or with ``--write docs/fault-bench.md`` writes, the tables of what there is;
and those of `preprocessing.py` and `fault_tools.py`, if ``--images`` and ``--tools`` name what they kept.
Thresholds of the diagnosis were chosen on the networks that `fault_networks.SEEN` names, lists
of other front ends beside those of `fault_fronts.py` whose files are given; the held-out ones
took no part.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fault_cases import CONTROL, PRECISIONS, Case, Made, Workshop, cases_of, in_order
from fault_front_cases import FrontWorkshop, front_cases
from fault_fronts import FRONTS, Front
from fault_networks import FRAMES, NETWORKS, Network, files_of, twin_of
from fault_report import IMAGES, document, tables
from fault_stand import Stand
from fault_tool_report import TOOLS, tool_tables
from networks import data_folder
from preprocessing import read, report

from exray.diagnosis.conclusion import Diagnosis
from exray.schema.errors import ExrayError

ALL: tuple[Network | Front, ...] = (*NETWORKS, *FRONTS)
"""Networks of faults in layers, and of faults in front ends."""

TOLD = 50
"""Cases after which it says how many are done."""


def main() -> None:
    """Plant, diagnose, keep, print."""
    options = _options()
    lines = _lines(options.keep) if options.resume or options.report or options.write else []
    if not (options.report or options.write):
        data = data_folder()
        options.keep.parent.mkdir(parents=True, exist_ok=True)
        if not options.resume:
            options.keep.write_text("")
        known = {str(line["case"]) for line in lines}
        with options.keep.open("a") as kept:
            for line in _run(options, data, known):
                kept.write(json.dumps(line) + "\n")
                kept.flush()
                lines.append(line)
    if options.write:
        planned = sum(len(list(_cases(n, p))) for n in ALL for p in n.precisions)
        beside: list[str] = []
        if options.tools:
            beside += ["", TOOLS, *tool_tables(_lines(options.tools))]
        if options.images:
            beside += ["", IMAGES, *report(read(options.images))]
        options.write.write_text(document(lines, planned, beside))
    print("\n".join(tables(lines)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    work = Path(tempfile.gettempdir(), "exray-faults")
    parser.add_argument("--sample", type=int, default=0, help="cases per network; 0: all")
    parser.add_argument("--controls", type=int, default=0, help="benign ones per network")
    parser.add_argument("--networks", default="", help="names with commas; all if left out")
    parser.add_argument("--precisions", default=",".join(PRECISIONS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-baseline", action="store_true", help="without a previous build")
    parser.add_argument("--work", type=Path, default=work, help="folder of what is made once")
    parser.add_argument("--keep", type=Path, default=work / "cases.jsonl")
    parser.add_argument("--resume", action="store_true", help="leave out cases that are there")
    parser.add_argument("--report", action="store_true", help="only print what is there")
    parser.add_argument("--images", type=Path, help="trials of preprocessing.py, for the document")
    parser.add_argument("--tools", type=Path, help="lines of fault_tools.py, likewise")
    parser.add_argument("--write", type=Path, help="only write what is there, as a document")
    return parser.parse_args()


def _lines(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")]


def _run(options: argparse.Namespace, data: Path, known: set[str]) -> Iterable[dict[str, Any]]:
    wanted = options.networks.split(",") if options.networks else [n.name for n in ALL]
    networks = {network.name: network for network in ALL if network.name in wanted}
    of_each = [
        _sampled(in_order(_cases(network, precision), options.seed), options)
        for network in networks.values()
        for precision in network.precisions
        if precision in options.precisions.split(",")
    ]
    workshops: dict[tuple[str, str], Workshop | FrontWorkshop] = {}
    cases = in_order((case for cases in of_each for case in cases), options.seed)
    left = [case for case in cases if case.name not in known]
    for count, case in enumerate(left, 1):
        key = (case.network, case.precision)
        if key not in workshops:
            workshops[key] = _workshop(networks[case.network], case.precision, data, options.work)
        yield _line(case, workshops[key], options)
        if count % TOLD == 0 or count == len(left):
            print(f"{count} of {len(left)} cases", file=sys.stderr, flush=True)
    for workshop in workshops.values():
        workshop.stand.close()


def _cases(network: Network | Front, precision: str) -> Iterable[Case]:
    is_front = isinstance(network, Front)
    return front_cases(network, precision) if is_front else cases_of(network, precision)


def _workshop(
    network: Network | Front, precision: str, data: Path, work: Path
) -> Workshop | FrontWorkshop:
    own = work / network.name
    if isinstance(network, Front):
        return FrontWorkshop(network, precision, data, own)
    files = files_of(network, data, own)
    folder = own / precision
    folder.mkdir(exist_ok=True)
    sound = files.int8_file if precision == "int8" else files.float_file
    stand = Stand(folder, files.float_file, sound, files.inputs)
    return Workshop(stand, files, lambda seed: twin_of(network, data, own, seed))


def _sampled(cases: Iterable[Case], options: argparse.Namespace) -> list[Case]:
    given = list(cases)
    if not options.sample:
        return given
    faults = [case for case in given if case.family != CONTROL]
    benign = [case for case in given if case.family == CONTROL]
    return faults[: options.sample] + benign[: options.controls or options.sample]


def _line(
    case: Case, workshop: Workshop | FrontWorkshop, options: argparse.Namespace
) -> dict[str, Any]:
    """Make and diagnose one case, and say what came of it."""
    told: dict[str, Any] = {
        "case": case.name,
        "network": case.network,
        "held_out": case.network in {network.name for network in ALL if network.is_held_out},
        "precision": case.precision,
        "family": case.family,
        "fault": case.fault,
        "baseline": not options.no_baseline,
        "frames": FRAMES,
    }
    try:
        made = workshop.make(case, options.seed)
    except ExrayError as error:
        return told | {"status": "refused", "error": str(error)}
    if made is None:
        return told | {"status": "unfelt"}
    started, started_cpu = time.perf_counter(), time.process_time()
    found = workshop.stand.diagnose(made.tables, made.file, baseline=not options.no_baseline)
    line = told | _answer(made, found)
    line["seconds"] = round(time.perf_counter() - started, 3)
    line["cpu_s"] = round(time.process_time() - started_cpu, 3)
    return line


def _answer(made: Made, found: Diagnosis) -> dict[str, Any]:
    entry = found.entry
    return {
        "status": found.status,
        "expected": [asdict(fault) for fault in made.expected],
        "allowed": list(made.allowed),
        "named": [
            {
                "code": cause.code,
                "layer": cause.where.layer_index,
                "confidence": cause.confidence,
                "kind": cause.evidence.get("kind"),
                "part": cause.evidence.get("part"),
            }
            for cause in found.failing
        ],
        "entry": None if entry is None else entry.what,
        "entry_layer": None if entry is None else entry.where.layer_index,
        "frames_missing": 0 if entry is None else entry.frames_missing,
        "broken": [f"{failure.finder}: {failure.error}" for failure in found.failures],
    }


if __name__ == "__main__":
    main()
