"""The usual request over HTTP, read from the network into the memory where it is checked.

Of a request whose length is known nothing but the head needs a parser: its body is not cut
into parts, to be put together again. Whatever is unusual goes to uvicorn's own parser, from
its first byte on.
"""

import asyncio
from typing import Any, TypeAlias

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from exray.exporters.otlp_settings import Signal

from . import http_protocol
from .http_app import answering
from .http_protocol import HEAD_BYTES, TAKEN, GatheringProtocol
from .intake import QUICK_BYTES
from .reply import Outcome, Reply

INPUT_BYTES = 256 << 10
"""Of what the connections of a server are read into, one after the other. A request that came
whole is not copied from there before it is packed."""

LEAST_BYTES, AHEAD = 64 << 10, 8
"""Of the memory of a request that is coming, and how many times what has come of it: none has
two mebibytes for no more than having announced them."""

WAITING_BYTES = 4096
"""Read of a connection whose request is being stored: none but a client that does not wait for
its answer has sent more."""

_HEAD_END = b"\r\n\r\n"

Data: TypeAlias = bytes | bytearray


class _Head:
    """The line and the headers of a request.

    Args:
        data: All of them, with the empty line.

    Raises:
        httptools.HttpParserError: They are none.
        httptools.HttpParserUpgrade: They ask for another protocol.
    """

    def __init__(self, data: bytes) -> None:
        self.size_bytes = len(data)
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self._is_whole = False
        self.body_bytes = 0
        """How long the body is, 0 where the head does not say all about it."""
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(data)
        is_usual = parser.get_method() == b"POST" and parser.get_http_version() == "1.1"
        if self._is_whole and is_usual and parser.should_keep_alive():
            self.body_bytes = self._announced_bytes()

    def on_url(self, url: bytes) -> None:
        """Add a part of the address."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Note that nothing is missing."""
        self._is_whole = True

    def _announced_bytes(self) -> int:
        size = b""
        for name, value in self.headers:
            if name == b"content-length":
                size = value
            elif name in (b"transfer-encoding", b"expect"):
                return 0
        return int(size) if size.isdigit() else 0


class _Arriving:
    """A request of which a part is still to come.

    Args:
        signal: What it carries.
        head: Its head.
        begin: What has come of it.
    """

    def __init__(self, signal: Signal, head: _Head, begin: memoryview) -> None:
        self.signal: Signal = signal
        self.head_bytes = head.size_bytes
        self.filled = 0
        """Bytes that are there."""
        self._size_bytes = head.size_bytes + head.body_bytes
        self._memory = begin[:0]
        self._add(begin)

    @property
    def data(self) -> memoryview:
        """What is there."""
        return self._memory[: self.filled]

    @property
    def is_whole(self) -> bool:
        """Whether all is there."""
        return self.filled == self._size_bytes

    def room(self) -> memoryview:
        """Return where to read more of it to."""
        if self.filled == len(self._memory):
            self._add(self.data)
        return self._memory[self.filled :]

    def _add(self, begin: memoryview) -> None:
        """Have memory for more, with what has come at its beginning."""
        self.filled = len(begin)
        size_bytes = max(AHEAD * self.filled, LEAST_BYTES)
        self._memory = _memory(min(size_bytes, self._size_bytes))
        self._memory[: self.filled] = begin


class DirectProtocol(GatheringProtocol, asyncio.BufferedProtocol):
    """Takes the usual requests itself, one at a time of a connection."""

    input: bytearray
    most_bytes = QUICK_BYTES

    def connection_made(self, transport: Any) -> None:
        """Begin with a connection."""
        super().connection_made(transport)
        self._arriving: _Arriving | None = None
        self._is_storing = self._is_ending = False
        self._is_parsing = False
        """Whether uvicorn's parser has the beginning of a request."""
        self._rest = b""
        """What came behind a request that is being stored."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what has come."""
        self._end_arrival()
        super().connection_lost(exc)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where to read to."""
        if self._arriving is not None:
            return self._arriving.room()
        return memoryview(self.input)[: WAITING_BYTES if self._is_storing else None]

    def buffer_updated(self, nbytes: int) -> None:
        """Go on with what was read."""
        if self._is_storing:
            self._rest += self.input[:nbytes]
            self.flow.pause_reading()
        elif self._arriving is not None:
            self._arriving.filled += nbytes
            self._arrive(self._arriving, nbytes)
        else:
            self._read(self.input, nbytes)

    def on_message_begin(self) -> None:
        """Note that the parser has begun with a request."""
        self._is_parsing = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """Note that it has read all of it."""
        self._is_parsing = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on behind the request that was answered."""
        super().on_response_complete()
        self._go_on()

    def shutdown(self) -> None:
        """End when what is under way has been answered."""
        if self._is_storing or self._arriving is not None:
            self._is_ending = True
        else:
            super().shutdown()

    def _read(self, data: Data, size: int) -> None:
        """Take what stands at the beginning of *data*, or have it parsed."""
        head = self._usual_head(data, size)
        signal = self.quick.signal_of(head.url.decode("latin-1"), head.headers) if head else None
        if head is None or signal is None:
            self._parse(bytes(data[:size]))
            return
        end = head.size_bytes + head.body_bytes
        if end <= size:
            whole = memoryview(data)[:end]
            self._store(signal, whole, head.size_bytes, bytes(data[end:size]))
            return
        self._arriving = _Arriving(signal, head, memoryview(data)[:size])
        self._arrive(self._arriving, size)

    def _usual_head(self, data: Data, size: int) -> _Head | None:
        """Return the head of a request that need not be parsed, None of any other."""
        cycle: Any = self.cycle
        is_free = cycle is None or cycle.response_complete
        if self._is_parsing or self.pipeline or not is_free or self._is_refused():
            return None
        end = data.find(_HEAD_END, 0, min(size, HEAD_BYTES))
        if end < 0:
            return None
        try:
            head = _Head(bytes(data[: end + len(_HEAD_END)]))
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return None
        return head if 0 < head.body_bytes <= self.most_bytes else None

    def _is_refused(self) -> bool:
        """Tell whether there are too many connections."""
        most = self.limit_concurrency
        return most is not None and len(self.connections) >= most

    def _arrive(self, arriving: _Arriving, more_bytes: int) -> None:
        self.total.size_bytes += more_bytes
        self._heard_at_s = self.loop.time()
        if arriving.is_whole:
            self._end_arrival()
            self._store(arriving.signal, arriving.data, arriving.head_bytes, b"")
        elif self.total.size_bytes > http_protocol.GATHERED_BYTES:
            self._parse_arriving(arriving)

    def _end_arrival(self) -> None:
        """Wait for no more of a request."""
        arriving, self._arriving = self._arriving, None
        if arriving is not None:
            self.total.size_bytes -= arriving.filled

    def _parse_arriving(self, arriving: _Arriving) -> None:
        self._end_arrival()
        self._parse(bytes(arriving.data))

    def _parse(self, data: bytes) -> None:
        self._is_parsing = True
        self.data_received(data)

    def _store(self, signal: Signal, whole: memoryview, head_bytes: int, rest: bytes) -> None:
        if not self.quick.take(signal, whole[head_bytes:], lambda r: self._answered(signal, r)):
            self._parse(bytes(whole) + rest)
            return
        self._unset_keepalive_if_required()
        self._is_storing, self._rest = True, rest

    def _answered(self, signal: Signal, reply: Reply) -> None:
        self._is_storing = False
        self._heard_at_s = self.loop.time()
        if self.transport.is_closing():
            return
        if reply.outcome is not Outcome.TAKEN or reply.message:
            self._refuse(signal, reply)
            return
        self.transport.write(TAKEN)
        if self._is_ending:
            self.transport.close()
        else:
            self._go_on()

    def _refuse(self, signal: Signal, reply: Reply) -> None:
        self.cycle = RequestResponseCycle(
            scope={"type": "http", "method": "POST"},  # type: ignore[typeddict-item]
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=not self._is_ending,
            on_response=self.on_response_complete,
        )
        refusal: Any = answering(signal, reply)
        HttpToolsProtocol._start_asgi_task(self, self.cycle, refusal)

    def _go_on(self) -> None:
        """Take what came before the answer."""
        if self.transport.is_closing():
            return
        rest, self._rest = self._rest, b""
        self.flow.resume_reading()
        if rest:
            self._read(rest, len(rest))

    def _look(self) -> None:
        if self._is_storing:
            self._heard_at_s = self.loop.time()  # it is not the client that is waited for
        elif self._arriving is not None and self._pause_s() >= self.body_timeout_s:
            heard_at_s = self._heard_at_s
            self._parse_arriving(self._arriving)
            self._heard_at_s = heard_at_s  # by which the application tells how long it was
        super()._look()


def _memory(size: int) -> memoryview:
    """Return memory that is not cleared, of an allocator that keeps what is given back."""
    import pyarrow as pa

    return memoryview(pa.allocate_buffer(size)).cast("B")
