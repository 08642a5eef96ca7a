"""What the candidate search names of preprocessing faults, on the networks of the data's README.

Prints a row for each code: faults made, those named rightly, wrongly or not at all, the
share of right ones with its Clopper-Pearson interval (95 %), and the CPU time of a search.
"""

import argparse
import sys
from collections.abc import Iterable
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
    parser.add_argument("--keep", type=Path, help="Write a line for each case here too.")
    options = parser.parse_args()
    cases = list(reported_cases())[options.offset :: options.step]
    trials: list[Trial] = []
    for trial in run_trials(cases, options.data):
        trials.append(trial)
        print(line_of(trial), file=sys.stderr, flush=True)
        if options.keep:
            with options.keep.open("a") as file:
                print(line_of(trial), file=file)
    print(report(trials))


def line_of(trial: Trial) -> str:
    """Return what a trial came to, on one line."""
    verdict = "same" if trial.is_same else "right" if trial.is_right else "WRONG"
    named = {code: round(margin, 1) for code, margin in trial.named.items()}
    told = f"{verdict:6} {trial.case.name}: {named or 'none'} at {trial.match_db:.1f} dB"
    return f"{told}, {trial.duration_s:.1f} s, CPU {trial.cpu_s:.1f} s"


def report(trials: list[Trial]) -> str:
    """Return the tables."""
    told = [trial for trial in trials if not trial.is_same]
    singles = [trial for trial in told if len(trial.case.codes) == 1]
    lines = ["code               faults right wrong none  right %      95 %    CPU s"]
    for code in sorted({code for trial in singles for code in trial.case.codes}):
        lines.append(_row(code, [t for t in singles if code in t.case.codes]))
    lines.append(_row("all single", singles))
    pairs = [trial for trial in told if len(trial.case.codes) == 2]
    lines.append(_row("two at once", pairs))
    unknown = [trial for trial in told if not trial.case.codes]
    lines.append(_row("of no code", unknown))
    lines += ["", f"{len(trials) - len(told)} cases left alone: their inputs are the same", ""]
    slowest = max(told, key=lambda trial: trial.cpu_s)
    lines.append(f"slowest search {slowest.cpu_s:.1f} s of CPU ({slowest.case.name})")
    return "\n".join([*lines, *_calibration(told)])


def _row(name: str, trials: list[Trial]) -> str:
    right = sum(trial.is_right for trial in trials)
    none = sum(not trial.is_right and not trial.named for trial in trials)
    low, high = clopper_pearson(right, len(trials))
    mean_s = sum(trial.cpu_s for trial in trials) / max(1, len(trials))
    share = right / max(1, len(trials))
    counts = f"{len(trials):6d} {right:5d} {len(trials) - right - none:5d} {none:4d}"
    return f"{name:18} {counts}  {share:7.1%}  {low:5.1%} to {high:6.1%} {mean_s:5.1f}"


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
    low, high = clopper_pearson(wrong, len(surest))
    share = f"{wrong} of {len(surest)} ({low:.1%} to {high:.1%})"
    return [
        f"{len(answers)} mistakes named; expected calibration error {error:.4f}",
        f"wrong among the surest {COVERAGE:.0%}: {share}",
    ]


if __name__ == "__main__":
    main()
