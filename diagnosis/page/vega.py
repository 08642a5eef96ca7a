"""Small constructors of Vega-Lite specifications, and the script that draws them.

Colours are the page's CSS variables, so a chart follows the reader's light or dark.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache

from exray.schema.errors import MissingExtraError

Spec = dict[str, object]
"""A Vega-Lite specification, or a part of one."""

Row = Mapping[str, object]
"""One datum: what encodings name as fields."""

VEGA_LITE = "6.4"
"""Version that the script draws and specifications are written for."""

AXIS_PX = 54
"""Room for the labels of a vertical axis: charts that stand one above the other line up."""

EDGE, REFERENCE = "var(--edge)", "var(--reference)"
INPUT, MARK, BAD, DIM = "var(--input)", "var(--mark)", "var(--bad)", "var(--dim)"
LINE, INK = "var(--line)", "var(--ink)"

_FONT = "system-ui, sans-serif"
_CONFIG: Spec = {
    "font": _FONT,
    "background": "transparent",
    "view": {"stroke": None},
    "axis": {
        "labelColor": DIM,
        "titleColor": DIM,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "domain": False,
        "ticks": False,
        "gridColor": LINE,
        "labelPadding": 6,
    },
    "axisX": {"grid": False},
    "tooltip": {"content": "encoding"},
}


@cache
def vega_script() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script, which defines ``vegaEmbed``.

    Raises:
        MissingExtraError: The extra that brings it is not installed.
    """
    try:
        import vl_convert
    except ImportError as error:
        raise MissingExtraError("report", "a report") from error
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE)


def chart(rows: Sequence[Row], layers: Sequence[Spec], height: int, **more: object) -> Spec:
    """Return a chart as wide as its place.

    Args:
        rows: The data.
        layers: Marks, those in front last.
        height: Pixels.
        more: Further properties, such as ``encoding`` for what the layers share.
    """
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "data": {"values": [dict(row) for row in rows]},
        "width": "container",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "config": _CONFIG,
        "layer": list(layers),
        **more,
    }


def mark(kind: str, encoding: Spec, where: str | None = None, **properties: object) -> Spec:
    """Return one layer of marks.

    Args:
        kind: Vega-Lite's name, such as ``rect``.
        encoding: Channels by name.
        where: Expression that chooses the data; None for all.
        properties: Of the mark.
    """
    chosen: list[Spec] = [] if where is None else [{"filter": where}]
    # Marks are no stops of their own for a screen reader: the page's tables say it better.
    return {
        "mark": {"type": kind, "aria": False, **properties},
        "encoding": encoding,
        **({"transform": chosen} if chosen else {}),
    }


def number(field: str, **more: object) -> Spec:
    """Return a channel that reads numbers."""
    return {"field": field, "type": "quantitative", **more}


def value_axis(unit: str, ticks: int = 4, label: str = "datum.label", **more: object) -> Spec:
    """Return a vertical axis whose labels carry their unit.

    Args:
        unit: Written behind each number.
        ticks: About how many.
        label: Expression that words a number.
        more: Further properties.
    """
    return {
        "title": None,
        "tickCount": ticks,
        "minExtent": AXIS_PX,
        "maxExtent": AXIS_PX,
        "labelExpr": f"{label} + {json.dumps(unit)}",
        **more,
    }


def tooltip(*fields: tuple[str, str]) -> list[Spec]:
    """Return a tooltip of texts: field and what it is called; ``title`` stands above all."""
    return [{"field": field, "type": "nominal", "title": title} for field, title in fields]


def script_json(value: object) -> str:
    """Return JSON that nothing in it can end or open a script element with.

    >>> script_json({"name": "</script>&"})
    '{"name":"\\\\u003c/script\\\\u003e\\\\u0026"}'
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))  # ASCII alone
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
