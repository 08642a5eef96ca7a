"""SQNR and time of every layer, in graph order."""

from exray.diagnosis.comparison import LayerDifference, Place
from exray.diagnosis.wording import number as worded
from exray.diagnosis.wording import sqnr_cell
from exray.queries.names import printable, short_name

from .content import Page
from .vega import (
    BAD,
    EDGE,
    INK,
    INPUT,
    MARK,
    REFERENCE,
    Spec,
    chart,
    mark,
    number,
    tooltip,
    value_axis,
)

SQNR_PX, TIME_PX = 210, 150

BAR = 0.4
"""Half a bar's width, as a share of a layer's room."""

DENSE = 80
"""Layers from which on bars stand side by side: gaps of less than a pixel would flicker."""

LONGEST_NAME = 80
"""Characters of a name in a tooltip."""

FEWEST = 8
"""Layers that fill the width at least: fewer would be blocks."""

MICROSECONDS_BELOW_MS = 0.5
"""Times that are all shorter are told in microseconds."""

LEAST_TOP_DB = 40
"""The scale reaches at least this far up, so that small differences look small."""

MOST_TOP_DB = 60
"""Bars end here: two kernel families of one float file are as near, and equal tensors, at
140 dB, would press all others to the ground."""

Datum = dict[str, object]


def sqnr_spec(page: Page) -> Spec:
    """Return a bar per layer, model inputs first; a dotted line where none was measured."""
    rows = _input_rows(page) + [_layer_row(page, layer) for layer in page.comparison.layers]
    measured = [row["sqnr"] for row in rows if isinstance(row["sqnr"], float)]
    top = min(MOST_TOP_DB, max([LEAST_TOP_DB, *measured]))
    scale = {"domain": [min([0.0, *measured]), top], "nice": True}
    label = f"(datum.value < {MOST_TOP_DB} ? '' : '≥ ') + datum.label"
    y = number("sqnr", scale=scale, axis=value_axis(" dB", label=label))
    kinds = ["input", "layer", "mark", "bad"]
    colour: Spec = {
        "field": "kind",
        "type": "nominal",
        "scale": {"domain": kinds, "range": [INPUT, EDGE, MARK, BAD]},
        "legend": None,
    }
    room: Spec = {"y": {"value": 0}, "y2": {"value": SQNR_PX}}
    layers = [
        mark("rect", {**_bar("x0", "x1"), **room, "color": {"value": "var(--band)"}}, _STANDS_OUT),
        mark(
            "rect",
            {**_bar("b0", "b1"), "y": y, "y2": {"datum": 0}, "color": colour},
            _MEASURED,
            clip=True,
        ),
        mark(
            "rule",
            {"x": _position(), **room, "color": colour, "opacity": {"value": 0.7}},
            f"!({_MEASURED})",
            strokeDash=[1.5, 3.5],
            strokeWidth=1.5,
        ),
        # Among hundreds of layers a bar is a hair: what is pointed at shows all the same.
        mark(
            "point",
            {"x": _position(), "y": {"value": 0}, "color": colour},
            _STANDS_OUT,
            shape="triangle-down",
            filled=True,
            size=90,
            opacity=1,
        ),
        _pointed(
            [
                ("title", "title"),
                ("op", "operator"),
                ("sqnr_text", "SQNR"),
                ("drop_text", "drop"),
                ("cosine_text", "cosine"),
                ("reason", "not compared"),
            ],
            SQNR_PX,
        ),
    ]
    return chart(
        rows, layers, SQNR_PX, encoding={"x": _graph_axis(page)}, transform=_room(len(rows))
    )


def time_spec(page: Page) -> Spec | None:
    """Return each layer's median time, edge and reference; None where none was measured."""
    rows = [_named(layer) for layer in page.comparison.layers]
    times = [
        time
        for layer in page.comparison.layers
        for time in (layer.edge_ms, layer.reference_ms)
        if time is not None
    ]
    if not times:
        return None
    unit, factor = ("µs", 1000.0) if max(times) < MICROSECONDS_BELOW_MS else ("ms", 1.0)
    for row, layer in zip(rows, page.comparison.layers, strict=True):
        for side, time in (("edge", layer.edge_ms), ("reference", layer.reference_ms)):
            row[side] = None if time is None else round(time * factor, 4)
            row[f"{side}_text"] = "-" if time is None else f"{_told(time * factor)} {unit}"
    scale = {"domain": [0, max(times) * factor], "nice": True}
    axis = value_axis(f" {unit}", ticks=3)
    edge = number("edge", scale=scale, axis=axis)
    reference = number("reference", scale=scale, axis=axis)
    as_line: Spec = {"x": _position(), "y": reference, "color": {"value": REFERENCE}}
    as_ticks: Spec = {**_bar("x0", "x1"), "y": reference, "color": {"value": REFERENCE}}
    is_dense = len(rows) >= DENSE
    layers = [
        mark(
            "rect",
            {**_bar("b0", "b1"), "y": edge, "y2": {"datum": 0}, "color": {"value": EDGE}},
            "isValid(datum.edge)",
        ),
        mark("line", as_line, interpolate="step", strokeWidth=1.5)
        if is_dense
        else mark("rule", as_ticks, "isValid(datum.reference)", strokeWidth=2, clip=True),
        _pointed(
            [
                ("title", "title"),
                ("op", "operator"),
                ("edge_text", "edge"),
                ("reference_text", "reference"),
            ],
            TIME_PX,
        ),
    ]
    return chart(
        rows, layers, TIME_PX, encoding={"x": _graph_axis(page)}, transform=_room(len(rows))
    )


_MEASURED = "isValid(datum.sqnr)"
_STANDS_OUT = "datum.kind == 'mark' || datum.kind == 'bad'"


def _input_rows(page: Page) -> list[Datum]:
    """Return the model inputs, the last of them just before the first layer."""
    inputs: list[Place] = list(page.comparison.inputs)
    if not inputs:
        inputs = [Place("model input", "input", reason="not recorded on both sides")]
    rows: list[Datum] = []
    for position, place in enumerate(inputs, -len(inputs)):
        rows.append(
            {
                "i": position,
                "title": printable(place.name),
                "op": "",
                "sqnr": place.sqnr_db,
                "sqnr_text": f"{worded(place.sqnr_db, 1)} dB",
                "drop_text": "",
                "cosine_text": worded(place.cosine, 4),
                "reason": printable(place.reason or ""),
                "kind": "mark" if place is page.finding.place else "input",
            }
        )
    return rows


def _layer_row(page: Page, layer: LayerDifference) -> Datum:
    kind = "mark" if layer is page.named_layer else "layer"
    if layer.edge_nonfinite_count:
        kind = "bad"
    sqnr = sqnr_cell(layer) + (" dB" if layer.sqnr_db is not None else "")
    return _named(layer) | {
        "sqnr": None if layer.sqnr_db is None else round(layer.sqnr_db, 2),
        "sqnr_text": sqnr,
        "drop_text": "-" if layer.drop_db is None else f"{worded(layer.drop_db, 1)} dB",
        "cosine_text": worded(layer.cosine, 4),
        "reason": printable(layer.reason or "")[:LONGEST_NAME],
        "kind": kind,
    }


def _named(layer: LayerDifference) -> Datum:
    """Return a layer's place, and what it is called."""
    return {
        "i": layer.layer_index,
        "title": f"{layer.layer_index}  {printable(short_name(layer.layer))[:LONGEST_NAME]}",
        "row": layer.layer_index,
        "op": printable(layer.op)[:LONGEST_NAME],
    }


def _room(count: int) -> list[Spec]:
    """Return how a layer's position gives where its room and its bar begin and end."""
    half = 0.5 if count >= DENSE else BAR
    ends = (("x0", -0.5), ("x1", 0.5), ("b0", -half), ("b1", half))
    return [{"calculate": f"datum.i {offset:+}", "as": name} for name, offset in ends]


def _position() -> Spec:
    return number("i")


def _bar(start: str, end: str) -> Spec:
    return {"x": number(start), "x2": {"field": end}}


def _graph_axis(page: Page) -> Spec:
    """Return the horizontal axis that both charts share: layers' numbers, inputs below 0."""
    before = max(1, len(page.comparison.inputs))
    last = max((layer.layer_index for layer in page.comparison.layers), default=0)
    room = max(last + 0.5, FEWEST - 0.5)
    return number(
        "i",
        scale={"domain": [-before - 0.5, room], "nice": False, "zero": False},
        axis={
            "title": None,
            "tickMinStep": 1,
            "tickCount": {"expr": "min(20, width / 36)"},
            "labelExpr": "datum.value < 0 ? 'in' : datum.label",
            "labelOverlap": True,
            "labelFlush": False,
        },
    )


def _pointed(fields: list[tuple[str, str]], height: int) -> Spec:
    """Return what lies over a layer's room: it is lit under the pointer, and tells."""
    over = mark(
        "rect",
        {
            **_bar("x0", "x1"),
            "y": {"value": 0},
            "y2": {"value": height},
            "color": {"value": INK},
            "opacity": {"condition": {"param": "under", "empty": False, "value": 0.1}, "value": 0},
            "tooltip": tooltip(*fields),
        },
        cursor="pointer",
    )
    over["params"] = [
        {"name": "under", "select": {"type": "point", "on": "pointerover", "clear": "pointerout"}}
    ]
    return over


def _told(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"
