"""From the first byte to the first statement: TLS, protocol version, password."""

import ssl
from dataclasses import dataclass

from . import scram
from .client import Client
from .errors import (
    FEATURE_NOT_SUPPORTED,
    INVALID_AUTHORIZATION,
    PROTOCOL_VIOLATION,
    WireError,
)
from .frontend import (
    CANCEL_REQUEST,
    GSS_REQUEST,
    MAX_PASSWORD_BYTES,
    PROTOCOL_MAJOR,
    SSL_REQUEST,
    Startup,
    cancel_key,
    read_message,
    read_startup,
    sasl_initial,
)
from .messages import (
    AUTHENTICATION_OK,
    AUTHENTICATION_SASL,
    AUTHENTICATION_SASL_CONTINUE,
    AUTHENTICATION_SASL_FINAL,
    authentication,
    c_string,
    negotiate_version,
)

_MAX_REQUESTS = 3
"""TLS, GSSAPI and the startup itself."""


@dataclass(frozen=True, slots=True)
class Gatekeeper:
    """What a client has to meet.

    Args:
        verifier: Of the password.
        tls: The server's certificate; with one, a connection must be encrypted.
    """

    verifier: scram.Verifier
    tls: ssl.SSLContext | None


@dataclass(frozen=True, slots=True)
class Cancel:
    """A request to cancel what another connection is doing."""

    process_id: int
    secret: int


async def log_in(client: Client, gatekeeper: Gatekeeper) -> Cancel | None:
    """Let a client in, or return what it came to cancel.

    Raises:
        WireError: It is not let in.
        asyncio.IncompleteReadError: It left.
    """
    startup = await _startup(client, gatekeeper.tls)
    if startup.code == CANCEL_REQUEST:
        return Cancel(*cancel_key(startup.body))
    if startup.major != PROTOCOL_MAJOR:
        msg = f"the client speaks protocol {startup.major}.{startup.minor}; expected 3.0"
        raise WireError(FEATURE_NOT_SUPPORTED, msg, is_fatal=True)
    if gatekeeper.tls is not None and not client.is_encrypted:
        msg = "the connection is not encrypted; expected TLS: sslmode=require"
        raise WireError(INVALID_AUTHORIZATION, msg, is_fatal=True)
    options = startup.options()
    if not options.get("user"):
        msg = "the startup message names no user; any name will do"
        raise WireError(INVALID_AUTHORIZATION, msg, is_fatal=True)
    unknown = [name for name in options if name.startswith("_pq_.")]
    if startup.minor or unknown:
        client.write(negotiate_version(0, unknown))
    await _authenticate(client, gatekeeper.verifier)
    return None


async def _startup(client: Client, tls: ssl.SSLContext | None) -> Startup:
    for _ in range(_MAX_REQUESTS):
        startup = await read_startup(client.reader)
        if startup.code == SSL_REQUEST and tls is not None and not client.is_encrypted:
            client.write(b"S")
            await client.start_tls(tls)
        elif startup.code in (SSL_REQUEST, GSS_REQUEST):
            client.write(b"N")
            await client.flush()
        else:
            return startup
    msg = f"more than {_MAX_REQUESTS} requests before the startup message"
    raise WireError(PROTOCOL_VIOLATION, msg, is_fatal=True)


async def _authenticate(client: Client, verifier: scram.Verifier) -> None:
    """Have the client prove the password."""
    client.write(authentication(AUTHENTICATION_SASL, c_string(scram.MECHANISM) + b"\0"))
    await client.flush()
    mechanism, first = sasl_initial(await _password_message(client))
    if mechanism != scram.MECHANISM:
        msg = f"the client offers {mechanism[:40]!r}; expected {scram.MECHANISM}"
        raise WireError(INVALID_AUTHORIZATION, msg, is_fatal=True)
    exchange = scram.Exchange(verifier)
    client.write(authentication(AUTHENTICATION_SASL_CONTINUE, exchange.first(first)))
    await client.flush()
    proof = exchange.final(await _password_message(client))
    client.write(authentication(AUTHENTICATION_SASL_FINAL, proof))
    client.write(authentication(AUTHENTICATION_OK))


async def _password_message(client: Client) -> bytes:
    kind, body = await read_message(client.reader, MAX_PASSWORD_BYTES)
    if kind != b"p":
        msg = f"a message {kind!r} before the password; expected {b'p'!r}"
        raise WireError(PROTOCOL_VIOLATION, msg, is_fatal=True)
    return body
