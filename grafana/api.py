"""A Grafana's HTTP API: the few calls that are made of it, in one place."""

import os
from pathlib import Path
from typing import Any, cast

from exray.schema.errors import GrafanaError, MissingExtraError, UsageError

Json = Any

TOKEN_VARIABLE = "GRAFANA_TOKEN"
LEAST_VERSION = 11
TIMEOUT_S = 30.0

_PROVENANCE = {"X-Disable-Provenance": "true"}
"""Lets users change in Grafana what was pushed."""


def read_token(file: Path | None) -> str | None:
    """Return the service account's token, from a file or ``GRAFANA_TOKEN``; None without either.

    Raises:
        UsageError: The file cannot be read, or is empty.
    """
    if file is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    try:
        token = file.read_text("utf-8").strip()
    except OSError as error:
        msg = f"token file '{file}': {error.strerror}"
        raise UsageError(msg) from error
    if not token:
        msg = f"token file '{file}' is empty; expected a service account's token"
        raise UsageError(msg)
    return token


class Grafana:
    """A Grafana, asked through grafana-client.

    Args:
        url: Its address; user and password may stand in it.
        token: A service account's token.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        try:
            from grafana_client.api import GrafanaApi
        except ImportError as error:
            raise MissingExtraError("grafana", "talking to a Grafana") from error
        if not url.startswith(("http://", "https://")):
            msg = f"--url {url!r} is no address of a Grafana, such as http://localhost:3000"
            raise UsageError(msg)
        self.url = url
        api = cast("Any", GrafanaApi).from_url(
            url if url.endswith("/") else f"{url}/", credential=token, timeout=TIMEOUT_S
        )
        self._client: Any = api.client

    def close(self) -> None:
        """Close its connections."""
        self._client.s.close()

    def version(self) -> str:
        """Return its version.

        Raises:
            GrafanaError: It is not reached, refuses, or is older than 11.
        """
        settings = self.get("/frontend/settings")
        try:
            version = str(settings["buildInfo"]["version"])
            major = int(version.split(".")[0])
        except (KeyError, TypeError, ValueError) as error:
            msg = f"what answers at {self.url} does not say that it is a Grafana"
            raise GrafanaError(msg) from error
        if major < LEAST_VERSION:
            msg = (
                f"Grafana at {self.url} is {version}; the dashboards need {LEAST_VERSION} or later"
            )
            raise GrafanaError(msg)
        return version

    def get(self, path: str) -> Json:
        """Return what stands at *path*, None where nothing does."""
        return self._called("GET", path)

    def post(self, path: str, body: Json) -> Json:
        """Make something."""
        return self._called("POST", path, body)

    def put(self, path: str, body: Json) -> Json:
        """Replace something."""
        return self._called("PUT", path, body)

    def _called(self, method: str, path: str, body: Json = None) -> Json:
        import niquests
        from grafana_client.client import GrafanaException

        headers = _PROVENANCE if "/provisioning/" in path else None
        try:
            return getattr(self._client, method)(path, json=body, headers=headers)
        except GrafanaException as error:
            status = int(cast("Any", error).status_code)
            if status == 404 and method == "GET":
                return None
            raise GrafanaError(self._explained(method, path, status, str(error))) from error
        except (niquests.RequestException, OSError) as error:
            reason = _innermost(error)
            msg = f"no Grafana answers at {self.url}: {reason}. Is it running, and is --url right?"
            raise GrafanaError(msg) from error

    def _explained(self, method: str, path: str, status: int, said: str) -> str:
        what = f"Grafana at {self.url} refused {method} /api{path}: {said}"
        if status == 401:
            return f"{what}. Give a service account's token: --token-file or {TOKEN_VARIABLE}"
        if status == 403:
            return f"{what}. The service account needs the role Admin"
        return what


def _innermost(error: BaseException) -> str:
    """Return what the operating system says, where an HTTP library says it in three others' words."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and found.strerror:
            return found.strerror
        found = found.__cause__ or found.__context__
    return str(error)
