"""Heads and bodies over HTTP that come in pieces: gathered, bounded, and timed."""

import gc
import http.client
import random
import re
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pytest

from exray.collector import http_protocol
from exray.collector.entry import Entry
from exray.collector.http_direct import LEAST_BYTES
from exray.collector.service import Collector

from .service import PROTOBUF, collector, http_call, raw_call, request_bytes, span, stored
from .test_run import wait_for

HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"


def sent_in_parts(running: Collector, parts: Sequence[bytes], pause_s: float) -> bytes:
    """Send part after part; return what comes back."""
    address = running.http_address
    assert address is not None
    with socket.create_connection((address.host, address.port), 10) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause_s)
        return connection.recv(65536)


def chunked(body: bytes, size_bytes: int) -> list[bytes]:
    pieces = [body[i : i + size_bytes] for i in range(0, len(body), size_bytes)]
    return [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces] + [b"0\r\n\r\n"]


def test_slow_body_is_taken_while_it_goes_on(tmp_path: Path) -> None:
    """Longer under way than the longest pause, and never as much as wakes the application."""
    body = request_bytes(span(1, name="x" * 100))
    with collector(tmp_path, body_timeout_s=0.4) as one:
        parts = [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *chunked(body, 20)]
        assert sent_in_parts(one, parts, 0.15).startswith(b"HTTP/1.1 200")
        assert [record.body for record in stored(tmp_path)] == [body]


def test_body_that_stops_is_given_up(tmp_path: Path) -> None:
    with collector(tmp_path, body_timeout_s=0.4) as one:
        parts = [HEAD + b"Content-Length: 100\r\n\r\n", b"\x0a", b"\x02"]
        assert sent_in_parts(one, parts, 0.1).startswith(b"HTTP/1.1 408")
        assert stored(tmp_path) == []


@pytest.mark.parametrize("size_bytes", [1, 7, 300_000])
def test_body_of_many_parts_is_whole(tmp_path: Path, size_bytes: int) -> None:
    body = request_bytes(span(1, name="abc" * (300 if size_bytes < 10 else 400_000)))
    with collector(tmp_path) as one:
        head = HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = raw_call(one, head + b"".join(chunked(body, size_bytes)))
        assert answer.startswith(b"HTTP/1.1 200")
        assert [record.body for record in stored(tmp_path)] == [body]


def test_what_all_connections_gather_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first two fill it; of the third, what comes is counted as under way at once."""
    monkeypatch.setattr(http_protocol, "GATHERED_BYTES", 100_000)
    with collector(tmp_path) as one, ExitStack() as stack:
        assert one.http_address is not None
        where = (one.http_address.host, one.http_address.port)
        connections = [stack.enter_context(socket.create_connection(where)) for _ in range(3)]
        for connection in connections[:2]:
            connection.sendall(HEAD + b"Content-Length: 90000\r\n\r\n" + bytes(45_000))
        time.sleep(0.3)
        assert one.intake.budget.used_bytes == 0
        connections[2].sendall(HEAD + b"Content-Length: 90000\r\n\r\n" + bytes(45_000))
        wait_for(lambda: one.intake.budget.used_bytes == 45_000)
        for connection in connections[:2]:
            connection.close()
        time.sleep(0.3)
        later = stack.enter_context(socket.create_connection(where))
        later.sendall(HEAD + b"Content-Length: 90000\r\n\r\n" + bytes(45_000))
        time.sleep(0.3)
        assert one.intake.budget.used_bytes == 45_000, "what the closed ones had counts still"


def test_two_requests_at_once_on_a_connection_are_both_taken(tmp_path: Path) -> None:
    bodies = [request_bytes(span(number, name="x" * 90_000)) for number in (1, 2)]
    with collector(tmp_path) as one:
        requests = [
            HEAD + b"%bContent-Length: %d\r\n\r\n" % (close, len(body)) + body
            for body, close in zip(bodies, (b"", b"Connection: close\r\n"), strict=True)
        ]
        assert raw_call(one, b"".join(requests)).count(b"HTTP/1.1 200") == 2
        assert [record.body for record in stored(tmp_path)] == bodies


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"X: " + b"x" * (http_protocol.HEAD_BYTES + 1) + b"\r\n\r\n",
        HEAD + b"".join(b"X%d: y\r\n" % i for i in range(20_000)) + b"\r\n",
        b"POST /" + b"v" * (1 << 20),
        HEAD + b"X: " + b"x" * (1 << 20),  # and no end of it
    ],
)
def test_head_beyond_its_limit_is_refused(tmp_path: Path, head: bytes) -> None:
    with collector(tmp_path) as one:
        answer = raw_call(one, head)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
        body = request_bytes()
        last = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        assert raw_call(one, last + body).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("before", [b"", HEAD + b"Content-Length: 0\r\n\r\n"])
def test_head_that_does_not_end_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bytes
) -> None:
    monkeypatch.setattr(http_protocol, "IDLE_TIMEOUT_S", 0.3)
    with collector(tmp_path) as one:
        began_s = time.monotonic()
        raw_call(one, before + b"POST /v1/tra", timeout_s=10)
        assert time.monotonic() - began_s < 5


@pytest.mark.parametrize("size_bytes", [1, 40, 5000, 70_000])
def test_request_that_comes_in_pieces_is_whole(tmp_path: Path, size_bytes: int) -> None:
    """Cut in its head, behind it, and in its body, which comes to lie in memory of its own."""
    body = request_bytes(span(1, name="x" * (300_000 if size_bytes > 1000 else 100)))
    request = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    pieces = [request[i : i + size_bytes] for i in range(0, len(request), size_bytes)]
    with collector(tmp_path) as one:
        for _ in range(2):
            assert sent_in_parts(one, pieces, 0.001).startswith(b"HTTP/1.1 200")
        assert [record.body for record in stored(tmp_path)] == [body, body]


def test_body_that_does_not_pack_is_kept_while_the_next_one_is_read(tmp_path: Path) -> None:
    """Both are read into the same memory, and neither is packed into another."""
    bodies = [
        request_bytes(span(n, name=random.Random(n).randbytes(40_000).hex()[:n]))
        for n in range(5, 9)
    ]
    with collector(tmp_path) as one:
        last = bodies[-1]
        requests = [HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body for body in bodies]
        requests[-1] = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(last) + last
        assert raw_call(one, b"".join(requests)).count(b"HTTP/1.1 200") == len(bodies)
        assert [record.body for record in stored(tmp_path)] == bodies


def test_unusual_requests_and_usual_ones_share_a_connection(tmp_path: Path) -> None:
    """Parsed whole, taken directly, refused by the application, taken again, in their order."""
    body = request_bytes(span(1, name="x" * 5000))
    usual = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    by_parts = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(chunked(body, 999))
    bad = HEAD + b"Content-Length: 4\r\n\r\n\xff\xff\xff\xff"
    last = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with collector(tmp_path) as one:
        answer = raw_call(one, usual + by_parts + bad + usual + bad + by_parts + last)
        codes = re.findall(rb"HTTP/1.1 (\d+)", answer)
        assert codes == [b"200", b"200", b"400", b"200", b"400", b"200", b"200"]
        assert [record.body for record in stored(tmp_path)] == [body] * 5


def test_request_that_finds_the_log_full_is_answered_and_its_connection_kept(
    tmp_path: Path,
) -> None:
    body = request_bytes(span(1, name=random.Random(1).randbytes(3000).hex()))
    with collector(tmp_path, max_log_bytes=2 * len(body)) as one:
        assert one.http_address is not None
        connection = http.client.HTTPConnection(one.http_address.host, one.http_address.port)
        codes, socket_before = list[int](), None
        for _ in range(3):
            connection.request("POST", "/v1/traces", body, PROTOBUF)
            answer = connection.getresponse()
            assert answer.status == 200 or answer.headers["retry-after"] == "1"
            answer.read()
            codes.append(answer.status)
            assert socket_before in (None, connection.sock)
            socket_before = connection.sock
        connection.close()
        assert codes == [200, 503, 503]
        assert len(stored(tmp_path)) == 1


def test_body_that_stops_behind_the_first_bytes_of_its_memory_is_given_up(tmp_path: Path) -> None:
    with collector(tmp_path, body_timeout_s=0.4) as one:
        parts = [HEAD + b"Content-Length: 1000000\r\n\r\n" + bytes(1000), bytes(300_000)]
        began_s = time.monotonic()
        assert sent_in_parts(one, parts, 0.1).startswith(b"HTTP/1.1 408")
        assert time.monotonic() - began_s < 5
        wait_for(lambda: one.intake.budget.used_bytes == 0)  # given back behind the answer


def test_memory_of_a_body_follows_what_has_come_of_it_not_what_was_announced(
    tmp_path: Path,
) -> None:
    body = request_bytes(span(1, name="x" * 1_500_000))
    head = HEAD + b"Content-Length: %d\r\n\r\n" % len(body)
    with collector(tmp_path) as one, ExitStack() as stack:
        assert one.http_address is not None
        before_bytes = pa.total_allocated_bytes()
        address = (one.http_address.host, one.http_address.port)
        senders = [stack.enter_context(socket.create_connection(address, 10)) for _ in range(10)]
        for sender in senders:
            sender.sendall(head + body[:1])
        wait_for(lambda: pa.total_allocated_bytes() > before_bytes)
        time.sleep(0.3)
        assert pa.total_allocated_bytes() - before_bytes <= 10 * LEAST_BYTES
        for sender in senders:
            sender.sendall(body[1:])
            assert sender.recv(65536).startswith(b"HTTP/1.1 200")
        assert [record.body for record in stored(tmp_path)] == [body] * 10


def test_stored_requests_leave_nothing_to_the_garbage_collector(tmp_path: Path) -> None:
    """Their bodies would stay in memory until it comes, which with large ones is late."""
    body = request_bytes(span(1, name="x" * 9000))
    with collector(tmp_path) as one:
        gc.collect()
        gc.disable()
        try:
            for _ in range(10):
                assert http_call(one, body).code == 200
            kept = sum(isinstance(thing, Entry) for thing in gc.get_objects())
        finally:
            gc.enable()
    assert kept <= 1, "the last one is with the thread that wrote it"
