"""What is refused, one by one."""

from pathlib import Path

import psycopg
import pytest

from exray.lake import Lake

from .servers import Connection, Running

READ_ONLY = "25006"
PRIVILEGE = "42501"
NOT_SUPPORTED = "0A000"


def refusal(connection: Connection, statement: str) -> str | None:
    """Return the SQLSTATE of a refusal, None where the statement runs; the connection lives on."""
    try:
        connection.execute(statement.encode())
        return None
    except psycopg.Error as error:
        return error.sqlstate
    finally:
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO _held_alignments VALUES (1)",
        "UPDATE frames SET build = 'x'",
        "DELETE FROM frames",
        "MERGE INTO frames USING runs ON true WHEN MATCHED THEN DELETE",
        "CREATE TABLE t AS SELECT 1",
        "CREATE TEMP TABLE t AS SELECT 1",
        "CREATE OR REPLACE VIEW frames AS SELECT 1",
        "CREATE OR REPLACE MACRO hex_id(x) AS 1",
        "DROP VIEW frames",
        "ALTER VIEW frames RENAME TO f",
        "TRUNCATE frames",
        "ATTACH ':memory:' AS other",
        "DETACH memory",
        "INSTALL httpfs",
        "LOAD httpfs",
        "COPY (SELECT 1) TO '/tmp/x.csv'",
        "COPY frames FROM '/etc/passwd'",
        "COPY frames TO STDOUT",
        "EXPORT DATABASE '/tmp/x'",
        "CALL pragma_version()",
        "PRAGMA database_list",
        "CHECKPOINT",
        "VACUUM",
        "ANALYZE",
        "PREPARE x AS SELECT 1",
        "EXECUTE x",
        "USE memory",
        "CREATE SECRET s (TYPE s3)",
        "EXPLAIN ANALYZE INSERT INTO frames SELECT * FROM frames",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/x.csv'",
        "WITH x AS (INSERT INTO frames VALUES (1)) SELECT 1",
        "WITH x AS (COPY (SELECT 1) TO '/tmp/x.csv') SELECT 1",
        "SELECT * FROM (WITH x AS (COPY (SELECT 1) TO '/tmp/x.csv') SELECT 1)",
        "EXPLAIN WITH x AS (COPY (SELECT 1) TO '/tmp/x.csv') SELECT 1",
        "SELECT write_log('x')",
    ],
)
def test_what_writes_is_refused(connection: Connection, statement: str) -> None:
    assert refusal(connection, statement) == READ_ONLY


@pytest.mark.parametrize(
    "setting", ["threads = 1", "memory_limit = '1TB'", "enable_external_access = true"]
)
def test_settings_of_the_engine_are_refused(connection: Connection, setting: str) -> None:
    assert refusal(connection, f"SET {setting}") == "55P02"
    assert refusal(connection, f"SET GLOBAL {setting}") is not None


@pytest.mark.parametrize(
    "source",
    [
        "read_text('/etc/passwd')",
        "read_csv('/etc/passwd')",
        "read_blob('/etc/passwd')",
        "read_parquet('https://example.com/x.parquet')",
        "glob('/etc/*')",
        "sniff_csv('/etc/passwd')",
        "parquet_metadata('/etc/passwd')",
        "read_duckdb('/tmp/x.duckdb')",
        "query('SELECT 1')",
        "query_table('frames')",
        "json_execute_serialized_sql('{}')",
        "enable_logging()",
        "duckdb_secrets()",
        "'/etc/passwd'",
        "'frames.parquet'",
    ],
)
def test_files_and_what_could_reach_them_are_refused(connection: Connection, source: str) -> None:
    assert refusal(connection, f"SELECT * FROM {source}") == PRIVILEGE
    assert refusal(connection, f"EXPLAIN SELECT * FROM {source}") == PRIVILEGE
    assert refusal(connection, f"SELECT EXISTS (SELECT 1 FROM {source})") == PRIVILEGE


def test_the_engine_itself_reads_nothing_outside_the_lake(wire: Running, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("secret")
    with wire.server._database.cursor() as cursor:
        with pytest.raises(Exception, match="Permission Error"):
            cursor.execute(f"SELECT * FROM read_text('{tmp_path}/x.txt')").fetchall()
        with pytest.raises(Exception, match="locked"):
            cursor.execute("SET threads = 1")


def test_the_engine_itself_writes_nothing_in_a_statements_transaction(wire: Running) -> None:
    with wire.server._database.cursor() as cursor:
        cursor.execute("BEGIN TRANSACTION READ ONLY")
        with pytest.raises(Exception, match="read-only"):
            cursor.execute("CREATE TABLE t AS SELECT 1")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP VIEW frames",
        "BEGIN; SELECT 1",
        "SELECT 1; COMMIT",
        "SET x = 1; SELECT 1",
    ],
)
def test_several_statements_at_once_are_refused(connection: Connection, statement: str) -> None:
    assert refusal(connection, statement) in (NOT_SUPPORTED, "55P02")


def test_a_pivot_without_names_is_refused_with_the_fix(connection: Connection) -> None:
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="IN \\('a', 'b'\\)"):
        connection.execute("PIVOT frames ON build USING count(*)")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT count(*) FROM frames;",
        "/* first */ SELECT 1 -- last",
        "FROM frames LIMIT 1",
        "VALUES (1)",
        "WITH RECURSIVE t AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM t WHERE a < 3) FROM t",
        "SELECT * FROM (SELECT build FROM frames) PIVOT (count(*) FOR build IN ('x'))",
        "SELECT unnest([1, 2]), (SELECT max(a) FROM range(3) AS t(a))",
        "SHOW TABLES",
        "DESCRIBE frames",
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE SELECT 1",
        "SELECT * FROM layer_divergence()",
        "SELECT * FROM information_schema.tables LIMIT 1",
        'WITH "a.b" AS (SELECT 1) SELECT 1',
    ],
)
def test_what_only_reads_runs(connection: Connection, statement: str) -> None:
    assert refusal(connection, statement) is None


def test_nothing_of_the_lake_has_changed(connection: Connection, fleet_lake: Lake) -> None:
    before = {path: path.stat().st_mtime_ns for path in fleet_lake.path.rglob("*")}
    for statement in (
        f"COPY frames TO '{fleet_lake.path}/x.parquet'",
        f"WITH x AS (COPY frames TO '{fleet_lake.path}/x.parquet') SELECT 1",
        f"EXPLAIN ANALYZE COPY frames TO '{fleet_lake.path}/x.parquet'",
    ):
        assert refusal(connection, statement) == READ_ONLY
    assert {path: path.stat().st_mtime_ns for path in fleet_lake.path.rglob("*")} == before
