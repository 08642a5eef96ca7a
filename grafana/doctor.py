"""What stands between a lake and its dashboards, one thing after the other."""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exray.grafana.api import Grafana
from exray.grafana.dashboards import BOARDS, Panel, Source, boards, dashboard_json
from exray.grafana.macros import TimeRange, expand
from exray.grafana.push import checked, health
from exray.grafana.thresholds import Thresholds
from exray.schema.errors import ExrayError, GrafanaError

if TYPE_CHECKING:
    import duckdb

SSL_REQUEST = struct.pack("!II", 8, 80_877_103)
"""What a PostgreSQL client may say first; a server answers S or N."""

TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        what: What it was.
        good: Whether it is as it should be.
        said: What was found, and what to do where it is not good.
    """

    what: str
    good: bool
    said: str


def examine_lake(path: Path) -> Iterator[Finding]:
    """Look at the lake: is it one, does it hold runs, are its rollups new, do panels find rows?"""
    from exray.grafana.rollup import stale_cohorts
    from exray.lake import Lake
    from exray.queries import connect

    try:
        lake = Lake.open(path)
        connection = connect(lake)
    except ExrayError as error:
        yield Finding("lake", False, str(error))
        return
    with closing(connection):
        ((runs,),) = connection.execute("SELECT count(*) FROM runs").fetchall()
        if not runs:
            yield Finding("lake", False, f"{path} holds no runs yet. Record one: exray run")
            return
        yield Finding("lake", True, f"{path}: {runs} runs")
        stale = stale_cohorts(connection)
        yield (
            Finding("rollups", True, "up to date")
            if not stale
            else Finding(
                "rollups",
                False,
                f"{stale} groups of runs are missing or old. exray grafana refresh --lake {path}",
            )
        )
        yield _panels(connection)


def examine_server(server: str, lake: Path) -> Finding:
    """Look whether something speaks PostgreSQL's protocol there."""
    host, _, port = server.rpartition(":")
    hint = f"Start it: exray grafana serve --lake {lake}"
    try:
        address = (host.strip("[]"), int(port))
    except ValueError:
        return Finding("server", False, f"{server!r} is not HOST:PORT")
    try:
        with socket.create_connection(address, TIMEOUT_S) as connection:
            answer = _answer_to(SSL_REQUEST, connection)
    except OSError as error:
        return Finding("server", False, f"nothing answers at {server}: {error}. {hint}")
    if answer not in (b"S", b"N"):
        return Finding("server", False, f"what answers at {server} does not speak PostgreSQL")
    return Finding("server", True, f"{server}, {'with' if answer == b'S' else 'without'} TLS")


def _answer_to(request: bytes, connection: socket.socket) -> bytes:
    """Return the first byte of an answer; nothing where none comes."""
    try:
        connection.sendall(request)
        return connection.recv(1)
    except OSError:
        return b""


def examine_grafana(
    grafana: Grafana, source: Source, thresholds: Thresholds | None = None
) -> Iterator[Finding]:
    """Look at the Grafana: its version, the data source, the dashboards, the rules."""
    try:
        yield Finding("grafana", True, f"{grafana.url}, version {grafana.version()}")
    except ExrayError as error:
        yield Finding("grafana", False, str(error))
        return
    push = "exray grafana push"
    looks: tuple[tuple[str, Callable[[], str]], ...] = (
        ("data source", lambda: health(grafana, source) or "reached"),
        ("dashboards", lambda: _dashboards(grafana, source, thresholds or Thresholds())),
    )
    for what, look in looks:
        try:
            yield Finding(what, True, look())
        except GrafanaError as error:
            yield Finding(what, False, f"{error}. {push}")


def _dashboards(grafana: Grafana, source: Source, thresholds: Thresholds) -> str:
    old: list[str] = []
    shown = boards(thresholds)
    for board in shown:
        found = grafana.get(f"/dashboards/uid/{board.uid}")
        ours = dashboard_json(board, source, shown)["panels"]
        if found is None or found["dashboard"].get("panels") != ours:
            old.append(board.title)
    if old:
        msg = f"missing, of another version or of another policy: {', '.join(old)}"
        raise GrafanaError(msg)
    return f"{len(BOARDS)} as in this version of exray"


def _panels(connection: "duckdb.DuckDBPyConnection") -> Finding:
    """Ask every panel's query of the lake itself."""
    range_ = TimeRange.last(90)
    results = list(checked(BOARDS, lambda sql, panel: _columns(connection, sql, panel), range_))
    wrong = [result for result in results if result.state == "error"]
    empty = [result for result in results if result.state == "empty"]
    if wrong:
        first = wrong[0]
        return Finding("panels", False, f"{first.board}, {first.panel}: {first.error}")
    filled = len(results) - len(empty)
    return Finding("panels", filled > 0, f"{filled} of {len(results)} find rows of 90 days")


def _columns(
    connection: "duckdb.DuckDBPyConnection", sql: str, panel: Panel | None
) -> list[list[Any]]:
    """Return the columns of a panel's query, or of a variable's, which is expanded already."""
    import duckdb

    text = sql if panel is None else expand(sql, TimeRange.last(90))
    try:
        cursor = connection.execute(text)
        names = cursor.description or []
        rows = cursor.fetchall()
    except duckdb.Error as error:
        raise GrafanaError(str(error)) from error
    return [[row[i] for row in rows] for i in range(len(names))]
