"""Repair edges with one fault each, and print how much of the lost accuracy comes back.

Each case is recorded in a lake with its reference, then `exray fix` works as from the command
line: it chooses on one half of the inputs and is judged on the other. All accuracies are
those on the half held out. "right" is the sound edge, the share is that of the loss.

    EXRAY_TEST_DATA=... python benchmarks/repair.py [--only TEXT] [--planted 2] [--keep FILE]
    python benchmarks/repair.py --table FILE

Prints a row for each kind of fault and each case not repaired, then shares with their 95 % Clopper-Pearson intervals. A case
counts as repairable if the fault costs right answers on the inputs held out.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from intervals import clopper_pearson
from networks import data_folder
from repair_cases import (
    Case,
    Network,
    file_cases,
    label_cases,
    networks,
    planted_cases,
    preprocessing_cases,
    with_labels,
)

from exray.diagnosis.repair.configuration import Configuration
from exray.diagnosis.repair.outcome import Outcome
from exray.diagnosis.repair.request import Request
from exray.diagnosis.repair.rerun import rerun
from exray.diagnosis.repair.search import repair
from exray.lake import Lake
from exray.playback.dataset import open_dataset
from exray.playback.labels import load_labels
from exray.playback.outcome import wilson_interval
from exray.playback.pipeline import Pipeline, play
from exray.playback.progress import Progress, ignore_progress
from exray.playback.spec import PreprocessSpec, spec_from_mapping

BACK = 0.95
"""Share of the lost accuracy from which on a case counts as repaired."""


@dataclass(frozen=True)
class Row:
    """What came of one case; counts are of inputs held out."""

    group: str
    network: str
    name: str
    is_benign: bool
    inputs: int
    right: int
    faulty: int
    repaired: int
    verdict: str
    cause: str
    change: str
    mcnemar_p: float
    sign_p: float
    seconds: float

    @property
    def share(self) -> float | None:
        """Share of the loss that is back, None where the fault costs nothing here."""
        lost = self.right - self.faulty
        return None if lost <= 0 else (self.repaired - self.faulty) / lost


def main() -> None:
    """Repair the cases and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", default="", help="cases whose group, network or name holds it")
    parser.add_argument("--planted", type=int, default=0, help="of each kind in each network")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="write each row here; those there are skipped")
    parser.add_argument("--table", type=Path, help="print the table of rows kept before")
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no case after these")
    options = parser.parse_args()
    if options.table:
        lines = options.table.read_text("utf-8").splitlines()
        print(table([Row(**json.loads(line)) for line in lines]))
        return
    done: set[tuple[str, str]] = set()
    if options.keep and options.keep.exists():
        kept = [json.loads(line) for line in options.keep.read_text("utf-8").splitlines()]
        done = {(row["network"], row["name"]) for row in kept}
    start, rows = time.monotonic(), list[Row]()
    data = data_folder()
    with tempfile.TemporaryDirectory() as folder:
        known = networks(data, Path(folder))
        for number, case in enumerate(all_cases(known, data, Path(folder), options)):
            text = f"{case.group} {case.network.name} {case.name}"
            if options.only not in text or (case.network.name, case.name) in done:
                continue
            if time.monotonic() - start > options.seconds:
                break
            row = run(case, Path(folder, str(number)))
            rows.append(row)
            print(line(row), file=sys.stderr, flush=True)
            if options.keep:
                with options.keep.open("a") as file:
                    print(json.dumps(asdict(row)), file=file)
    print(table(rows))


def all_cases(
    known: dict[str, Network], data: Path, folder: Path, options: argparse.Namespace
) -> Iterator[Case]:
    """Yield every case."""
    yield from preprocessing_cases(known)
    yield from file_cases(known, data)
    yield from label_cases(known)
    if options.planted:
        yield from planted_cases(known, folder, options.planted, options.seed)


def run(case: Case, folder: Path) -> Row:
    """Record a case, repair it, and count."""
    folder.mkdir()
    network, start = with_labels(case), time.monotonic()
    record(network.reference, case.network.image, "reference", network, folder)
    record(case.model, case.image, "edge", network, folder)
    spec_file = None
    if case.image is not None:
        spec_file = folder / "edge.yaml"
        spec_file.write_text(json.dumps({"image": case.image}), "utf-8")
    scratch = folder / "scratch"
    scratch.mkdir()
    reference_model = network.reference
    request = Request(
        lake=Lake.open(folder / "lake"),
        edge="edge",
        reference="reference",
        edge_model=case.model,
        inputs=network.inputs,
        labels=network.labels,
        label_offset=network.offset,
        preprocess=spec_file,
        reference_model=reference_model,
    )
    outcome = repair(request, scratch, no_progress)
    return counted(case, outcome, time.monotonic() - start)


def counted(case: Case, outcome: Outcome, seconds: float) -> Row:
    """Count right answers on the inputs held out: of the sound edge, the faulty, the repaired."""
    network = case.network
    dataset = open_dataset(network.inputs, label_offset=network.offset)
    if network.labels is not None:
        truth = load_labels(network.labels, network.offset)
        labels = dict(truth.match(item.input_id for item in dataset).labels)
    else:
        labels = {item.input_id: item.label for item in dataset if item.label is not None}
    items = [item for item in dataset if item.input_id in outcome.held_out]
    sound = Configuration(model=network.sound, spec=spec(network.image), kernels="xnnpack")
    final = outcome.after if outcome.verdict == "repaired" else outcome.before
    # A label shift moves what counts as right, for the edge as it was and as repaired.
    shifted = {name: label + case.shift for name, label in labels.items()}
    right, faulty, repaired = (
        sum(answers[name].best == truth[name] for name in answers)
        for answers, truth in (
            (rerun(sound, items), labels),
            (rerun(outcome.before, items), shifted),
            (rerun(final, items), shifted),
        )
    )
    judged, kept = outcome.judged, outcome.kept
    first = outcome.first.failing[0].code if outcome.first.failing else outcome.first.status
    return Row(
        group=case.group,
        network=network.name,
        name=case.name,
        is_benign=case.is_benign,
        inputs=len(items),
        right=right,
        faulty=faulty,
        repaired=repaired,
        verdict=outcome.verdict,
        cause=kept[0][0].causes[0].code if kept else first,
        change=" and ".join(change.what for _, change in kept),
        mcnemar_p=judged.mcnemar_p if judged else 1.0,
        sign_p=judged.sign_p if judged else 1.0,
        seconds=round(seconds, 1),
    )


def record(
    model: Path, image: dict[str, Any] | None, role: str, network: Network, folder: Path
) -> None:
    """Play the inputs through a file."""
    pipeline = Pipeline(
        model=model,
        spec=spec(image),
        build=role,
        role=role,
        lake=folder / "lake",
        kernels="xnnpack" if model.suffix == ".tflite" else None,
    )
    labels = load_labels(network.labels, network.offset) if network.labels else None
    play(pipeline, open_dataset(network.inputs, label_offset=network.offset), labels)


def spec(image: dict[str, Any] | None) -> PreprocessSpec | None:
    """Return declared preprocessing."""
    return None if image is None else spec_from_mapping({"image": image})


@contextmanager
def no_progress(title: str) -> Generator[Progress]:
    """Show nothing."""
    yield ignore_progress


def line(row: Row) -> str:
    """Return one case on one line of a Markdown table."""
    share = "none lost" if row.share is None else f"{row.share:.0%}"
    accuracies = " | ".join(percent(n, row.inputs) for n in (row.right, row.faulty, row.repaired))
    p = min(row.mcnemar_p, row.sign_p)
    what = row.verdict if row.verdict != "unhelped" or not row.is_benign else "left alone"
    return (
        f"| {row.network} | {row.name} | {row.inputs} | {accuracies} | {share} | {what} | "
        f"{row.cause} | {p:.2g} | {row.seconds:.0f} |"
    )


def percent(count: int, inputs: int) -> str:
    """Return a share with its 95 % interval."""
    low, high = wilson_interval(count, inputs)
    return f"{count / max(1, inputs):.1%} ({low:.0%} to {high:.0%})"


def table(rows: Sequence[Row]) -> str:
    """Return every fault, the cases that were not repaired, and what all come to."""
    costly = [row for row in rows if not row.is_benign and row.share is not None]
    left = [row for row in costly if not is_back(row)]
    return "\n".join(
        [
            "| fault | on | cost answers | are back | right | faulty | repaired |",
            "|---|---|--:|--:|--:|--:|--:|",
            *by_fault(costly),
            "",
            "| network | fault | inputs | right | faulty | repaired | back | verdict | cause | p | s |",
            "|---|---|--:|--:|--:|--:|--:|---|---|--:|--:|",
            *(line(row) for row in left),
            "",
            *totals(rows),
        ]
    )


def is_back(row: Row) -> bool:
    """Whether what the fault cost is back."""
    return (row.share or 0.0) >= BACK


def by_fault(costly: Sequence[Row]) -> Iterator[str]:
    """Yield a line for each kind of fault; accuracies are means over its cases."""
    kinds: dict[str, list[Row]] = {}
    for row in costly:
        kinds.setdefault(row.name.split(", layer ")[0], []).append(row)
    for kind, cases in kinds.items():
        means = (
            sum(getattr(row, field) / row.inputs for row in cases) / len(cases)
            for field in ("right", "faulty", "repaired")
        )
        networks = ", ".join(dict.fromkeys(row.network for row in cases))
        accuracies = " | ".join(f"{mean:.1%}" for mean in means)
        back = sum(map(is_back, cases))
        yield f"| {kind} | {networks} | {len(cases)} | {back} | {accuracies} |"


def totals(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what the cases of each group, and all, come to."""
    for group in [*dict.fromkeys(row.group for row in rows), ""]:
        of = [row for row in rows if group in ("", row.group) and not row.is_benign]
        costly = [row for row in of if row.share is not None]
        back = sum(map(is_back, costly))
        low, high = clopper_pearson(back, len(costly)) if costly else (0.0, 1.0)
        yield (
            f"{group or 'all'}: {back} of {len(costly)} cases that cost right answers have "
            f"{BACK:.0%} of them back ({low:.1%} to {high:.1%}); {len(of) - len(costly)} more cost "
            f"none here, of which {sum(row.verdict == 'repaired' for row in of if row.share is None)} "
            "were repaired"
        )
    benign = [row for row in rows if row.is_benign]
    changed = sum(row.verdict == "repaired" for row in benign)
    yield f"benign files: {changed} of {len(benign)} changed"


if __name__ == "__main__":
    main()
