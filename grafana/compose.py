"""Grafana, a server, a collector and a sample lake as one docker compose project."""

import json
from pathlib import Path
from typing import Any

from exray.schema.errors import UsageError

from .datasource import postgres_datasource
from .export import PASSWORD_VARIABLE, export

Json = dict[str, Any]

GRAFANA_IMAGE = "grafana/grafana:13.2.3"
PYTHON_IMAGE = "python:3.12-slim"
FILE_NAME = "docker-compose.yaml"
LAKE = "/lake/fleet"
PASSWORD = "/run/exray/password"


def write_project(folder: Path, checkout: Path | None, version: str, port: int) -> list[Path]:
    """Write a docker compose project: its file, and what Grafana provisions itself from.

    Args:
        folder: Where to; new or empty, or written by this before.
        checkout: A checkout of exray that images are built from; None takes the release.
        version: Version of the release.
        port: Port of this machine on which Grafana is to answer.

    Returns:
        The files written.

    Raises:
        UsageError: *folder* holds something else.
    """
    compose = folder / FILE_NAME
    if folder.exists() and any(folder.iterdir()) and not compose.exists():
        msg = f"{folder} holds something else; name a new folder with --dir"
        raise UsageError(msg)
    boards = "/etc/grafana/provisioning/dashboards/exray"
    files = export(folder / "provisioning", postgres_datasource("sql:5433"), boards)
    document = project(checkout, version, port)
    compose.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    return [compose, *files]


def project(checkout: Path | None, version: str, port: int) -> Json:
    """Return the project: compose files are YAML, and JSON is YAML."""
    exray: Json = {"image": "exray-local", "build": _build(checkout, version)}
    lake = ["lake:/lake", "secret:/run/exray"]
    made = {"sample": {"condition": "service_completed_successfully"}}
    script = (
        "umask 077; test -s $$FILE || python -c 'import secrets; print(secrets.token_urlsafe(24))'"
        f" > $$FILE; test -d {LAKE} || exray grafana sample --lake {LAKE}"
    )
    # Grafana's image runs as a user of its own, so the password reaches it by its environment.
    start = f"export {PASSWORD_VARIABLE}=$$(cat {PASSWORD}); exec /run.sh"
    return {
        "name": "exray-grafana",
        "services": {
            "sample": {
                **exray,
                "environment": {"FILE": PASSWORD},
                "command": ["sh", "-c", script],
                "volumes": lake,
            },
            "sql": {
                **exray,
                "command": [
                    *("exray", "grafana", "serve", "--lake", LAKE),
                    # Within the project's own network, which no other machine reaches.
                    *("--listen", "0.0.0.0:5433", "--insecure", "--password-file", PASSWORD),
                ],
                "depends_on": made,
                "volumes": lake,
                "restart": "unless-stopped",
            },
            "rollups": {
                **exray,
                "command": ["exray", "grafana", "refresh", "--lake", LAKE, "--every", "300"],
                "depends_on": made,
                "volumes": lake,
                "restart": "unless-stopped",
            },
            "collector": {
                **exray,
                "command": [
                    *("exray", "collect", "--lake", LAKE),
                    *("--http", "0.0.0.0:4318", "--grpc", "0.0.0.0:4317", "--insecure"),
                ],
                "depends_on": made,
                "volumes": lake,
                "ports": ["127.0.0.1:4317:4317", "127.0.0.1:4318:4318"],
                "restart": "unless-stopped",
            },
            "grafana": {
                "image": GRAFANA_IMAGE,
                "user": "0",
                "entrypoint": ["sh", "-c", start],
                "depends_on": {**made, "sql": {"condition": "service_started"}},
                "environment": {
                    "GF_AUTH_ANONYMOUS_ENABLED": "true",
                    "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
                },
                "ports": [f"127.0.0.1:{port}:3000"],
                "volumes": [
                    "./provisioning:/etc/grafana/provisioning:ro",
                    "secret:/run/exray:ro",
                ],
                "restart": "unless-stopped",
            },
        },
        "volumes": {"lake": {}, "secret": {}},
    }


def _build(checkout: Path | None, version: str) -> Json:
    extras = "collector,diagnosis,grafana,playback"
    if checkout is None:
        steps = [f"RUN pip install --no-cache-dir 'exray[{extras}]=={version}'"]
        context = "."
    else:
        steps = ["COPY . /exray", f"RUN pip install --no-cache-dir '/exray[{extras}]'"]
        context = str(checkout)
    return {"context": context, "dockerfile_inline": "\n".join([f"FROM {PYTHON_IMAGE}", *steps])}
