"""Requests changed at random, and hostile ones, sent to a collector: ``make fuzz-collector``.

The collector runs in a process of its own whose memory is watched. What it must answer is
known without it, from protobuf's own parser, Python's JSON and its gzip. Sound requests go
between the others; all of them must be in the lake in the end, and nothing in quarantine.
"""

import contextlib
import gzip
import http.client
import json
import random
import re
import socket
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import psutil
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from .crash import Victim
from .service import JSON, PROTOBUF, TRACE_METHOD, exporting, request_bytes, span, span_ids

MEMORY_BYTES = 1100 << 20
"""Most that receiving may take: its own 150 MB, requests under way (128 MiB, and the larger
half of what gRPC holds before it hands them over), and one parsed of the worst kind (400 MB)."""

CLIENTS = 4
PATIENCE_S = 120.0
"""Longest wait for an answer: the worst requests are parsed one after the other."""

SOUND_EVERY = 50

Random = random.Random
Answer = tuple[int, int]
"""HTTP's code, and how many spans were rejected."""


class WrongAnswerError(AssertionError):
    """A request was answered as it must not be."""


@dataclass
class Tally:
    """What was sent, and what came back."""

    answers: Counter[str] = field(default_factory=Counter[str])
    sound: list[bytes] = field(default_factory=list[bytes])
    peak_bytes: int = 0

    def __str__(self) -> str:
        answers = ", ".join(f"{name}: {n}" for name, n in sorted(self.answers.items()))
        return (
            f"{self.answers.total()} requests ({answers})\n"
            f"{len(self.sound)} sound spans between them\n"
            f"peak memory {self.peak_bytes >> 20} MiB"
        )


# --- changed at random ----------------------------------------------------------------------


def sound_request(chance: Random) -> ExportTraceServiceRequest:
    """Return a request as exporters send it."""
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "camera"
    scope = resource.scope_spans.add()
    scope.scope.name = "test"
    for _ in range(chance.randint(1, 5)):
        one = span(1, trace_id=chance.randbytes(16), span_id=chance.randbytes(8))
        one.start_time_unix_nano, one.end_time_unix_nano = 1_700_000_000 * 10**9, 2**62
        for number in range(chance.randint(0, 5)):
            value = one.attributes.add(key=f"key.{number}").value
            kind = chance.randrange(4)
            if kind == 0:
                value.string_value = "text é"
            elif kind == 1:
                value.int_value = -5
            elif kind == 2:
                value.double_value = 0.5
            else:
                value.array_value.values.add(bool_value=True)
        scope.spans.append(one)
    return message


def damaged(chance: Random, data: bytes) -> bytes:
    """Change some bytes: flip, cut out, put in, repeat, cut off."""
    content = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        at = chance.randrange(len(content) + 1)
        kind = chance.randrange(5)
        if kind == 0 and at < len(content):
            content[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del content[at : at + chance.randint(1, 8)]
        elif kind == 2:
            content[at:at] = chance.randbytes(chance.randint(1, 8))
        elif kind == 3:
            content[at:at] = content[at : at + chance.randint(1, 64)]
        elif kind == 4 and chance.random() < 0.3:
            del content[at:]
    return bytes(content)


def expected_of_protobuf(data: bytes) -> Answer:
    """Return what must be answered to a body, by protobuf's own parser."""
    try:
        message = ExportTraceServiceRequest.FromString(data)
    except DecodeError:
        return 400, 0
    scopes = [scope for resource in message.resource_spans for scope in resource.scope_spans]
    return 200, sum(
        len(one.trace_id) != 16
        or len(one.span_id) != 8
        or not any(one.trace_id)
        or not any(one.span_id)
        or len(one.parent_span_id) not in (0, 8)
        for scope in scopes
        for one in scope.spans
    )


def expected_of_gzip(data: bytes) -> Answer:
    """Return what must be answered to a packed body."""
    if len(data) > 3 and data[3] & 0b11100010:
        # Reserved flags, which are an error by RFC 1952, and a checksum of the header, which
        # a change does not hit: Python's gzip looks at neither, zlib at both.
        return 400, 0
    try:
        return expected_of_protobuf(gzip.decompress(data)) if data else (200, 0)
    except (OSError, EOFError, zlib.error):
        return 400, 0


def json_of(chance: Random) -> bytes:
    """Return a request in OTLP's JSON."""
    spans = [
        {
            "traceId": chance.randbytes(16).hex(),
            "spanId": chance.randbytes(8).hex(),
            "name": "a",
            "startTimeUnixNano": str(chance.randrange(2**60)),
            "kind": 1,
            "attributes": [{"key": "k", "value": {"intValue": "5"}}],
        }
        for _ in range(chance.randint(1, 3))
    ]
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()


class HttpClient:
    """One connection, made anew where the server closes it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: http.client.HTTPConnection | None = None

    def send(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """Send a request; return code and body."""
        for attempt in (1, 2):
            if self._connection is None:
                self._connection = http.client.HTTPConnection(
                    "127.0.0.1", self._port, timeout=PATIENCE_S
                )
            try:
                self._connection.request("POST", "/v1/traces", body, headers)
                with self._connection.getresponse() as response:
                    content = response.read()
                    if response.will_close:
                        self.close()
                    return response.status, content
            except (OSError, http.client.HTTPException):
                self.close()
                if attempt == 2:
                    raise
        raise AssertionError

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def check(body: bytes, wanted: Answer, got: Answer) -> None:
    """Compare an answer with what it must be."""
    if got != wanted:
        msg = f"{body[:2000].hex()}: answered {got}, expected {wanted}"
        raise WrongAnswerError(msg)


def http_answer(client: HttpClient, body: bytes, headers: dict[str, str]) -> Answer:
    """Send over HTTP and return the answer, whose form is checked."""
    code, content = client.send(body, headers)
    rejected = 0
    if headers["Content-Type"] == JSON["Content-Type"]:
        answered = json.loads(content)
        rejected = int(answered.get("partialSuccess", {}).get("rejectedSpans", 0))
    elif code == 200:
        rejected = ExportTraceServiceResponse.FromString(content).partial_success.rejected_spans
    return code, rejected


def grpc_answer(call: "grpc.UnaryUnaryMultiCallable[bytes, bytes]", body: bytes) -> Answer:
    """Send over gRPC and return the answer as HTTP would have it."""
    try:
        answered = ExportTraceServiceResponse.FromString(call(body, timeout=30))
    except grpc.RpcError as error:
        assert isinstance(error, grpc.Call)
        return {"INVALID_ARGUMENT": 400, "RESOURCE_EXHAUSTED": 413}[error.code().name], 0
    return 200, answered.partial_success.rejected_spans


FRAMING_CODES = frozenset({200, 400, 404, 405, 408, 413, 415, 501})


def framing_answer(port: int, data: bytes, patience_s: float = 0.2) -> int:
    """Send bytes that may be no HTTP; return the first code, 0 if the server hung up."""
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.settimeout(patience_s)
        with contextlib.suppress(OSError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(OSError):  # a timeout is one
            while b"\r\n\r\n" not in answer and (part := connection.recv(65536)):
                answer += part
    found = re.match(rb"HTTP/1.1 (\d{3}) ", answer)
    return int(found[1]) if found else 0


def changed_requests(victim: Victim, count: int, seed: int, tally: Tally) -> None:
    """Send *count* requests changed at random, each checked."""
    client, packed = HttpClient(victim.port), PROTOBUF | {"Content-Encoding": "gzip"}
    with grpc.insecure_channel(f"127.0.0.1:{victim.grpc_port}") as channel:
        call = exporting(channel, TRACE_METHOD)
        for number in range(count):
            chance = Random(seed * 10_000_000 + number)
            if number % SOUND_EVERY == 0:
                send_sound(client, chance, tally)
            kind = chance.choices(("protobuf", "gRPC", "gzip", "JSON", "framing"), (4, 2, 2, 2, 1))[
                0
            ]
            request = sound_request(chance).SerializeToString()
            if kind == "protobuf":
                body = damaged(chance, request)
                got = http_answer(client, body, PROTOBUF)
                check(body, expected_of_protobuf(body), got)
            elif kind == "gRPC":
                body = damaged(chance, request)
                wanted = expected_of_gzip if body.startswith(b"\x1f\x8b") else expected_of_protobuf
                got = grpc_answer(call, body)
                check(body, wanted(body), got)
            elif kind == "gzip":
                body = damaged(chance, gzip.compress(request))
                got = http_answer(client, body, packed)
                check(body, expected_of_gzip(body), got)
            elif kind == "JSON":
                body = damaged(chance, json_of(chance))
                got = http_answer(client, body, JSON)
                if got[0] not in (200, 400) or (got[0] == 200 and not is_json(body)):
                    msg = f"{body!r}: answered {got}"
                    raise WrongAnswerError(msg)
            else:
                body = damaged(chance, framed(chance, request))
                got = framing_answer(victim.port, body), 0
                if got[0] not in FRAMING_CODES | {0}:
                    msg = f"{body!r}: answered {got}"
                    raise WrongAnswerError(msg)
            tally.answers[f"{kind} {got[0] or 'hung up'}{' partly' if got[1] else ''}"] += 1
    client.close()


def is_json(body: bytes) -> bool:
    """Tell whether *body* is a JSON object."""
    try:
        return isinstance(json.loads(body), dict)
    except ValueError:
        return False


def framed(chance: Random, body: bytes) -> bytes:
    """Return a whole request over HTTP, its body in one piece or in chunks."""
    head = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
    if chance.random() < 0.5:
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    size = chance.randint(1, len(body))
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


def send_sound(client: HttpClient, chance: Random, tally: Tally) -> None:
    """Send a request that must be taken whatever stands around it."""
    key = chance.randbytes(24)
    body = request_bytes(span(1, trace_id=key[:16], span_id=key[16:]))
    answer, tries = (503, 0), 0
    while answer[0] == 503 and tries < 100:
        answer, tries = http_answer(client, body, PROTOBUF), tries + 1
        time.sleep(0.05 if answer[0] == 503 else 0)
    check(body, (200, 0), answer)
    tally.sound.append(key)


# --- hostile --------------------------------------------------------------------------------


def nested_value(depth: int) -> bytes:
    """Return a request whose attribute is a list in a list in a list."""
    value = b""
    for _ in range(depth):
        inner = b"\x0a" + varint(len(value)) + value
        value = b"\x2a" + varint(len(inner)) + inner
    attribute = b"\x12" + varint(len(value)) + value
    one = b"\x0a\x10" + b"t" * 16 + b"\x12\x08" + b"s" * 8
    one += b"\x4a" + varint(len(attribute)) + attribute
    return wrapped(b"\x12" + varint(len(one)) + one)


def varint(value: int) -> bytes:
    """Return a number as protobuf writes it."""
    data = b""
    while value >= 0x80:
        data, value = data + bytes((value & 0x7F | 0x80,)), value >> 7
    return data + bytes((value,))


def wrapped(spans: bytes) -> bytes:
    """Return the fields of a scope as a request."""
    scope = b"\x12" + varint(len(spans)) + spans
    return b"\x0a" + varint(len(scope)) + scope


Hostile = tuple[str, bytes, dict[str, str], frozenset[int]]
"""Name, body, headers, and the codes that are right."""

_REFUSED = frozenset({400, 413})


def hostile_bodies(chance: Random) -> Iterator[Hostile]:
    """Yield bodies made to hurt."""
    packed, scale = PROTOBUF | {"Content-Encoding": "gzip"}, chance.choice((1, 4, 14))
    yield "bomb", gzip.compress(bytes(scale << 22)), packed, _REFUSED
    inner = gzip.compress(bytes(scale << 20))
    yield "bomb in members", inner * 60, packed, _REFUSED
    yield "bomb in a bomb", gzip.compress(gzip.compress(bytes(scale << 24))), packed, _REFUSED
    depth = chance.choice((90, 200, 5000))
    yield "nested values", nested_value(depth), PROTOBUF, frozenset({200, 400})
    yield "nested lists", b"[" * (scale << 18), JSON, _REFUSED
    deep = b'{"resourceSpans":' * depth + b"1" + b"}" * depth
    yield "nested objects", deep, JSON, frozenset({400})
    length = varint(chance.choice((2**31 - 1, 2**32, 2**63, 2**64 - 1)))
    yield "huge length", b"\x0a" + length, PROTOBUF, frozenset({400})
    yield "endless varint", b"\x0a" + b"\xff" * (scale << 16), PROTOBUF, frozenset({400})
    empty = wrapped(b"\x12\x00" * (scale << 19))
    yield "empty spans", empty, PROTOBUF, frozenset({413})
    padded = wrapped(b"\x92\x00\x80\x00" * (scale << 18))
    yield "empty spans, padded", padded, PROTOBUF, _REFUSED
    attributes = b"\x4a\x00" * (scale << 18)
    one = b"\x0a\x10" + b"t" * 16 + b"\x12\x08" + b"s" * 8 + attributes
    yield (
        "empty attributes",
        wrapped(b"\x12" + varint(len(one)) + one),
        PROTOBUF,
        frozenset({200, 413}),
    )
    yield (
        "no ids",
        request_bytes(*(span(1, trace_id=b"") for _ in range(100))),
        PROTOBUF,
        frozenset({200}),
    )
    yield "long ids", request_bytes(span(1, span_id=bytes(scale << 18))), PROTOBUF, frozenset({200})
    number = b'{"resourceSpans":' + b"9" * (scale << 16) + b"}"
    yield "long number", number, JSON, _REFUSED
    yield (
        "many objects",
        b'{"resourceSpans":[' + b"{}," * (scale << 17) + b"{}]}",
        JSON,
        frozenset({200, 413}),
    )
    yield "surrogates", b'{"resourceSpans":[{"schemaUrl":"\\ud800"}]}', JSON, frozenset({200, 400})
    yield "too large", bytes(17 << 20), PROTOBUF, frozenset({413})
    long = span(1)
    long.attributes.add(key="k").value.string_value = "x" * (3 << 20)
    yield "long attribute", request_bytes(long), PROTOBUF, frozenset({200})


def hostile_bytes(chance: Random) -> Iterator[tuple[str, bytes]]:
    """Yield bytes that are hardly HTTP."""
    head = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
    yield "long head", head + b"X: " + b"a" * 200_000 + b"\r\n\r\n"
    yield "many headers", head + b"X: a\r\n" * 20_000 + b"\r\n"
    yield "two lengths", head + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"
    yield (
        "length and chunks",
        (head + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    )
    yield "negative length", head + b"Content-Length: -1\r\n\r\n"
    yield "length beyond numbers", head + b"Content-Length: " + b"9" * 400 + b"\r\n\r\n"
    yield "announced and not sent", head + b"Content-Length: 1000000\r\n\r\nabc"
    yield "huge chunk", head + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc"
    yield "chunk of no number", head + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\nabc"
    yield "tiny chunks", head + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n\x00\r\n" * 5000
    yield "no HTTP", chance.randbytes(5000)
    yield "HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + chance.randbytes(500)
    yield "NUL in the path", b"POST /v1/traces\x00 HTTP/1.1\r\nHost: x\r\n\r\n"
    yield "TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + chance.randbytes(500)


def hostile_requests(victim: Victim, count: int, seed: int, tally: Tally) -> None:
    """Send *count* requests made to hurt, each checked."""
    client, sent, round_number = HttpClient(victim.port), 0, 0
    while sent < count:
        chance = Random(seed * 1_000_000 + round_number)
        round_number += 1
        for name, body, headers, codes in hostile_bodies(chance):
            broke = ""
            try:
                code = client.send(body, headers)[0]
            except (OSError, http.client.HTTPException) as error:
                code, broke = 0, repr(error)  # a body too large is not read to its end
            if code not in codes | {503} and not (code == 0 and 413 in codes):
                msg = f"{name}: answered {code or broke}, expected {sorted(codes)}"
                raise WrongAnswerError(msg)
            tally.answers[f"hostile {code or 'hung up'}"] += 1
            sent += 1
        for name, data in hostile_bytes(chance):
            code = framing_answer(victim.port, data)
            if code not in (FRAMING_CODES | {0, 431}) - {200}:
                msg = f"{name}: answered {code}"
                raise WrongAnswerError(msg)
            tally.answers[f"hostile {code or 'hung up'}"] += 1
            framing_answer(victim.grpc_port, data, 0.02)
            sent += 2
        send_sound(client, chance, tally)
    client.close()


# --- all together ---------------------------------------------------------------------------


@contextlib.contextmanager
def watched(victim: Victim, tally: Tally) -> Generator[None]:
    """Note the most memory that receiving takes inside the block."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            with contextlib.suppress(psutil.Error):
                size_bytes = sum(each.memory_info().rss for each in victim.receivers())
                tally.peak_bytes = max(tally.peak_bytes, size_bytes)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    except BaseException:
        print(f"until then: {tally}", file=sys.stderr)
        raise
    finally:
        done.set()
        thread.join()


def in_threads(clients: int, work: Callable[[int], None]) -> None:
    """Do *work* in so many threads, and raise what one of them raises."""
    errors: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001  raised by the caller
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(n,)) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def sweep(
    folder: Path, changed: int, hostile: int, seed: int = 0, *, clients: int = CLIENTS
) -> Tally:
    """Send so many requests of both kinds to a collector, and look into its lake."""
    tally, lake = Tally(), folder / "lake"
    victim = Victim(folder / "a", lake)
    try:
        with watched(victim, tally):
            for count, send in ((changed, changed_requests), (hostile, hostile_requests)):
                share = count // clients
                in_threads(clients, lambda n: send(victim, share, seed * clients + n, tally))  # noqa: B023  it ends here
        assert victim.process.poll() is None, "it ended"
        assert victim.finish() == 0
    finally:
        victim.process.kill()
    assert tally.peak_bytes < MEMORY_BYTES, f"{tally.peak_bytes} bytes of memory"
    missing = set(tally.sound) - set(span_ids(lake))
    assert not missing, f"{len(missing)} sound spans are not in the lake"
    quarantine = folder / "a" / "wal" / "drain" / "quarantine"
    kept = list(quarantine.iterdir()) if quarantine.exists() else []
    assert not kept, f"accepted, but not to be decoded: {kept[:3]}"
    return tally


def main() -> int:
    changed, hostile = (int(word) for word in sys.argv[1:3] or ("100000", "1000"))
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else int(time.time())
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        print(sweep(Path(folder), changed, hostile, seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
