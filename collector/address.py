"""Where the collector listens."""

import ipaddress
import socket
import sys
from dataclasses import dataclass

from exray.schema.errors import UsageError

BACKLOG = 1024
"""Connections that may wait to be accepted."""


@dataclass(frozen=True, slots=True)
class Address:
    """An address to listen at.

    Args:
        host: Name or number, without brackets.
        port: 0 takes any that is free.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(text: str, option: str) -> Address:
    """Read ``HOST:PORT``.

    Raises:
        UsageError: It is none.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        msg = f"{option} {text!r} is no address; expected HOST:PORT, such as 127.0.0.1:4317"
        raise UsageError(msg)
    return Address(host, int(port))


def may_share() -> bool:
    """Tell whether several processes can listen at one address, and all get their part."""
    return sys.platform == "linux" and hasattr(socket, "SO_REUSEPORT")


def reserve(address: Address, option: str) -> tuple[socket.socket, Address]:
    """Take an address that several processes of one collector will listen at.

    Returns:
        A socket that holds it and does not listen, and the address with its port: nobody
        else may listen there, but for who says that it shares.

    Raises:
        UsageError: It is taken, or not one of this machine's.
    """
    held = _bound(address, option)
    # Not before it is bound: two collectors on one port would take each other's requests.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return held, Address(address.host, int(held.getsockname()[1]))


def listen(address: Address, option: str, *, is_shared: bool = False) -> socket.socket:
    """Return a socket that listens at *address*.

    Args:
        address: Where.
        option: What named it.
        is_shared: Whether other processes that say so listen there too.

    Raises:
        UsageError: It is taken, or not one of this machine's.
    """
    bound = _bound(address, option, is_shared=is_shared)
    bound.listen(BACKLOG)
    return bound


def _bound(address: Address, option: str, *, is_shared: bool = False) -> socket.socket:
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM
        )[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if is_shared:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bound.bind(where)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        msg = f"cannot listen at {option} {address}: {error.strerror or error}. Choose another one"
        raise UsageError(msg) from error
    return bound


def check_exposure(
    addresses: dict[str, Address], *, has_tls: bool, has_token: bool, insecure: bool
) -> None:
    """Refuse to be reached from other machines without TLS and a token.

    Raises:
        UsageError: An address is reached from outside, and what protects it is missing.
    """
    if insecure:
        return
    missing = [
        words
        for words, given in (
            ("--tls-cert and --tls-key", has_tls),
            ("--token-file or --client-ca", has_token),
        )
        if not given
    ]
    open_ones = [f"--{name} {at}" for name, at in addresses.items() if not at.is_loopback]
    if missing and open_ones:
        msg = (
            f"{' and '.join(open_ones)} can be reached from other machines, which needs "
            f"{' and '.join(missing)}. Give them, listen at 127.0.0.1, or say --insecure"
        )
        raise UsageError(msg)
