"""Certificates of the collector, and of those it lets in."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from exray.schema.errors import UsageError


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM.

    Args:
        certificate: Of the collector, with those between it and its authority.
        key: Its private key.
        client_ca: Authority of the clients' certificates, which they must show then.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def contents(self) -> tuple[bytes, bytes, bytes | None]:
        """Read certificate, key and clients' authority.

        Raises:
            UsageError: One cannot be read.
        """
        client_ca = _read(self.client_ca) if self.client_ca is not None else None
        return _read(self.certificate), _read(self.key), client_ca

    def check(self) -> None:
        """Try the files out, before a server fails on them in words of its own.

        Raises:
            UsageError: They are no certificates, or do not belong together.
        """
        self.contents()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate, self.key)
            if self.client_ca is not None:
                context.load_verify_locations(self.client_ca)
        except ssl.SSLError as error:
            files = [str(file) for file in (self.certificate, self.key, self.client_ca) if file]
            msg = (
                f"{', '.join(map(repr, files))} cannot be used: {error.reason or error}. Expected PEM "
                "(-----BEGIN CERTIFICATE-----, -----BEGIN PRIVATE KEY-----), the key that of the "
                "certificate"
            )
            raise UsageError(msg) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"the file {str(path)!r} cannot be read: {error.strerror or error}"
        raise UsageError(msg) from error
