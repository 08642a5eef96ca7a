"""The HTTP application behind uvicorn, in a thread of its own."""

import socket
import threading
from dataclasses import dataclass
from typing import Any, cast

import uvicorn

from .http_app import HttpApp
from .http_direct import INPUT_BYTES, DirectProtocol
from .http_protocol import IDLE_TIMEOUT_S, PART_BYTES, Total
from .http_quick import QuickPath
from .intake import QUICK_BYTES
from .tls import Tls


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
            "total": Total(),
            # A body beyond the limit is refused before its end, be the limit ever so small.
            "part_bytes": min(PART_BYTES, limits.body_bytes),
            "most_bytes": min(QUICK_BYTES, limits.body_bytes),
            "body_timeout_s": limits.body_timeout_s,
            "input": bytearray(INPUT_BYTES),
        }
        self._server = uvicorn.Server(
            uvicorn.Config(
                cast("Any", app),
                http=type("_Configured", (DirectProtocol,), own),
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
