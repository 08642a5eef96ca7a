"""Read the registry: conventions in OpenTelemetry Weaver's format, and the lake's tables."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from .columns import Column, ColumnType, Encoding, Table
from .errors import UsageError


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a span, a resource or a log record.

    Args:
        key: Its name, such as ``exray.run.id``.
        type: Weaver's type, or the values of an enumeration joined with `` | ``.
        brief: Its meaning.
        note: What else to know, with the unit where it has one; may be empty.
        examples: Values it may have.
        upstream: Whether OpenTelemetry's own conventions define it.
    """

    key: str
    type: str
    brief: str
    note: str
    examples: tuple[object, ...]
    upstream: bool


@dataclass(frozen=True, slots=True)
class Group:
    """A span, entity, event or metric of the conventions and the attributes it carries.

    ``unit`` is a metric's, empty for the others.
    """

    id: str
    type: str
    name: str
    brief: str
    note: str
    keys: tuple[str, ...]
    unit: str = ""


def read_conventions(folder: Path) -> tuple[tuple[Attribute, ...], tuple[Group, ...]]:
    """Read all conventions below *folder*.

    Returns:
        The attributes in the order of the files, and the groups that carry them.

    Raises:
        UsageError: An attribute is defined twice, or a group refers to one that is not.
    """
    attributes: dict[str, Attribute] = {}
    carriers: list[dict[str, Any]] = []
    for group in _groups(folder):
        if group["type"] != "attribute_group":
            carriers.append(group)
            continue
        for fields in group["attributes"]:
            attribute = _attribute(fields)
            if attribute.key in attributes:
                msg = f"attribute {attribute.key!r} is defined twice; delete one"
                raise UsageError(msg)
            attributes[attribute.key] = attribute
    return tuple(attributes.values()), tuple(_carrier(group, attributes) for group in carriers)


def _groups(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.yaml")):
        yield from _load(path).get("groups", [])


def _load(path: Path) -> dict[str, Any]:
    import yaml  # a development tool, not of the core install

    return cast("dict[str, Any]", yaml.safe_load(path.read_text("utf-8")))


def _attribute(fields: dict[str, Any]) -> Attribute:
    """An attribute defined here, or one of OpenTelemetry's that is referred to."""
    upstream = "ref" in fields
    kind = fields.get("type", "string")
    if isinstance(kind, dict):
        members = cast("list[dict[str, str]]", kind["members"])
        kind = " | ".join(member["value"] for member in members)
    return Attribute(
        key=fields["ref"] if upstream else fields["id"],
        type=kind,
        brief=fields["brief"].strip(),
        note=fields.get("note", "").strip(),
        examples=tuple(fields.get("examples", ())),
        upstream=upstream,
    )


def _carrier(group: dict[str, Any], attributes: dict[str, Attribute]) -> Group:
    """A span, entity, event or metric whose attributes are all references."""
    keys = tuple(fields["ref"] for fields in group.get("attributes", ()))
    if unknown := [key for key in keys if key not in attributes]:
        msg = f"group {group['id']!r} refers to {unknown}, defined nowhere; add an attribute_group"
        raise UsageError(msg)
    return Group(
        id=group["id"],
        type=group["type"],
        name=group.get("metric_name") or group.get("name", group["id"].rpartition(".")[2]),
        brief=group["brief"].strip(),
        note=group.get("note", "").strip(),
        keys=keys,
        unit=group.get("unit", ""),
    )


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A table as the registry writes it: names of shared column groups, then its own.

    ``table`` holds all columns, those of the groups and of the partition included.
    """

    table: Table
    groups: tuple[str, ...]
    own: tuple[Column, ...]


def read_tables(path: Path) -> tuple[dict[str, tuple[Column, ...]], tuple[TableSpec, ...]]:
    """Read the tables.

    Returns:
        Column groups by name, and the tables in the order of the file.

    Raises:
        UsageError: A type is unknown, or a key, partition or sort column is not a column.
    """
    document = _load(path)
    shared = {
        name: tuple(_column(fields) for fields in columns)
        for name, columns in document["column_groups"].items()
    }
    specs = tuple(_table(name, fields, shared) for name, fields in document["tables"].items())
    return shared, specs


def _table(name: str, fields: dict[str, Any], shared: dict[str, tuple[Column, ...]]) -> TableSpec:
    groups = tuple(fields.get("groups", ()))
    own = tuple(_column(column) for column in fields["columns"])
    partition = tuple(fields.get("partition", ()))
    path_columns = tuple(column for column in shared["partition"] if column.name in partition)
    columns = (*(column for group in groups for column in shared[group]), *own, *path_columns)
    table = Table(
        name=name,
        brief=fields["brief"],
        key=tuple(fields["key"]),
        partition=partition,
        sort=tuple(fields["sort"]),
        columns=columns,
    )
    names = [column.name for column in columns]
    unknown = {*table.key, *table.partition, *table.sort} - set(names)
    if unknown or len(set(names)) < len(names):
        msg = f"table {name!r}: no column for {sorted(unknown)}, or one twice; columns: {names}"
        raise UsageError(msg)
    return TableSpec(table, groups, own)


def _column(fields: dict[str, Any]) -> Column:
    kind: str = fields["type"].removesuffix("?")
    if kind not in get_args(ColumnType):
        msg = f"column {fields['name']!r} has type {kind!r}; expected {get_args(ColumnType)}"
        raise UsageError(msg)
    unit: str | None = fields.get("unit")
    return Column(
        name=fields["name"],
        type=cast("ColumnType", kind),
        nullable=fields["type"].endswith("?"),
        unit=unit,
        attribute=fields.get("attribute"),
        brief=fields["brief"],
        encoding=fields.get("encoding") or _implied_encoding(kind, unit),
    )


def _implied_encoding(kind: str, unit: str | None) -> Encoding:
    """What suits a type: times grow by little, floats share their exponents, names repeat."""
    element = kind.removeprefix("list<").removesuffix(">")
    if element.startswith("float"):
        return "byte_stream_split"
    if element.startswith("fixed") or element == "bool":
        return "plain"
    return "delta" if unit == "ns" else "dictionary"
