"""Every query of boards and rules, asked over the wire as Grafana asks it."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

import duckdb
import psycopg
import pytest

from exray.grafana.alerts import RULES
from exray.grafana.choices import panel_sql
from exray.grafana.dashboards import BUILDS_SQL
from exray.grafana.macros import expand
from exray.lake import Lake

from .boards import PANELS, RANGE, VARIABLES, answer, chosen, same_rows
from .wire.servers import Connection, Running, serving

OIDS = {
    "BIGINT": 20,
    "INTEGER": 23,
    "DOUBLE": 701,
    "VARCHAR": (25, 1043),
    "TIMESTAMP": 1114,
    "BOOLEAN": 16,
    "JSON": 114,
}
"""The PostgreSQL type that each column's type must arrive as, for Grafana to know it."""


@pytest.fixture(scope="module")
def server(fleet_lake: Lake) -> Generator[Running]:
    with serving(fleet_lake) as running:
        yield running


@pytest.fixture(scope="module")
def wire(server: Running) -> Generator[Connection]:
    with server.connect() as connection:
        yield connection


@pytest.fixture(scope="module")
def queries(fleet: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """All queries, as the data source sees them."""
    found = {"annotation": expand(BUILDS_SQL, RANGE)}
    for board, panel in PANELS:
        name = f"{board.name}: {panel.title}"
        found[name] = panel_sql(panel.sql, chosen(fleet, board), RANGE)
    for board, variable in VARIABLES:
        name = f"{board.name}: ${variable.name}"
        found[name] = panel_sql(variable.sql, chosen(fleet, board), RANGE)
    return found | {f"rule: {rule.name}": expand(rule.sql, RANGE) for rule in RULES}


NAMES = [
    "annotation",
    *(f"{board.name}: {panel.title}" for board, panel in PANELS),
    *(f"{board.name}: ${variable.name}" for board, variable in VARIABLES),
    *(f"rule: {rule.name}" for rule in RULES),
]


@pytest.mark.parametrize("name", NAMES)
def test_query_says_over_the_wire_what_duckdb_says(
    name: str, queries: dict[str, str], wire: Connection, fleet: duckdb.DuckDBPyConnection
) -> None:
    sql = queries[name]
    expected = answer(fleet, sql)
    # Grafana's drivers use the simple protocol, and read texts
    cursor = wire.execute(sql.encode(), prepare=False)
    columns = {column.name: column.type_code for column in cursor.description or ()}
    assert list(columns) == list(expected.columns)
    for column, kind in expected.columns.items():
        wanted = OIDS[kind]
        assert columns[column] in (wanted if isinstance(wanted, tuple) else (wanted,)), column
    rows = cursor.fetchall()
    assert len(rows) == len(expected.rows)
    assert "now()" in sql or same_rows(rows, expected.rows)


def test_fifty_panels_at_once_are_answered(server: Running, queries: dict[str, str]) -> None:
    texts = [sql for name, sql in queries.items() if "$" not in name][:50]
    texts += texts[: 50 - len(texts)]

    def asked(sql: str) -> int:
        with server.connect() as connection:
            return len(connection.execute(sql.encode(), prepare=False).fetchall())

    with ThreadPoolExecutor(50) as pool:
        counts = list(pool.map(asked, texts))
    assert len(counts) == 50
    assert all(count > 0 for count in counts)


def test_a_broken_query_is_an_error_with_its_cause(wire: Connection) -> None:
    with pytest.raises(psycopg.Error, match="no_such_view"):
        wire.execute("SELECT * FROM no_such_view LIMIT 1")
