"""The names and fields that exray keeps of the .tflite schema are those of the runtime."""

import pytest

from exray.instrumentation import tflite_schema
from exray.instrumentation.tflite_file import OPTION_ACCESSORS
from exray.instrumentation.tflite_schema import FIELDS, Field

from .tflite_accessors import ENUMS, enum_names, option_fields


@pytest.fixture(autouse=True, scope="module")
def runtime_fixture() -> None:
    pytest.importorskip("ai_edge_litert")


@pytest.mark.parametrize(("constant", "enum"), ENUMS.items())
def test_enum_names_stand_at_the_values_that_the_runtime_gives_them(
    constant: str, enum: str
) -> None:
    ours: tuple[str, ...] = getattr(tflite_schema, constant)
    theirs = enum_names(enum)

    shared = min(len(ours), len(theirs))  # an older or newer runtime knows fewer or more
    assert ours[:shared] == theirs[:shared]
    assert shared > 1


def test_option_fields_have_the_slot_type_and_default_of_the_runtime() -> None:
    theirs = {
        table: {
            name: Field(*found)
            for name, found in option_fields(table).items()
            if name in OPTION_ACCESSORS
        }
        for table in enum_names("BuiltinOptions")[1:]
    }

    assert {table: fields for table, fields in theirs.items() if fields} == FIELDS
