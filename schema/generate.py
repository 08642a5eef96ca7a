"""Write what follows from the registry: modules of constants and tables, and their pages.

Run in a checkout, with the development tools installed::

    python -m exray.schema.generate            # write
    python -m exray.schema.generate --check    # exit with 1 if anything is stale
"""

import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from .columns import Column, Table
from .registry_reader import Attribute, Group, TableSpec, read_conventions, read_tables

SCHEMA = Path(__file__).resolve().parent
DOCS = SCHEMA.parent / "docs"

_WRITTEN_BY = "Written by ``python -m exray.schema.generate`` from {}: edit that."


def generate() -> dict[Path, str]:
    """Return every generated file's path and text."""
    attributes, groups = read_conventions(SCHEMA / "registry" / "conventions")
    shared, specs = read_tables(SCHEMA / "registry" / "tables.yaml")
    return {
        SCHEMA / "attributes.py": _formatted(_attributes_module(attributes)),
        SCHEMA / "tables.py": _formatted(_tables_module(shared, specs)),
        DOCS / "attributes.md": _attributes_page(attributes, groups),
        DOCS / "tables.md": _tables_page([spec.table for spec in specs]),
    }


def stale() -> list[Path]:
    """Return the generated files that are not what the registry says."""
    return [
        path
        for path, text in generate().items()
        if not path.exists() or path.read_text("utf-8") != text
    ]


def main(arguments: Sequence[str]) -> int:
    """Write the generated files, or with ``--check`` report the stale ones; exit code."""
    if list(arguments) == ["--check"]:
        names = [path.name for path in stale()]
        if names:
            print(f"stale: {', '.join(names)}. python -m exray.schema.generate")
        return 1 if names else 0
    if arguments:
        print(f"unknown arguments {list(arguments)}; expected --check or none")
        return 2
    for path, text in generate().items():
        path.write_text(text, "utf-8")
    return 0


def _formatted(code: str) -> str:
    """*code* as the project's formatter leaves it."""
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", "generated.py", "-"]
    done = subprocess.run(
        command, input=code, capture_output=True, text=True, check=True, cwd=SCHEMA.parent
    )
    return done.stdout


def _attributes_module(attributes: Sequence[Attribute]) -> str:
    written_by = _WRITTEN_BY.format("``registry/conventions``")
    parts = [f'"""Keys of span, resource, metric and log attributes.\n\n{written_by}\n"""\n']
    for attribute in attributes:
        doc = " ".join(filter(None, [attribute.brief, attribute.note]))
        lines = textwrap.wrap(doc, 94)
        end = "\n" if len(lines) > 1 else ""
        text = "\n".join(lines) + end
        parts.append(f'{_constant(attribute.key)} = "{attribute.key}"\n"""{text}"""\n')
    return "\n".join(parts)


def _constant(key: str) -> str:
    return key.replace(".", "_").upper()


def _tables_module(shared: dict[str, tuple[Column, ...]], specs: Sequence[TableSpec]) -> str:
    written_by = _WRITTEN_BY.format("``registry/tables.yaml``")
    parts = [
        f'"""The lake\'s tables.\n\n{written_by}\n"""\n',
        "from .columns import Column, Table\n",
    ]
    for name in dict.fromkeys(group for spec in specs for group in spec.groups):
        columns = shared[name]
        body = "".join(f"{_column_code(column)},\n" for column in columns)
        parts.append(f"_{name.upper()} = (\n{body})\n")
    parts += [_table_code(spec) for spec in specs]
    names = "".join(f"{_constant(spec.table.name)},\n" for spec in specs)
    parts.append(
        "TABLES: dict[str, Table] = {\n    table.name: table\n    for table in (\n"
        f'{names})\n}}\n"""All tables by name."""\n'
    )
    return "\n".join(parts)


def _table_code(spec: TableSpec) -> str:
    table = spec.table
    partition = [c for c in table.columns if c.name in table.partition]
    columns = "".join(
        [
            *(f"*_{group.upper()},\n" for group in spec.groups),
            *(f"{_column_code(column)},\n" for column in spec.own),
            *(f"{_column_code(column)},\n" for column in partition),
        ]
    )
    return (
        f"{_constant(table.name)} = Table(\n"
        f"name={table.name!r},\nbrief={table.brief!r},\nkey={table.key!r},\n"
        f"partition={table.partition!r},\nsort={table.sort!r},\ncolumns=(\n{columns}),\n)\n"
        f'"""{table.brief}"""\n'
    )


def _column_code(column: Column) -> str:
    fields = (
        column.name,
        column.type,
        column.nullable,
        column.unit,
        column.attribute,
        column.brief,
        column.encoding,
    )
    return f"Column({', '.join(map(repr, fields))})"


def _attributes_page(attributes: Sequence[Attribute], groups: Sequence[Group]) -> str:
    parts = [
        "# Attributes\n\n" + _note("schema/registry/conventions") + "What exray's spans, "
        "resources, metrics and log records carry. Names that do not begin with `exray.` are OpenTelemetry's own.\n"
    ]
    parts.append("| attribute | type | meaning | examples |\n|---|---|---|---|")
    for attribute in attributes:
        meaning = " ".join(filter(None, [attribute.brief, attribute.note]))
        examples = ", ".join(f"`{example}`" for example in attribute.examples)
        kind = attribute.type.replace("|", "\\|")
        parts.append(f"| `{attribute.key}` | {kind} | {meaning} | {examples} |")
    for group in groups:
        parts.append(f"\n## {group.type.capitalize()} `{group.name}`\n\n{group.brief}")
        if group.unit:
            parts.append(f"\nUnit: `{group.unit}`.")
        if group.note:
            parts.append(f"\n{group.note}")
        if group.keys:
            parts.append("\n" + ", ".join(f"`{key}`" for key in group.keys))
    return "\n".join(parts) + "\n"


def _tables_page(tables: Sequence[Table]) -> str:
    parts = [
        "# Tables\n\n" + _note("schema/registry/tables.yaml") + "Every table is a folder of "
        "Parquet files with a Delta log. Ids are binary (hex in the views), times are "
        "nanoseconds. Columns marked *path* live in the folder's name only.\n"
    ]
    for table in tables:
        key = ", ".join(f"`{name}`" for name in table.key)
        sort = ", ".join(f"`{name}`" for name in table.sort)
        parts.append(f"## `{table.name}`\n\n{table.brief} Key: {key}. Sorted by {sort}.\n")
        parts.append(
            "| column | type | NULL | unit | meaning | attribute |\n|---|---|---|---|---|---|"
        )
        for column in table.columns:
            place = "*path* " if column.name in table.partition else ""
            attribute = f"`{column.attribute}`" if column.attribute else ""
            null = "yes" if column.nullable else ""
            parts.append(
                f"| `{column.name}` | {place}{column.type} | {null} | {column.unit or ''} "
                f"| {column.brief} | {attribute} |"
            )
        parts.append("")
    return "\n".join(parts).rstrip("\n") + "\n"


def _note(source: str) -> str:
    return f"<!-- Written by python -m exray.schema.generate from {source}: edit that. -->\n\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
