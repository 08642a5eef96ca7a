"""Boards as the JSON of Grafana 11 to 13 (classic dashboards, v1)."""

from collections.abc import Sequence
from urllib.parse import quote

from .board import Board, Column, Json, Link, Panel, Steps, Variable
from .source import Source

SCHEMA_VERSION = 39
"""Grafana 11's; later versions migrate on load."""

TAG = "exray"
COLUMNS = 24

BUILDS_SQL = (
    'SELECT min(started) AS "time", min(started) + INTERVAL 1 MINUTE AS "timeend",'
    " model_name || ' ' || build AS \"text\", 'build,' || role AS \"tags\""
    " FROM build_trend WHERE $__timeFilter(started)"
    " GROUP BY model_name, build, role ORDER BY 1 DESC LIMIT 200"
)
"""Marks each build's first frame."""


def dashboard_json(board: Board, source: Source, boards: Sequence[Board]) -> Json:
    """Return a board as Grafana's JSON.

    Args:
        board: The board.
        source: The data source that its queries are for.
        boards: All boards, which its links may lead to.
    """
    by_name = {other.name: other for other in boards}
    return {
        "annotations": {"list": [_annotation(source)] if board.annotated else []},
        "description": board.description,
        "editable": False,
        "fiscalYearStartMonth": 0,
        "graphTooltip": 1,
        "id": None,
        "links": [_dashboards_link()],
        "panels": _panels(board, source, by_name),
        "refresh": "",
        "schemaVersion": SCHEMA_VERSION,
        "tags": [TAG],
        "templating": {
            "list": [_source_variable(source), *(_variable(v, source) for v in board.variables)]
        },
        "time": {"from": board.start, "to": "now"},
        "timepicker": {},
        "timezone": "utc",
        "title": board.title,
        "uid": board.uid,
        "weekStart": "",
    }


def link_url(link: Link, board: Board, target: Board) -> str:
    """Return the address that a link on *board* leads to, time range and variables included."""
    known = {variable.name for variable in target.variables}
    own = {variable.name for variable in board.variables}
    carried = [name for name in own if name in known and name not in link.values]
    parts = ["${__url_time_range}", "${ds:queryparam}"]
    parts += [f"${{{name}:queryparam}}" for name in sorted(carried)]
    parts += [
        f"var-{quote(name)}=${{__data.fields.{column}}}"
        for name, column in sorted(link.values.items())
    ]
    return f"/d/{target.uid}?{'&'.join(parts)}"


def _panels(board: Board, source: Source, boards: dict[str, Board]) -> list[Json]:
    """Panels in lines of 24 columns, as high as the highest of the line."""
    found: list[Json] = []
    x = y = line_height = 0
    for number, panel in enumerate(board.panels, 1):
        if x + panel.width > COLUMNS:
            x, y, line_height = 0, y + line_height, 0
        place = {"x": x, "y": y, "w": panel.width, "h": panel.height}
        found.append(_panel(panel, number, place, board, source, boards))
        x += panel.width
        line_height = max(line_height, panel.height)
    return found


def _panel(
    panel: Panel,
    number: int,
    place: Json,
    board: Board,
    source: Source,
    boards: dict[str, Board],
) -> Json:
    defaults: Json = {"mappings": _mappings(panel)}
    if panel.custom:
        defaults["custom"] = panel.custom
    if panel.unit:
        defaults["unit"] = panel.unit
    if panel.decimals is not None:
        defaults["decimals"] = panel.decimals
    if panel.minimum is not None:
        defaults["min"] = panel.minimum
    if panel.steps:
        defaults["thresholds"] = _thresholds(panel.steps)
        if not panel.lined:  # lines keep a colour for each series
            defaults["color"] = {"mode": "thresholds"}
    if panel.links:
        defaults["links"] = [_link(link, board, boards) for link in panel.links]
    overrides = [_override(column, board, boards) for column in panel.columns]
    target: Json = {
        "refId": "A",
        "datasource": _reference(source),
        "editorMode": "code",
        "format": source.formats[panel.format],
        "rawQuery": True,
        "rawSql": panel.sql,
    }
    rendered: Json = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "gridPos": place,
        "datasource": _reference(source),
        "targets": [target],
        "fieldConfig": {"defaults": defaults, "overrides": overrides},
        "options": panel.options,
    }
    if panel.transformations:
        rendered["transformations"] = list(panel.transformations)
    if panel.points is not None:
        rendered["maxDataPoints"] = panel.points
    return rendered


def _override(column: Column, board: Board, boards: dict[str, Board]) -> Json:
    properties: list[Json] = [_property("displayName", column.title)]
    if column.unit:
        properties.append(_property("unit", column.unit))
    if column.decimals is not None:
        properties.append(_property("decimals", column.decimals))
    if column.width is not None:
        properties.append(_property("custom.width", column.width))
    if column.steps:
        properties.append(_property("thresholds", _thresholds(column.steps)))
        properties.append(_property("custom.cellOptions", {"type": "color-background"}))
    if column.gauge:
        properties.append(_property("min", 0))
        properties.append(_property("custom.cellOptions", {"type": "gauge", "mode": "basic"}))
    if column.hidden:
        properties.append(_property("custom.hidden", True))
    if column.link:
        properties.append(_property("links", [_link(column.link, board, boards)]))
    return {"matcher": {"id": "byName", "options": column.name}, "properties": properties}


def _property(name: str, value: object) -> Json:
    return {"id": name, "value": value}


def _link(link: Link, board: Board, boards: dict[str, Board]) -> Json:
    return {"title": link.title, "url": link_url(link, board, boards[link.board])}


def _thresholds(steps: Steps) -> Json:
    return {
        "mode": "absolute",
        "steps": [{"color": colour, "value": value} for colour, value in steps],
    }


def _mappings(panel: Panel) -> list[Json]:
    if not panel.mappings:
        return []
    options = {
        value: {"text": text, "color": colour, "index": index}
        for index, (value, text, colour) in enumerate(panel.mappings)
    }
    return [{"type": "value", "options": options}]


def _reference(source: Source) -> Json:
    return {"type": source.plugin, "uid": "${ds}"}


def _source_variable(source: Source) -> Json:
    return {
        "name": "ds",
        "label": "Data source",
        "type": "datasource",
        "query": source.plugin,
        "current": {"text": source.uid, "value": source.uid},
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "refresh": 1,
        "regex": "/^exray/",
        "skipUrlSync": False,
    }


def _variable(variable: Variable, source: Source) -> Json:
    shared: Json = {
        "name": variable.name,
        "label": variable.label,
        "hide": 0,
        "includeAll": variable.multi,
        "multi": variable.multi,
        "skipUrlSync": False,
    }
    if variable.values:
        options = [
            {"text": value, "value": value, "selected": value == variable.values[0]}
            for value in variable.values
        ]
        return shared | {
            "type": "custom",
            "query": ",".join(variable.values),
            "current": {"text": variable.values[0], "value": variable.values[0]},
            "options": options,
        }
    if variable.multi:
        shared["current"] = {"text": ["All"], "value": ["$__all"]}
    return shared | {
        "type": "query",
        "datasource": _reference(source),
        "query": variable.sql,
        "options": [],
        "refresh": 2,
        "regex": "",
        "sort": 0,
    }


def _annotation(source: Source) -> Json:
    return {
        "name": "Builds",
        "enable": True,
        "hide": False,
        "iconColor": "purple",
        "datasource": _reference(source),
        "target": {
            "refId": "Anno",
            "datasource": _reference(source),
            "editorMode": "code",
            "format": source.formats["table"],
            "rawQuery": True,
            "rawSql": BUILDS_SQL,
        },
    }


def _dashboards_link() -> Json:
    return {
        "type": "dashboards",
        "title": "exray",
        "tags": [TAG],
        "asDropdown": True,
        "icon": "external link",
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "tooltip": "",
        "url": "",
    }
