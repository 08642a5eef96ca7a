"""The texts of Grafana's query editor and configuration page, as it sends them."""

import pytest

from exray.grafana.wire.catalog import catalog_answer

from .servers import Connection

SEARCH_PATH = """
          quote_ident(table_schema) IN (
          SELECT
            CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE trim(s[i]) END
          FROM
            generate_series(
              array_lower(string_to_array(current_setting('search_path'),','),1),
              array_upper(string_to_array(current_setting('search_path'),','),1)
            ) as i,
            string_to_array(current_setting('search_path'),',') s
          )"""
SYSTEM = """('information_schema',
                             'pg_catalog',
                             '_timescaledb_cache',
                             '_timescaledb_catalog',
                             '_timescaledb_internal',
                             '_timescaledb_config',
                             'timescaledb_information',
                             'timescaledb_experimental')"""
SCHEMAS = f"""SELECT schema_name AS "name"
    FROM information_schema.schemata
    WHERE schema_name NOT IN {SYSTEM}
    ORDER BY schema_name"""
TABLES = f"""SELECT
    CASE WHEN {SEARCH_PATH}
      THEN quote_ident(table_name)
      ELSE quote_ident(table_schema) || '.' || quote_ident(table_name)
    END AS "table"
    FROM information_schema.tables
    WHERE quote_ident(table_schema) NOT IN {SYSTEM}
    ORDER BY CASE WHEN {SEARCH_PATH} THEN 0 ELSE 1 END, 1"""
TABLES_OF_SCHEMA = """SELECT quote_ident(table_name) AS "table"
      FROM information_schema.tables
      WHERE quote_ident(table_schema) = 'main'
      ORDER BY 1"""


def columns_of(table: str) -> str:
    return f"""SELECT quote_ident(column_name) AS "column", data_type AS "type"
    FROM information_schema.columns
    WHERE
      CASE WHEN array_length(parse_ident('{table}'),1) = 2
        THEN quote_ident(table_schema) = (parse_ident('{table}'))[1]
          AND quote_ident(table_name) = (parse_ident('{table}'))[2]
        ELSE quote_ident(table_name) = '{table}'
          AND {SEARCH_PATH}
      END"""


def asked(connection: Connection, text: str) -> list[tuple[object, ...]]:
    return connection.execute(text.encode()).fetchall()


def test_the_version_is_a_number_that_grafana_knows(connection: Connection) -> None:
    text = "SELECT current_setting('server_version_num')::int/100 as version"
    assert asked(connection, text) == [(1600,)]


def test_there_is_no_timescaledb(connection: Connection) -> None:
    text = "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"
    assert asked(connection, text) == []


def test_there_is_one_schema(connection: Connection) -> None:
    assert asked(connection, SCHEMAS) == [("main",)]


@pytest.mark.parametrize("text", [TABLES, TABLES_OF_SCHEMA], ids=["all", "of a schema"])
def test_tables_are_the_public_ones(connection: Connection, text: str) -> None:
    names = [row[0] for row in asked(connection, text)]
    assert {"frames", "layer_spans", "run_list"} <= set(names)
    assert [name for name in names if str(name).startswith("_")] == []
    assert names == sorted(names, key=str)


@pytest.mark.parametrize("table", ["run_list", "main.run_list"])
def test_columns_stand_in_their_order(connection: Connection, table: str) -> None:
    rows = asked(connection, columns_of(table))
    assert rows[:2] == [("run_id", "VARCHAR"), ("build", "VARCHAR")]


def test_a_table_with_a_quote_in_its_name_is_just_not_there(connection: Connection) -> None:
    assert asked(connection, columns_of("it''s")) == []


@pytest.mark.parametrize("text", ["select version()", "SELECT pg_catalog.version()"])
def test_the_servers_version_begins_as_postgresqls(connection: Connection, text: str) -> None:
    ((version,),) = asked(connection, text)
    assert str(version).startswith("PostgreSQL 16.")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT build FROM frames",
        "SELECT table_name FROM information_schema.tables",
        "SELECT 'parse_ident' FROM information_schema.columns",
    ],
)
def test_other_questions_are_left_as_they_are(text: str) -> None:
    assert catalog_answer(text) is None
