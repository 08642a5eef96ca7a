"""What each step between model and device does, for a reader at a terminal."""

from rich.console import Console

from exray.queries.names import tail_name
from exray.queries.text_table import Column, Kind, text_table

from .decomposition import STEPS, Decomposition, LayerSteps
from .terminal import print_line
from .wording import number

SHOWN = 8
"""Layers shown: those farthest from the reference; all stand in the JSON."""

_HEADER: tuple[tuple[str, Kind], ...] = (
    ("#", "number"),
    ("layer", "name"),
    ("op", "text"),
    ("all dB", "number"),
    *((step, "number") for step in STEPS),
)


def print_decomposition(found: Decomposition, console: Console) -> None:
    """Print the steps' SQNR and their shares of the error, and what would tell more."""
    if found.layers:
        worst = found.worst[:SHOWN]
        rows = [_cells(layer) for layer in worst]
        columns = [Column(name, [row[i] for row in rows], k) for i, (name, k) in enumerate(_HEADER)]
        title = (
            f"Steps, SQNR in dB and share of the error, {len(worst)} layers of {len(found.layers)}"
        )
        console.print(text_table(columns, console.width, title=title, leave_out=False))
        counts = ", ".join(f"{step} in {n}" for step, n in found.largest.most_common())
        if counts:
            print_line(f"The step that adds most error: {counts} layers.", console)
        for name, told in (
            ("float file", found.float_file),
            ("other kernels", found.other_kernels),
        ):
            if told:
                print_line(f"  {name}: {told}", console, style="dim")
    for missing in found.missing:
        print_line(f"Steps: {missing.what}. To record it:", console)
        print_line(f"  {missing.command}", console)


def _cells(layer: LayerSteps) -> list[str]:
    shares = layer.shares
    by_step = {
        "conversion": layer.conversion_sqnr_db,
        "quantization": layer.quantization_sqnr_db,
        "kernel": layer.kernel_sqnr_db,
    }
    cells = [str(layer.layer_index), tail_name(layer.layer), layer.op]
    cells.append(number(layer.total_sqnr_db, 1))
    for step in STEPS:
        share = f" ({shares[step]:.0%})" if step in shares else ""
        cells.append(number(by_step[step], 1) + share)
    return cells
