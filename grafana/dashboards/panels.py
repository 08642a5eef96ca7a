"""Panels in the few kinds that the boards use, with the looks that they share."""

from .board import Column, Json, Link, Panel, Steps

NO_LEGEND: Json = {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False}
LEGEND: Json = {
    "calcs": ["lastNotNull", "max"],
    "displayMode": "table",
    "placement": "right",
    "showLegend": True,
}
TOOLTIP: Json = {"mode": "multi", "sort": "desc"}


def rising(warn: float, fail: float) -> Steps:
    """Return colours of a value that is bad when it is high."""
    return (("green", None), ("orange", warn), ("red", fail))


def limit(fail: float) -> Steps:
    """Return colours of a value that is bad from *fail* on."""
    return (("green", None), ("red", fail))


def falling(warn: float, good: float) -> Steps:
    """Return colours of a value that is bad when it is low."""
    return (("red", None), ("orange", warn), ("green", good))


def stat(
    title: str,
    description: str,
    sql: str,
    *,
    unit: str | None = None,
    steps: Steps = (("blue", None),),
    decimals: int | None = None,
    links: tuple[Link, ...] = (),
) -> Panel:
    """Return one number, large."""
    return Panel(
        title=title,
        description=description,
        kind="stat",
        sql=sql,
        width=4,
        height=4,
        unit=unit,
        steps=steps,
        decimals=decimals,
        links=links,
        options={
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "auto",
            "percentChangeColorMode": "standard",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "showPercentChange": False,
            "textMode": "auto",
            "wideLayout": True,
        },
    )


def table(
    title: str,
    description: str,
    sql: str,
    *columns: Column,
    width: int = 24,
    height: int = 10,
    transformations: tuple[Json, ...] = (),
) -> Panel:
    """Return rows, with colours and links where the columns say so."""
    return Panel(
        title=title,
        description=description,
        kind="table",
        sql=sql,
        width=width,
        height=height,
        columns=columns,
        transformations=transformations,
        custom={"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False},
        options={"cellHeight": "sm", "frameIndex": 0, "showHeader": True},
    )


def time_series(
    title: str,
    description: str,
    sql: str,
    *,
    unit: str | None = None,
    steps: Steps | None = None,
    minimum: float | None = None,
    links: tuple[Link, ...] = (),
    width: int = 12,
    height: int = 9,
    points: int | None = None,
) -> Panel:
    """Return lines over time; a step of *steps* shows as a dashed line."""
    return Panel(
        title=title,
        description=description,
        kind="timeseries",
        sql=sql,
        format="time_series",
        width=width,
        height=height,
        unit=unit,
        steps=steps,
        lined=steps is not None,
        minimum=minimum,
        links=links,
        points=points,
        custom=_line() | ({} if steps is None else {"thresholdsStyle": {"mode": "dashed"}}),
        options={"legend": LEGEND, "tooltip": TOOLTIP},
    )


def trend(
    title: str,
    description: str,
    sql: str,
    x: str,
    *columns: Column,
    unit: str | None = None,
    width: int = 12,
    height: int = 9,
) -> Panel:
    """Return lines over a number other than time, column *x*, which ascends."""
    return Panel(
        title=title,
        description=description,
        kind="trend",
        sql=sql,
        width=width,
        height=height,
        unit=unit,
        columns=columns,
        custom=_line(),
        options={"legend": LEGEND | {"placement": "bottom"}, "tooltip": TOOLTIP, "xField": x},
    )


def bar_chart(
    title: str,
    description: str,
    sql: str,
    x: str,
    *columns: Column,
    unit: str | None = None,
    horizontal: bool = False,
    width: int = 12,
    height: int = 9,
) -> Panel:
    """Return bars, a group for each value of column *x*."""
    return Panel(
        title=title,
        description=description,
        kind="barchart",
        sql=sql,
        width=width,
        height=height,
        unit=unit,
        columns=columns,
        custom={"fillOpacity": 80, "lineWidth": 1},
        options={
            "barRadius": 0,
            "barWidth": 0.9,
            "fullHighlight": False,
            "groupWidth": 0.8,
            "legend": LEGEND | {"calcs": [], "displayMode": "list", "placement": "bottom"},
            "orientation": "horizontal" if horizontal else "vertical",
            "showValue": "never",
            "stacking": "none",
            "tooltip": TOOLTIP,
            "xField": x,
            "xTickLabelMaxLength": 24,
            "xTickLabelRotation": 0 if horizontal else -45,
        },
    )


def state_timeline(
    title: str,
    description: str,
    sql: str,
    mappings: tuple[tuple[str, str, str], ...],
    *,
    links: tuple[Link, ...] = (),
    width: int = 24,
    height: int = 9,
) -> Panel:
    """Return a band for each series, coloured by what it was when."""
    return Panel(
        title=title,
        description=description,
        kind="state-timeline",
        sql=sql,
        format="time_series",
        width=width,
        height=height,
        mappings=mappings,
        links=links,
        custom={"fillOpacity": 80, "lineWidth": 0},
        options={
            "alignValue": "left",
            "legend": NO_LEGEND,
            "mergeValues": True,
            "rowHeight": 0.9,
            "showValue": "auto",
            "tooltip": {"mode": "single", "sort": "none"},
        },
    )


def traces(title: str, description: str, sql: str, *, height: int = 16) -> Panel:
    """Return the waterfall of a trace."""
    # Grafana before 12.4 hands JSON on as text; where it is parsed already, this changes nothing.
    parsed: Json = {
        "id": "convertFieldType",
        "options": {
            "conversions": [
                {"targetField": name, "destinationType": "other"}
                for name in ("tags", "serviceTags")
            ],
            "fields": {},
        },
    }
    return Panel(
        title=title,
        description=description,
        kind="traces",
        sql=sql,
        width=24,
        height=height,
        transformations=(parsed,),
    )


def _line() -> Json:
    return {
        "axisBorderShow": False,
        "drawStyle": "line",
        "fillOpacity": 0,
        "lineInterpolation": "linear",
        "lineWidth": 2,
        "pointSize": 6,
        "showPoints": "always",
        "spanNulls": True,
    }
