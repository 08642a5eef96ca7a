"""What the candidate search names of preprocessing faults, on the networks of the data's README.

Prints a row for each code: faults made, those named rightly, wrongly or not at all, the
share of right ones with its Clopper-Pearson interval (95 %), and the CPU time of a search.

    python benchmarks/preprocessing.py [--step 10] [--keep trials.jsonl [--resume | --report]]

``--keep`` appends a line of JSON for each case, and ``--resume`` leaves out those that are
there. `faults.py` writes the same tables into its document.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from intervals import clopper_pearson
from preprocessing_cases import reported_cases
from preprocessing_trials import Trial, run_trials

from exray.diagnosis.candidates.confidence import confidence

DATA = Path(__file__).parent.parent.parent / "shared" / "data"

CONFIDENCE_BINS = 10
"""Bins of the expected calibration error."""

COVERAGE = 0.8
"""Share of the surest answers of which the wrong ones are counted."""


def main() -> None:
    """Run the sweep and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--step", type=int, default=1, help="Run every so many-th case alone.")
    parser.add_argument("--offset", type=int, default=0, help="First of them.")
    parser.add_argument("--keep", type=Path, help="Append each trial here, as JSON.")
    parser.add_argument("--resume", action="store_true", help="Leave out cases that are there.")
    parser.add_argument("--report", action="store_true", help="Only print what is there.")
    options = parser.parse_args()
    trials = read(options.keep) if options.keep and (options.resume or options.report) else []
    if not options.report:
        known = {trial.case.name for trial in trials}
        chosen = list(reported_cases())[options.offset :: options.step]
        for trial in run_trials([case for case in chosen if case.name not in known], options.data):
            trials.append(trial)
            print(line_of(trial), file=sys.stderr, flush=True)
            if options.keep:
                with options.keep.open("a") as file:
                    file.write(json.dumps(trial.kept()) + "\n")
    print("\n".join(report(trials)))


def read(file: Path) -> list[Trial]:
    """Return the trials that a file keeps, in the order of the cases."""
    if not file.exists():
        return []
    kept = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    by_case = {line["case"]: line for line in kept}
    cases = [case for case in reported_cases() if case.name in by_case]
    return [Trial.from_kept(case, by_case[case.name]) for case in cases]


def line_of(trial: Trial) -> str:
    """Return what a trial came to, on one line."""
    verdict = "same" if trial.is_same else "right" if trial.is_right else "WRONG"
    named = {code: round(margin, 1) for code, margin in trial.named.items()}
    told = f"{verdict:6} {trial.case.name}: {named or 'none'} at {trial.match_db:.1f} dB"
    return f"{told}, {trial.duration_s:.1f} s, CPU {trial.cpu_s:.1f} s"


def report(trials: Sequence[Trial]) -> list[str]:
    """Return the tables in Markdown."""
    told = [trial for trial in trials if not trial.is_same]
    singles = [trial for trial in told if len(trial.case.codes) == 1]
    lines = [
        "| code | faults | right | wrong | none | right (95 % interval) | CPU s |",
        "|---|--:|--:|--:|--:|---|--:|",
    ]
    for code in sorted({code for trial in singles for code in trial.case.codes}):
        lines.append(_row(code, [t for t in singles if code in t.case.codes]))
    lines.append(_row("all single", singles))
    pairs = [trial for trial in told if len(trial.case.codes) == 2]
    lines.append(_row("two at once", pairs))
    unknown = [trial for trial in told if not trial.case.codes]
    lines.append(_row("of no code", unknown))
    slowest = max(told, key=lambda trial: trial.cpu_s, default=None)
    left = f"{len(trials) - len(told)} cases left alone: their inputs are the same."
    if slowest is not None:
        left += f" Slowest search {slowest.cpu_s:.1f} s of CPU ({slowest.case.name})."
    return [*lines, "", left, *_calibration(told)]


def _row(name: str, trials: Sequence[Trial]) -> str:
    right = sum(trial.is_right for trial in trials)
    none = sum(not trial.is_right and not trial.named for trial in trials)
    low, high = clopper_pearson(right, len(trials)) if trials else (0.0, 1.0)
    mean_s = sum(trial.cpu_s for trial in trials) / max(1, len(trials))
    share = f"{right / max(1, len(trials)):.1%} ({low:.1%} to {high:.1%})"
    counts = f"{len(trials)} | {right} | {len(trials) - right - none} | {none}"
    return f"| {name} | {counts} | {share} | {mean_s:.1f} |"


def _calibration(trials: Iterable[Trial]) -> list[str]:
    answers = sorted(
        (
            (confidence(trial.match_db, margin), code in trial.case.codes)
            for trial in trials
            for code, margin in trial.named.items()
        ),
        reverse=True,
    )
    bins: dict[int, list[tuple[float, bool]]] = {}
    for sure, right in answers:
        bins.setdefault(min(int(sure * CONFIDENCE_BINS), CONFIDENCE_BINS - 1), []).append(
            (sure, right)
        )
    error = sum(
        abs(sum(sure for sure, _ in group) - sum(right for _, right in group))
        for group in bins.values()
    ) / max(1, len(answers))
    surest = answers[: round(COVERAGE * len(answers))]
    wrong = sum(not right for _, right in surest)
    low, high = clopper_pearson(wrong, len(surest)) if surest else (0.0, 1.0)
    share = f"{wrong} of {len(surest)} ({low:.1%} to {high:.1%})"
    named = f"{len(answers)} mistakes named, expected calibration error {error:.4f}"
    return [f"{named}; wrong among the surest {COVERAGE:.0%}: {share}."]


if __name__ == "__main__":
    main()
