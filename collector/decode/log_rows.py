"""Log requests into rows: what exray says of runs and models, and everyone's log records."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, cast

import xxhash
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from exray.exporters.otlp_requests import GRAPH_EVENT, RUN_EVENT
from exray.exporters.plain_json import json_from_mapping, json_from_sequence
from exray.exporters.rows import Row
from exray.exporters.span_content import OWN_SCOPE
from exray.schema.columns import Column
from exray.schema.tables import TABLES

from .origin import Origin, Origins, mapping_of, value_of
from .plain import MAX_NS


@dataclass(slots=True)
class LogRows:
    """Rows of the tables that log records become, in their order."""

    runs: list[Row] = field(default_factory=list[Row])
    graphs: list[Row] = field(default_factory=list[Row])
    logs: list[Row] = field(default_factory=list[Row])

    def __iadd__(self, other: "LogRows") -> Self:
        self.runs += other.runs
        self.graphs += other.graphs
        self.logs += other.logs
        return self


def log_rows(request: ExportLogsServiceRequest, received_ns: int, origins: Origins) -> LogRows:
    """Return the rows of a request; a description that is damaged is kept as a plain log."""
    rows = LogRows()
    for resource_logs in request.resource_logs:
        origin = origins.of(resource_logs.resource)
        for scope_logs in resource_logs.scope_logs:
            for record in scope_logs.log_records:
                _add(rows, record, origin, scope_logs.scope.name, received_ns)
    return rows


def _add(rows: LogRows, record: LogRecord, origin: Origin, scope: str, received_ns: int) -> None:
    body = value_of(record.body)
    is_own = scope == OWN_SCOPE and record.body.HasField("kvlist_value")
    event = record.event_name if is_own else ""
    described = cast("Mapping[str, object]", body)
    run = _described("runs", described) if event == RUN_EVENT else None
    graph = _described("graphs", described) if event == GRAPH_EVENT else None
    if run is not None:
        if run["clock_offset_ns"] is None:
            run["clock_offset_ns"] = min(record.time_unix_nano, MAX_NS) - received_ns
        rows.runs.append(run | {"received_ns": received_ns})
    elif graph is not None:
        rows.graphs.append(graph)
    else:
        rows.logs.append(_log_row(record, body, origin, scope, received_ns))


def _described(table: str, body: Mapping[str, object]) -> Row | None:
    """Return a body whose keys are columns as a row, None where it does not fit."""
    row: Row = {}
    for column in TABLES[table].columns:
        value = body.get(column.name)
        if column.type == "fixed16" and isinstance(value, str):
            value = _octets(value)
        if (value is None and not column.nullable) or not _fits(column, value):
            return None
        row[column.name] = value
    return row


def _fits(column: Column, value: object) -> bool:
    """Tell whether a column can hold *value*."""
    if value is None:
        return True
    element = column.type.removeprefix("list<").removesuffix(">")
    if element != column.type:
        if not isinstance(value, list):
            return False
        items = cast("list[object]", value)
        return all(item is None or _is_of(element, item) for item in items)
    return _is_of(column.type, value)


def _is_of(type_name: str, value: object) -> bool:
    if type_name == "fixed16":
        return isinstance(value, bytes) and len(value) == 16
    if type_name == "bool":
        return isinstance(value, bool)
    if type_name in ("int32", "int64"):
        limit = 2 ** (31 if type_name == "int32" else 63)
        return type(value) is int and -limit <= value < limit
    if type_name in ("float32", "float64"):
        return isinstance(value, float | int) and not isinstance(value, bool)
    return isinstance(value, str)


def _octets(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None


def _log_row(record: LogRecord, body: object, origin: Origin, scope: str, received_ns: int) -> Row:
    run = origin.run_or_none
    text = body if isinstance(body, str) or body is None else _json(body)
    attributes = json_from_mapping(mapping_of(record.attributes)) if record.attributes else None
    row: dict[str, Any] = {
        "severity_number": int(record.severity_number),
        "severity": record.severity_text or None,
        "body": text,
        "event_name": record.event_name or None,
        "scope": scope,
        "run_id": run.run_id if run else None,
        "build": origin.run.build or None,
        "trace_id": record.trace_id if len(record.trace_id) == 16 else None,
        "span_id": record.span_id if len(record.span_id) == 8 else None,
        "attributes_json": attributes,
        "resource_json": origin.resource_json,
    }
    return {
        "time_ns": min(record.time_unix_nano or record.observed_time_unix_nano, MAX_NS),
        "body_hash": _hash(row.values()),
        **row,
        "received_ns": received_ns,
    }


def _json(body: object) -> str:
    text = json_from_sequence([body])
    return text[1:-1]


def _hash(values: Iterable[object]) -> int:
    """Return XXH3-64 of what a record says, signed."""
    text = "\0".join(_texts(values)).encode()
    unsigned = xxhash.xxh3_64_intdigest(text)
    return unsigned - (1 << 64) if unsigned >= 1 << 63 else unsigned


def _texts(values: Iterable[object]) -> Iterator[str]:
    for value in values:
        yield value.hex() if isinstance(value, bytes) else "" if value is None else str(value)
