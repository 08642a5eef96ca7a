"""The HTTP application behind uvicorn, in a thread of its own."""

import asyncio
import socket
import threading
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from .http_app import HttpApp
from .tls import Tls

IDLE_TIMEOUT_S = 30
"""Longest time between two requests of a connection, and for the head of its first."""

HEAD_BYTES = 64 * 1024
"""Of a request's line and headers."""


class _Protocol(H11Protocol):
    """Closes a connection whose first request does not come: nobody may hold many of them."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)

        def close_idle() -> None:
            if cast("object", self.cycle) is None and not transport.is_closing():
                transport.close()

        self._head_timer = self.loop.call_later(IDLE_TIMEOUT_S, close_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
        super().connection_lost(exc)


class HttpServer:
    """Serves an application on a socket.

    Args:
        app: The application.
        bound: Where it listens; closed with the server.
        tls: Certificates, None for plain text.
        connections: Most at once; the others are answered 503.
    """

    def __init__(
        self, app: HttpApp, bound: socket.socket, tls: Tls | None, connections: int
    ) -> None:
        self._socket = bound
        self._server = uvicorn.Server(
            uvicorn.Config(
                cast("Any", app),
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=connections,
                timeout_keep_alive=IDLE_TIMEOUT_S,
                timeout_graceful_shutdown=10,
                h11_max_incomplete_event_size=HEAD_BYTES,
                ssl_certfile=tls.certificate if tls else None,
                ssl_keyfile=tls.key if tls else None,
                ssl_ca_certs=str(tls.client_ca) if tls and tls.client_ca else None,
                ssl_cert_reqs=2 if tls and tls.client_ca else 0,  # ssl.CERT_REQUIRED, CERT_NONE
            )
        )
        self._thread = threading.Thread(target=self._serve, name="exray-http", daemon=True)

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])

    def start(self) -> None:
        """Take requests from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more, and let those under way finish."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()
