"""A comparison as one self-contained HTML file: verdict, charts, tables."""

from base64 import b64encode
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files

from . import layer_table, sections
from .charts import (
    accuracy_spec,
    distribution_spec,
    sqnr_trend_spec,
    time_trend_spec,
    top1_trend_spec,
)
from .content import Distribution, Page
from .figures import BOTH, Figure, Key, figures
from .layer_charts import sqnr_spec, time_spec
from .tables import note, text
from .vega import script_json, vega_script

NO_DISTRIBUTION = (
    "Neither the model input nor this layer was recorded at level distribution on both sides: "
    'exray run --level distribution, or exray.configure(level="distribution").'
)

SHOWN_RATIO = 0.0001
"""Share of elements beyond the ends of a drawing that is worth a word."""


def page_html(page: Page) -> str:
    """Return the page: nothing on it comes from anywhere else.

    Raises:
        MissingExtraError: The charting library is not installed.
    """
    own = files(__package__ or "")
    style, script = (own.joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    scripts = [vega_script(), script]
    drawn = _Drawn(page)
    names = f"{page.comparison.edge.build} against {page.comparison.reference.build}"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{text(names)} - exray</title><style>{style}</style></head><body>",
        f"<header><h1>exray: {text(names)}</h1>{sections.verdict(page)}</header>",
        "<noscript>"
        + note("The charts need JavaScript. The tables hold the same numbers.")
        + "</noscript>",
        *_sections(page, drawn),
        _footer(page),
        f'<script type="application/json" id="charts">{script_json(drawn.specs)}</script>',
        *(f"<script>{code}</script>" for code in scripts),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _footer(page: Page) -> str:
    made = f"Made by exray {version('exray')} on {page.made:%Y-%m-%d %H:%M} UTC."
    return f"<footer>{made} Nothing on this page comes from a network.</footer>"


def _policy(scripts: list[str]) -> str:
    """Return a policy that lets the page's own scripts run, and nothing be loaded."""
    hashes = [b64encode(sha256(code.encode()).digest()).decode() for code in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:"


class _Drawn:
    """The page's charts, as far as there is something to draw."""

    def __init__(self, page: Page) -> None:
        self.layers = [
            Figure("sqnr", "SQNR: higher is closer to the reference", sqnr_spec(page), _keys(page))
        ]
        time = time_spec(page)
        if time is not None:
            layers = page.comparison.layers
            timed = (
                any(layer.edge_ms is not None for layer in layers),
                any(layer.reference_ms is not None for layer in layers),
            )
            keys = [key for key, is_timed in zip(BOTH, timed, strict=True) if is_timed]
            self.layers.append(Figure("time", "Median time of each layer", time, keys))
        accuracy = accuracy_spec(page)
        self.accuracy = (
            Figure("accuracy", "Top-1 accuracy with 95 % interval", accuracy) if accuracy else None
        )
        self.distributions = [
            Figure(f"distribution-{i}", seen.name, distribution_spec(seen), BOTH, _beside(seen))
            for i, seen in enumerate(page.distributions)
            if seen.bins
        ]
        trends = [
            ("trend-top1", "Top-1 accuracy with 95 % interval", top1_trend_spec(page), ()),
            (
                "trend-sqnr",
                "SQNR",
                sqnr_trend_spec(page),
                (
                    ("edge", "output"),
                    ("mark", f"layer {page.layer.layer_index if page.layer else '-'}"),
                ),
            ),
            ("trend-time", "Median model time", time_trend_spec(page), ()),
        ]
        self.trends = [
            Figure(name, title, spec, keys)
            for name, title, spec, keys in trends
            if spec and page.builds_total > 1
        ]

    @property
    def specs(self) -> dict[str, object]:
        """How each chart is drawn, by its name."""
        accuracy = [self.accuracy] if self.accuracy else []
        every = [*self.layers, *accuracy, *self.distributions, *self.trends]
        return {figure.name: figure.spec for figure in every}


def _sections(page: Page, drawn: _Drawn) -> list[str]:
    layer = page.layer
    named = "Elements of the model input" + (f" and of layer {layer.layer_index}" if layer else "")
    distributions = note(NO_DISTRIBUTION)
    if drawn.distributions:
        distributions = figures(drawn.distributions, "two")
    parts = [
        ("Layers, in graph order", figures(drawn.layers)),
        ("Outcome", sections.outcome(page, drawn.accuracy)),
        (named, distributions),
        ("Inputs classified differently", sections.flips(page)),
        ("Builds", sections.trend(page, drawn.trends)),
        ("Before and around the model", layer_table.places(page)),
        ("Coverage", layer_table.coverage(page)),
        ("All layers", layer_table.layers(page)),
    ]
    if page.diagnosis is not None:
        parts.insert(0, ("Causes", sections.causes(page.diagnosis)))
    return [f"<section><h2>{text(title)}</h2>{body}</section>" for title, body in parts]


def _keys(page: Page) -> list[Key]:
    """Return what the colours of the chart of SQNR mean, as far as they occur."""
    layers, named = page.comparison.layers, page.finding.place
    kinds = [
        ("input", "model input", any(place is not named for place in page.comparison.inputs)),
        ("edge", "layer", bool(layers)),
        ("mark", "named in the verdict", bool(page.named_layer or named)),
        ("bad", "NaN or infinite", any(layer.edge_nonfinite_count for layer in layers)),
        ("missing", "not measured", any(layer.sqnr_db is None for layer in layers)),
    ]
    return [(kind, told) for kind, told, occurs in kinds if occurs]


def _beside(seen: Distribution) -> str:
    """Return what the drawing of a distribution leaves out."""
    zeros = f"Zeros: {seen.edge_zero_ratio:.1%} edge, {seen.reference_zero_ratio:.1%} reference."
    beyond = ""
    if max(seen.edge_beyond_ratio, seen.reference_beyond_ratio) >= SHOWN_RATIO:
        beyond = (
            f" Beyond the ends: {seen.edge_beyond_ratio:.2%} edge, "
            f"{seen.reference_beyond_ratio:.2%} reference."
        )
    return f"Share of all elements in each of {len(seen.bins)} bins. {zeros}{beyond}"
