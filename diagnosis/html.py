"""A comparison as one self-contained HTML file: verdict, picture, tables."""

from collections.abc import Iterable, Sequence
from html import escape

from .chart import sqnr_chart
from .comparison import Comparison
from .terminal import interval, number
from .verdict import sentence, short_name, worst_layer

STYLE = """
:root { color-scheme: light dark; --ink: #1d2330; --dim: #667085; --line: #d6dae1;
        --paper: #ffffff; --mark: #c2410c; --series: #2563eb; --band: #f3f5f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ef; --dim: #98a2b3; --line: #3a4250; --paper: #12161d;
          --mark: #fb923c; --series: #7aa2ff; --band: #1b212b; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
       max-width: 72rem; margin: 2rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.05rem; font-weight: 600; color: var(--dim); margin: 0 0 .25rem; }
.verdict { font-size: 1.4rem; line-height: 1.35; margin: 0 0 1.5rem; }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--dim); font-weight: 500; }
th, td { padding: .28rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; white-space: nowrap; }
td.name { overflow-wrap: anywhere; }
tr.worst td { background: var(--band); font-weight: 600; }
.scroll { overflow-x: auto; }
.note { color: var(--dim); }
svg text { font: 11px system-ui, sans-serif; fill: var(--dim); }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .bar { fill: var(--series); }
svg .bar.worst { fill: var(--mark); }
svg .missing { stroke: var(--dim); stroke-dasharray: 2 3; }
"""


def html_report(comparison: Comparison) -> str:
    """Return the report: no script, no font, no image from anywhere else."""
    edge, reference = comparison.edge.build, comparison.reference.build
    title = f"{edge} against {reference}"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)} - exray</title><style>{STYLE}</style></head><body>",
        f"<h1>exray: {escape(title)}</h1>",
        f'<p class="verdict">{escape(sentence(comparison))}</p>',
        "<h2>SQNR per layer, in graph order</h2>",
        f'<div class="scroll">{sqnr_chart(comparison)}</div>',
        "<h2>Outcome</h2>",
        _outcome(comparison),
        "<h2>Before and around the model</h2>",
        _places(comparison),
        "<h2>Layers</h2>",
        _layers(comparison),
        "<h2>Coverage</h2>",
        _coverage(comparison),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _table(header: Sequence[tuple[str, bool]], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Return a table; the header says which columns are numbers, a row brings its class."""
    head = "".join(
        f'<th class="n">{escape(h)}</th>' if n else f"<th>{escape(h)}</th>" for h, n in header
    )
    kinds = ["n" if is_number else "name" for _, is_number in header]
    lines: list[str] = []
    for row_class, cells in rows:
        content = "".join(
            f'<td class="{kind}">{escape(cell)}</td>'
            for kind, cell in zip(kinds, cells, strict=True)
        )
        lines.append(f'<tr class="{row_class}">{content}</tr>')
    body = "\n".join(lines)
    return f'<div class="scroll"><table><tr>{head}</tr>\n{body}</table></div>'


def _outcome(comparison: Comparison) -> str:
    rows = [
        (
            "",
            [
                role,
                side.build,
                side.model_name,
                side.kernels,
                str(side.frames),
                "-" if side.top1 is None else f"{side.top1:.1%}",
                interval(side),
                number(side.model_ms, 2),
            ],
        )
        for role, side in (("edge", comparison.edge), ("reference", comparison.reference))
    ]
    names = [("", False), ("build", False), ("model", False), ("kernels", False)]
    numbers = [("frames", True), ("top-1", True), ("95 % interval", True), ("model ms", True)]
    flips = "no labels on both sides"
    if comparison.flips is not None:
        p = comparison.mcnemar_p
        flips = f"{comparison.flips}" + ("" if p is None else f", McNemar p = {p:.3g}")
    note = f'<p class="note">Flips (right on one side only): {escape(flips)}</p>'
    return _table([*names, *numbers], rows) + note


def _places(comparison: Comparison) -> str:
    times = {stage.name: stage for stage in comparison.stages}
    seen = {place.name: place for place in comparison.places}
    rows: list[tuple[str, list[str]]] = []
    for name in [*(name for name in times if name not in seen), *seen]:
        place, stage = seen.get(name), times.get(name)
        rows.append(
            (
                "",
                [
                    name,
                    number(place.sqnr_db if place else None, 1),
                    number(place.cosine if place else None, 4),
                    number(stage.edge_ms if stage else None, 2),
                    number(stage.reference_ms if stage else None, 2),
                ],
            )
        )
    header = [("SQNR dB", True), ("cosine", True), ("edge ms", True), ("reference ms", True)]
    return _table([("place", False), *header], rows)


def _layers(comparison: Comparison) -> str:
    worst = worst_layer(comparison)
    rows = [
        (
            "worst" if layer is worst else "",
            [
                str(layer.layer_index),
                short_name(layer.layer),
                layer.op,
                (layer.reference_layer and short_name(layer.reference_layer)) or "-",
                number(layer.sqnr_db, 1),
                number(layer.drop_db, 1),
                number(layer.cosine, 4),
                number(layer.nrmse, 4),
                number(layer.edge_ms, 3),
                number(layer.reference_ms, 3),
            ],
        )
        for layer in comparison.layers
    ]
    names = [("#", True), ("layer", False), ("op", False), ("reference layer", False)]
    distances = [("SQNR dB", True), ("drop dB", True), ("cosine", True), ("nRMSE", True)]
    times = [("edge ms", True), ("reference ms", True)]
    return _table([*names, *distances, *times], rows)


def _coverage(comparison: Comparison) -> str:
    coverage = comparison.coverage
    text = (
        f"{coverage.frames_paired} frames paired, {coverage.frames_unpaired} unpaired; "
        f"{coverage.layers_aligned} layers aligned."
    )
    rows = [
        ("", [kind, short_name(name), reason])
        for kind, names in (
            ("unaligned", coverage.layers_unaligned),
            ("excluded", coverage.layers_excluded),
        )
        for name, reason in names.items()
    ]
    table = _table([("", False), ("layer", False), ("why", False)], rows) if rows else ""
    return f"<p>{text}</p>{table}"
