"""A stand-in for Grafana's HTTP API, strict about paths, methods, headers and bodies.

It keeps what is pushed, and asks a DuckDB for what panels ask. What it is not told of it
refuses, and remembers. It is no Grafana: it was written from Grafana's documentation and the
calls that grafana-client makes.
"""

import json
import re
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import duckdb

from exray.grafana.macros import TimeRange, expand

TOKEN = "glsa_of_a_test"

Json = Any
Answer = tuple[int, Json]

RULE_KEYS = {
    "uid", "orgID", "folderUID", "ruleGroup", "title", "condition", "data", "noDataState",
    "execErrState", "for", "annotations", "labels", "isPaused",
}  # fmt: skip


@dataclass
class State:
    """What the stand-in holds, and whom it asks."""

    connection: duckdb.DuckDBPyConnection
    version: str = "13.2.3"
    role: str = "Admin"
    folders: dict[str, Json] = field(default_factory=dict[str, Any])
    datasources: dict[str, Json] = field(default_factory=dict[str, Any])
    dashboards: dict[str, Json] = field(default_factory=dict[str, Any])
    groups: dict[tuple[str, str], Json] = field(default_factory=dict[tuple[str, str], Any])
    calls: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    refused: list[str] = field(default_factory=list[str])
    broken: str = ""

    def written(self) -> list[tuple[str, str]]:
        """Return the calls that change something, and forget all calls."""
        found = [call for call in self.calls if call[0] != "GET" and call[1] != "/api/ds/query"]
        self.calls.clear()
        return found


def answered(state: State, method: str, path: str, body: Json) -> Answer:
    """Return a status and a body."""
    routes: list[tuple[str, str, Callable[..., Answer]]] = [
        ("GET", r"/api/frontend/settings", _settings),
        ("GET", r"/api/folders/([\w-]+)", _get_folder),
        ("POST", r"/api/folders", _post_folder),
        ("GET", r"/api/datasources/uid/([\w-]+)", _get_datasource),
        ("GET", r"/api/datasources/uid/([\w-]+)/health", _get_health),
        ("POST", r"/api/datasources", _post_datasource),
        ("PUT", r"/api/datasources/uid/([\w-]+)", _put_datasource),
        ("GET", r"/api/dashboards/uid/([\w-]+)", _get_dashboard),
        ("POST", r"/api/dashboards/db", _post_dashboard),
        ("GET", r"/api/v1/provisioning/folder/([\w-]+)/rule-groups/([\w-]+)", _get_group),
        ("PUT", r"/api/v1/provisioning/folder/([\w-]+)/rule-groups/([\w-]+)", _put_group),
        ("POST", r"/api/ds/query", _query),
    ]
    allowed: list[str] = []
    for wanted, pattern, handler in routes:
        match = re.fullmatch(pattern, path)
        if match and wanted == method:
            arguments = match.groups() if body is None else (*match.groups(), body)
            return handler(state, *arguments)
        if match:
            allowed.append(wanted)
    state.refused.append(f"{method} {path}")
    return (405 if allowed else 404), {"message": "no such call"}


def _settings(state: State) -> Answer:
    return 200, {"buildInfo": {"version": state.version}}


def _missing(what: str) -> Answer:
    return 404, {"message": f"{what} not found"}


def _get_folder(state: State, uid: str) -> Answer:
    return (200, state.folders[uid]) if uid in state.folders else _missing("folder")


def _post_folder(state: State, body: Json) -> Answer:
    if set(body) != {"uid", "title"}:
        return 400, {"message": f"bad request data: {sorted(body)}"}
    if body["uid"] in state.folders:
        return 412, {"message": "the folder has been changed by someone else"}
    state.folders[body["uid"]] = body | {"id": 1, "version": 1}
    return 200, state.folders[body["uid"]]


def _get_datasource(state: State, uid: str) -> Answer:
    if uid not in state.datasources:
        return _missing("data source")
    shown = {key: value for key, value in state.datasources[uid].items() if key != "secureJsonData"}
    return 200, shown | {"id": 1, "version": 1, "readOnly": shown.get("readOnly", False)}


def _checked_datasource(body: Json) -> Answer | None:
    known = {"name", "uid", "type", "access", "url", "user", "jsonData", "secureJsonData"}
    if not {"name", "type", "access"} <= set(body) <= known:
        return 400, {"message": f"bad request data: {sorted(body)}"}
    if not isinstance(body["jsonData"], dict):
        return 400, {"message": "jsonData is no object"}
    return None


def _post_datasource(state: State, body: Json) -> Answer:
    if wrong := _checked_datasource(body):
        return wrong
    if body["uid"] in state.datasources:
        return 409, {"message": "data source with the same name already exists"}
    state.datasources[body["uid"]] = body
    return 200, {"datasource": body, "message": "Datasource added"}


def _put_datasource(state: State, uid: str, body: Json) -> Answer:
    if uid not in state.datasources:
        return _missing("data source")
    if wrong := _checked_datasource(body):
        return wrong
    state.datasources[uid] = body
    return 200, {"datasource": body, "message": "Datasource updated"}


def _get_health(state: State, uid: str) -> Answer:
    if uid not in state.datasources:
        return _missing("data source")
    if state.broken:
        return 400, {"status": "ERROR", "message": state.broken}
    return 200, {"status": "OK", "message": "Database Connection OK"}


def _get_dashboard(state: State, uid: str) -> Answer:
    return (200, state.dashboards[uid]) if uid in state.dashboards else _missing("dashboard")


def _post_dashboard(state: State, body: Json) -> Answer:
    if set(body) != {"dashboard", "folderUid", "message", "overwrite"}:
        return 400, {"message": f"bad request data: {sorted(body)}"}
    dashboard = body["dashboard"]
    if not dashboard.get("title"):
        return 400, {"message": "title cannot be empty"}
    if body["folderUid"] not in state.folders:
        return 400, {"message": "folder not found"}
    before = state.dashboards.get(dashboard["uid"])
    if before is not None and not body["overwrite"]:
        return 412, {"message": "the dashboard has been changed by someone else"}
    version = 1 if before is None else before["dashboard"]["version"] + 1
    state.dashboards[dashboard["uid"]] = {
        "dashboard": dashboard | {"id": 7, "version": version},
        "meta": {"folderUid": body["folderUid"]},
    }
    return 200, {"status": "success", "uid": dashboard["uid"], "version": version}


def _get_group(state: State, folder: str, group: str) -> Answer:
    found = state.groups.get((folder, group))
    return (200, found) if found is not None else _missing("rule group")


def _put_group(state: State, folder: str, group: str, body: Json) -> Answer:
    if folder not in state.folders or body.get("title") != group:
        return 400, {"message": "rule group does not fit its path"}
    if body["interval"] % 10:
        return 400, {"message": "interval is no multiple of 10 seconds"}
    for rule in body["rules"]:
        if set(rule) != RULE_KEYS:
            return 400, {"message": f"rule: {sorted(set(rule) ^ RULE_KEYS)}"}
        refs = [query["refId"] for query in rule["data"]]
        if rule["condition"] not in refs or len(set(refs)) != len(refs):
            return 400, {"message": "condition is no query of the rule"}
        if not re.fullmatch(r"\d+[smh]", rule["for"]):
            return 400, {"message": f"invalid duration {rule['for']!r}"}
        for query in rule["data"]:
            if query["datasourceUid"] not in {*state.datasources, "__expr__"}:
                return 400, {"message": "data source not found"}
    rules = [rule | {"id": i, "updated": "now"} for i, rule in enumerate(body["rules"])]
    state.groups[folder, group] = body | {"rules": rules}
    return 200, state.groups[folder, group]


def _query(state: State, body: Json) -> Answer:
    """Ask DuckDB, with the macros of the PostgreSQL data source expanded."""
    start, end = (datetime.fromtimestamp(int(body[key]) / 1000, UTC) for key in ("from", "to"))
    (query,) = body["queries"]
    if query["datasource"]["uid"] not in state.datasources:
        return 404, {"message": "data source not found"}
    if query["format"] not in ("table", "time_series") or "${" in query["rawSql"]:
        return 400, {"message": "query data error"}
    try:
        sql = expand(query["rawSql"], TimeRange(start, end, query["intervalMs"]))
        cursor = state.connection.cursor().execute(sql)
        names = [str(column[0]) for column in cursor.description or ()]
        rows = cursor.fetchall()
    except duckdb.Error as error:
        result = {"error": f"db query error: {error}", "status": 400, "frames": []}
        return 400, {"results": {query["refId"]: result}}
    values = [[_plain(row[i]) for row in rows] for i in range(len(names))]
    fields = [{"name": name} for name in names]
    frame = {"schema": {"refId": query["refId"], "fields": fields}, "data": {"values": values}}
    return 200, {"results": {query["refId"]: {"status": 200, "frames": [frame]}}}


def _plain(value: Json) -> Json:
    return value if isinstance(value, int | float | str | bool | None) else str(value)


@contextmanager
def grafana_peer(state: State) -> Generator[str]:
    """Serve *state* on a port of this machine, and yield its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_call(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            text = self.rfile.read(size)
            status, answer = self.decide(text)
            payload = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def decide(self, text: bytes) -> Answer:
            state.calls.append((self.command, self.path))
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return 401, {"message": "Invalid API key"}
            if self.command != "GET" and self.path != "/api/ds/query" and state.role != "Admin":
                return 403, {"message": "Permission denied"}
            kind = self.headers.get("Content-Type") or ""
            if text and kind.partition(";")[0] != "application/json":
                return 415, {"message": "unsupported media type"}
            is_rules = "/provisioning/" in self.path and self.command == "PUT"
            if is_rules and self.headers.get("X-Disable-Provenance") != "true":
                state.refused.append("a rule that users cannot change")
            return answered(state, self.command, self.path, json.loads(text) if text else None)

        def do_GET(self) -> None:
            self.handle_call()

        def do_POST(self) -> None:
            self.handle_call()

        def do_PUT(self) -> None:
            self.handle_call()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
