"""A comparison as one self-contained HTML file: verdict, picture, tables."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from exray.queries.names import DASH, printable, tail_name

from .chart import sqnr_chart
from .comparison import Comparison, LayerDifference
from .html_style import STYLE
from .verdict import Finding, judge
from .wording import (
    accuracy,
    coverage_lines,
    flips_line,
    interval,
    number,
    places_and_times,
    sqnr_cell,
    times_line,
    unmatched_lines,
)

Header = Sequence[tuple[str, bool]]
"""Column titles, and whether the column holds numbers."""


@dataclass(frozen=True, slots=True)
class _Name:
    """A name cut to its telling end; the page shows all of it under the pointer."""

    full: str


Cell = str | _Name
"""What stands in a table, not escaped yet."""


def html_report(comparison: Comparison) -> str:
    """Return the report: no script, no font, no image from anywhere else."""
    finding = judge(comparison)
    title = _text(f"{comparison.edge.build} against {comparison.reference.build}")
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title} - exray</title><style>{STYLE}</style></head><body>",
        f"<h1>exray: {title}</h1>",
        f'<p class="verdict">{_text(finding.sentence)}</p>',
        "<h2>SQNR per layer, in graph order</h2>",
        f'<div class="scroll">{sqnr_chart(comparison, finding)}</div>',
        _notes(
            "dB: taller is closer to the reference. The model input comes first. Dotted: not measured."
        ),
        "<h2>Outcome</h2>",
        _outcome(comparison),
        "<h2>Before and around the model</h2>",
        _places(comparison, finding),
        "<h2>Layers</h2>",
        _layers(comparison, finding),
        "<h2>Coverage</h2>",
        _coverage(comparison),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _text(text: str) -> str:
    return escape(printable(text))


def _cell(cell: Cell, is_number: bool) -> str:
    if isinstance(cell, _Name):
        tail = _breakable(_text(tail_name(cell.full)))
        return f'<td class="name" title="{_text(cell.full)}">{tail}</td>'
    return f'<td class="{"n" if is_number else "name"}">{_text(cell)}</td>'


def _breakable(text: str) -> str:
    """Let names break where they are put together, rather than anywhere."""
    return text.replace("/", "/<wbr>").replace("_", "_<wbr>")


def _table(header: Header, rows: Iterable[tuple[str, Sequence[Cell]]], kind: str = "") -> str:
    """Return a table; each row brings its class."""
    head = "".join(
        f'<th class="n">{_text(title)}</th>' if is_number else f"<th>{_text(title)}</th>"
        for title, is_number in header
    )
    kinds = [is_number for _, is_number in header]
    lines = [f'<tr class="{kind}">{"".join(map(_cell, cells, kinds))}</tr>' for kind, cells in rows]
    body = "\n".join(lines)
    return f'<div class="scroll"><table class="{kind}"><tr>{head}</tr>\n{body}</table></div>'


def _outcome(comparison: Comparison) -> str:
    rows = [
        (
            "",
            [
                role,
                side.build,
                side.model_name,
                side.kernels,
                side.device,
                str(side.frames),
                str(side.failed),
                accuracy(side),
                interval(side),
                number(side.model_ms, 2),
            ],
        )
        for role, side in (("edge", comparison.edge), ("reference", comparison.reference))
    ]
    names = ["", "build", "model", "kernels", "device"]
    numbers = ["frames", "failed", "top-1", "95 % interval", "model ms"]
    table = _table(_header(names, numbers), rows)
    return table + _notes(flips_line(comparison), times_line(comparison))


def _header(names: Sequence[str], numbers: Sequence[str]) -> list[tuple[str, bool]]:
    return [*((name, False) for name in names), *((name, True) for name in numbers)]


def _notes(*texts: str | None) -> str:
    return "".join(f'<p class="note">{_text(text)}</p>' for text in texts if text)


def _places(comparison: Comparison, finding: Finding) -> str:
    rows: list[tuple[str, list[str]]] = []
    for name, place, time in places_and_times(comparison):
        cells = [
            name,
            number(place.sqnr_db if place else None, 1),
            number(place.cosine if place else None, 4),
            number(time.edge_ms if time else None, 2),
            number(time.reference_ms if time else None, 2),
        ]
        rows.append(("worst" if place and place is finding.place else "", cells))
    return _table(_header(["place"], ["SQNR dB", "cosine", "edge ms", "reference ms"]), rows)


def _layers(comparison: Comparison, finding: Finding) -> str:
    rows = [
        ("worst" if layer is finding.layer else "", _layer_cells(layer))
        for layer in comparison.layers
    ]
    names = [("#", True), *_header(["layer", "op", "reference layer"], [])]
    numbers = ["SQNR dB", "drop dB", "cosine", "nRMSE", "edge ms", "ref. ms"]
    return _table([*names, *_header([], numbers)], rows, "dense")


def _layer_cells(layer: LayerDifference) -> list[Cell]:
    return [
        str(layer.layer_index),
        _Name(layer.layer),
        layer.op,
        DASH if layer.reference_layer is None else _Name(layer.reference_layer),
        sqnr_cell(layer),
        number(layer.drop_db, 1),
        number(layer.cosine, 4),
        number(layer.nrmse, 4),
        number(layer.edge_ms, 3),
        number(layer.reference_ms, 3),
    ]


def _coverage(comparison: Comparison) -> str:
    rows: list[tuple[str, list[Cell]]] = [
        ("", [kind, index, _Name(name), reason])
        for kind, index, name, reason in unmatched_lines(comparison)
    ]
    header = [("", False), ("#", True), ("layer", False), ("why", False)]
    parts = [
        "<p>" + "<br>".join(map(_text, coverage_lines(comparison))) + "</p>",
        _notes(comparison.coverage.note),
    ]
    if rows:
        parts.append(_table(header, rows, "dense"))
    unmatched = comparison.coverage.reference_unmatched
    if unmatched:
        of_reference: list[tuple[str, list[Cell]]] = [
            ("", [layer.op, str(layer.layer_index), _Name(layer.layer), layer.reason])
            for layer in unmatched
        ]
        title = f"Reference layers that answer to no edge layer: {len(unmatched)}"
        table = _table([("op", False), *header[1:]], of_reference, "dense")
        parts.append(f"<details><summary>{title}</summary>{table}</details>")
    return "\n".join(parts)
