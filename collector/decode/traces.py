"""Trace requests into one table of spans: vectorised, and one by one what is unusual."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from exray.exporters.span_content import OWN_SCOPE
from exray.schema.errors import DataError

from .native_spans import read_spans
from .octets import Octets, Places
from .origin import Origin, Origins
from .plain import span_row
from .span_columns import table_from_spans
from .span_table import arrow, table_from_span_rows
from .walk import Boundaries, UnusualError, walk_request

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Body:
    """A trace request.

    Args:
        data: An ``ExportTraceServiceRequest``, or the same already parsed.
        received_ns: When it came.
    """

    data: bytes | ExportTraceServiceRequest
    received_ns: int


@dataclass(slots=True)
class DecodedSpans:
    """Spans of some requests.

    Args:
        table: Those that could be read; ``origin`` numbers *origins*.
        origins: What their resources say.
        poison: Requests that could not be read at all, by number, and why.
        rejected: Spans that no table can hold.
    """

    table: "pa.Table"
    origins: list[Origin]
    poison: dict[int, str]
    rejected: int


@dataclass(slots=True)
class _Rows:
    """Spans that are read one by one."""

    origins: list[Origin] = field(default_factory=list[Origin])
    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    rejected: int = 0

    def number_of(self, origin: Origin) -> int:
        self.origins.append(origin)
        return len(self.origins) - 1

    def add(self, span: Span, number: int, scope: InstrumentationScope, received_ns: int) -> None:
        try:
            row = span_row(span, self.origins[number], scope)
        except DataError:
            self.rejected += 1
        else:
            self.rows.append(row | {"origin": number, "received_ns": received_ns})


class TraceDecoder:
    """Decodes trace requests; resources are remembered from one call to the next."""

    def __init__(self) -> None:
        self._origins = Origins()

    def decode(self, bodies: Sequence[Body]) -> DecodedSpans:
        """Return the spans of *bodies*; some thousand at once are read the fastest."""
        found, laid_out, others = Boundaries(), dict[int, bytes](), dict[int, Body]()
        base = 0
        for number, body in enumerate(bodies):
            if isinstance(body.data, bytes):
                try:
                    walk_request(body.data, base, number, found)
                except UnusualError:
                    pass
                else:
                    laid_out[number] = body.data
                    base += len(body.data)
                    continue
            others[number] = body
        single, poison = _Rows(), dict[int, str]()
        tables = self._read_together(bodies, laid_out, found, single, poison)
        for number in sorted({*others, *poison}):
            poison.pop(number, None)
            self._read_whole(bodies[number], number, single, poison)
        tables.append(table_from_span_rows(single.rows))
        return DecodedSpans(_joined(tables), single.origins, poison, single.rejected)

    def decode_plainly(self, bodies: Sequence[Body]) -> DecodedSpans:
        """Return the same, by protobuf alone."""
        single, poison = _Rows(), dict[int, str]()
        for number, body in enumerate(bodies):
            self._read_whole(body, number, single, poison)
        table = table_from_span_rows(single.rows)
        return DecodedSpans(table, single.origins, poison, single.rejected)

    def _read_whole(self, body: Body, number: int, into: _Rows, poison: dict[int, str]) -> None:
        """Read a request by protobuf's own parser, all of it or nothing."""
        single = _Rows(into.origins)
        try:
            request = body.data
            if isinstance(request, bytes):
                request = ExportTraceServiceRequest.FromString(request)
            for resource_spans in request.resource_spans:
                origin = single.number_of(self._origins.of(resource_spans.resource))
                for scope_spans in resource_spans.scope_spans:
                    for span in scope_spans.spans:
                        single.add(span, origin, scope_spans.scope, body.received_ns)
        except DecodeError as error:
            poison[number] = f"it is no OTLP trace request: {error}"
        else:
            into.rows += single.rows
            into.rejected += single.rejected

    def _read_together(
        self,
        bodies: Sequence[Body],
        laid_out: dict[int, bytes],
        found: Boundaries,
        single: _Rows,
        poison: dict[int, str],
    ) -> "list[pa.Table]":
        """Read the spans of requests that are laid out as usual.

        A request of which any part cannot be parsed is left out whole and added to *poison*.
        """
        groups = self._groups(found, single, poison)
        owned = np.array([group.is_own for group in groups], np.bool_)
        of_span, begins, ends = found.group_of_span, found.begins, found.ends
        origins = np.array([group.origin for group in groups], np.int32)
        records = np.array([group.record for group in found.groups], np.int64)
        received = np.array([body.received_ns for body in bodies], np.int64)
        octets = Octets(list(laid_out.values()))
        own = np.flatnonzero(owned[of_span])
        own_groups = of_span[own]
        table, odd = table_from_spans(
            read_spans(octets, begins[own], ends[own]),
            origins[own_groups],
            received[records[own_groups]],
        )
        alone = np.ones(len(begins), np.bool_)
        alone[own[~odd]] = False
        rows = self._read_singly(octets, np.flatnonzero(alone), found, groups, poison)
        for record, record_rows in rows:
            if record not in poison:
                for span, group in record_rows:
                    known = groups[group]
                    single.add(span, known.origin, known.scope, bodies[record].received_ns)
        if poison:
            table = _without(table, records[own_groups[~odd]], poison)
        return [table]

    def _read_singly(
        self,
        octets: Octets,
        chosen: Places,
        found: Boundaries,
        groups: "list[_Group]",
        poison: dict[int, str],
    ) -> "list[tuple[int, list[tuple[Span, int]]]]":
        """Parse some spans one by one; return them by request."""
        parsed: dict[int, list[tuple[Span, int]]] = {}
        places = np.stack([found.begins, found.ends, found.group_of_span], axis=1)[chosen]
        each: list[list[int]] = places.tolist()
        for begin, end, group in each:
            record = found.groups[group].record
            if record in poison:
                continue
            try:
                span = Span.FromString(octets.data[begin:end])
            except DecodeError as error:
                poison[record] = str(error)
            else:
                parsed.setdefault(record, []).append((span, group))
        return list(parsed.items())

    def _groups(self, found: Boundaries, single: _Rows, poison: dict[int, str]) -> "list[_Group]":
        """Read resources and scopes, equal ones once."""
        groups: list[_Group] = []
        numbers: dict[bytes, int] = {}
        scopes: dict[bytes, InstrumentationScope] = {}
        for group in found.groups:
            try:
                if group.resource not in numbers:
                    origin = self._origins.of_bytes(group.resource)
                    numbers[group.resource] = single.number_of(origin)
                number = numbers[group.resource]
                if group.scope not in scopes:
                    scopes[group.scope] = InstrumentationScope.FromString(group.scope)
                scope = scopes[group.scope]
            except DecodeError as error:
                poison[group.record] = str(error)
                groups.append(_Group(0, InstrumentationScope(), False))
                continue
            is_own = scope.name == OWN_SCOPE and single.origins[number].is_run
            groups.append(_Group(number, scope, is_own))
        return groups


@dataclass(frozen=True, slots=True)
class _Group:
    """What a resource and a scope say.

    Args:
        origin: Number of the resource's origin.
        scope: The scope.
        is_own: Whether spans in it may be exray's own.
    """

    origin: int
    scope: InstrumentationScope
    is_own: bool


def _without(table: "pa.Table", records: Places, poison: dict[int, str]) -> "pa.Table":
    kept: pa.Table = table.filter(arrow().array(~np.isin(records, list(poison))))
    return kept


def _joined(tables: "list[pa.Table]") -> "pa.Table":
    joined: pa.Table = arrow().concat_tables([t for t in tables if t.num_rows] or tables[:1])
    return joined
