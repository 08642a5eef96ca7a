"""A comparison for a reader at a terminal."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .comparison import Comparison, LayerDifference, Side
from .verdict import short_name, tail_name, worst_layer

DASH = "-"
"""Stands where nothing was measured."""


PIPE_WIDTH = 110
"""Columns where the output is no terminal."""


def make_console() -> Console:
    """Return a console on stdout that does not squeeze tables into a pipe."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print outcome, coverage, stages and layers; the verdict is the caller's last word."""
    console.print(_outcome_table(comparison))
    console.print(_outcome_line(comparison))
    console.print(_places_table(comparison))
    console.print(_layer_table(comparison))
    _print_coverage(comparison, console)


def _table(title: str, columns: Sequence[tuple[str, bool]]) -> Table:
    """Return an empty table; the columns say which are numbers. Only names may be cut."""
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for name, is_number in columns:
        if is_number:
            table.add_column(name, justify="right", no_wrap=True)
        else:  # rich takes the room it lacks from columns that may wrap
            table.add_column(name, overflow="ellipsis")
    return table


def _outcome_table(comparison: Comparison) -> Table:
    names = [("", False), ("build", False), ("model", False), ("kernels", False)]
    numbers = [("frames", True), ("top-1", True), ("95 % interval", True), ("model ms", True)]
    table = _table("Outcome", [*names, *numbers])
    for role, side in (("edge", comparison.edge), ("ref", comparison.reference)):
        table.add_row(
            role,
            side.build,
            side.model_name,
            side.kernels,
            str(side.frames),
            DASH if side.top1 is None else f"{side.top1:.1%}",
            interval(side),
            number(side.model_ms, 2),
        )
    return table


def interval(side: Side) -> str:
    """Return a side's confidence interval as text."""
    return DASH if side.ci95 is None else f"{side.ci95[0]:.1%} .. {side.ci95[1]:.1%}"


def _outcome_line(comparison: Comparison) -> str:
    if comparison.flips is None:
        return "No labels on both sides, so no flips are counted."
    p = "" if comparison.mcnemar_p is None else f", McNemar p = {comparison.mcnemar_p:.3g}"
    return f"Flips (right on one side only): {comparison.flips}{p}"


def _places_table(comparison: Comparison) -> Table:
    header = [("place", False), ("SQNR dB", True), ("edge ms", True), ("ref ms", True)]
    table = _table("Before and around the model", header)
    times = {stage.name: stage for stage in comparison.stages}
    seen = {place.name: place for place in comparison.places}
    for name in [*(name for name in times if name not in seen), *seen]:
        place, stage = seen.get(name), times.get(name)
        table.add_row(
            name,
            number(place.sqnr_db if place else None, 1),
            number(stage.edge_ms if stage else None, 2),
            number(stage.reference_ms if stage else None, 2),
        )
    return table


def _layer_table(comparison: Comparison) -> Table:
    names = [("#", True), ("layer", False), ("op", False)]
    numbers = [("SQNR dB", True), ("drop dB", True), ("edge ms", True), ("ref ms", True)]
    table = _table("Layers, in graph order", [*names, *numbers])
    worst = worst_layer(comparison)
    for layer in comparison.layers:
        table.add_row(*_layer_row(layer), style=_style(layer, layer is worst))
    return table


def _layer_row(layer: LayerDifference) -> list[str | Text]:
    return [
        str(layer.layer_index),
        Text(tail_name(layer.layer)),
        layer.op,
        number(layer.sqnr_db, 1),
        number(layer.drop_db, 1),
        number(layer.edge_ms, 3),
        number(layer.reference_ms, 3),
    ]


def _style(layer: LayerDifference, is_worst: bool) -> str:
    if layer.edge_nonfinite_count:
        return "bold red"
    return "bold yellow" if is_worst else ""


def number(value: float | None, digits: int) -> str:
    """Return a number with fixed digits, a dash for None."""
    return DASH if value is None else f"{value:.{digits}f}"


def _print_coverage(comparison: Comparison, console: Console) -> None:
    coverage = comparison.coverage
    console.print(
        f"Frames: {coverage.frames_paired} paired, {coverage.frames_unpaired} unpaired. "
        f"Layers: {coverage.layers_aligned} aligned, {len(coverage.layers_unaligned)} unaligned, "
        f"{len(coverage.layers_excluded)} excluded."
    )
    for title, names in (
        ("unaligned", coverage.layers_unaligned),
        ("excluded", coverage.layers_excluded),
    ):
        for name, reason in names.items():
            console.print(Text(f"  {title}: {short_name(name)}: {reason}"))
