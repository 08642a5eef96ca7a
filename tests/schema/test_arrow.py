"""Arrow schemas follow the tables."""

import sys

import pytest

from exray.schema.arrow import arrow_schema, arrow_type
from exray.schema.columns import ColumnType
from exray.schema.errors import MissingExtraError, UsageError
from exray.schema.tables import TABLES


@pytest.mark.parametrize("table", sorted(TABLES))
def test_every_column_stands_in_order_with_the_path_last(table: str) -> None:
    names = arrow_schema(table).names
    assert names == [column.name for column in TABLES[table].columns]
    partition = TABLES[table].partition
    assert tuple(names[len(names) - len(partition) :]) == partition


def test_types_are_those_that_all_engines_read() -> None:
    types: set[ColumnType] = {column.type for table in TABLES.values() for column in table.columns}
    assert {kind: str(arrow_type(kind)) for kind in types} == {
        "bool": "bool",
        "fixed16": "fixed_size_binary[16]",
        "fixed8": "fixed_size_binary[8]",
        "float64": "double",
        "int32": "int32",
        "int64": "int64",
        "list<float32>": "list<item: float>",
        "list<float64>": "list<item: double>",
        "list<int32>": "list<item: int32>",
        "list<string>": "list<item: string>",
        "string": "string",
    }


def test_fields_are_nullable_whatever_the_contract_says() -> None:
    assert not TABLES["frames"].columns[0].nullable
    assert "not null" not in str(arrow_schema("frames"))


def test_an_unknown_table_is_an_error_that_lists_them() -> None:
    with pytest.raises(
        UsageError, match=r"'layers'; tables: alignments, build_answers, build_stats"
    ):
        arrow_schema("layers")


def test_without_pyarrow_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'exray\[lake\]'"):
        arrow_schema("frames")
