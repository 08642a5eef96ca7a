"""The HTTP application behind uvicorn, in a thread of its own."""

import socket
import threading
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .http_app import PATHS, PAUSE_KEY, PROTOBUF, HttpApp, answering
from .http_quick import QuickPath
from .reply import Outcome, Reply
from .tls import Tls

IDLE_TIMEOUT_S = 30
"""Longest time between two requests of a connection, and for the head of one."""

HEAD_BYTES = 64 * 1024
"""Of a request's line and headers."""

PART_BYTES, PARTS = 256 * 1024, 256
"""What is gathered of a body before the application is woken for it: bytes, and pieces, which
take memory each."""

GATHERED_BYTES = 32 << 20
"""What is gathered on all connections before each part is handed over at once: what the
application has is counted by `max_inflight_bytes`, and what is not read is with the client."""

LOOK_S = 1.0
"""Least time between two looks at a connection that something is waited for."""

_TAKEN = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: 0\r\n\r\n" % PROTOBUF.encode()
"""What nearly all requests are answered."""


@dataclass(slots=True)
class _Total:
    """Of all connections of a server.

    Args:
        size_bytes: What they have gathered and nobody has taken.
    """

    size_bytes: int = 0


_Held: TypeAlias = tuple[Any, Any]
"""A request whose application has not been started, and that application."""


class _Protocol(HttpToolsProtocol):
    """Gathers a body before the application is woken, and does not wait for ever for a head.

    uvicorn wakes the application for each part that the network brings and stops reading
    after 64 KiB, which takes longer than all the rest of a request of 100 KiB.
    """

    quick: QuickPath
    total: "_Total"
    part_bytes = PART_BYTES
    body_timeout_s = 30.0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._parts: list[bytes] = []
        self._gathered_bytes = 0
        self._heard_at_s = self.loop.time()
        self._is_in_head, self._head_bytes = True, 0
        self._held: _Held | None = None
        self._watch = self.loop.call_later(min(self.body_timeout_s, IDLE_TIMEOUT_S), self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.cancel()
        self._gathered()
        held, self._held = self._held, None
        super().connection_lost(exc)
        if held is not None:
            super()._start_asgi_task(*held)  # it finds that its client has gone

    def data_received(self, data: bytes) -> None:
        was_in_head = self._is_in_head
        super().data_received(data)
        # The parser keeps what it has of a header: one without an end must not fill memory.
        if was_in_head and self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, 0
        self._heard_at_s = self.loop.time()
        self._gathered()

    def on_headers_complete(self) -> None:
        if sum(len(name) + len(value) for name, value in self.headers) > HEAD_BYTES:
            msg = "the head is too large"
            raise ValueError(msg)  # httptools makes a parser's error of it, uvicorn a 400
        self._is_in_head = False
        self._heard_at_s = self.loop.time()
        self.scope["extensions"] = {PAUSE_KEY: {"pause_s": self._pause_s}}
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self.cycle.response_complete:
            return
        self._gather(body)
        self._heard_at_s = self.loop.time()
        is_enough = self._gathered_bytes >= self.part_bytes or len(self._parts) >= PARTS
        if is_enough or self.total.size_bytes > GATHERED_BYTES:
            self._hand_over()
            self._release()
            self.flow.pause_reading()  # until the application asks for more
            self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        cycle: Any = self.cycle
        held = self._held
        if held is not None and self._take_quickly(held[0]):
            self._held = None
            cycle.more_body = False
            return
        if not cycle.response_complete:
            self._hand_over()
        super().on_message_complete()
        self._release()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Start the application when there is something for it to do."""
        if app is cast("Any", self).app and cycle.more_body and not self.expect_100_continue:
            self._held = cycle, app
        else:
            super()._start_asgi_task(cycle, app)

    def _release(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            super()._start_asgi_task(*held)

    def _hand_over(self) -> None:
        gathered: Any = self._gathered()
        cycle: Any = self.cycle
        cycle.body = cycle.body + gathered if cycle.body else gathered

    def _gather(self, part: bytes) -> None:
        self._parts.append(part)
        self._gathered_bytes += len(part)
        self.total.size_bytes += len(part)

    def _gathered(self) -> bytes:
        gathered = b"".join(self._parts)
        self.total.size_bytes -= self._gathered_bytes
        self._parts, self._gathered_bytes = [], 0
        return gathered

    def _take_quickly(self, cycle: Any) -> bool:
        """Tell whether the request that has come is on its way to disk, to be answered then."""
        scope = self.scope
        if scope["method"] != "POST":
            return False
        gathered = self._gathered()
        taken = self.quick.take(
            scope["path"], self.headers, gathered, lambda reply: self._answer(cycle, reply)
        )
        if not taken:
            self._gather(gathered)
        return taken

    def _answer(self, cycle: Any, reply: Reply) -> None:
        if cycle.disconnected or self.transport.is_closing():
            return
        if reply.outcome is Outcome.TAKEN and not reply.message and cycle.keep_alive:
            self.transport.write(_TAKEN)
            cycle.response_complete = True
            self.on_response_complete()
        else:
            refusal: Any = answering(PATHS[cycle.scope["path"]], reply)
            super()._start_asgi_task(cycle, refusal)

    def _pause_s(self) -> float:
        """Return how long nothing of the request has come."""
        return self.loop.time() - self._heard_at_s

    def _look(self) -> None:
        """Give up a head that does not come; wake the application for a body that does not."""
        if self.transport.is_closing():
            return
        limit_s = self.body_timeout_s if self._held is not None else IDLE_TIMEOUT_S
        if self._pause_s() >= limit_s:
            if self._held is not None:
                self._hand_over()
                self._release()  # which sees how long nothing came, and says so
            elif self._is_in_head:
                self.transport.close()
                return
        left_s = min(self.body_timeout_s, IDLE_TIMEOUT_S) - self._pause_s()
        self._watch = self.loop.call_later(max(left_s, LOOK_S), self._look)


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What a client may ask of the server.

    Args:
        connections: Most at once; the others are answered 503.
        body_bytes: Of a request.
        body_timeout_s: Longest time between two parts of a body.
    """

    connections: int
    body_bytes: int
    body_timeout_s: float


class HttpServer:
    """Serves an application on a socket.

    Args:
        app: The application.
        quick: Takes what need not come to it.
        bound: Where it listens; closed with the server.
        tls: Certificates, None for plain text.
        limits: Of connections and bodies.
    """

    def __init__(
        self,
        app: HttpApp,
        quick: QuickPath,
        bound: socket.socket,
        tls: Tls | None,
        limits: HttpLimits,
    ) -> None:
        self._socket = bound
        own = {
            "quick": quick,
            "total": _Total(),
            # A body beyond the limit is refused before its end, be the limit ever so small.
            "part_bytes": min(PART_BYTES, limits.body_bytes),
            "body_timeout_s": limits.body_timeout_s,
        }
        self._server = uvicorn.Server(
            uvicorn.Config(
                cast("Any", app),
                http=type("_Configured", (_Protocol,), own),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=limits.connections,
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
