"""Queries on PostgreSQL's catalog that clients send unasked, in terms that DuckDB has.

Grafana's query editor and configuration page send five texts
(``postgresMetaQuery.ts`` of its PostgreSQL data source), psql's ``\\d`` one. They are told
by words that no question about a lake has. What else is asked of PostgreSQL's catalog goes
to DuckDB, which has a part of it, and names in its error what it has not.
"""

import re
from collections.abc import Callable

from .errors import FEATURE_NOT_SUPPORTED, WireError
from .utilities import SERVER_VERSION

_TABLES = """
SELECT table_name AS "table" FROM information_schema.tables
WHERE table_schema = 'main' AND table_name NOT LIKE '\\_%' ESCAPE '\\' ORDER BY 1
"""
_RELATIONS = """
SELECT
  table_schema AS "Schema", table_name AS "Name", 'view' AS "Type", 'exray' AS "Owner"
FROM information_schema.tables
WHERE table_schema = 'main' AND table_name NOT LIKE '\\_%' ESCAPE '\\' ORDER BY 2
"""


def _version(_: "re.Match[str]") -> str:
    return "SELECT 1600 AS version"


def _no_extension(_: "re.Match[str]") -> str:
    return "SELECT CAST(NULL AS VARCHAR) AS extversion WHERE false"


def _schemas(_: "re.Match[str]") -> str:
    return "SELECT 'main' AS name"


def _tables(_: "re.Match[str]") -> str:
    return _TABLES


def _columns(match: "re.Match[str]") -> str:
    table = match["table"].split(".")[-1].strip('"')  # still quoted as in the text it comes from
    return (
        'SELECT column_name AS "column", data_type AS "type" FROM information_schema.columns'
        f" WHERE table_schema = 'main' AND table_name = '{table}' ORDER BY ordinal_position"
    )


def _relations(_: "re.Match[str]") -> str:
    return _RELATIONS


def _full_version(_: "re.Match[str]") -> str:
    return f"SELECT 'PostgreSQL {SERVER_VERSION} (exray, on DuckDB)' AS version"


_ANSWERS: "tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...]" = (
    (re.compile(r"current_setting\('server_version_num'\)::int/100 as version"), _version),
    (
        re.compile(r"SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"),
        _no_extension,
    ),
    (re.compile(r"FROM information_schema\.schemata WHERE schema_name NOT IN"), _schemas),
    (
        re.compile(r"quote_ident\(column_name\) .*parse_ident\('(?P<table>(?:[^']|'')*)'\)"),
        _columns,
    ),
    (re.compile(r"quote_ident\(table_name\).* FROM information_schema\.tables "), _tables),
    (re.compile(r"^SELECT n\.nspname as \"Schema\", .* FROM pg_catalog\.pg_class c "), _relations),
    (re.compile(r"^select (pg_catalog\.)?version\(\)$", re.IGNORECASE), _full_version),
)


_PSQL_NAME = re.compile(r"\.relname OPERATOR\(pg_catalog\.~\) ")


def catalog_answer(statement: str) -> str | None:
    """Return what DuckDB is to be asked instead of *statement*, None if it is none of these.

    Raises:
        WireError: psql wants to know all about one table.
    """
    words = " ".join(statement.split())
    if _PSQL_NAME.search(words):
        msg = "psql's \\d with a name is not answered; ask: DESCRIBE name"
        raise WireError(FEATURE_NOT_SUPPORTED, msg)
    for pattern, answer in _ANSWERS:
        match = pattern.search(words)
        if match is not None:
            return answer(match)
    return None
