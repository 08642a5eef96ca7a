"""Accuracy, distributions and the trend over builds."""

import json

from exray.diagnosis.wording import number as worded
from exray.queries.names import printable

from .content import BuildPoint, Distribution, Page
from .vega import (
    AXIS_PX,
    EDGE,
    INK,
    MARK,
    REFERENCE,
    Row,
    Spec,
    chart,
    mark,
    number,
    tooltip,
    value_axis,
)

ROW_PX = 34
"""Height of one side's accuracy."""

DISTRIBUTION_PX, TREND_PX = 170, 120

LONGEST_BUILD = 18
"""Characters of a build's name under the trend."""

NAME_PX = 80
"""Room that a build's name takes; where there is less, names stand aslant."""

_TITLE = ("title", "title")

_VALUES_AXIS: Spec = {
    "title": None,
    "tickCount": {"expr": "min(8, width / 70)"},
    "labelFlush": False,
    "labelOverlap": "greedy",
}


def accuracy_spec(page: Page) -> Spec | None:
    """Return both sides' accuracy with its interval; None where neither has labels."""
    rows: list[Row] = []
    for role, side in (("edge", page.comparison.edge), ("reference", page.comparison.reference)):
        if side.top1 is None or side.ci95 is None:
            continue
        low, high = side.ci95
        rows.append(
            {
                "side": role,
                "title": f"{role}: {printable(side.build)}",
                "top1": round(side.top1, 4),
                "low": round(low, 4),
                "high": round(high, 4),
                "text": f"{side.top1:.1%}",
                "interval": f"{low:.1%} to {high:.1%}",
            }
        )
    if not rows:
        return None
    axis = {"title": None, "format": ".0%", "tickCount": 5, "grid": True}
    x = {"scale": {"domain": [0, 1]}, "axis": axis}
    told = tooltip(_TITLE, ("text", "top-1"), ("interval", "95 % interval"))
    colour: Spec = {
        "field": "side",
        "type": "nominal",
        "scale": {"domain": ["edge", "reference"], "range": [EDGE, REFERENCE]},
        "legend": None,
    }
    y: Spec = {
        "field": "side",
        "type": "nominal",
        "sort": None,
        "axis": {
            "title": None,
            "minExtent": AXIS_PX + 12,
            "labelPadding": 12,  # a dot at 0 % needs room
            "labelColor": INK,
            "grid": False,
        },
    }
    layers = [
        mark(
            "rule",
            {"x": number("low", **x), "x2": {"field": "high"}, "color": colour, "tooltip": told},
            strokeWidth=6,
            opacity=0.35,
            strokeCap="round",
        ),
        mark(
            "point",
            {"x": number("top1", **x), "color": colour, "tooltip": told},
            filled=True,
            size=110,
            opacity=1,
        ),
    ]
    return chart(rows, layers, ROW_PX * len(rows), encoding={"y": y})


def distribution_spec(seen: Distribution) -> Spec:
    """Return the elements of a tensor, edge filled, reference as a line above."""
    rows: list[Row] = [
        {
            "lower": item.lower,
            "upper": item.upper,
            "edge": round(item.edge_ratio, 6),
            "reference": round(item.reference_ratio, 6),
            "title": f"{item.lower:.4g} to {item.upper:.4g}",
            "edge_text": f"{item.edge_ratio:.2%}",
            "reference_text": f"{item.reference_ratio:.2%}",
        }
        for item in seen.bins
    ]
    # A step is drawn from bin to bin: the last one needs its end, too.
    end: list[Row] = [{"lower": seen.bins[-1].upper, "edge": 0.0, "reference": 0.0}]
    x = number("lower", scale={"zero": False, "nice": False}, axis=_VALUES_AXIS)
    axis = value_axis("", ticks=3, label="format(datum.value, '.2~p')")
    scale = {"zero": True, "nice": True}
    edge, reference = (number(side, scale=scale, axis=axis) for side in ("edge", "reference"))
    room: Spec = {"y": {"value": 0}, "y2": {"value": DISTRIBUTION_PX}, "opacity": {"value": 0}}
    sides = (("edge_text", "edge"), ("reference_text", "reference"))
    layers = [
        mark(
            "area",
            {"x": x, "y": edge, "color": {"value": EDGE}, "opacity": {"value": 0.5}},
            interpolate="step-after",
        ),
        mark(
            "line",
            {"x": x, "y": reference, "color": {"value": REFERENCE}},
            interpolate="step-after",
            strokeWidth=2,
        ),
        mark(
            "rect",
            {"x": x, "x2": {"field": "upper"}, **room, "tooltip": tooltip(_TITLE, *sides)},
            "isValid(datum.upper)",
        ),
    ]
    return chart([*rows, *end], layers, DISTRIBUTION_PX)


def top1_trend_spec(page: Page) -> Spec | None:
    """Return accuracy over builds with its interval; None without labels."""
    rows = [
        {
            **_build_row(build, position),
            "value": round(build.top1, 4),
            "low": round(build.ci95[0], 4),
            "high": round(build.ci95[1], 4),
            "text": f"{build.top1:.1%} ({build.ci95[0]:.1%} to {build.ci95[1]:.1%})",
        }
        for position, build in enumerate(page.builds)
        if build.top1 is not None and build.ci95 is not None
    ]
    if not rows:
        return None
    scale: Spec = {"zero": False, "nice": True}
    axis = value_axis("", ticks=3, label="format(datum.value, '.0%')")
    interval = mark(
        "rule",
        {
            "x": _build_axis(page),
            "y": number("low", scale=scale, axis=axis),
            "y2": {"field": "high"},
            "color": {"value": EDGE},
        },
        strokeWidth=5,
        opacity=0.3,
        strokeCap="round",
    )
    return chart(rows, [interval, *_line(page, "top-1", EDGE, scale, axis)], TREND_PX)


def time_trend_spec(page: Page) -> Spec | None:
    """Return the model's time over builds; None where none was measured."""
    rows = [
        {**_build_row(build, position), "value": round(build.model_ms, 4)}
        | {"text": f"{build.model_ms:.3g} ms"}
        for position, build in enumerate(page.builds)
        if build.model_ms is not None
    ]
    if not rows:
        return None
    scale: Spec = {"zero": True, "nice": True}
    axis = value_axis(" ms", ticks=3)
    return chart(rows, _line(page, "model time", EDGE, scale, axis), TREND_PX)


def sqnr_trend_spec(page: Page) -> Spec | None:
    """Return SQNR over builds, of the output and of the layer in view; None without any."""
    series = [("output", EDGE), ("layer", MARK)]
    rows = [
        {**_build_row(build, position), "series": name, "value": round(db, 2)}
        | {"text": f"{worded(db, 1)} dB"}
        for position, build in enumerate(page.builds)
        for name, db in (("output", build.output_sqnr_db), ("layer", build.layer_sqnr_db))
        if db is not None
    ]
    if not rows:
        return None
    scale: Spec = {"zero": True, "nice": True}
    axis = value_axis(" dB", ticks=3)
    layers = [
        layer
        for name, colour in series
        if any(row["series"] == name for row in rows)
        for layer in _line(page, "SQNR", colour, scale, axis, f"datum.series == '{name}'")
    ]
    return chart(rows, layers, TREND_PX)


def _line(
    page: Page, what: str, colour: str, scale: Spec, axis: Spec, where: str | None = None
) -> list[Spec]:
    """Return a line through the builds, a dot each, the edge's own a ring."""
    place: Spec = {"x": _build_axis(page), "y": number("value", scale=scale, axis=axis)}
    place["color"] = {"value": colour}
    told = tooltip(_TITLE, ("text", what), ("started", "first run, UTC"))
    ring: Spec = {"condition": {"test": "datum.is_edge", "value": 150}, "value": 55}
    return [
        mark("line", place, where, strokeWidth=2),
        mark("point", {**place, "size": ring, "tooltip": told}, where, filled=True, opacity=1),
    ]


def _build_row(build: BuildPoint, position: int) -> dict[str, object]:
    return {
        "position": position,
        "title": printable(build.build),
        "started": f"{build.started:%Y-%m-%d %H:%M}",
        "is_edge": build.is_edge,
    }


def _build_axis(page: Page) -> Spec:
    """Return the builds in their order; names may be alike when cut, so numbers place them."""
    names = [_short(build.build) for build in page.builds]
    crowded = f"width < {max(len(names) * NAME_PX, 1)}"
    return {
        "field": "position",
        "type": "ordinal",
        "scale": {"domain": list(range(len(names))), "type": "point", "padding": 0.5},
        "axis": {
            "title": None,
            "labelExpr": f"{json.dumps(names)}[datum.value]",
            "labelAngle": {"expr": f"{crowded} ? -40 : 0"},
            "labelAlign": {"expr": f"{crowded} ? 'right' : 'center'"},
            "labelBaseline": {"expr": f"{crowded} ? 'middle' : 'top'"},
            "labelLimit": 110,
        },
    }


def _short(name: str) -> str:
    shown = printable(name)
    return shown if len(shown) <= LONGEST_BUILD else f"{shown[: LONGEST_BUILD - 1]}…"
