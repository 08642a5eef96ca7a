"""The server: takes connections, lets clients in, and ends them all when it stops."""

import asyncio
import itertools
import logging
import secrets
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exray.schema.errors import UsageError

from . import messages
from .aligner import Aligner
from .client import Client, ClientReader
from .database import LakeDatabase
from .errors import CONNECTION_LIMIT, WireError
from .gate import Gate
from .login import Cancel, Gatekeeper, log_in
from .runner import SHUTDOWN, make_turns
from .scram import make_verifier
from .session import Session
from .settings import Limits
from .shared import Shared
from .utilities import REPORTED, SHOWN

if TYPE_CHECKING:
    from exray.lake import Lake

_log = logging.getLogger(__name__)

SPARE_CONNECTIONS = 32
"""Connections above the limit that may still ask for something to be cancelled."""

_LEFT = (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError, TimeoutError)
"""How it shows that a client is gone."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens; port 0 is any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class WireServer:
    """Shows a lake to clients of PostgreSQL's protocol.

    Args:
        lake: The lake; never written.
        password: What clients must know, whatever user and database they name.
        tls: A server's certificate; with one, connections must be encrypted.
        limits: Bounds on what clients may take.

    Raises:
        LakeError: The lake cannot be read.
        MissingExtraError: DuckDB is not installed.
        UsageError: The limits are not DuckDB's.
    """

    def __init__(
        self,
        lake: "Lake",
        password: str,
        *,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._gatekeeper = Gatekeeper(make_verifier(password), tls)
        self._database = LakeDatabase(lake, self._limits)
        self._aligner = Aligner(self._database)
        self._gate = Gate(self._database.table_macros())
        self._process_ids = itertools.count(1)
        self._sessions: dict[int, tuple[int, Session]] = {}
        self._connections: set[asyncio.Task[None]] = set()
        self._clients: set[Client] = set()
        self._shared: Shared | None = None
        self._server: asyncio.Server | None = None

    async def start(self, address: Address) -> Address:
        """Take connections from now on; return where.

        Raises:
            UsageError: The address cannot be listened on.
        """
        turns = make_turns(self._limits)
        self._shared = Shared(self._database, self._gate, self._limits, turns)
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._protocol, address.host, address.port)
        except OSError as error:
            msg = f"cannot listen on {address}: {error.strerror or error}. Choose another --listen."
            raise UsageError(msg) from error
        self._aligner.start()
        host, port = self._server.sockets[0].getsockname()[:2]
        return Address(host, port)

    async def stop(self) -> None:
        """End all connections and give up the lake."""
        if self._server is not None:
            self._server.close()
        for _, session in self._sessions.values():
            session.stop(SHUTDOWN)
        for client in self._clients:
            client.abort()
        if self._connections:
            await asyncio.wait(self._connections)
        if self._shared is not None:
            self._shared.turns.threads.shutdown()
        self._aligner.stop()
        self._database.close()

    def _protocol(self) -> asyncio.StreamReaderProtocol:
        reader = ClientReader()
        return asyncio.StreamReaderProtocol(reader, lambda _, writer: self._accept(reader, writer))

    def _accept(self, reader: ClientReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= self._limits.connections + SPARE_CONNECTIONS:
            writer.transport.abort()
            return
        connection = asyncio.create_task(self._connection(Client(reader, writer)))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _connection(self, client: Client) -> None:
        """See one client through, from its first byte to its last."""
        self._clients.add(client)
        client.keep_alive()
        try:
            await self._serve(client)
        except WireError as error:
            client.write(messages.error_response(error.state, str(error), "FATAL"))
        except _LEFT:
            pass
        except Exception:  # noqa: BLE001  a bug must not end the server
            _log.exception("a connection failed inside the server")
        finally:
            self._clients.discard(client)
            await client.close()

    async def _serve(self, client: Client) -> None:
        async with asyncio.timeout(self._limits.login_timeout_s):
            came_for = await log_in(client, self._gatekeeper)
        if isinstance(came_for, Cancel):
            self._cancel(came_for)
            return
        if len(self._sessions) >= self._limits.connections:
            msg = f"there are {self._limits.connections} connections already, the most allowed"
            raise WireError(CONNECTION_LIMIT, msg, is_fatal=True)
        assert self._shared is not None
        process_id, secret = next(self._process_ids) & 0x7FFFFFFF, secrets.randbits(32)
        session = Session(client, self._shared)
        self._sessions[process_id] = (secret, session)
        try:
            for name, reported in REPORTED.items():
                client.write(messages.parameter_status(reported, SHOWN[name]))
            client.write(messages.backend_key(process_id, secret))
            await session.serve()
        finally:
            del self._sessions[process_id]

    def _cancel(self, wanted: Cancel) -> None:
        secret, session = self._sessions.get(wanted.process_id, (None, None))
        if session is not None and secret == wanted.secret:
            session.stop()
