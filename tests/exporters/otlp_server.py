"""An OTLP server on loopback that answers as it is told."""

import gzip
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """What the server says to one request."""

    code: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass
class Received:
    """One request as it came."""

    path: str
    headers: Message
    body: bytes
    """Uncompressed."""


class OTLPServer:
    """Keeps what it receives; ``replies`` are used up first to last, then all is well."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.received: list[Received] = []
        self.replies: list[Reply] = []

    def bodies(self, signal: str) -> list[bytes]:
        """Return the requests of one signal."""
        return [r.body for r in self.received if r.path == f"/v1/{signal}"]


@contextmanager
def otlp_server() -> Generator[OTLPServer]:
    """Serve on a free port of loopback inside the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            server.received.append(Received(self.path, self.headers, body))
            reply = server.replies.pop(0) if server.replies else Reply()
            self.send_response(reply.code)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        server = OTLPServer(httpd.server_port)
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            httpd.shutdown()
            thread.join()
