"""What a client is told when its statement cannot be answered: an SQLSTATE and a message."""

from typing import TYPE_CHECKING

from exray.schema.errors import ExrayError, LakeError

if TYPE_CHECKING:
    from collections.abc import Mapping

PROTOCOL_VIOLATION = "08P01"
CONNECTION_LIMIT = "53300"
OUT_OF_MEMORY = "53200"
PROGRAM_LIMIT = "54000"
TOO_MANY_COLUMNS = "54011"
FEATURE_NOT_SUPPORTED = "0A000"
INVALID_AUTHORIZATION = "28000"
INVALID_PASSWORD = "28P01"
READ_ONLY = "25006"
FAILED_TRANSACTION = "25P02"
INSUFFICIENT_PRIVILEGE = "42501"
SYNTAX_ERROR = "42601"
UNDEFINED_OBJECT = "42704"
INVALID_PARAMETER = "22023"
INVALID_TEXT = "22P02"
INVALID_BINARY = "22P03"
UNDEFINED_STATEMENT = "26000"
UNDEFINED_PORTAL = "34000"
DUPLICATE_STATEMENT = "42P05"
DUPLICATE_PORTAL = "42P03"
QUERY_CANCELED = "57014"
SHUTDOWN = "57P01"
IO_ERROR = "58030"
INTERNAL_ERROR = "XX000"

_STATES: "Mapping[str, str]" = {
    "BinderException": "42703",
    "CatalogException": "42P01",
    "ConstraintException": "23000",
    "ConversionException": "22P02",
    "InterruptException": QUERY_CANCELED,
    "InvalidInputException": INVALID_PARAMETER,
    "IOException": IO_ERROR,
    "NotImplementedException": FEATURE_NOT_SUPPORTED,
    "OutOfMemoryException": OUT_OF_MEMORY,
    "OutOfRangeException": "22003",
    "ParserException": SYNTAX_ERROR,
    "PermissionException": INSUFFICIENT_PRIVILEGE,
    "SyntaxException": SYNTAX_ERROR,
    "TransactionException": READ_ONLY,
    "TypeMismatchException": "42804",
}
"""SQLSTATE by the class of DuckDB's error."""


class WireError(ExrayError):
    """A statement or message is refused.

    Args:
        state: The SQLSTATE.
        message: What happened, expected and found, and the fix.
        is_fatal: Whether the connection ends with it.
    """

    def __init__(self, state: str, message: str, *, is_fatal: bool = False) -> None:
        super().__init__(message)
        self.state = state
        self.is_fatal = is_fatal


def wire_error(error: Exception) -> WireError:
    """Return what a client is told of *error*.

    DuckDB's and the lake's messages are handed on. Of anything else, a bug, nothing but
    its class leaves the process.
    """
    import duckdb

    if isinstance(error, WireError):
        return error
    if isinstance(error, duckdb.Error):
        return WireError(_STATES.get(type(error).__name__, INTERNAL_ERROR), str(error))
    if isinstance(error, OSError) and "INTERRUPT" in str(error):  # from a stream of Arrow batches
        return WireError(QUERY_CANCELED, "canceling statement")
    if isinstance(error, LakeError | OSError):
        return WireError(IO_ERROR, str(error))
    return WireError(
        INTERNAL_ERROR, f"internal error: {type(error).__name__}; see the server's log"
    )
