"""Statements that clients send for themselves: transactions, settings, prepared statements.

There is nothing to commit and nothing to set, so most are answered and change nothing. A
setting is accepted only where what it asks for is so already, or makes no difference.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from .errors import FEATURE_NOT_SUPPORTED, INVALID_PARAMETER, READ_ONLY, SYNTAX_ERROR, WireError

SERVER_VERSION = "16.4"
"""PostgreSQL whose answers these are; clients choose their catalog queries by it."""

SHOWN = {
    "server_version": SERVER_VERSION,
    "server_version_num": "160004",
    "server_encoding": "UTF8",
    "client_encoding": "UTF8",
    "datestyle": "ISO, MDY",
    "timezone": "UTC",
    "intervalstyle": "postgres",
    "integer_datetimes": "on",
    "standard_conforming_strings": "on",
    "default_transaction_read_only": "on",
    "transaction_read_only": "on",
    "in_hot_standby": "off",
    "is_superuser": "off",
    "search_path": "main",
    "transaction_isolation": "repeatable read",
    "transaction isolation level": "repeatable read",
    "default_transaction_isolation": "repeatable read",
    "max_identifier_length": "63",
    "application_name": "",
    "bytea_output": "hex",
}
"""Settings and their values, by name in lower case."""

REPORTED = {
    "server_version": "server_version",
    "server_encoding": "server_encoding",
    "client_encoding": "client_encoding",
    "datestyle": "DateStyle",
    "timezone": "TimeZone",
    "intervalstyle": "IntervalStyle",
    "integer_datetimes": "integer_datetimes",
    "standard_conforming_strings": "standard_conforming_strings",
    "default_transaction_read_only": "default_transaction_read_only",
    "in_hot_standby": "in_hot_standby",
    "is_superuser": "is_superuser",
}
"""Settings that a client is told of when it connects, as PostgreSQL writes them."""


@dataclass(frozen=True, slots=True)
class Utility:
    """A statement that the session answers itself.

    Args:
        tag: What it is answered with.
        action: begin, commit, rollback, deallocate, timeout or none.
        argument: The prepared statement, empty for all of them; the timeout in milliseconds.
    """

    tag: str
    action: str = "none"
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Show:
    """A setting that is asked for by name."""

    name: str
    value: str


_TOKEN = re.compile(
    r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|;|[^-/'\";]+|.", re.DOTALL
)


def statements(text: str) -> list[str]:
    """Return the statements in *text*, without comments; none if it holds nothing else."""
    found: list[list[str]] = [[]]
    for token in _TOKEN.findall(text):
        if token == ";":
            found.append([])
        elif token.startswith(("--", "/*")) and len(token) > 1:
            found[-1].append(" ")
        else:
            found[-1].append(token)
    return [statement for parts in found if (statement := "".join(parts).strip())]


def utility(statement: str) -> "Utility | Show | None":
    """Return what a statement asks of the session, None for one that is DuckDB's.

    Raises:
        WireError: It sets what cannot be set.
    """
    words = statement.split(None, 2)
    first = words[0].upper()
    if first in _SIMPLE:
        return _SIMPLE[first]
    if first in _ANSWERED:
        return _ANSWERED[first](statement)
    if _UNLOCK.fullmatch(statement):
        return Utility("SELECT 0")
    return None


def _set(statement: str) -> Utility:
    if _SET_TRANSACTION.match(statement):
        if re.search(r"READ\s+WRITE", statement, re.IGNORECASE):
            msg = "a transaction cannot be READ WRITE: the lake is read-only here"
            raise WireError(READ_ONLY, msg)
        return Utility("SET")
    assignment = _ASSIGNMENT.fullmatch(statement)
    if assignment is None:
        msg = f"cannot read {statement[:80]!r}; expected SET name = value"
        raise WireError(SYNTAX_ERROR, msg)
    name, value = assignment["name"], assignment["value"]
    if assignment["zone"]:
        name, value = "timezone", assignment["zone"]
    elif assignment["names"]:
        name, value = "client_encoding", assignment["names"]
    name, value = name.lower().strip('"'), value.strip().strip("'\"")
    if name == "statement_timeout":
        return Utility("SET", "timeout", str(_milliseconds(value)))
    accepted = _ACCEPTED.get(name)
    if accepted is None:
        names = ", ".join(sorted((*_ACCEPTED, "statement_timeout")))
        msg = f"the setting {name!r} cannot be changed here; accepted are: {names}"
        raise WireError("55P02", msg)
    if not accepted.fullmatch(value):
        msg = f"{name} cannot be {value!r} here: it is {SHOWN.get(name, 'fixed')!r}"
        raise WireError(INVALID_PARAMETER, msg)
    return Utility("SET")


def _reset(statement: str) -> Utility:
    is_timeout = re.fullmatch(r"\S+\s+(?:ALL|statement_timeout)", statement, re.IGNORECASE)
    return Utility("RESET", "timeout", "0") if is_timeout else Utility("RESET")


def _show(statement: str) -> Show | None:
    name = " ".join(statement.split()[1:]).strip('"')
    value = SHOWN.get("timezone" if name.lower() == "time zone" else name.lower())
    return None if value is None else Show(name.lower(), value)


def _deallocate(statement: str) -> Utility:
    name = re.sub(r"^\S+\s+(?:PREPARE\s+)?", "", statement, flags=re.IGNORECASE).strip('"')
    if name.upper() == "ALL":
        return Utility("DEALLOCATE ALL", "deallocate")
    return Utility("DEALLOCATE", "deallocate", name)


def _discard(statement: str) -> Utility:
    target = statement.split()[-1].upper()
    if target in ("ALL", "PLANS", "TEMP", "TEMPORARY", "SEQUENCES"):
        return Utility(f"DISCARD {target}", "deallocate" if target == "ALL" else "none")
    msg = f"cannot read {statement[:80]!r}; expected DISCARD ALL"
    raise WireError(SYNTAX_ERROR, msg)


def _rollback(statement: str) -> Utility:
    if re.search(r"\bTO\b", statement, re.IGNORECASE):
        msg = "savepoints are not supported: there is nothing to roll back to"
        raise WireError(FEATURE_NOT_SUPPORTED, msg)
    return Utility("ROLLBACK", "rollback")


def _begin(statement: str) -> Utility:
    return Utility("BEGIN" if statement[:5].upper() == "BEGIN" else "START TRANSACTION", "begin")


def _commit(_: str) -> Utility:
    return Utility("COMMIT", "commit")


def _close(statement: str) -> Utility:
    return Utility("CLOSE CURSOR ALL" if statement.upper().endswith("ALL") else "CLOSE CURSOR")


def _milliseconds(text: str) -> int:
    match = re.fullmatch(r"(\d+)\s*(ms|s|min|h|)", text, re.IGNORECASE)
    if match is None:
        msg = f"statement_timeout cannot be {text!r}; expected milliseconds, or such as '30s'"
        raise WireError(INVALID_PARAMETER, msg)
    unit = {"": 1, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000}[match[2].lower()]
    return int(match[1]) * unit


_ANY = re.compile(r".*", re.DOTALL)
_ON = re.compile(r"on|true|yes|1", re.IGNORECASE)
_ACCEPTED = {
    "application_name": _ANY,
    "bytea_output": re.compile("hex", re.IGNORECASE),
    "client_encoding": re.compile("utf-?8|unicode|default|auto", re.IGNORECASE),
    "client_min_messages": _ANY,
    "datestyle": re.compile("iso.*|default", re.IGNORECASE),
    "default_transaction_isolation": _ANY,
    "default_transaction_read_only": _ON,
    "extra_float_digits": _ANY,
    "idle_in_transaction_session_timeout": _ANY,
    "intervalstyle": re.compile("postgres|default", re.IGNORECASE),
    "jit": _ANY,
    "lock_timeout": _ANY,
    "search_path": _ANY,
    "standard_conforming_strings": _ON,
    "timezone": re.compile(r"(etc/)?(utc|gmt|uct|zulu)|[+-]?0+(:00)?|default", re.IGNORECASE),
    "transaction_read_only": _ON,
}
"""Settings and the values that make no difference."""

_ASSIGNMENT = re.compile(
    r"SET\s+(?:(?:SESSION|LOCAL)\s+)?"
    r"(?:TIME\s+ZONE\s+(?P<zone>\S.*)|NAMES\s+(?P<names>\S.*)"
    r"|(?P<name>\"?[\w.]+\"?)\s*(?:=|\s+TO\s)\s*(?P<value>.*))",
    re.IGNORECASE | re.DOTALL,
)
_SET_TRANSACTION = re.compile(
    r"SET\s+(?:SESSION\s+CHARACTERISTICS\s+AS\s+|LOCAL\s+|SESSION\s+)?TRANSACTION\b",
    re.IGNORECASE,
)
_UNLOCK = re.compile(r"SELECT\s+pg_advisory_unlock_all\s*\(\s*\)", re.IGNORECASE)

_SIMPLE = {
    "UNLISTEN": Utility("UNLISTEN"),
    "SAVEPOINT": Utility("SAVEPOINT"),
    "RELEASE": Utility("RELEASE"),
}
_ANSWERED: "dict[str, Callable[[str], Utility | Show | None]]" = {
    "ABORT": _rollback,
    "BEGIN": _begin,
    "CLOSE": _close,
    "COMMIT": _commit,
    "DEALLOCATE": _deallocate,
    "DISCARD": _discard,
    "END": _commit,
    "RESET": _reset,
    "ROLLBACK": _rollback,
    "SET": _set,
    "SHOW": _show,
    "START": _begin,
}
