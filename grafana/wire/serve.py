"""From what a user asks for to a server that runs until it is stopped."""

import asyncio
import ipaddress
import signal
import ssl
from pathlib import Path

from exray.lake import Lake
from exray.schema.errors import UsageError

from .password import default_password_file, read_or_make_password
from .server import Address, WireServer
from .settings import Limits


def serve(
    lake: Path,
    listen: str,
    *,
    password_file: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    insecure: bool,
    limits: Limits,
) -> None:
    """Serve a lake until SIGINT or SIGTERM.

    Args:
        lake: Folder of the lake.
        listen: HOST:PORT.
        password_file: File with the password, made if it is not there.
        tls_cert: Certificate, PEM.
        tls_key: Its key.
        insecure: Whether to listen beyond this machine without TLS.
        limits: Bounds on what clients may take.

    Raises:
        LakeError: The lake cannot be read.
        UsageError: What was asked for cannot be.
    """
    address = parse_address(listen)
    tls = tls_context(tls_cert, tls_key)
    if not is_loopback(address.host) and tls is None and not insecure:
        msg = (
            f"--listen {listen} can be reached from other machines, and what is sent could be "
            "read on the way: add --tls-cert and --tls-key, or --insecure"
        )
        raise UsageError(msg)
    opened = Lake.open(lake)
    path = password_file or default_password_file()
    password = read_or_make_password(path)
    server = WireServer(opened, password, tls=tls, limits=limits)
    asyncio.run(_run(server, address, f"lake {lake}", f"any user, password in {path}"))


def parse_address(text: str) -> Address:
    """Read HOST:PORT; an address of IPv6 stands in brackets.

    Raises:
        UsageError: It is neither.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65_535:
        msg = f"--listen {text!r} is not HOST:PORT, such as 127.0.0.1:5433 or [::1]:5433"
        raise UsageError(msg)
    return Address(host.removeprefix("[").removesuffix("]"), int(port))


def is_loopback(host: str) -> bool:
    """Tell whether *host* is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def tls_context(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Return what a server needs to encrypt, None if no certificate is named.

    Raises:
        UsageError: One without the other, or files that are no certificate and its key.
    """
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        msg = "--tls-cert and --tls-key go together"
        raise UsageError(msg)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        msg = f"'{cert}' and '{key}' are no certificate and its key, both PEM: {error}"
        raise UsageError(msg) from error
    return context


async def _run(server: WireServer, address: Address, what: str, who: str) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    try:
        bound = await server.start(address)
        print(f"{what} on {bound}, {who}. Ctrl-C ends.", flush=True)
        await stopped.wait()
    finally:
        await server.stop()
