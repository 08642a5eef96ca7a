"""What the accessors that flatc generated say of the .tflite schema.

``python tests/instrumentation/tflite_accessors.py > instrumentation/tflite_schema.py`` writes
the module anew after the runtime has learnt operators; a test compares the two.
"""

import importlib
import re
from typing import Any

ENUMS = {
    "TENSOR_TYPES": "TensorType",
    "OPERATORS": "BuiltinOperator",
    "ACTIVATIONS": "ActivationFunctionType",
    "PADDINGS": "Padding",
    "MIRROR_PADS": "MirrorPadMode",
    "OPTION_TABLES": "BuiltinOptions",
}
KINDS = {"Int8": "b", "Uint8": "B", "Bool": "?", "Int32": "i", "Uint32": "I", "Float32": "f"}

HEADER = '''"""The .tflite schema as far as exray reads it: names of enums, fields of operators' options.

Written by ``tests/instrumentation/tflite_accessors.py`` from the accessors that come with
LiteRT. Those, loaded, hold 4 MB that a device may want for itself.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Field(NamedTuple):
    """A number of an options table: slot in its vtable, `struct` format, value if absent."""

    slot: int
    format: str
    default: float


'''


class _Recorder:
    """Stands for a flatbuffers builder and notes what a field is stored as."""

    def __init__(self) -> None:
        self.found: tuple[int, str, float] | None = None

    def __getattr__(self, name: str) -> Any:
        kind = re.fullmatch(r"Prepend(\w+)Slot", name)

        def note(slot: int, _value: object, default: float) -> None:
            if kind is not None and kind[1] in KINDS:
                form = KINDS[kind[1]]
                self.found = (slot, form, bool(default) if form == "?" else default)

        return note


# Any: the accessors have no types.
def accessors() -> Any:
    return importlib.import_module("ai_edge_litert.schema_py_generated")


def enum_names(enum: str) -> tuple[str, ...]:
    values = {v: name for name, v in vars(getattr(accessors(), enum)).items() if type(v) is int}
    return tuple(values[value] for value in range(len(values)))


def option_fields(table: str) -> dict[str, tuple[int, str, float]]:
    """Return the scalar fields of one options table by accessor."""
    schema, found = accessors(), dict[str, tuple[int, str, float]]()
    for name in dir(schema):
        field = re.fullmatch(rf"{table}Add(\w+)", name)
        if field is not None and hasattr(getattr(schema, table), field[1]):
            recorder = _Recorder()
            getattr(schema, name)(recorder, 0)
            if recorder.found is not None:
                found[field[1]] = recorder.found
    return found


def module_text(wanted: frozenset[str]) -> str:
    """Return the module, with the fields that are *wanted*."""
    lines = [HEADER]
    for constant, enum in ENUMS.items():
        names = "".join(f'    "{name}",\n' for name in enum_names(enum))
        lines.append(f'{constant} = (\n{names})\n"""Names of ``{enum}`` by value."""\n\n')
    lines.append("FIELDS: Mapping[str, Mapping[str, Field]] = {\n")
    for table in enum_names("BuiltinOptions")[1:]:
        fields = {name: of for name, of in option_fields(table).items() if name in wanted}
        if fields:
            rows = "".join(
                f'        "{name}": Field({slot}, "{kind}", {default!r}),\n'
                for name, (slot, kind, default) in fields.items()
            )
            lines.append(f'    "{table}": {{\n{rows}    }},\n')
    lines.append('}\n"""Fields of options tables by accessor."""\n')
    return "".join(lines)


if __name__ == "__main__":
    from exray.instrumentation.tflite_file import OPTION_ACCESSORS

    print(module_text(OPTION_ACCESSORS), end="")
