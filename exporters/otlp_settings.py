"""Where OTLP goes and how, by OpenTelemetry's standard variables.

A variable of one signal (``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT``) comes before that of all
(``OTEL_EXPORTER_OTLP_ENDPOINT``), as the specification has it. Timeouts are in seconds, as
OpenTelemetry's own Python exporters read them. Without a word on compression exray sends
gzip: sketches and names repeat.
"""

import os
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from opentelemetry.sdk.resources import OTELResourceDetector
from opentelemetry.util.re import parse_env_headers

from exray.schema.attributes import SERVICE_NAME
from exray.schema.errors import UsageError

Signal = Literal["traces", "logs", "metrics"]
"""What is sent; each has a path of its own."""

SIGNALS: tuple[Signal, ...] = ("logs", "metrics", "traces")
"""In the order they are sent: what describes frames before the frames."""

DEFAULT_ENDPOINT = "http://localhost:4318"
"""Where OTLP over HTTP is by default."""

DEFAULT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the requests of one signal go.

    Args:
        url: With scheme and path.
        headers: Sent with each request.
        timeout_s: Longest time that the server may be silent.
        gzip: Whether requests are compressed.
        certificate: File of the certificates to trust; None for the system's.
        client_certificate: File of the certificate to show, None for none.
        client_key: File of its key; None where the certificate's file has it.
    """

    url: str
    headers: Mapping[str, str]
    timeout_s: float
    gzip: bool
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None

    def ssl_context(self) -> ssl.SSLContext:
        """Return what TLS connections are made with.

        Raises:
            UsageError: A file is missing, or not what it should be.
        """
        try:
            context = ssl.create_default_context(cafile=self.certificate)
            if self.client_certificate is not None:
                context.load_cert_chain(self.client_certificate, self.client_key)
        except (OSError, ssl.SSLError) as error:
            files = [self.certificate, self.client_certificate, self.client_key]
            named = ", ".join(repr(file) for file in files if file)
            msg = (
                f"a certificate for {self.url} cannot be used: {error}. Files: {named}, of "
                "OTEL_EXPORTER_OTLP_CERTIFICATE, _CLIENT_CERTIFICATE and _CLIENT_KEY."
            )
            raise UsageError(msg) from error
        return context


def destination(signal: Signal, endpoint: str | None = None) -> Destination:
    """Return where *signal* goes.

    Args:
        signal: What is sent.
        endpoint: Base of the URLs, such as ``http://collector:4318``; None asks the
            environment.

    Raises:
        UsageError: An address is no HTTP URL, or a variable has a value that it cannot have.
    """
    return Destination(
        url=_url(signal, endpoint),
        headers=parse_env_headers(_variable(signal, "HEADERS") or "", liberal=True),
        timeout_s=_timeout_s(signal),
        gzip=_compression(signal) == "gzip",
        certificate=_variable(signal, "CERTIFICATE"),
        client_certificate=_variable(signal, "CLIENT_CERTIFICATE"),
        client_key=_variable(signal, "CLIENT_KEY"),
    )


def endpoint_from_environment() -> str | None:
    """Return the address that OpenTelemetry's variables give, None where they give none."""
    return _variable("traces", "ENDPOINT")


def environment_attributes() -> dict[str, object]:
    """Return what OpenTelemetry's variables say of every resource, and a service's name."""
    unknown = f"unknown_service:{Path(sys.executable).name}"
    return {SERVICE_NAME: unknown, **OTELResourceDetector().detect().attributes}


def check_endpoint(endpoint: str, name: str) -> str:
    """Return *endpoint*, which is an HTTP URL.

    Args:
        endpoint: The address.
        name: Of the argument or variable that it comes from.

    Raises:
        UsageError: It is not.
    """
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        msg = f"{name} {endpoint!r} is no HTTP URL; expected one such as {DEFAULT_ENDPOINT!r}"
        raise UsageError(msg)
    return endpoint


def _url(signal: Signal, endpoint: str | None) -> str:
    if endpoint is None:
        own = _read(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
        if own is not None:
            return check_endpoint(own, f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
        endpoint = _read("OTEL_EXPORTER_OTLP_ENDPOINT") or DEFAULT_ENDPOINT
        check_endpoint(endpoint, "OTEL_EXPORTER_OTLP_ENDPOINT")
    return f"{check_endpoint(endpoint, 'endpoint').rstrip('/')}/v1/{signal}"


def _timeout_s(signal: Signal) -> float:
    text = _variable(signal, "TIMEOUT")
    try:
        timeout_s = DEFAULT_TIMEOUT_S if text is None else float(text)
    except ValueError:
        timeout_s = 0.0
    if not timeout_s > 0:
        msg = f"OTEL_EXPORTER_OTLP_TIMEOUT={text!r} is no time; expected seconds, such as 10"
        raise UsageError(msg)
    return timeout_s


def _compression(signal: Signal) -> str:
    text = (_variable(signal, "COMPRESSION") or "gzip").lower()
    if text not in ("gzip", "none"):
        msg = f"OTEL_EXPORTER_OTLP_COMPRESSION={text!r} is not supported; expected gzip or none"
        raise UsageError(msg)
    return text


def _variable(signal: Signal, name: str) -> str | None:
    """Return the variable of *signal*, else that of all signals; an empty one says nothing."""
    own = _read(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}")
    return own if own is not None else _read(f"OTEL_EXPORTER_OTLP_{name}")


def _read(name: str) -> str | None:
    return os.environ.get(name, "").strip() or None
