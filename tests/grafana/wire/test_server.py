"""What a server survives: slow, dead, hostile and too many clients."""

import asyncio
import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from exray.grafana.wire import frontend
from exray.grafana.wire.errors import WireError
from exray.lake import Lake

from .servers import PASSWORD, Running, error_state, serving

HEADER_BYTES = 5
"""A message's letter and its length."""

LONG = "SELECT pg_sleep(600)"
HUGE = "SELECT a, repeat('x', 100) FROM range(1000000000) AS t(a)"


@pytest.fixture(scope="module")
def narrow(fleet_lake: Lake) -> Generator[Running]:
    """A server that runs one statement at a time: what hangs there shows."""
    with serving(fleet_lake, statements=1, statement_timeout_s=30, login_timeout_s=1) as running:
        yield running


def answers(running: Running) -> bool:
    with running.connect() as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_ten_minute_query_ends_at_the_timeout(fleet_lake: Lake) -> None:
    with serving(fleet_lake, statement_timeout_s=0.3) as running, running.connect() as connection:
        for statement in (
            LONG,
            HUGE.replace("1000000000", "100000000000"),
            f"EXPLAIN ANALYZE {LONG}",
        ):
            with pytest.raises(psycopg.errors.QueryCanceled, match="statement timeout"):
                for _ in connection.cursor().stream(statement.encode()):
                    pass
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_waiting_for_a_turn_counts_for_the_timeout(fleet_lake: Lake) -> None:
    with serving(fleet_lake, statements=1) as running, running.logged_in() as busy:
        busy.send(b"Q", HUGE.encode() + b"\0")
        busy.receive()
        with running.connect() as waiting:
            waiting.execute("SET statement_timeout = 200")
            with pytest.raises(psycopg.errors.QueryCanceled, match="statement timeout"):
                waiting.execute("SELECT 1")


def test_a_statement_is_cancelled_by_its_key_alone(narrow: Running) -> None:
    with narrow.logged_in() as client:
        client.send(b"Q", LONG.encode() + b"\0")
        process_id, secret = struct.unpack("!iI", client.key)
        cancel(narrow, process_id, secret ^ 1)
        cancel(narrow, process_id + 1, secret)
        client.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.receive()
        client.socket.settimeout(10)
        cancel(narrow, process_id, secret)
        assert error_state(client.until_ready()) == "57014"
        assert error_state(client.query("SELECT 1")) is None


def cancel(running: Running, process_id: int, secret: int) -> None:
    with running.raw() as other:
        other.socket.sendall(struct.pack("!iiiI", 16, 80877102, process_id, secret))
        assert other.socket.recv(1) == b""


def test_psycopg_cancels_while_rows_come(narrow: Running) -> None:
    with narrow.connect() as connection:
        rows = connection.cursor().stream(HUGE.encode())
        next(rows)
        connection.cancel_safe()
        with pytest.raises(psycopg.errors.QueryCanceled, match="user request"):
            for _ in rows:
                pass
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("abruptly", [True, False], ids=["reset", "closed"])
@pytest.mark.parametrize("statement", [LONG, HUGE])
def test_a_client_killed_mid_result_gives_its_turn_back(
    narrow: Running, statement: str, abruptly: bool
) -> None:
    client = narrow.logged_in()
    client.send(b"P", b"\0" + statement.encode() + b"\0\0\0")
    client.send(b"H")
    client.send(b"B", b"\0\0" + bytes(6))
    client.send(b"E", b"\0" + bytes(4))
    client.send(b"S")
    assert client.receive()[0] == b"1"
    if abruptly:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.socket.close()
    assert answers(narrow)


def test_a_client_that_reads_nothing_loses_its_turn(fleet_lake: Lake) -> None:
    with (
        serving(fleet_lake, statements=1, statement_timeout_s=1) as running,
        running.logged_in() as client,
    ):
        client.send(b"Q", HUGE.encode() + b"\0")
        with running.connect() as connection:
            until(lambda: is_served(connection))
        assert error_state(client.until_ready()) == "57014"
        assert error_state(client.query("SELECT 1")) is None


def is_served(connection: "psycopg.Connection[tuple[int]]") -> bool:
    with contextlib.suppress(psycopg.errors.QueryCanceled):
        return connection.execute("SELECT 1").fetchone() == (1,)
    return False


def test_fifty_panels_at_once_are_all_answered(wire: Running) -> None:
    statement = b"SELECT build, count(*) FROM frames GROUP BY build ORDER BY build"
    with wire.connect() as connection:
        expected = connection.execute(statement).fetchall()

    def panel(_: int) -> list[tuple[object, ...]]:
        with wire.connect() as connection:
            return connection.execute(statement).fetchall()

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(panel, range(50))) == [expected] * 50


def test_connections_are_counted(fleet_lake: Lake) -> None:
    with serving(fleet_lake, connections=2) as running:
        with running.connect(), running.connect() as second:
            with pytest.raises(psycopg.OperationalError, match="2 connections already"):
                running.connect()
            second.cancel_safe()  # a connection of its own, which is always let in
        until(lambda: not running.server._sessions)
        assert answers(running)


def test_prepared_statements_and_portals_are_counted(fleet_lake: Lake) -> None:
    with serving(fleet_lake, prepared=2, portals=2) as running, running.logged_in() as client:
        for name in (b"a", b"b", b"c"):
            client.send(b"P", name + b"\0SELECT 1\0\0\0")
        client.send(b"S")
        assert error_state(client.until_ready()) == "54000"
        for name in (b"a", b"b", b"c"):
            client.send(b"B", name + b"\0a\0" + bytes(6))
        client.send(b"S")
        assert error_state(client.until_ready()) == "54000"


def test_a_message_longer_than_allowed_is_not_read(fleet_lake: Lake) -> None:
    with serving(fleet_lake, message_bytes=10_000) as running:
        with running.logged_in() as client:
            assert error_state(client.query("SELECT " + "1" * 2)) is None
            client.socket.sendall(b"Q" + struct.pack("!i", 10_001))
            assert error_state([client.receive()]) == "08P01"
            with pytest.raises(EOFError):
                client.receive()
        assert answers(running)


def test_statements_that_would_take_more_memory_than_allowed_fail(fleet_lake: Lake) -> None:
    with serving(fleet_lake, memory="64MB") as running, running.connect() as connection:
        with pytest.raises(psycopg.errors.OutOfMemory):
            connection.execute("SELECT list(a) FROM range(100000000) AS t(a)")
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_whoever_says_nothing_is_not_waited_for(narrow: Running) -> None:
    with narrow.raw() as silent:
        assert silent.socket.recv(1) == b""


def test_the_server_stops_while_statements_run(fleet_lake: Lake) -> None:
    before = threading.active_count()
    with serving(fleet_lake) as running:
        clients = [running.logged_in() for _ in range(3)]
        for client, statement in zip(clients, (LONG, HUGE, "SELECT 1"), strict=True):
            client.send(b"Q", statement.encode() + b"\0")
    for client in clients:
        with pytest.raises((EOFError, ConnectionError)):
            while True:
                client.receive()
        client.socket.close()
    assert threading.active_count() <= before


def malformed(chance: random.Random) -> bytes:
    """Return bytes that are nearly, or not at all, messages of the protocol."""
    kind = chance.choice(b"QPBDECSHFXpdcf\0!Zz\xff").to_bytes(1)
    body = chance.choice(
        [
            chance.randbytes(chance.randrange(40)),
            b"SELECT 1",
            b"SELECT 1\0trailing",
            b"\xff\xfe\0",
            b"\0SELECT 1\0" + chance.randbytes(6),
            b"\0\0" + chance.randbytes(12),
            b"S" + chance.randbytes(5) + b"\0",
            struct.pack("!i", chance.choice([-1, 0, 2**31 - 1])) * 3,
            b"SELECT '" + chance.randbytes(8).replace(b"\0", b"\1") + b"\0",
        ]
    )
    length = chance.choice([len(body) + 4] * 4 + [0, 3, -1, -(2**31), 2**31 - 1, len(body), 5])
    return kind + struct.pack("!i", length) + body


def test_a_thousand_malformed_messages_are_survived(
    narrow: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = read_from(monkeypatch)
    chance = random.Random(6)
    for number in range(1, 1001):
        # A connection each: after one that ends its connection, no other is read.
        with narrow.logged_in() as client, contextlib.suppress(OSError):
            client.socket.sendall(malformed(chance))
            client.socket.shutdown(socket.SHUT_WR)
            while client.socket.recv(65536):
                pass
        assert len(read) == number
    assert answers(narrow)
    until(lambda: not narrow.server._connections)


def test_malformed_messages_one_after_the_other_are_survived(narrow: Running) -> None:
    chance = random.Random(8)
    for _ in range(100):
        with narrow.logged_in() as client, contextlib.suppress(OSError, EOFError):
            for _ in range(10):
                client.socket.sendall(malformed(chance))
            client.socket.shutdown(socket.SHUT_WR)
            while client.socket.recv(65536):
                pass
    assert answers(narrow)
    until(lambda: not narrow.server._connections)


def read_from(monkeypatch: pytest.MonkeyPatch) -> set[asyncio.StreamReader]:
    """Return the streams, from now on, of which a session of this process has read a header."""
    streams: set[asyncio.StreamReader] = set()
    read = frontend.read_message

    async def noting(reader: asyncio.StreamReader, max_bytes: int) -> tuple[bytes, bytes]:
        try:
            message = await read(reader, max_bytes)
        except WireError:
            streams.add(reader)
            raise
        except asyncio.IncompleteReadError as error:
            if error.partial or error.expected != HEADER_BYTES:
                streams.add(reader)
            raise
        streams.add(reader)
        return message

    monkeypatch.setattr(frontend, "read_message", noting)
    return streams


def test_malformed_startups_are_survived(narrow: Running) -> None:
    chance = random.Random(7)
    for _ in range(200):
        with narrow.raw() as client, contextlib.suppress(OSError):
            length = chance.choice([0, 3, 7, 8, 9, 20, 10_001, -1, 2**31 - 1])
            code = chance.choice([196608, 196610, 131072, 80877102, 80877103, 80877104, 0])
            client.socket.sendall(struct.pack("!iI", length, code) + chance.randbytes(20))
            client.socket.shutdown(socket.SHUT_WR)
            while client.socket.recv(65536):
                pass
    assert answers(narrow)
    until(lambda: not narrow.server._connections)


def test_nothing_is_answered_before_the_password(narrow: Running) -> None:
    for message in (b"Q\0\0\0\x0dSELECT 1\0", b"p\0\0\0\x05\0", b"X\0\0\0\x04"):
        with narrow.raw() as client:
            client.startup()
            assert client.receive()[0] == b"R"
            client.socket.sendall(message)
            with contextlib.suppress(EOFError):
                assert client.receive()[0] == b"E"
                with pytest.raises(EOFError):
                    client.receive()


def test_a_wrong_password_is_refused(narrow: Running) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(narrow.conninfo.replace(PASSWORD, "guess"))
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(narrow.conninfo, password="")
