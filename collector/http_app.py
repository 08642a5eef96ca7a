"""OTLP over HTTP, and what a machine's keeper asks, as an ASGI application."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from typing import Any

from exray.exporters.otlp_settings import Signal

from .entry import LoopWait
from .figures import Figures
from .intake import Arrival, Intake
from .limits import Reservation
from .measures import CONTENT_TYPE
from .reply import (
    GRPC_CODES,
    HTTP_CODES,
    Outcome,
    RefusedError,
    Reply,
    response_protobuf,
    status_protobuf,
    too_large,
)
from .tokens import Tokens

PAUSE_KEY = "exray.body"
"""Extension of the scope: its ``pause_s`` tells how long ago the latest part of the body came."""

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

PATHS: dict[str, Signal] = {
    "/v1/traces": "traces",
    "/v1/metrics": "metrics",
    "/v1/logs": "logs",
}

PROTOBUF, JSON, PLAIN = "application/x-protobuf", "application/json", "text/plain"

_REJECTED_KEY: dict[Signal, str] = {
    "traces": "rejectedSpans",
    "metrics": "rejectedDataPoints",
    "logs": "rejectedLogRecords",
}

_PLAIN_CODES = {404: 5, 405: 12, 408: 4, 415: 3}
"""HTTP's codes as google.rpc.Code has them: NOT_FOUND, UNIMPLEMENTED, DEADLINE_EXCEEDED,
INVALID_ARGUMENT."""


class _ClientGoneError(Exception):
    """The client has gone."""


class HttpApp:
    """Answers one request at a time of each connection.

    Args:
        intake: Takes requests.
        tokens: Who may send.
        figures: For the probes.
        pool: Where the work of a request is done.
        body_timeout_s: Longest time between two parts of a body.
    """

    def __init__(
        self,
        intake: Intake,
        tokens: Tokens,
        figures: Figures,
        pool: Executor,
        body_timeout_s: float,
    ) -> None:
        self._intake = intake
        self._tokens = tokens
        self._figures = figures
        self._pool = pool
        self._body_timeout_s = body_timeout_s
        self._waits: LoopWait | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = _headers(scope)
        answer = _Answer(send, JSON if _media_type(headers) == JSON else PROTOBUF)
        signal = PATHS.get(scope["path"])
        try:
            if signal is None:
                await self._get(scope, headers, answer)
            elif scope["method"] != "POST":
                await answer.problem(405, "expected POST", {"allow": "POST"})
            else:
                await self._post(signal, scope, headers, receive, answer)
        except _ClientGoneError:
            self._intake.measures.refused(signal or "none", "disconnected")

    async def _get(self, scope: Scope, headers: Mapping[str, str], answer: "_Answer") -> None:
        path = scope["path"]
        if path not in ("/healthz", "/readyz", "/metrics"):
            await answer.problem(404, f"nothing here; expected one of {', '.join(PATHS)}")
        elif scope["method"] not in ("GET", "HEAD"):
            await answer.problem(405, "expected GET", {"allow": "GET, HEAD"})
        elif path == "/healthz":
            await answer.word(self._figures.is_alive())
        elif path == "/readyz":
            await answer.word(self._figures.is_ready())
        elif not self._tokens.admits(headers.get("authorization")):
            await answer.refusal("traces", _NO_TOKEN)
        else:
            await answer.send(200, self._figures.text(), CONTENT_TYPE)

    async def _post(
        self,
        signal: Signal,
        scope: Scope,
        headers: Mapping[str, str],
        receive: Receive,
        answer: "_Answer",
    ) -> None:
        media_type = _media_type(headers)
        packing = headers.get("content-encoding", "identity").strip().lower()
        if not self._tokens.admits(headers.get("authorization")):
            self._intake.measures.refused(signal, "unauthenticated")
            await answer.refusal(signal, _NO_TOKEN)
        elif media_type not in (PROTOBUF, JSON):
            self._intake.measures.refused(signal, "media_type")
            await answer.problem(415, f"expected {PROTOBUF} or {JSON}")
        elif packing not in ("identity", "gzip", ""):
            self._intake.measures.refused(signal, "media_type")
            await answer.problem(415, "expected gzip or no encoding", {"accept-encoding": "gzip"})
        else:
            is_json, is_gzip = media_type == JSON, packing == "gzip"
            await self._take(
                signal, scope, headers, receive, answer, is_json=is_json, is_gzip=is_gzip
            )

    async def _take(
        self,
        signal: Signal,
        scope: Scope,
        headers: Mapping[str, str],
        receive: Receive,
        answer: "_Answer",
        *,
        is_json: bool,
        is_gzip: bool,
    ) -> None:
        with Reservation(self._intake.budget) as reserved:
            try:
                body = await self._body(scope, headers, receive, reserved)
            except RefusedError as refused:
                self._intake.measures.refused(signal, refused.reason)
                await answer.refusal(signal, refused.reply)
                return
            except TimeoutError:
                self._intake.measures.refused(signal, "slow")
                await answer.problem(408, "the rest of the body did not come in time")
                return
            arrival = Arrival(signal, body, is_json=is_json, is_gzip=is_gzip)
            del body
            if self._waits is None:
                self._waits = self._intake.waits(asyncio.get_running_loop())
            reply = await self._intake.take_soon(arrival, self._waits, self._pool, reserved)
        await answer.reply(signal, reply)

    async def _body(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive, reserved: Reservation
    ) -> bytes:
        most = self._intake.limits.request_bytes
        message = f"the request is larger than {most} bytes"
        announced = headers.get("content-length", "")
        if announced.isascii() and announced.isdigit() and int(announced[:20]) > most:
            raise too_large(message)
        parts: list[bytes] = []
        size = 0
        while True:
            event = await self._part(scope, receive)
            if event["type"] != "http.request":
                raise _ClientGoneError
            part = event.get("body", b"")
            size += len(part)
            if size > most:
                raise too_large(message)
            reserved.add(len(part))
            parts.append(part)
            if not event.get("more_body", False):
                return b"".join(parts)

    async def _part(self, scope: Scope, receive: Receive) -> Mapping[str, Any]:
        """Return what comes next, unless nothing comes for too long."""
        pause_s: Callable[[], float] | None = (
            scope.get("extensions", {}).get(PAUSE_KEY, {}).get("pause_s")
        )
        left_s = self._body_timeout_s
        while True:
            left_s -= pause_s() if pause_s is not None else 0.0
            try:
                async with asyncio.timeout(left_s):
                    return await receive()
            except TimeoutError:
                # Parts may have come, and wait until there are enough of them.
                left_s = self._body_timeout_s
                if pause_s is None or pause_s() >= left_s:
                    raise


_NO_TOKEN = Reply(Outcome.UNAUTHENTICATED, "a known bearer token is needed")


class _Answer:
    """The one answer to a request, in its own encoding."""

    def __init__(self, send: Send, media_type: str) -> None:
        self._send = send
        self._media_type = media_type

    async def reply(self, signal: Signal, reply: Reply) -> None:
        """Say what became of a request."""
        if reply.outcome is not Outcome.TAKEN:
            await self.refusal(signal, reply)
        elif self._media_type == JSON:
            partial: dict[str, object] = {}
            if reply.rejected or reply.message:
                # Protobuf's JSON writes 64-bit integers as strings.
                partial["partialSuccess"] = {
                    _REJECTED_KEY[signal]: str(reply.rejected),
                    "errorMessage": reply.message,
                }
            await self.send(200, json.dumps(partial).encode(), JSON)
        else:
            await self.send(200, response_protobuf(reply), PROTOBUF)

    async def refusal(self, signal: Signal, reply: Reply) -> None:
        """Say why a request is not taken."""
        headers: dict[str, str] = {}
        if reply.outcome is Outcome.LATER:
            headers["retry-after"] = str(reply.retry_after_s)
        if reply.outcome is Outcome.UNAUTHENTICATED:
            headers["www-authenticate"] = "Bearer"
        if reply.outcome in (Outcome.TOO_LARGE, Outcome.UNAUTHENTICATED):
            headers["connection"] = "close"  # what is left of the body is not read
        code = GRPC_CODES[reply.outcome]
        body = self._status(code, reply.message)
        await self.send(HTTP_CODES[reply.outcome], body, self._media_type, headers)

    async def problem(
        self, code: int, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        """Say that a request is not one of OTLP over HTTP."""
        body = self._status(_PLAIN_CODES[code], message)
        await self.send(code, body, self._media_type, {"connection": "close", **(headers or {})})

    async def word(self, good: bool) -> None:
        """Answer a probe."""
        code, text = (200, b"ok\n") if good else (503, b"no\n")
        await self.send(code, text, PLAIN)

    def _status(self, code: int, message: str) -> bytes:
        """Return a ``google.rpc.Status``."""
        if self._media_type == JSON:
            return json.dumps({"code": code, "message": message}).encode()
        return status_protobuf(code, message)

    async def send(
        self, code: int, body: bytes, media_type: str, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send an answer."""
        named = {"content-type": media_type, "content-length": str(len(body)), **(headers or {})}
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in named.items()]
        await self._send({"type": "http.response.start", "status": code, "headers": encoded})
        await self._send({"type": "http.response.body", "body": body})


def answering(signal: Signal, reply: Reply) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Return an application that has but this to say, to a request of plain protobuf."""

    async def answer(_: Scope, __: Receive, send: Send) -> None:
        await _Answer(send, PROTOBUF).reply(signal, reply)

    return answer


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()
