"""What the fault bench's lines come to: rates with intervals, calibration, a document."""

import platform
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from exray.diagnosis.statistics import clopper_pearson

Line = dict[str, Any]
Test = Callable[[Line], bool]

BINS = 10
"""Bins of the expected calibration error."""

COVERAGE = 0.8
"""Share of the surest answers of which the wrong ones are counted."""


def detected(line: Line) -> bool:
    """Whether it did not pass; of a change of which something may be said, as something else."""
    if line.get("allowed"):
        return any(cause["code"] not in line["allowed"] for cause in line["named"])
    return line["status"] == "fail" or (
        line["status"] == "unexplained" and not line["frames_missing"]
    )


def names(line: Line, first: int, *, place: bool, code: bool) -> bool:
    """Whether each fault is among the first causes, by code, place or both."""
    return all(
        any(
            (not code or cause["code"] in fault["codes"]) and (not place or _is_there(fault, cause))
            for cause in line["named"][:first]
        )
        for fault in line["expected"]
    )


def _is_there(fault: Line, cause: Line) -> bool:
    """Whether a cause is in the fault's layer, or the step of the preprocessing that it is."""
    if fault.get("parts"):
        return cause.get("part") in fault["parts"]
    return fault["layer"] is None or cause["layer"] == fault["layer"]


def has_place(line: Line) -> bool:
    """Whether its fault is in some layer or step."""
    return all(fault["layer"] is not None or fault.get("parts") for fault in line["expected"])


RATES: tuple[tuple[str, Test], ...] = (
    ("detected", detected),
    ("right code", lambda line: names(line, 1, place=False, code=True)),
    ("right layer, first", lambda line: names(line, 1, place=True, code=False)),
    ("right layer, of 3", lambda line: names(line, 3, place=True, code=False)),
)
"""What is counted of single faults; the code is that of the first cause."""


def is_judged(line: Line) -> bool:
    """Whether there was something to diagnose."""
    return line["status"] not in ("refused", "unfelt")


def rate(count: int, total: int) -> str:
    """Return a share with its exact interval."""
    if not total:
        return "none"
    low, high = clopper_pearson(count, total)
    return f"{count}/{total} {count / total:.1%} ({low:.1%} to {high:.1%})"


def tables(lines: Sequence[Line]) -> list[str]:
    """Return the tables in Markdown: held-out networks apart, then all."""
    judged = [line for line in lines if is_judged(line)]
    told: list[str] = []
    for name, chosen in (
        ("Held-out networks", [line for line in judged if line["held_out"]]),
        ("Networks on which thresholds were chosen", [x for x in judged if not x["held_out"]]),
        ("All networks", judged),
    ):
        if chosen:
            told += [f"## {name}", "", *_tables_of(chosen), ""]
    left = [line["status"] for line in lines]
    told.append(
        f"Left out: {left.count('unfelt')} that found no operator to plant in or to feel it, "
        f"{left.count('refused')} that the runtime refused."
    )
    return told


def _tables_of(lines: Sequence[Line]) -> list[str]:
    faults = [line for line in lines if line["expected"]]
    single = [line for line in faults if len(line["expected"]) == 1]
    placed = [line for line in single if has_place(line)]
    pairs = [line for line in faults if len(line["expected"]) == 2]
    controls = [line for line in lines if not line["expected"]]
    told = ["| | rate (95 % interval) |", "|---|---|"]
    for name, test in RATES:
        of = placed if "layer" in name else single
        told.append(f"| {name} | {rate(sum(map(test, of)), len(of))} |")
    both = sum(names(line, 99, place=True, code=True) for line in pairs)
    told.append(f"| two at once, both named | {rate(both, len(pairs))} |")
    alarms = sum(map(detected, controls))
    told.append(f"| false alarms on controls | {rate(alarms, len(controls))} |")
    short = sum(bool(line["frames_missing"]) for line in controls)
    told.append(f"| controls that ask for more frames | {rate(short, len(controls))} |")
    told += _calibration(single)
    if single:
        told.append(f"| CPU seconds of a diagnosis, median | {_median(lines, 'cpu_s'):.2f} |")
        told.append(f"| seconds on the clock, median | {_median(lines, 'seconds'):.2f} |")
    told += ["", *_by_fault(single), "", *_by_control(controls)]
    return told


def _by_fault(lines: Sequence[Line]) -> list[str]:
    told = [
        "| fault | planted | detected | right code | layer first | of 3 |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for fault in dict.fromkeys(_shown(line) for line in sorted(lines, key=_is_front_end)):
        of = [line for line in lines if _shown(line) == fault]
        counts = (str(sum(map(test, of))) for _, test in RATES)
        told.append(f"| {fault} | {len(of)} | {' | '.join(counts)} |")
    return told


def _is_front_end(line: Line) -> bool:
    return line["family"] == "front end"


def _shown(line: Line) -> str:
    """Return what a fault is called beside all others."""
    return f"front end: {line['fault']}" if _is_front_end(line) else str(line["fault"])


def _by_control(lines: Sequence[Line]) -> list[str]:
    told = ["| control | made | false alarms | on | rightly named |", "|---|--:|--:|---|---|"]
    for control in dict.fromkeys(line["fault"] for line in lines):
        of = [line for line in lines if line["fault"] == control]
        alarms = [f"{line['network']} {line['precision']}" for line in of if detected(line)]
        on = ", ".join(f"{name} {alarms.count(name)}" for name in sorted(set(alarms)))
        codes = [c["code"] for x in of for c in x["named"] if c["code"] in x.get("allowed", ())]
        right = ", ".join(f"{code} {codes.count(code)}" for code in sorted(set(codes)))
        told.append(f"| {control} | {len(of)} | {len(alarms)} | {on} | {right} |")
    return told


def _calibration(lines: Iterable[Line]) -> list[str]:
    """Return calibration of first causes: right are those with the fault's code and layer."""
    answers = sorted(
        (
            (float(line["named"][0]["confidence"]), names(line, 1, place=True, code=True))
            for line in lines
            if line["named"]
        ),
        key=lambda answer: -answer[0],
    )
    if not answers:
        return []
    bins: dict[int, list[tuple[float, bool]]] = {}
    for sure, right in answers:
        bins.setdefault(min(int(sure * BINS), BINS - 1), []).append((sure, right))
    error = sum(
        abs(sum(sure for sure, _ in group) - sum(right for _, right in group))
        for group in bins.values()
    ) / len(answers)
    surest = answers[: round(COVERAGE * len(answers))]
    wrong = sum(not right for _, right in surest)
    return [
        f"| expected calibration error of first causes | {error:.3f} |",
        f"| wrong among the surest {COVERAGE:.0%} | {rate(wrong, len(surest))} |",
    ]


def _median(lines: Sequence[Line], name: str) -> float:
    values = sorted(line[name] for line in lines)
    return float(values[len(values) // 2])


IMAGES = """\
## Preprocessing of images

Written from what `benchmarks/preprocessing.py` kept. Mistakes in how images become model inputs,
searched on six frames as a lake holds them: of the input alone, as no layer is looked at. All these
networks are held out: how sure a match makes was fitted on others, and on other kinds of mistakes. *Of
no code* are changes that no cause names (blur, gamma, sharpening): to name nothing is right.
"""


def document(lines: Sequence[Line], planned: int, beside: Sequence[str] = ()) -> str:
    """Return the tables as a page of the documentation.

    Args:
        lines: Of the cases that were run.
        planned: Cases of a full run.
        beside: What other benches found, as lines.
    """
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("ai-edge-litert", "duckdb", "numpy")
    )
    networks = ", ".join(sorted({line["network"] for line in lines}))
    judged = [line for line in lines if is_judged(line)]
    part = ""
    if len(lines) < planned:
        part = (
            f" This is a part: {len(lines)} of the {planned} cases of a full run, in whose order\n"
            "any first part is a sample of every network and kind."
        )
    faults = sum(bool(line["expected"]) for line in judged)
    head = f"""# Fault bench

Written by `benchmarks/faults.py --write` on {datetime.now(UTC):%Y-%m-%d}: {faults} faults and
{len(judged) - faults} benign changes of {networks},
as int8 and float (those that read ids as float alone), diagnosed with the build before as baseline on {judged[0]["frames"]} frames. Python {platform.python_version()},
{versions}, {platform.machine()}.{part}

A fault is an edit of an operator that its own output shows: below 30 dB SQNR against the
unedited operator on the same inputs. Or it is a mistake in the front end that makes a model
input of a recording, below 40 dB SQNR, or of a text, with other ids in more than one place of a
hundred; where a fault in an operator has a layer, such a one has a step: *layer first* of a wrong
hop is a first cause that names the hop. *Right code* is that of the first cause. Thresholds of the
diagnosis were chosen on the second group of networks; the first took no part: of front ends, those of
`bands` and `words`. Controls of one network resemble each other, so their interval is narrower than
that of so many networks.

A network *trained again*, from other weights on the same data, is no fault of a layer, and not
the reference's either: that its weights are not those (`model.other_weights`) is the right
answer. Any other cause is a false alarm.
"""
    return "\n".join([head, *tables(lines), *beside]) + "\n"
