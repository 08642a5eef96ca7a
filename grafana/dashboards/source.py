"""The data sources that the boards exist for."""

from dataclasses import dataclass
from typing import Literal

from .board import Format

SourceName = Literal["postgres", "motherduck"]


@dataclass(frozen=True, slots=True)
class Source:
    """A data source plugin.

    Args:
        name: Folder of its generated boards.
        plugin: Grafana's id of it.
        uid: The data source's uid, where exray makes it.
        formats: How it writes a query's format.
    """

    name: SourceName
    plugin: str
    uid: str
    formats: dict[Format, str | int]


POSTGRES = Source(
    "postgres",
    "grafana-postgresql-datasource",
    "exray",
    {"table": "table", "time_series": "time_series"},
)
"""Grafana's own PostgreSQL data source, pointed at ``exray grafana serve``."""

MOTHERDUCK = Source(
    "motherduck", "motherduck-duckdb-datasource", "exray-duckdb", {"table": 1, "time_series": 0}
)
"""MotherDuck's DuckDB data source, which reads the lake's files itself."""

SOURCES = {source.name: source for source in (POSTGRES, MOTHERDUCK)}
