"""Checks of a set of rows before any of it is written.

Delta's log takes whatever it is told: a wrong type, a NULL or a missing partition value
shows only when somebody reads, and then damages the whole table. So nothing is committed
that these checks have not seen.
"""

# pyarrow's stubs leave many types open, which pyright strict reports on every use:
# pyright: reportUnknownMemberType=false

import re
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from exray.schema.arrow import arrow_schema, is_as_good_as
from exray.schema.columns import Table
from exray.schema.errors import LakeError
from exray.schema.tables import TABLES

if TYPE_CHECKING:
    import pyarrow as pa

_WRITER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def check_origin(writer: str, sequence: int) -> None:
    """Check who says to be writing: the two become a file's name and a log's entry.

    Raises:
        LakeError: *writer* is no plain word, or *sequence* is negative.
    """
    if not _WRITER.fullmatch(writer):
        msg = (
            f"writer {writer!r} cannot name a file: expected 1 to 100 letters, digits, '-' or '_'. "
            "Use uuid.uuid4().hex."
        )
        raise LakeError(msg)
    if not 0 <= sequence < 2**63:
        msg = f"sequence {sequence} of writer {writer!r} is out of range; count up from 0."
        raise LakeError(msg)


def check_set(tables: "Mapping[str, pa.Table]") -> None:
    """Check every table of a set against the schema.

    Raises:
        LakeError: A table or column is unknown or missing, a type differs, a NULL stands in
            a column that allows none, or a partition value cannot name a folder.
    """
    for name, rows in tables.items():
        if name not in TABLES:
            msg = f"there is no table {name!r}; tables: {', '.join(sorted(TABLES))}"
            raise LakeError(msg)
        _check_columns(rows, name)
        _check_dictionaries(rows, TABLES[name])
        _check_nulls(rows, TABLES[name])
        _check_partition(rows, TABLES[name])


def _check_columns(rows: "pa.Table", name: str) -> None:
    expected, got = arrow_schema(name), rows.schema
    missing = sorted(set(expected.names) - set(got.names))
    unknown = sorted(set(got.names) - set(expected.names))
    repeated = sorted({column for column in got.names if got.names.count(column) > 1})
    if missing or unknown or repeated:
        msg = (
            f"rows for table {name!r} do not fit: missing columns {missing}, unknown {unknown}, "
            f"repeated {repeated}. Build them with exray.schema.arrow.arrow_schema({name!r})."
        )
        raise LakeError(msg)
    for column, wanted in zip(expected.names, expected.types, strict=True):
        found = rows.column(column).type
        if not is_as_good_as(found, wanted):
            msg = (
                f"column {column!r} of table {name!r} has type {found}, expected {wanted}; "
                f"cast the rows to exray.schema.arrow.arrow_schema({name!r})."
            )
            raise LakeError(msg)


def _check_dictionaries(rows: "pa.Table", table: Table) -> None:
    """Check that NULL is said by a row, not by a dictionary: there nobody counts it."""
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        for chunk in column.chunks:
            dictionary: Any = getattr(chunk, "dictionary", None)
            if dictionary is not None and dictionary.null_count:
                msg = (
                    f"column {name!r} of table {table.name!r} has NULL in its dictionary; expected "
                    "a NULL index where there is no value. Encode it with dictionary_encode()."
                )
                raise LakeError(msg)


def _check_nulls(rows: "pa.Table", table: Table) -> None:
    for column in table.columns:
        nulls = rows.column(column.name).null_count
        if nulls and not column.nullable:
            msg = (
                f"column {column.name!r} of table {table.name!r} has {nulls} NULLs in "
                f"{rows.num_rows} rows and allows none; fill it in or leave those rows out."
            )
            raise LakeError(msg)


def _check_partition(rows: "pa.Table", table: Table) -> None:
    for column in table.partition:
        for value in rows.column(column).unique().to_pylist():
            if column == "dt" and not _is_date(value):
                msg = f"dt {value!r} of table {table.name!r} is no date; expected YYYY-MM-DD."
                raise LakeError(msg)
            if not value or len(value) > 100:
                msg = (
                    f"{column} {value!r} of table {table.name!r} cannot name a folder; expected "
                    "1 to 100 characters."
                )
                raise LakeError(msg)


def _is_date(value: object) -> bool:
    try:
        return bool(_DATE.fullmatch(str(value))) and bool(date.fromisoformat(str(value)))
    except ValueError:
        return False
