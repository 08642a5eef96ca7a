"""The client's end of a connection: what comes in, what goes out, and whether it is still there."""

import asyncio
import socket
import ssl
from collections.abc import Callable

SEND_BUFFER_BYTES = 1 << 20
"""How much may wait to be sent before a statement has to wait too."""

CLOSING_S = 1.0
"""How long a client has to take what is left for it when its connection ends."""


class ClientReader(asyncio.StreamReader):
    """A stream that says at once that the other end has closed, whatever is left to be read."""

    def __init__(self) -> None:
        super().__init__()
        self.on_end: Callable[[], None] | None = None

    def feed_eof(self) -> None:
        """Note that nothing more will come."""
        super().feed_eof()
        self._ended()

    def set_exception(self, exc: Exception) -> None:
        """Note that the connection broke."""
        super().set_exception(exc)
        self._ended()

    def _ended(self) -> None:
        if self.on_end is not None:
            self.on_end()


class Client:
    """One connection's two streams.

    Args:
        reader: Where its messages come from.
        writer: Where the server's go to.
    """

    def __init__(self, reader: ClientReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer
        self._below: asyncio.StreamWriter | None = None
        self._out = bytearray()
        writer.transport.set_write_buffer_limits(high=SEND_BUFFER_BYTES)

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is on."""
        return self._writer.get_extra_info("ssl_object") is not None

    def keep_alive(self) -> None:
        """Have the operating system find out when the other machine is gone without a word."""
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def abort(self) -> None:
        """Break the connection off."""
        self._writer.transport.abort()

    def write(self, data: bytes) -> None:
        """Keep *data* until the next `flush`."""
        self._out += data

    def forward(self) -> None:
        """Hand what was written to the operating system, or to its buffer."""
        if self._out:
            self._writer.write(bytes(self._out))
            self._out.clear()

    async def flush(self) -> None:
        """Send what was written; wait while too much of it is under way."""
        self.forward()
        await self._writer.drain()

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Go on encrypted.

        Whatever came in before the handshake is dropped: it could be anybody's.

        Raises:
            ssl.SSLError: The client does not agree.
        """
        await self.flush()
        loop = asyncio.get_running_loop()
        reader = ClientReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport = await loop.start_tls(
            self._writer.transport, protocol, context, server_side=True
        )
        assert transport is not None
        protocol.connection_made(transport)
        transport.set_write_buffer_limits(high=SEND_BUFFER_BYTES)
        self.reader = reader
        self._below = self._writer  # warns when it is dropped before it is closed
        self._writer = asyncio.StreamWriter(transport, protocol, reader, loop)

    async def close(self) -> None:
        """Send what is left and end the connection; break it off if the client takes nothing."""
        self.forward()
        self._writer.close()
        try:
            async with asyncio.timeout(CLOSING_S):
                await self._writer.wait_closed()
        except (TimeoutError, OSError):
            self._writer.transport.abort()
