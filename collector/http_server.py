"""The HTTP application behind uvicorn, in a thread of its own."""

import asyncio
import socket
import threading
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .http_app import PAUSE_KEY, HttpApp
from .tls import Tls

IDLE_TIMEOUT_S = 30
"""Longest time between two requests of a connection, and for the head of one."""

HEAD_BYTES = 64 * 1024
"""Of a request's line and headers."""

PART_BYTES, PARTS = 256 * 1024, 256
"""What is gathered of a body before the application is woken for it: bytes, and pieces, which
take memory each."""


class _Protocol(HttpToolsProtocol):
    """Brings a body in few large parts, and does not wait for ever for a request's head.

    uvicorn wakes the application for each part that the network brings and stops reading
    after 64 KiB, which takes longer than all the rest of a request of 100 KiB.
    """

    part_bytes = PART_BYTES
    _head_timer: asyncio.TimerHandle | None = None
    _is_in_head = False
    _head_bytes = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._parts: list[bytes] = []
        self._gathered_bytes = 0
        self._part_at_s = 0.0
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        was_in_head = self._is_in_head
        super().data_received(data)
        # The parser keeps what it has of a header: one without an end must not fill memory.
        if was_in_head and self._is_in_head:
            self._count_head(len(data))
            if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, 0
        self._parts, self._gathered_bytes = [], 0
        if self._head_timer is None:
            self._await_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._count_head(len(name) + len(value))
        if self._head_bytes > HEAD_BYTES:
            msg = "the head is too large"
            raise ValueError(msg)  # httptools makes a parser's error of it, uvicorn a 400

    def on_headers_complete(self) -> None:
        self._end_head()
        self._part_at_s = self.loop.time()
        self.scope["extensions"] = {PAUSE_KEY: {"pause_s": self._pause_s}}
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self.cycle.response_complete:
            return
        self._parts.append(body)
        self._gathered_bytes += len(body)
        self._part_at_s = self.loop.time()
        if self._gathered_bytes >= self.part_bytes or len(self._parts) >= PARTS:
            self._hand_over()
            self.flow.pause_reading()  # until the application asks for more
            self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        if not self.cycle.response_complete:
            self._hand_over()
        super().on_message_complete()

    def _hand_over(self) -> None:
        gathered: Any = b"".join(self._parts)
        self._parts, self._gathered_bytes = [], 0
        cycle: Any = self.cycle
        cycle.body = cycle.body + gathered if cycle.body else gathered

    def _pause_s(self) -> float:
        """Return how long nothing of the body has come."""
        return self.loop.time() - self._part_at_s

    def _count_head(self, size_bytes: int) -> None:
        self._head_bytes += size_bytes

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(IDLE_TIMEOUT_S, self.transport.close)

    def _end_head(self) -> None:
        self._is_in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class HttpServer:
    """Serves an application on a socket.

    Args:
        app: The application.
        bound: Where it listens; closed with the server.
        tls: Certificates, None for plain text.
        connections: Most at once; the others are answered 503.
        most_bytes: Of a body.
    """

    def __init__(
        self,
        app: HttpApp,
        bound: socket.socket,
        tls: Tls | None,
        connections: int,
        most_bytes: int,
    ) -> None:
        self._socket = bound
        self._server = uvicorn.Server(
            uvicorn.Config(
                cast("Any", app),
                # A body beyond the limit is refused before its end, be the limit ever so small.
                http=type("_Bounded", (_Protocol,), {"part_bytes": min(PART_BYTES, most_bytes)}),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=connections,
                timeout_keep_alive=IDLE_TIMEOUT_S,
                timeout_graceful_shutdown=10,
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
