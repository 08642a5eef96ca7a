"""Servers for tests, each in a thread of its own, and clients that say anything."""

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import psycopg

from exray.grafana.wire import Address, Limits, WireServer
from exray.grafana.wire.scram import MECHANISM
from exray.lake import Lake

PASSWORD = "long and random"

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs, and how to reach it."""

    server: WireServer
    address: Address

    @property
    def conninfo(self) -> str:
        """Where psycopg and psql find it."""
        return (
            f"host={self.address.host} port={self.address.port} user=anybody dbname=exray "
            f"password='{PASSWORD}' connect_timeout=10"
        )

    def connect(self, **options: Any) -> Connection:
        """Return a connection of psycopg's that begins no transactions."""
        return psycopg.connect(self.conninfo, autocommit=True, **options)

    def raw(self) -> "RawClient":
        """Return a client that is not let in yet."""
        return RawClient(socket.create_connection((self.address.host, self.address.port), 10))

    def logged_in(self) -> "RawClient":
        """Return a client that is let in and may say anything."""
        client = self.raw()
        client.log_in()
        return client


@contextmanager
def serving(lake: Lake, *, tls: ssl.SSLContext | None = None, **limits: Any) -> Generator[Running]:
    """Run a server until the block ends."""
    server = WireServer(lake, PASSWORD, tls=tls, limits=Limits(**limits))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="wire server")
    thread.start()
    try:
        started = asyncio.run_coroutine_threadsafe(server.start(Address("127.0.0.1", 0)), loop)
        yield Running(server, started.result(10))
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class RawClient:
    """Speaks the protocol byte by byte.

    Args:
        connection: A socket that nothing was said on yet.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.key = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def startup(self, code: int = 196608, **options: str) -> None:
        """Say who is there."""
        words = "".join(f"{name}\0{value}\0" for name, value in ({"user": "x"} | options).items())
        body = words.encode() + b"\0"
        self.socket.sendall(struct.pack("!ii", len(body) + 8, code) + body)

    def log_in(self) -> None:
        """Be let in; the scrambling is psycopg's own library's."""
        self.startup()
        assert self.receive()[0] == b"R"
        proof = ScramClient(PASSWORD)
        first = proof.first()
        self.send(b"p", MECHANISM.encode() + b"\0" + struct.pack("!i", len(first)) + first)
        self.send(b"p", proof.final(self.receive()[1][4:]))
        for kind, body in self.until_ready():
            if kind == b"K":
                self.key = body

    def send(self, kind: bytes, body: bytes = b"") -> None:
        """Send a message."""
        self.socket.sendall(kind + struct.pack("!i", len(body) + 4) + body)

    def receive(self) -> tuple[bytes, bytes]:
        """Return the next message."""
        kind, length = struct.unpack("!ci", self._exactly(5))
        return kind, self._exactly(length - 4)

    def until_ready(self) -> list[tuple[bytes, bytes]]:
        """Return all messages up to the one that asks for the next statement."""
        messages = [self.receive()]
        while messages[-1][0] != b"Z":
            messages.append(self.receive())
        return messages

    def query(self, text: str) -> list[tuple[bytes, bytes]]:
        """Ask, and return the answer's messages."""
        self.send(b"Q", text.encode() + b"\0")
        return self.until_ready()

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data


class ScramClient:
    """The client's side of SCRAM-SHA-256, written from RFC 5802."""

    def __init__(self, password: str) -> None:
        self._password = password
        self._bare = b"n=,r=clientnonce"

    def first(self) -> bytes:
        """Return the first message."""
        return b"n,," + self._bare

    def final(self, server_first: bytes) -> bytes:
        """Return the proof that answers the server's first message."""
        import base64
        import hashlib
        import hmac

        fields = dict(field.split(b"=", 1) for field in server_first.split(b","))
        salted = hashlib.pbkdf2_hmac(
            "sha256", self._password.encode(), base64.b64decode(fields[b"s"]), int(fields[b"i"])
        )
        key = hmac.digest(salted, b"Client Key", "sha256")
        without = b"c=biws,r=" + fields[b"r"]
        signed = b",".join((self._bare, server_first, without))
        signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        return without + b",p=" + base64.b64encode(proof)


def error_state(messages: list[tuple[bytes, bytes]]) -> str | None:
    """Return the SQLSTATE of the error among *messages*, None if there is none."""
    for kind, body in messages:
        if kind == b"E":
            fields = {field[:1]: field[1:] for field in body.split(b"\0") if field}
            return fields[b"C"].decode()
    return None
