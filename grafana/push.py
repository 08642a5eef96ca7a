"""Make a Grafana show a lake: folder, data source, dashboards and rules, once or again."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from exray.grafana.alerts import FOLDER_TITLE, FOLDER_UID, GROUP, group_json, rules
from exray.grafana.api import Grafana
from exray.grafana.choices import choose
from exray.grafana.dashboards import BOARDS, Board, Panel, Source, boards, dashboard_json
from exray.grafana.datasource import source_of
from exray.grafana.macros import TimeRange, interpolate
from exray.grafana.thresholds import Thresholds
from exray.schema.errors import GrafanaError

Json = dict[str, Any]

Change = Literal["created", "updated", "unchanged"]


@dataclass(frozen=True, slots=True)
class Pushed:
    """One thing that a Grafana now has.

    Args:
        kind: folder, data source, dashboard or alert rules.
        name: Its name.
        change: What was done.
    """

    kind: str
    name: str
    change: Change


@dataclass(frozen=True, slots=True)
class Checked:
    """What a panel's query gave.

    Args:
        board: Name of the board.
        panel: Title of the panel.
        rows: Rows that came back.
        error: What was wrong; empty where nothing was.
    """

    board: str
    panel: str
    rows: int
    error: str = ""

    @property
    def state(self) -> Literal["ok", "empty", "error"]:
        """The result in a word."""
        return "error" if self.error else "ok" if self.rows else "empty"


def push(
    grafana: Grafana,
    datasource: Json,
    password: str | None,
    thresholds: Thresholds | None = None,
) -> Iterator[Pushed]:
    """Bring a Grafana to what this version of exray has, and say what changed.

    What is there already and says the same is left alone, so that its history stays clean.

    Args:
        grafana: The Grafana.
        datasource: The data source, without its password.
        password: The data source's password.
        thresholds: What panels are coloured by and rules fire above; by default `Thresholds()`.

    Raises:
        GrafanaError: It is not reached, or refuses.
    """
    source = source_of(datasource)
    limits = thresholds or Thresholds()
    shown = boards(limits)
    yield Pushed("folder", FOLDER_TITLE, _folder(grafana))
    yield Pushed("data source", datasource["name"], _datasource(grafana, datasource, password))
    for board in shown:
        change = _dashboard(grafana, dashboard_json(board, source, shown))
        yield Pushed("dashboard", board.title, change)
    yield Pushed("alert rules", GROUP, _rules(grafana, group_json(rules(limits), source)))


def health(grafana: Grafana, source: Source) -> str:
    """Return what the data source says of itself.

    Raises:
        GrafanaError: It does not reach the lake.
    """
    answer = grafana.get(f"/datasources/uid/{source.uid}/health")
    if answer is None:
        msg = f"there is no data source {source.uid!r}"
        raise GrafanaError(msg)
    if answer["status"] != "OK":
        msg = f"data source {source.uid!r} does not work: {answer['message']}"
        raise GrafanaError(msg)
    return str(answer["message"])


def check_panels(
    grafana: Grafana, source: Source, range_: TimeRange | None = None
) -> Iterator[Checked]:
    """Ask every panel's query of the data source, through Grafana."""
    looked_at = range_ or TimeRange.last(90)
    yield from checked(BOARDS, lambda sql, panel: ask(grafana, source, sql, looked_at, panel))


def checked(
    boards: Sequence[Board],
    ask_panel: "Callable[[str, Panel | None], list[list[Any]]]",
    range_: TimeRange | None = None,
    prepared: Callable[[str], str] = str,
) -> Iterator[Checked]:
    """Ask every panel's query, with what its board's variables say at first.

    Args:
        boards: Boards whose panels are asked.
        ask_panel: Returns the columns of a query of a panel, or of a variable for None.
        range_: The time range that macros are expanded for.
        prepared: What is done to a query besides replacing variables.
    """
    looked_at = range_ or TimeRange.last(90)

    def ask_variable(sql: str) -> list[tuple[str, str]]:
        columns = ask_panel(sql, None)
        texts, values = columns if len(columns) == 2 else ([], [])
        return [(str(text), str(value)) for text, value in zip(texts, values, strict=True)]

    for board in boards:
        try:
            values = choose(board, ask_variable, looked_at)
        except GrafanaError as error:
            for panel in board.panels:
                yield Checked(board.name, panel.title, 0, f"variables: {error}")
            continue
        for panel in board.panels:
            try:
                columns = ask_panel(prepared(interpolate(panel.sql, values)), panel)
            except GrafanaError as error:
                yield Checked(board.name, panel.title, 0, str(error))
                continue
            yield Checked(board.name, panel.title, len(columns[0]) if columns else 0)


def ask(
    grafana: Grafana,
    source: Source,
    sql: str,
    range_: TimeRange,
    panel: Panel | None = None,
) -> list[list[Any]]:
    """Return the columns that a query gives, asked through Grafana as a panel would.

    Raises:
        GrafanaError: The query fails.
    """
    query = {
        "refId": "A",
        "datasource": {"type": source.plugin, "uid": source.uid},
        "format": source.formats["table" if panel is None else panel.format],
        "rawQuery": True,
        "rawSql": sql,
        "intervalMs": range_.interval_ms,
        "maxDataPoints": 100,
    }
    body = {
        "queries": [query],
        "from": str(int(range_.start.timestamp() * 1000)),
        "to": str(int(range_.end.timestamp() * 1000)),
    }
    answer = grafana.post("/ds/query", body)
    result = answer["results"]["A"]
    if result.get("error"):
        raise GrafanaError(str(result["error"]))
    frames = result.get("frames", [])
    return [values for frame in frames for values in frame.get("data", {}).get("values", [])]


def _folder(grafana: Grafana) -> Change:
    if grafana.get(f"/folders/{FOLDER_UID}") is not None:
        return "unchanged"
    grafana.post("/folders", {"uid": FOLDER_UID, "title": FOLDER_TITLE})
    return "created"


def _datasource(grafana: Grafana, datasource: Json, password: str | None) -> Change:
    body = dict(datasource)
    if password is not None:
        body["secureJsonData"] = {"password": password}
    path = f"/datasources/uid/{datasource['uid']}"
    existing = grafana.get(path)
    if existing is None:
        grafana.post("/datasources", body)
        return "created"
    if existing.get("readOnly"):
        msg = (
            f"data source {datasource['uid']!r} comes from a provisioning file and cannot be"
            " changed: remove the file, or use 'exray grafana export' alone"
        )
        raise GrafanaError(msg)
    same = _holds(existing, datasource)
    # Whether the password is the same nobody can say, so it is written again.
    if not same or password is not None:
        grafana.put(path, body)
    return "unchanged" if same else "updated"


def _dashboard(grafana: Grafana, dashboard: Json) -> Change:
    existing = grafana.get(f"/dashboards/uid/{dashboard['uid']}")
    if existing is not None:
        in_folder = existing.get("meta", {}).get("folderUid") == FOLDER_UID
        if in_folder and _comparable(existing["dashboard"]) == _comparable(dashboard):
            return "unchanged"
    grafana.post(
        "/dashboards/db",
        {
            "dashboard": dashboard,
            "folderUid": FOLDER_UID,
            "message": "exray grafana push",
            "overwrite": True,
        },
    )
    return "created" if existing is None else "updated"


def _rules(grafana: Grafana, group: Json) -> Change:
    path = f"/v1/provisioning/folder/{FOLDER_UID}/rule-groups/{GROUP}"
    existing = grafana.get(path)
    has_rules = bool(existing and existing.get("rules"))
    if has_rules and _holds(existing, group):
        return "unchanged"
    grafana.put(path, group)
    return "updated" if has_rules else "created"


def _comparable(dashboard: Json) -> Json:
    return {key: value for key, value in dashboard.items() if key not in ("id", "version")}


def _holds(existing: Any, wanted: Any) -> bool:
    """Whether everything wanted is there; Grafana adds fields of its own."""
    kinds = {type(existing).__name__, type(wanted).__name__}
    if kinds == {"dict"}:
        return all(key in existing and _holds(existing[key], wanted[key]) for key in wanted)
    if kinds == {"list"}:
        return len(wanted) == len(existing) and all(map(_holds, existing, wanted))
    return bool(existing == wanted)
