"""What a statement's text asks for: nothing, the session, or DuckDB."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import pg_types
from .catalog import catalog_answer
from .errors import FEATURE_NOT_SUPPORTED, WireError
from .gate import EXPLAIN, SELECT
from .utilities import Show, Utility, statements, utility

if TYPE_CHECKING:
    from .database import LakeDatabase
    from .gate import Gate


@dataclass(frozen=True, slots=True)
class Empty:
    """Nothing but comments and semicolons, such as ``-- ping``."""


@dataclass(frozen=True, slots=True)
class Utilities:
    """Statements that the session answers itself."""

    items: tuple[Utility, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A statement for DuckDB.

    Args:
        text: The statement.
        tag: What its end is reported as; the number of rows is added to SELECT.
        is_own: Whether the server wrote it, so that nobody need look through it.
        oids: Types of its parameters, in order.
    """

    text: str
    tag: str = SELECT
    is_own: bool = False
    oids: tuple[int, ...] = field(default=())


Plan = Empty | Utilities | Query


def plan(text: str) -> Plan:
    """Return what *text* asks for; a `Query` is still to be `admitted`.

    Raises:
        WireError: Several statements, or a setting that cannot be set.
    """
    parts = statements(text)
    if not parts:
        return Empty()
    asked = [utility(part) for part in parts]
    if len(parts) == 1 and isinstance(asked[0], Show):
        return _shown(asked[0])
    own = tuple(item for item in asked if isinstance(item, Utility))
    if len(own) == len(asked):
        return Utilities(own)
    if len(parts) > 1 and any(asked):
        msg = f"{len(parts)} statements at once; expected one. Send them one by one."
        raise WireError(FEATURE_NOT_SUPPORTED, msg)
    answer = catalog_answer(parts[0]) if len(parts) == 1 else None
    return Query(text) if answer is None else Query(answer, is_own=True)


def admitted(
    query: Query, gate: "Gate", database: "LakeDatabase", oids: tuple[int, ...] = ()
) -> Query | Empty:
    """Return the query as it may run, with the types of its parameters.

    Args:
        query: What `plan` returned.
        gate: Judges it.
        database: Parses it.
        oids: Types that the client declares, as many as it likes.

    Raises:
        WireError: It may not run.
        duckdb.Error: It cannot be parsed.
    """
    if query.is_own:
        return query
    verdict = gate.admit(database, query.text)
    if verdict is None:
        return Empty()
    if not all(name.isdecimal() for name in verdict.parameters):
        msg = f"parameters are $1, $2 and so on; found {', '.join(sorted(verdict.parameters))}"
        raise WireError("42P02", msg)
    count = max((int(name) for name in verdict.parameters), default=0)
    if count > _MAX_PARAMETERS:
        msg = f"parameter ${count}; there may be {_MAX_PARAMETERS} of them"
        raise WireError("42P02", msg)
    known = [oids[i] if i < len(oids) else pg_types.UNKNOWN_OID for i in range(count)]
    for i, oid in enumerate(known):
        if oid == pg_types.UNKNOWN_OID:
            known[i] = _CASTS.get(verdict.casts.get(str(i + 1), ""), pg_types.TEXT).oid
    return Query(query.text, EXPLAIN if verdict.kind == EXPLAIN else SELECT, oids=tuple(known))


_MAX_PARAMETERS = 32_767

_CASTS = {
    "boolean": pg_types.BOOL,
    "smallint": pg_types.INT2,
    "integer": pg_types.INT4,
    "bigint": pg_types.INT8,
    "float": pg_types.FLOAT4,
    "double": pg_types.FLOAT8,
    "date": pg_types.DATE,
    "timestamp": pg_types.TIMESTAMP,
    "timestamp with time zone": pg_types.TIMESTAMPTZ,
    "interval": pg_types.INTERVAL,
    "uuid": pg_types.UUID,
}
"""Types of parameters that the statement itself casts to one; all others are text."""


def _shown(show: Show) -> Query:
    name, value = show.name.replace('"', '""'), show.value.replace("'", "''")
    return Query(f"SELECT '{value}' AS \"{name}\"", "SHOW", is_own=True)
