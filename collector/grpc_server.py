"""OTLP over gRPC: raw bytes in, raw bytes out; grpcio does the protocol."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from exray.exporters.otlp_settings import Signal
from exray.schema.errors import UsageError

from .address import Address
from .intake import GZIP_MAGIC, Arrival, Intake
from .reply import GRPC_CODES, Outcome, Reply, response_protobuf, status_protobuf
from .tls import Tls
from .tokens import Tokens

logger = logging.getLogger(__name__)

METHODS: dict[str, Signal] = {
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export": "traces",
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export": "metrics",
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export": "logs",
}

DETAILS_KEY = "grpc-status-details-bin"
"""Where a client finds the ``google.rpc.Status``, and in it when to come again."""

_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}

_IDENTITY_AND_GZIP = 0b101
"""As ``grpc_compression_algorithm`` numbers them."""

STREAMS = 64
"""Calls at once on one connection; a client queues more by itself."""

FRAME_BYTES = 1 << 20
"""Largest part that a request may be sent in: by the protocol's own 16 KiB a large one takes
more time to put together again."""


class GrpcServer:
    """Listens for traces, metrics and logs.

    Args:
        address: Where.
        intake: Takes them.
        tokens: Who may send.
        tls: Certificates, None for plain text.
        threads: Requests at once.
        is_shared: Whether other processes listen there too.

    Raises:
        UsageError: The address cannot be had.
    """

    def __init__(
        self,
        address: Address,
        intake: Intake,
        tokens: Tokens,
        tls: Tls | None,
        threads: int,
        *,
        is_shared: bool = False,
    ) -> None:
        self._pool = ThreadPoolExecutor(threads, "exray-grpc")
        self._server = grpc.server(
            self._pool,
            handlers=[_Handlers(intake, tokens)],
            options=[
                ("grpc.max_receive_message_length", intake.limits.request_bytes),
                # Bodies come as they were sent: what is packed is stored so, and unpacked
                # within our own bounds.
                ("grpc.per_message_decompression", 0),
                ("grpc.compression_enabled_algorithms_bitset", _IDENTITY_AND_GZIP),
                ("grpc.max_concurrent_streams", STREAMS),
                ("grpc.http2.max_frame_size", FRAME_BYTES),
                # Two collectors on one port would take each other's requests.
                ("grpc.so_reuseport", int(is_shared)),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ],
        )
        try:
            port = (
                self._server.add_insecure_port(str(address))
                if tls is None
                else self._server.add_secure_port(str(address), _credentials(tls))
            )
        except RuntimeError as error:
            msg = f"cannot listen at --grpc {address}: it is taken or not this machine's"
            raise UsageError(msg) from error
        self.address = Address(address.host, port)

    def start(self) -> None:
        """Take requests from now on."""
        self._server.start()

    def stop(self, grace_s: float) -> None:
        """Take no more, and let those under way finish."""
        self._server.stop(grace_s).wait()
        self._pool.shutdown()


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, intake: Intake, tokens: Tokens) -> None:
        self._methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            method: grpc.unary_unary_rpc_method_handler(_export(signal, intake, tokens))
            for method, signal in METHODS.items()
        }

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """Return what answers a method, None for one that there is not."""
        return self._methods.get(handler_call_details.method)


def _export(
    signal: Signal, intake: Intake, tokens: Tokens
) -> Callable[[bytes, grpc.ServicerContext], bytes]:
    def export(body: bytes, context: grpc.ServicerContext) -> bytes:
        if not tokens.admits(_authorization(context)):
            intake.measures.refused(signal, "unauthenticated")
            reply = Reply(Outcome.UNAUTHENTICATED, "a known bearer token is needed")
        else:
            reply = intake.take(Arrival(signal, body, is_gzip=body.startswith(GZIP_MAGIC)))
        if reply.outcome is Outcome.TAKEN:
            return response_protobuf(reply)
        code = GRPC_CODES[reply.outcome]
        details = status_protobuf(code, reply.message, reply.retry_after_s)
        context.set_trailing_metadata(((DETAILS_KEY, details),))
        context.set_code(_CODES[code])
        context.set_details(reply.message)
        return b""

    return export


def _authorization(context: grpc.ServicerContext) -> str | None:
    for key, value in context.invocation_metadata():
        if key == "authorization":
            return value if isinstance(value, str) else value.decode("latin-1")
    return None


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    """Return credentials whose files are read again when they change."""
    state: list[tuple[bytes, bytes, bytes | None]] = [tls.contents()]

    def configuration(content: tuple[bytes, bytes, bytes | None]) -> Any:
        certificate, key, client_ca = content
        return grpc.ssl_server_certificate_configuration([(key, certificate)], client_ca)

    def fetch() -> Any:
        try:
            content = tls.contents()
        except UsageError as error:
            logger.error("%s. The certificate from before stays.", error)
            return None
        if content == state[0]:
            return None
        state[0] = content
        return configuration(content)

    return grpc.dynamic_ssl_server_credentials(
        configuration(state[0]), fetch, require_client_authentication=tls.client_ca is not None
    )
