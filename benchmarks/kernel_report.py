"""What was measured of kernels, and what a diagnosis expected of others, as tables."""

import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

FAMILIES = ("reference", "builtin", "xnnpack")

NEAR = 0.2
"""Share by which a rerun may lie off what was expected."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What a diagnosis says of slow kernels.

    Args:
        layer: Where most is to be saved.
        op: What stands there.
        kernels: Those to take.
        now_ms: Sum over layers.
        expected_ms: The same on them.
    """

    layer: int
    op: str
    kernels: str
    now_ms: float
    expected_ms: float


@dataclass(frozen=True, slots=True)
class Measured:
    """A network's times and what was said of them.

    Args:
        name: What tables call it.
        model_ms: Of a whole frame, by kernel family.
        operators_ms: Of each operator's layers together, by kernel family.
        rerun_ms: Of all layers, of the XNNPACK runs that no diagnosis saw.
        load: Of the machine meanwhile, the median of its one-minute averages.
        measured: Advice by the kernels it is about, with the network's own times on XNNPACK.
        estimated: Advice about reference kernels, with other networks' times.
    """

    name: str
    model_ms: dict[str, float]
    operators_ms: dict[str, dict[str, float]]
    rerun_ms: float
    load: float
    measured: dict[str, Advice | None]
    estimated: Advice | None


def tables(found: Sequence[Measured]) -> list[str]:
    """Return the tables in Markdown."""
    return [
        *("## Networks", "", *_networks(found), ""),
        *("## What was advised, and what came of it", "", *_advised(found), ""),
        *("## Operators", "", *_operators(found)),
    ]


def _networks(found: Sequence[Measured]) -> Iterator[str]:
    yield "| network | reference ms | builtin ms | XNNPACK ms | reference / XNNPACK | builtin / XNNPACK | load |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    for one in found:
        times = [one.model_ms[family] for family in FAMILIES]
        cells = [f"{ms:.3f}" for ms in times]
        cells += [f"{ms / times[2]:.1f}" for ms in times[:2]]
        yield f"| {one.name} | {' | '.join(cells)} | {one.load:.1f} |"


def _advised(found: Sequence[Measured]) -> Iterator[str]:
    yield (
        "| network | runs on | most is saved at | take | layers now, ms | expected | rerun |"
        " rerun / expected | rerun / estimated |"
    )
    yield "|---|---|---|---|--:|--:|--:|--:|--:|"
    for one in found:
        for kernels, said in one.measured.items():
            if said is None:
                yield f"| {one.name} | {kernels} | nothing worth it | | | | | | |"
                continue
            guess = one.estimated if kernels == "reference" else None
            ratios = [f"{one.rerun_ms / x.expected_ms:.2f}" if x else "" for x in (said, guess)]
            times = [f"{ms:.3f}" for ms in (said.now_ms, said.expected_ms, one.rerun_ms)]
            where = f"layer {said.layer}, {said.op}"
            cells = [one.name, kernels, where, said.kernels, *times, *ratios]
            yield f"| {' | '.join(cells)} |"
    said = [(one, x) for one in found for x in one.measured.values() if x is not None]
    guessed = [(one, one.estimated) for one in found if one.estimated is not None]
    yield ""
    yield (
        f"Within {NEAR:.0%} of what was expected: {_near(said)} of {len(said)} from the network's own"
        f" times, {_near(guessed)} of {len(guessed)} estimated from other networks alone."
    )


def _near(said: Sequence[tuple[Measured, Advice]]) -> int:
    return sum(1 - NEAR <= one.rerun_ms / x.expected_ms <= 1 + NEAR for one, x in said)


def _operators(found: Sequence[Measured]) -> Iterator[str]:
    yield "| network | operator | reference ms | builtin ms | XNNPACK ms | reference / XNNPACK | builtin / XNNPACK |"
    yield "|---|---|--:|--:|--:|--:|--:|"
    for one in found:
        by_op = one.operators_ms["reference"]
        for op in sorted(by_op, key=lambda op: -by_op[op]):
            times = [one.operators_ms[family].get(op) for family in FAMILIES]
            cells = ["" if ms is None else f"{ms:.4f}" for ms in times]
            cells += [f"{ms / times[2]:.1f}" if ms and times[2] else "" for ms in times[:2]]
            yield f"| {one.name} | {op} | {' | '.join(cells)} |"


def document(found: Sequence[Measured]) -> str:
    """Return the tables as a page of the documentation."""
    head = f"""# Kernels

Written by `benchmarks/kernels.py --write` on {datetime.now(UTC):%Y-%m-%d}: ai-edge-litert
{version("ai-edge-litert")}, Python {platform.python_version()}, {platform.machine()}, one thread, noise for inputs.

Where a network runs on TFLite's reference kernels, or on builtin ones without XNNPACK,
`exray diagnose` names the layer that loses most by it, its operator, and the time to expect on
faster kernels (`latency.kernel`). It expects what this model file took there on the same kind of
device, in any build of the lake; of a model that never ran on them, what other models' operators of
the same kind and precision took, which it says is an estimate.

Here each network ran on all three in turn, several rounds, of which the fastest counts: what else
the machine does only adds. Of every other XNNPACK run the diagnosis knows; the rest are the rerun
that its expectation is held against. Times of layers are those of the native probe; a kernel of
several operators has one time, at the one that multiplies, so that others are blank.
"""
    return "\n".join([head, *tables(found)]) + "\n"
