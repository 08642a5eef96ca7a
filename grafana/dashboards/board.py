"""What a dashboard is made of, free of Grafana's JSON: boards, panels, variables, links."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]

Kind = Literal["stat", "table", "timeseries", "trend", "barchart", "state-timeline", "traces"]
"""Grafana's panel plugins that are used here."""

Format = Literal["table", "time_series"]

Steps = tuple[tuple[str, float | None], ...]
"""Colours and the values from which they hold, the first from None."""


@dataclass(frozen=True, slots=True)
class Link:
    """A way to another board, which takes the time range and the variables along.

    Args:
        title: What the reader is offered.
        board: Name of the other board.
        values: Field of the row by the variable that it sets there.
    """

    title: str
    board: str
    values: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Column:
    """How one field of a panel is shown.

    Args:
        name: The field.
        title: Its header.
        unit: Grafana's unit id.
        steps: Colours of its cells.
        link: Where a click on it leads.
        width: Width in pixels; None leaves it to Grafana.
        decimals: Digits behind the point.
        gauge: Whether a bar stands for the value, a share of 1.
        hidden: Whether it is there for links alone.
    """

    name: str
    title: str
    unit: str | None = None
    steps: Steps | None = None
    link: Link | None = None
    width: int | None = None
    decimals: int | None = None
    gauge: bool = False
    hidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One query and how it is shown.

    Args:
        title: Its heading.
        description: What it shows, and what a healthy picture looks like.
        kind: Grafana's panel plugin.
        sql: The query, with Grafana's macros and variables.
        format: How Grafana reads the rows.
        width: Of 24 columns.
        height: In rows of 30 pixels.
        unit: Grafana's unit id of all fields that have none of their own.
        steps: Colours of the values.
        minimum: Least value of the axis.
        decimals: Digits behind the point.
        columns: Fields that differ from the rest.
        options: The plugin's own options.
        custom: The plugin's own field settings.
        mappings: Text and colour by value.
        links: Where a click on any value leads.
        transformations: What Grafana does to the rows first.
        points: Most points in time that Grafana asks for, where the query heeds its interval.
        lined: Whether the colours' values show as lines across the panel.
    """

    title: str
    description: str
    kind: Kind
    sql: str
    format: Format = "table"
    width: int = 12
    height: int = 8
    unit: str | None = None
    steps: Steps | None = None
    minimum: float | None = None
    decimals: int | None = None
    columns: tuple[Column, ...] = ()
    options: Json = field(default_factory=dict[str, Any])
    custom: Json = field(default_factory=dict[str, Any])
    mappings: tuple[tuple[str, str, str], ...] = ()
    links: tuple[Link, ...] = ()
    transformations: tuple[Json, ...] = ()
    points: int | None = None
    lined: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top of a board.

    Args:
        name: Its name in queries.
        label: What the reader sees.
        sql: Query for its values, ``__text`` and ``__value``; empty for *values*.
        values: Values that are always the same.
        multi: Whether several may be chosen, and all are at first.
    """

    name: str
    label: str
    sql: str = ""
    values: tuple[str, ...] = ()
    multi: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A dashboard.

    Args:
        name: Its name; the uid is ``exray-`` and this.
        title: Its heading.
        description: What it answers.
        variables: In the order in which they are shown; each may use those before it.
        panels: In reading order.
        start: Beginning of the time range at first.
        annotated: Whether builds are marked on the time axes.
    """

    name: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    panels: tuple[Panel, ...]
    start: str = "now-90d"
    annotated: bool = True

    @property
    def uid(self) -> str:
        """Its uid in Grafana, the same everywhere."""
        return f"exray-{self.name}"
