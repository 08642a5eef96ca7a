"""uvicorn's protocol, with a body gathered before its application is woken."""

from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .http_app import PATHS, PAUSE_KEY, PROTOBUF, answering
from .http_quick import QuickPath
from .reply import Outcome, Reply

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

TAKEN = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: 0\r\n\r\n" % PROTOBUF.encode()
"""What nearly all requests are answered."""


@dataclass(slots=True)
class Total:
    """Of all connections of a server.

    Args:
        size_bytes: What they have gathered and nobody has taken.
    """

    size_bytes: int = 0


_Held: TypeAlias = tuple[Any, Any]
"""A request whose application has not been started, and that application."""


class GatheringProtocol(HttpToolsProtocol):
    """Gathers a body before the application is woken, and does not wait for ever for a head.

    uvicorn wakes the application for each part that the network brings and stops reading
    after 64 KiB, which takes longer than all the rest of a request of 100 KiB.
    """

    quick: QuickPath
    total: Total
    part_bytes = PART_BYTES
    body_timeout_s = 30.0

    def connection_made(self, transport: Any) -> None:
        """Begin with a connection, and to watch it."""
        super().connection_made(transport)
        self._parts: list[bytes] = []
        self._gathered_bytes = 0
        self._heard_at_s = self.loop.time()
        self._is_in_head, self._head_bytes = True, 0
        self._held: _Held | None = None
        self._watch = self.loop.call_later(min(self.body_timeout_s, IDLE_TIMEOUT_S), self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what was gathered."""
        self._watch.cancel()
        self._gathered()
        held, self._held = self._held, None
        super().connection_lost(exc)
        if held is not None:
            super()._start_asgi_task(*held)  # it finds that its client has gone

    def data_received(self, data: bytes) -> None:
        """Parse what has come; a head that grows too long is refused."""
        was_in_head = self._is_in_head
        super().data_received(data)
        # The parser keeps what it has of a header: one without an end must not fill memory.
        if was_in_head and self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        """Begin with a request."""
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, 0
        self._heard_at_s = self.loop.time()
        self._gathered()

    def on_headers_complete(self) -> None:
        """Look at the size of the head, and let the application know of pauses."""
        if sum(len(name) + len(value) for name, value in self.headers) > HEAD_BYTES:
            msg = "the head is too large"
            raise ValueError(msg)  # httptools makes a parser's error of it, uvicorn a 400
        self._is_in_head = False
        self._heard_at_s = self.loop.time()
        self.scope["extensions"] = {PAUSE_KEY: {"pause_s": self._pause_s}}
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Gather a part; where that is much, the application gets it."""
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
        """Take the request here, or start the application."""
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
        signal = self.quick.signal_of(scope["path"], self.headers)
        if signal is None:
            return False
        gathered = self._gathered()
        taken = self.quick.take(signal, gathered, lambda reply: self._answer(cycle, reply))
        if not taken:
            self._gather(gathered)
        return taken

    def _answer(self, cycle: Any, reply: Reply) -> None:
        if cycle.disconnected or self.transport.is_closing():
            return
        if reply.outcome is Outcome.TAKEN and not reply.message and cycle.keep_alive:
            self.transport.write(TAKEN)
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
