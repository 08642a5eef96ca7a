"""The span of every kind of value that each client sends, and how the lake must hold it."""

import json
from dataclasses import dataclass, field
from typing import Any

BEGIN_NS = 1_760_000_000_123_456_789
DUR_NS = 1_500_000

REMOTE = {"trace_id": "0123456789abcdef0123456789abcdef", "span_id": "0123456789abcdef"}
"""What the span's link leads to."""

SCALARS: dict[str, object] = {
    "text": "grüße",
    "empty": "",
    "flag": True,
    "count": 2**53 - 1,
    "negative": -5,
    "ratio": 0.1,
}

LISTS: dict[str, object] = {
    "texts": ["a", "b"],
    "flags": [True, False],
    "counts": [1, 2, 3],
    "ratios": [0.5, -1.5],
}

Json = dict[str, Any]


def _events() -> list[Json] | None:
    return [
        {"name": "cache miss", "time_ns": BEGIN_NS + 1000, "attributes": {"key": "k", "size": 3}},
        {"link": REMOTE, "attributes": {"reason": "retry"}},
    ]


@dataclass(frozen=True)
class Whole:
    """What a row must say of the span.

    Args:
        attributes: Of the span, and its scope's version, which stands among them.
        events: Events, then links; None for none.
        resource: Some of the resource's attributes; SDKs add more.
    """

    attributes: Json = field(
        default_factory=lambda: SCALARS | LISTS | {"otel.scope.version": "1.2.3"}
    )
    events: list[Json] | None = field(default_factory=_events)
    resource: Json = field(
        default_factory=lambda: {"service.version": "1.4.2", "shelf.sizes": [1, 2]}
    )


def check_pair(rows: list[Json], wanted: Whole | None = None) -> None:
    """Check the rows of the span and of the one around it."""
    wanted = wanted or Whole()
    named = {row["name"]: row for row in rows}
    assert sorted(named) == ["outer", "whole"] and len(rows) == 2
    outer, whole = named["outer"], named["whole"]
    assert outer["parent_span_id"] is None
    assert whole["parent_span_id"] == outer["span_id"]
    assert whole["trace_id"] == outer["trace_id"]
    assert (outer["kind"], outer["status"]) == ("server", "unset")
    check_whole(whole, wanted)


def check_whole(row: Json, wanted: Whole) -> None:
    """Check the row of the span itself."""
    named = ("name", "kind", "status", "status_message", "scope", "build", "start_ns", "dur_ns")
    assert [row[name] for name in named] == [
        "whole",
        "client",
        "error",
        "it broke",
        "interop",
        "1.4.2",
        BEGIN_NS,
        DUR_NS,
    ]
    assert exact(row["attributes_json"]) == spelled(wanted.attributes)
    assert exact(row["events_json"]) == spelled(wanted.events)
    resource = json.loads(row["resource_json"])
    said = {key: resource.get(key) for key in wanted.resource}
    assert spelled(said) == spelled(wanted.resource)


def exact(text: str | None) -> str:
    """Return JSON in one spelling, in which 1, 1.0 and true differ."""
    return spelled(json.loads(text or "null"))


def spelled(value: object) -> str:
    """Return a value as JSON in one spelling."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
