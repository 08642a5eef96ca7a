"""Fit how sure a match makes: run it to renew the table in diagnosis/candidates/confidence.py.

The cases are those of networks and faults other than `benchmarks/preprocessing.py` reports.
"""

import argparse
import json
import sys
from pathlib import Path

from preprocessing_cases import calibrating_cases
from preprocessing_trials import Trial, run_trials

from exray.diagnosis.candidates.confidence import evidence_db

FLOOR_DB = 20.0
"""Matches below are of no use to the fit: nothing is named there."""

DATA = Path(__file__).parent.parent.parent / "shared" / "data"


def main() -> None:
    """Run the cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--keep", type=Path, help="Append each trial's evidence here, as JSON.")
    parser.add_argument("--start", type=int, default=0, help="First case, after an interruption.")
    options = parser.parse_args()
    cases = list(calibrating_cases())[options.start :]
    evidence: list[tuple[float, bool]] = []
    if options.keep and options.keep.exists():
        kept = [json.loads(line) for line in options.keep.read_text().splitlines()]
        evidence = [(e, right) for e, right in kept]
    for number, trial in enumerate(run_trials(cases, options.data), options.start):
        points = list(evidence_of(trial))
        evidence += points
        print(f"{number:4d} {trial.case.name}: {trial.match_db:.1f} dB, {points}", file=sys.stderr)
        if options.keep:
            with options.keep.open("a") as file:
                file.writelines(json.dumps(point) + "\n" for point in points)
    print(f"{len(evidence)} mistakes named by the best match")
    for least, share, count in fitted(evidence):
        print(f"    ({least:.1f}, {share:.3f}),  # {count} mistakes")


def evidence_of(trial: Trial) -> list[tuple[float, bool]]:
    """Return evidence and rightness of each mistake that the best match has."""
    return [
        (round(evidence_db(trial.match_db, margin), 2), code in trial.case.codes)
        for code, margin in trial.best.items()
        if trial.match_db >= FLOOR_DB
    ]


def fitted(evidence: list[tuple[float, bool]]) -> list[tuple[float, float, int]]:
    """Return a rising step function by pooling adjacent violators, with Laplace's rule.

    Returns:
        Least evidence of each step in dB, share of right ones, mistakes on it.
    """
    steps: list[list[float]] = []  # least evidence, right, count
    for level, is_right in sorted(evidence):
        steps.append([level, float(is_right), 1.0])
        while len(steps) > 1 and _share(steps[-2]) >= _share(steps[-1]):
            _, right, count = steps.pop()
            steps[-1][1] += right
            steps[-1][2] += count
    told: list[tuple[float, float, int]] = []
    for least, right, count in steps:
        share = (right + 1) / (count + 2)
        if not told or share > told[-1][1]:  # Laplace's rule pulls steps of few to the middle
            told.append((least, share, int(count)))
    return told


def _share(step: list[float]) -> float:
    return step[1] / step[2]


if __name__ == "__main__":
    main()
