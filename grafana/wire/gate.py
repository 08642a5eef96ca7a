"""Which statements may reach DuckDB: one SELECT, or an EXPLAIN of one.

A statement's own word for itself is not enough: ``WITH x AS (COPY ...) SELECT`` is a
SELECT to DuckDB's parser, ``EXPLAIN ANALYZE`` runs what it explains, and some table
functions change or read what no view shows. So DuckDB's syntax tree is walked, and holds
only queries, and table functions that are named here or defined by the library.

This is the first of three bars. The others are DuckDB's: no access to files outside the
lake, and a transaction that is read-only.
"""

import json
import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, cast

from .errors import (
    FEATURE_NOT_SUPPORTED,
    INSUFFICIENT_PRIVILEGE,
    PROGRAM_LIMIT,
    READ_ONLY,
    SYNTAX_ERROR,
    WireError,
)

if TYPE_CHECKING:
    import duckdb

    from exray.queries.interrupt import Cursors

EXPLAIN = "EXPLAIN"
SELECT = "SELECT"

_QUERY_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})

_TABLE_FUNCTIONS = frozenset(
    {
        *("generate_series", "range", "repeat", "repeat_row", "summary", "unnest"),
        *("json_each", "json_tree", "icu_calendar_names", "pg_timezone_names"),
        *("duckdb_columns", "duckdb_constraints", "duckdb_databases", "duckdb_functions"),
        *("duckdb_indexes", "duckdb_keywords", "duckdb_schemas", "duckdb_sequences"),
        *("duckdb_tables", "duckdb_types", "duckdb_views", "duckdb_memory", "duckdb_settings"),
        *("pragma_table_info", "pragma_version"),
    }
)
"""Of DuckDB's own: those that make rows of their arguments or describe what a query may see."""

_REFUSED_FUNCTIONS = frozenset({"write_log"})

_EXPLAIN_PREFIX = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*EXPLAIN(?:\s+ANALYZE\b|\s*\([^)]*\))?", re.IGNORECASE | re.DOTALL
)
_FILE_NAME = re.compile(r"[/\\.:]")

_REMEMBERED = 256
"""Statements whose verdict is kept: dashboards repeat themselves."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A statement that may run.

    Args:
        kind: `SELECT` or `EXPLAIN`.
        parameters: Their names, as many as it has: "1" for ``$1``.
        casts: OID by parameter of those that the statement casts itself.
    """

    kind: str
    parameters: frozenset[str]
    casts: "dict[str, str]"


class Gate:
    """Tells statements that may run from others.

    Args:
        library: Table macros that statements may call besides DuckDB's harmless functions.
    """

    def __init__(self, library: frozenset[str]) -> None:
        self._functions = _TABLE_FUNCTIONS | library
        self._known: OrderedDict[str, Admitted | None] = OrderedDict()
        self._lock = Lock()

    def admit(self, database: "Cursors", text: str) -> Admitted | None:
        """Return what is known of a statement that may run, None for one that is empty.

        Args:
            database: Parses a statement that has not been judged lately.
            text: The statement.

        Raises:
            WireError: It may not run.
            duckdb.Error: It cannot be parsed.
        """
        with self._lock:
            if text in self._known:
                self._known.move_to_end(text)
                return self._known[text]
        with database.cursor() as cursor:
            verdict = self._judge(cursor, text)
        with self._lock:
            self._known[text] = verdict
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return verdict

    def has_judged(self, text: str) -> bool:
        """Tell whether `admit` need not parse a statement."""
        with self._lock:
            return text in self._known

    def _judge(self, cursor: "duckdb.DuckDBPyConnection", text: str) -> Admitted | None:
        statements = cursor.extract_statements(text)
        if not statements:
            return None
        if len(statements) > 1:
            msg = f"{len(statements)} statements at once; expected one. Send them one by one."
            raise WireError(FEATURE_NOT_SUPPORTED, msg)
        kind = statements[0].type.name
        if kind == EXPLAIN:
            explained = _EXPLAIN_PREFIX.sub("", text, count=1)
            inner = self._judge(cursor, explained) if explained != text else None
            if inner is None or inner.kind != SELECT:
                raise _refused("EXPLAIN of anything but a SELECT")
            return Admitted(EXPLAIN, inner.parameters, inner.casts)
        if kind == "MULTI":
            msg = (
                "PIVOT must name its columns, because a statement may not make types: "
                "PIVOT ... ON column IN ('a', 'b')"
            )
            raise WireError(FEATURE_NOT_SUPPORTED, msg)
        if kind != SELECT:
            raise _refused(kind)
        tree = _syntax_tree(cursor, text)
        for node in _nodes(tree):
            self._check(node)
        return Admitted(SELECT, frozenset(statements[0].named_parameters), _casts(tree))

    def _check(self, node: dict[str, object]) -> None:
        kind = node.get("type")
        if isinstance(kind, str) and kind.endswith("_NODE") and kind not in _QUERY_NODES:
            raise _refused(kind.removesuffix("_NODE").removesuffix("_QUERY"))
        if kind == "TABLE_FUNCTION":
            name = _function_name(node.get("function"))
            if name not in self._functions:
                msg = (
                    f"the table function {name!r} is not available here; the lake's tables are: "
                    "SHOW TABLES, and the library's macros are listed by 'exray query'"
                )
                raise WireError(INSUFFICIENT_PRIVILEGE, msg)
        if kind == "FUNCTION" and _function_name(node) in _REFUSED_FUNCTIONS:
            raise _refused(f"the function {_function_name(node)!r}")
        if kind == "BASE_TABLE" and _FILE_NAME.search(str(node.get("table_name", ""))):
            msg = (
                f"there is no table {node['table_name']!r}, and files are not read by name; "
                "the lake's tables are: SHOW TABLES"
            )
            raise WireError(INSUFFICIENT_PRIVILEGE, msg)


def _syntax_tree(cursor: "duckdb.DuckDBPyConnection", text: str) -> object:
    row = cast(
        "tuple[str]", cursor.execute("SELECT json_serialize_sql(?::VARCHAR)", [text]).fetchone()
    )
    try:
        tree = json.loads(row[0])
    except RecursionError as error:
        msg = "the statement is nested too deeply"
        raise WireError(PROGRAM_LIMIT, msg) from error
    if tree["error"]:
        raise WireError(SYNTAX_ERROR, str(tree["error_message"]))
    return tree


def _nodes(tree: object) -> Iterator[dict[str, object]]:
    """Every object of a syntax tree."""
    stack = [tree]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            node = cast("dict[str, object]", item)
            yield node
            stack.extend(node.values())
        elif isinstance(item, list):
            stack.extend(cast("list[object]", item))


def _casts(tree: object) -> dict[str, str]:
    """Types by parameter, of those that are cast where they stand."""
    found: dict[str, str] = {}
    for node in _nodes(tree):
        child, target = node.get("child"), node.get("type_expr")
        if node.get("class") == "CAST" and isinstance(child, dict) and isinstance(target, dict):
            inner = cast("dict[str, object]", child)
            if inner.get("class") == "PARAMETER":
                name = cast("dict[str, object]", target).get("type_name")
                found[str(inner.get("identifier"))] = str(name).lower()
    return found


def _function_name(function: object) -> str:
    if isinstance(function, dict):
        return str(cast("dict[str, object]", function).get("function_name", "")).lower()
    return ""


def _refused(what: str) -> WireError:
    msg = f"{what} is refused: the lake is read-only here. Send one SELECT or EXPLAIN."
    return WireError(READ_ONLY, msg)
