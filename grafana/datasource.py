"""Grafana's data source for a lake, as its API and its provisioning files have it."""

from typing import Any

from .dashboards import MOTHERDUCK, POSTGRES, Source

Json = dict[str, Any]

DEFAULT_SERVER = "127.0.0.1:5433"
"""Where ``exray grafana serve`` listens unless told otherwise."""


def postgres_datasource(server: str, *, tls: bool = False) -> Json:
    """Return the data source that asks ``exray grafana serve``, without its password.

    Args:
        server: HOST:PORT, as Grafana reaches it.
        tls: Whether the server has a certificate.
    """
    return {
        "name": POSTGRES.uid,
        "uid": POSTGRES.uid,
        "type": POSTGRES.plugin,
        "access": "proxy",
        "url": server,
        "user": "grafana",
        "jsonData": {
            "database": "exray",
            "sslmode": "require" if tls else "disable",
            # With a version set, Grafana never asks the server for it.
            "postgresVersion": 1600,
            "timescaledb": True,
            "maxOpenConns": 8,
            "maxIdleConns": 4,
            "connMaxLifetime": 14_400,
        },
    }


def motherduck_datasource(init_sql: str) -> Json:
    """Return MotherDuck's data source, which makes the lake's views when it connects.

    Args:
        init_sql: What `exray.grafana.duckdb_views.init_sql` returns.
    """
    return {
        "name": MOTHERDUCK.uid,
        "uid": MOTHERDUCK.uid,
        "type": MOTHERDUCK.plugin,
        "access": "proxy",
        "jsonData": {"path": "", "initSql": init_sql},
    }


def datasource_file(datasource: Json, password: str | None = None) -> Json:
    """Return a data source as a provisioning file has it.

    Args:
        datasource: One of the two above.
        password: What stands for the password: ``$__file{...}`` or ``$NAME``.
    """
    entry = datasource | {"orgId": 1, "editable": False}
    if password is not None:
        entry["secureJsonData"] = {"password": password}
    return {"apiVersion": 1, "datasources": [entry]}


def source_of(datasource: Json) -> Source:
    """Return which of the two a data source is."""
    return POSTGRES if datasource["type"] == POSTGRES.plugin else MOTHERDUCK
