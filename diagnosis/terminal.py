"""A comparison for a reader at a terminal."""

from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .comparison import Comparison, LayerDifference
from .verdict import Finding, judge
from .wording import (
    accuracy,
    coverage_lines,
    flips_line,
    interval,
    number,
    places_and_times,
    printable,
    sqnr_cell,
    tail_name,
    times_line,
    unmatched_lines,
)

PIPE_WIDTH = 110
"""Columns where the output is no terminal: all numbers, and most names whole."""


def make_console() -> Console:
    """Return a console on stdout that does not squeeze tables into a pipe."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print outcome, stages, layers and coverage; the verdict is the caller's last word."""
    finding = judge(comparison)
    console.print(_outcome_table(comparison))
    print_line(flips_line(comparison), console)
    console.print(_places_table(comparison, finding))
    console.print(_layer_table(comparison, finding))
    times = times_line(comparison)
    if times is not None:
        print_line(times, console)
    _print_coverage(comparison, console)


def print_line(text: str, console: Console, style: str = "") -> None:
    """Print text as it is: names may hold what rich would take for markup."""
    console.print(Text(printable(text), style=style), soft_wrap=True)


def _table(title: str, columns: Sequence[tuple[str, bool]]) -> Table:
    """Return an empty table; the columns say which are numbers. Only names may be cut."""
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for name, is_number in columns:
        if is_number:
            table.add_column(name, justify="right", no_wrap=True)
        else:  # rich takes the room it lacks from columns that may wrap
            table.add_column(name, overflow="ellipsis")
    return table


def _add(table: Table, cells: Sequence[str], style: str = "") -> None:
    table.add_row(*(Text(printable(cell)) for cell in cells), style=style)


def _outcome_table(comparison: Comparison) -> Table:
    names = [("", False), ("build", False), ("model", False), ("kernels", False)]
    numbers = [("frames", True), ("top-1", True), ("95 % interval", True), ("model ms", True)]
    sides = (("edge", comparison.edge), ("ref", comparison.reference))
    failed = any(side.failed for _, side in sides)
    table = _table("Outcome", [*names, *numbers, *([("failed", True)] if failed else [])])
    for role, side in sides:
        cells = [role, side.build, side.model_name, side.kernels, str(side.frames)]
        cells += [accuracy(side), interval(side), number(side.model_ms, 2)]
        _add(table, [*cells, *([str(side.failed)] if failed else [])])
    return table


def _places_table(comparison: Comparison, finding: Finding) -> Table:
    header = [("place", False), ("SQNR dB", True), ("edge ms", True), ("ref ms", True)]
    table = _table("Before and around the model", header)
    for name, place, time in places_and_times(comparison):
        cells = [name, number(place.sqnr_db if place else None, 1)]
        cells += [number(time.edge_ms if time else None, 2)]
        cells += [number(time.reference_ms if time else None, 2)]
        _add(table, cells, "bold yellow" if place and place is finding.place else "")
    return table


def _layer_table(comparison: Comparison, finding: Finding) -> Table:
    names = [("#", True), ("layer", False), ("op", False)]
    numbers = [("SQNR dB", True), ("drop dB", True), ("edge ms", True), ("ref ms", True)]
    table = _table("Layers, in graph order", [*names, *numbers])
    for layer in comparison.layers:
        cells = [str(layer.layer_index), tail_name(layer.layer), layer.op]
        cells += [sqnr_cell(layer), number(layer.drop_db, 1)]
        cells += [number(layer.edge_ms, 3), number(layer.reference_ms, 3)]
        _add(table, cells, _style(layer, layer is finding.layer))
    return table


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
