"""Arrow schemas of the lake's tables."""

from typing import TYPE_CHECKING

from .columns import ColumnType
from .errors import MissingExtraError, UsageError
from .tables import TABLES

if TYPE_CHECKING:
    import pyarrow as pa


def arrow_schema(table_name: str) -> "pa.Schema":
    """Return the Arrow schema of a table, all columns in order.

    Partition columns (``role``, ``dt``) come last, as strings. Every field is nullable,
    because engines differ in what they make of a partitioned file's required columns;
    `Column.nullable` says what may really be NULL, and the lake's writer enforces it.

    Args:
        table_name: A key of `TABLES`.

    Raises:
        MissingExtraError: pyarrow is not installed.
        UsageError: There is no such table.
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingExtraError("lake", "an Arrow schema") from error
    if table_name not in TABLES:
        msg = f"there is no table {table_name!r}; tables: {', '.join(sorted(TABLES))}"
        raise UsageError(msg)
    columns = TABLES[table_name].columns
    return pa.schema([pa.field(column.name, arrow_type(column.type)) for column in columns])


def is_as_good_as(found: "pa.DataType", wanted: "pa.DataType") -> bool:
    """Tell whether values of type *found* are stored as those of type *wanted*.

    A dictionary of them is: who has few distinct texts need not spell out each row's.
    """
    import pyarrow as pa

    if pa.types.is_dictionary(found):
        found = found.value_type
    return found == wanted


def arrow_type(column_type: ColumnType) -> "pa.DataType":
    """Return the Arrow type of a column's type; needs pyarrow."""
    import pyarrow as pa

    scalars: dict[str, pa.DataType] = {
        "fixed8": pa.binary(8),
        "fixed16": pa.binary(16),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "float32": pa.float32(),
        "float64": pa.float64(),
        "string": pa.string(),
        "bool": pa.bool_(),
    }
    element = column_type.removeprefix("list<").removesuffix(">")
    if element != column_type:
        return pa.list_(scalars[element])
    return scalars[element]
