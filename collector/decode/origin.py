"""Whose a span, a number or a log record is: what its resource says."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from exray.exporters.plain_json import json_from_mapping
from exray.exporters.rows import UNKNOWN_RUN
from exray.exporters.span_content import RUN_ATTRIBUTES
from exray.schema.attributes import EXRAY_RUN_ID
from exray.schema.records import Run

_MAX_ORIGINS = 4096
"""Resources kept: those of a fleet that sends at the same time."""

_MAX_ROLE = 100
"""Longest role that can name a folder."""

_INTEGERS = {"threads"}
"""Fields of a run that are numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """What a resource says.

    Args:
        run: The run it names; of an unknown id where it names none.
        is_run: Whether it names one that exray's own spans can belong to.
        resource_json: All of it, where it does not name one.
    """

    run: Run
    is_run: bool
    resource_json: str | None

    @property
    def run_or_none(self) -> Run | None:
        """The run, None where the resource names none."""
        return self.run if any(self.run.run_id) else None


class Origins:
    """Origins by the bytes of their resource, each read once."""

    def __init__(self) -> None:
        self._known: dict[bytes, Origin] = {}

    def of_bytes(self, data: bytes) -> Origin:
        """Return the origin that an encoded ``Resource`` names.

        Raises:
            google.protobuf.message.DecodeError: *data* is none.
        """
        known = self._known.get(data)
        if known is None:
            if len(self._known) >= _MAX_ORIGINS:
                self._known.clear()
            known = self._known[data] = origin_of(Resource.FromString(data))
        return known

    def of(self, resource: Resource) -> Origin:
        """Return the origin that a resource names."""
        return self.of_bytes(resource.SerializeToString(deterministic=True))


def origin_of(resource: Resource) -> Origin:
    """Return what *resource* says."""
    values = mapping_of(resource.attributes)
    run = run_of(values)
    is_run = any(run.run_id) and 0 < len(run.role) <= _MAX_ROLE
    return Origin(run, is_run, None if is_run else json_from_mapping(values))


def run_of(values: Mapping[str, object]) -> Run:
    """Return the run that a resource's attributes describe, as far as they do."""
    run_id = _run_id(values.get(EXRAY_RUN_ID))
    run = Run(run_id=run_id or UNKNOWN_RUN.run_id, build="", role="", started_ns=0)
    for name, key in RUN_ATTRIBUTES.items():
        value = values.get(key)
        wanted = int if name in _INTEGERS else str
        if isinstance(value, wanted) and not isinstance(value, bool):
            setattr(run, name, value)
    if run.threads is not None and not -(2**31) <= run.threads < 2**31:
        run.threads = None
    return run


def mapping_of(pairs: Iterable[KeyValue]) -> dict[str, object]:
    """Return attributes as a mapping; of a key that comes twice the last value counts."""
    return {pair.key: value_of(pair.value) for pair in pairs}


def value_of(value: AnyValue) -> object:
    """Return what an ``AnyValue`` holds, None where nothing."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    content: Any = getattr(value, kind)
    if kind == "array_value":
        return [value_of(item) for item in content.values]
    if kind == "kvlist_value":
        return mapping_of(content.values)
    return content


def _run_id(text: object) -> bytes | None:
    try:
        return uuid.UUID(text).bytes if isinstance(text, str) else None
    except ValueError:
        return None
