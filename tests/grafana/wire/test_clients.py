"""Clients of others' making: psql, and Grafana's two Go drivers at the versions it pins."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .servers import PASSWORD, Running

GO_CLIENT = Path(__file__).parents[1] / "go_client"

PANEL = (
    "SELECT TIMESTAMP '2026-01-02 03:04:05' AS time, 'a' AS metric, 1.5::DOUBLE AS value,"
    " 2::FLOAT AS f, 3::BIGINT AS n, 4::INTEGER AS i, sum(5) AS s, true AS t, [1, 2] AS l,"
    " now() AS z, DATE '2026-01-02' AS d, 'b'::BLOB AS b, uuid() AS u, INTERVAL 1 DAY AS v,"
    " TIME '01:02:03' AS c, 1.5::DECIMAL(9, 1) AS m, '{}'::JSON AS j, NULL AS o"
)
TYPES = [
    *("timestamp", "text", "float8", "float4", "int8", "int4", "numeric", "bool", "json"),
    *("timestamptz", "date", "bytea", "uuid", "interval", "time", "numeric", "json", "text"),
]
TABLES = 'SELECT quote_ident(table_name) AS "table" FROM information_schema.tables ORDER BY 1'
STATEMENTS = [
    PANEL,
    ";",
    "SELECT * FROM range(100000)",
    "SELECT 1; SELECT 2",
    "SELECT * FROM nowhere",
    "DROP VIEW frames",
    "SELECT current_setting('server_version_num')::int/100 as version",
    TABLES,
]


@pytest.fixture(scope="module")
def go_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    go = shutil.which("go", path=f"{os.environ.get('PATH', '')}:/usr/local/go/bin")
    if go is None:
        pytest.skip("Go is not installed: Grafana's drivers are not tried")
    program = tmp_path_factory.mktemp("go") / "wireclient"
    built = subprocess.run(
        [go, "build", "-o", program, "."],
        cwd=GO_CLIENT,
        env=os.environ | {"GOPROXY": "off", "CGO_ENABLED": "0"},
        capture_output=True,
        check=False,
        text=True,
        timeout=300,
    )
    if "module lookup disabled" in built.stderr:
        pytest.skip(f"Grafana's drivers are not here. In {GO_CLIENT}: go mod download")
    assert built.returncode == 0, built.stderr
    return program


@pytest.fixture(scope="module", params=["pgx", "pq"])
def steps(
    request: pytest.FixtureRequest, go_client: Path, wire: Running
) -> dict[str, dict[str, Any]]:
    """What a driver was told, by step."""
    place = f"{wire.address}/exray?sslmode=disable"
    right = f"postgres://grafana:{PASSWORD.replace(' ', '%20')}@{place}"
    ran = subprocess.run(
        [go_client, request.param, right, f"postgres://grafana:guess@{place}"],
        input="\n".join(json.dumps(statement) for statement in STATEMENTS),
        capture_output=True,
        check=False,
        text=True,
        timeout=90,
    )
    assert ran.returncode == 0, ran.stderr
    told = [json.loads(line) for line in ran.stdout.splitlines()]
    return {step["step"]: step for step in told}


def test_pings_are_answered_at_once_and_after_idling(steps: dict[str, dict[str, Any]]) -> None:
    assert [steps[step].get("error") for step in ("ping", "ping after idling", ";")] == [None] * 3


def test_a_wrong_password_is_told_as_such(steps: dict[str, dict[str, Any]]) -> None:
    assert steps["wrong password"]["error"] == "28P01"


def test_every_type_of_a_panel_is_known_to_the_driver(steps: dict[str, dict[str, Any]]) -> None:
    told = steps[PANEL]
    assert [column["type"].lower() for column in told["columns"]] == TYPES
    assert told["count"] == 1


def test_rows_are_all_there_and_counted(steps: dict[str, dict[str, Any]]) -> None:
    told = steps["SELECT * FROM range(100000)"]
    assert told["count"] == 100_000
    assert told["rows"] == [["0"], ["1"], ["2"]]
    assert told.get("tag") in (None, "SELECT 100000")  # lib/pq does not hand it on


def test_refusals_arrive_with_their_state(steps: dict[str, dict[str, Any]]) -> None:
    states = [steps[s]["error"] for s in ("SELECT 1; SELECT 2", "SELECT * FROM nowhere")]
    assert states == ["0A000", "42P01"]
    assert steps["DROP VIEW frames"]["error"] == "25006"


def test_parameters_and_binary_results(steps: dict[str, dict[str, Any]]) -> None:
    expected = ["7", "text!", "0.5", "2026-01-02T03:04:05Z", "true", "1.50", "true"]
    assert steps["prepared"]["rows"] == [expected]


def test_leaving_a_panel_cancels_its_statement(steps: dict[str, dict[str, Any]]) -> None:
    assert steps["cancel"]["error"] == "cancelled"


def test_fifty_panels_at_once_come_back_whole(steps: dict[str, dict[str, Any]]) -> None:
    assert steps["50 at once"]["count"] == 50


def test_the_configuration_pages_questions_are_answered(steps: dict[str, dict[str, Any]]) -> None:
    assert steps[STATEMENTS[6]]["rows"] == [["1600"]]
    assert steps[TABLES]["rows"][0] == ["alignments"]


def psql(wire: Running, *commands: str) -> "subprocess.CompletedProcess[str]":
    program = shutil.which("psql")
    if program is None:
        pytest.skip("psql is not installed")
    arguments = [word for command in commands for word in ("-c", command)]
    return subprocess.run(
        [program, wire.conninfo, "-X", "-A", "-t", *arguments],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )


def test_psql_asks_explains_and_lists(wire: Running) -> None:
    ran = psql(wire, "SELECT 1, 'a', NULL", "EXPLAIN SELECT 1", "\\dv", "\\d", "SHOW TimeZone")
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[0] == "1|a|"
    assert lines.count("main|frames|view|exray") == 2
    assert lines[-1] == "UTC"


def test_psql_shows_an_error_and_goes_on(wire: Running) -> None:
    ran = psql(wire, "COPY frames TO '/tmp/x.csv'", "SELECT 2")
    assert ran.stdout == "2\n"
    assert ran.stderr.startswith("ERROR:  COPY is refused: the lake is read-only")


def test_psql_is_told_what_it_may_not_ask_of_the_catalog(wire: Running) -> None:
    ran = psql(wire, "\\d frames", "SELECT 3")
    assert ran.stderr.startswith("ERROR:")
    assert "DESCRIBE" in ran.stderr
    assert ran.stdout == "3\n"
