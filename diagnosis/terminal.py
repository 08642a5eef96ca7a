"""A comparison for a reader at a terminal."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from exray.queries.names import printable, tail_name
from exray.queries.text_table import Column, Kind, text_table

from .comparison import Comparison, LayerDifference
from .verdict import Finding, judge
from .wording import (
    accuracy,
    coverage_lines,
    flips_line,
    interval,
    number,
    places_and_times,
    sqnr_cell,
    task_lines,
    times_line,
    unmatched_lines,
)

PIPE_WIDTH = 110
"""Columns where the output is no terminal: all numbers, and most names whole."""

_FAILED: tuple[str, Kind] = ("failed", "number")


def make_console() -> Console:
    """Return a console on stdout that does not squeeze tables into a pipe."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print outcome, stages, layers and coverage; the verdict is the caller's last word."""
    finding = judge(comparison)
    print_outcome(comparison, console)
    console.print(_places_table(comparison, finding, console))
    console.print(_layer_table(comparison, finding, console))
    times = times_line(comparison)
    if times is not None:
        print_line(times, console)
    _print_coverage(comparison, console)


def print_outcome(comparison: Comparison, console: Console) -> None:
    """Print how often each side was right, and on how many inputs they part."""
    console.print(_outcome_table(comparison, console))
    tasks = task_lines(comparison)
    for line in tasks:
        print_line(line, console)
    if not tasks or comparison.flips is not None:
        print_line(flips_line(comparison), console)


def print_line(text: str, console: Console, style: str = "") -> None:
    """Print text as it is: names may hold what rich would take for markup."""
    console.print(Text(printable(text), style=style), soft_wrap=True)


def _table(
    title: str,
    header: Sequence[tuple[str, Kind]],
    rows: Sequence[Sequence[str]],
    console: Console,
    styles: Sequence[str] = (),
) -> Table:
    """Return a table that fits the console: only names are cut, nothing is left out."""
    columns = [
        Column(name, [row[i] for row in rows], kind) for i, (name, kind) in enumerate(header)
    ]
    return text_table(columns, console.width, title=title, styles=styles, leave_out=False)


def _outcome_table(comparison: Comparison, console: Console) -> Table:
    header: list[tuple[str, Kind]] = [
        *(("", "word"), ("build", "name"), ("model", "name"), ("kernels", "text")),
        *(("frames", "number"), ("top-1", "number"), ("95 % interval", "number")),
        ("model ms", "number"),
    ]
    sides = (("edge", comparison.edge), ("ref", comparison.reference))
    failed = any(side.failed for _, side in sides)
    rows: list[list[str]] = []
    for role, side in sides:
        cells = [role, side.build, side.model_name, side.kernels, str(side.frames)]
        cells += [accuracy(side), interval(side), number(side.model_ms, 2)]
        rows.append([*cells, *([str(side.failed)] if failed else [])])
    return _table("Outcome", [*header, *([_FAILED] if failed else [])], rows, console)


def _places_table(comparison: Comparison, finding: Finding, console: Console) -> Table:
    header: list[tuple[str, Kind]] = [
        *(("place", "name"), ("SQNR dB", "number")),
        *(("edge ms", "number"), ("ref ms", "number")),
    ]
    rows: list[list[str]] = []
    styles: list[str] = []
    for name, place, time in places_and_times(comparison):
        cells = [name, number(place.sqnr_db if place else None, 1)]
        cells += [number(time.edge_ms if time else None, 2)]
        rows.append([*cells, number(time.reference_ms if time else None, 2)])
        styles.append("bold yellow" if place and place is finding.place else "")
    return _table("Before and around the model", header, rows, console, styles)


def _layer_table(comparison: Comparison, finding: Finding, console: Console) -> Table:
    header: list[tuple[str, Kind]] = [
        *(("#", "number"), ("layer", "name"), ("op", "text")),
        *(("SQNR dB", "number"), ("drop dB", "number")),
        *(("edge ms", "number"), ("ref ms", "number")),
    ]
    rows: list[list[str]] = []
    for layer in comparison.layers:
        cells = [str(layer.layer_index), tail_name(layer.layer), layer.op]
        cells += [sqnr_cell(layer), number(layer.drop_db, 1)]
        rows.append([*cells, number(layer.edge_ms, 3), number(layer.reference_ms, 3)])
    styles = [_style(layer, layer is finding.layer) for layer in comparison.layers]
    return _table("Layers, in graph order", header, rows, console, styles)


def _style(layer: LayerDifference, is_named: bool) -> str:
    if layer.edge_nonfinite_count:
        return "bold red"
    return "bold yellow" if is_named else ""


def _print_coverage(comparison: Comparison, console: Console) -> None:
    for line in coverage_lines(comparison):
        print_line(line, console)
    coverage = comparison.coverage
    if coverage.note is not None:
        print_line(f"  {coverage.note}", console)
    for kind, index, name, reason in unmatched_lines(comparison):
        print_line(f"  {kind}: {f'{index} {tail_name(name)}'.strip()}: {reason}", console)
    # Most of these are what the converter fused into others: counted here, named in JSON and HTML.
    if coverage.reference_unmatched:
        ops = Counter(layer.op for layer in coverage.reference_unmatched)
        told = ", ".join(f"{count} {op}" for op, count in ops.most_common())
        print_line(f"  reference layers that answer to none: {told}", console)
