"""Spools: what a device recorded reaches the server, whatever happens in between."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from exray.exporters.log import Encoding
from exray.exporters.log_writer import LogWriter
from exray.exporters.otlp_http import Answer, Outcome
from exray.exporters.otlp_settings import Signal
from exray.exporters.spool import SMALLEST_SPOOL_BYTES, Spool, slots, waiting_requests
from exray.exporters.spool_sender import LONGEST_RETRY_S, SpoolSender
from exray.schema.errors import LogError, UsageError

DOWN = Answer(Outcome.LATER, "it cannot be reached: no route")
TAKEN = Answer(Outcome.TAKEN)


@dataclass
class Server:
    """Answers as it is told, and keeps what it takes."""

    url: str = "http://collector"
    answer: Answer = DOWN
    taken: list[bytes] = field(default_factory=list[bytes])
    asked: int = 0

    def send(self, data: bytes, *, is_gzip: bool) -> Answer:
        self.asked += 1
        if self.answer.outcome is Outcome.TAKEN:
            self.taken.append(data)
        return self.answer


@dataclass
class Time:
    """A clock that is moved by hand."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


def sender_of(
    folder: Path,
    server: Server,
    clock: Time | None = None,
    *,
    max_bytes: int = SMALLEST_SPOOL_BYTES,
    is_paused: Callable[[], bool] = lambda: False,
) -> SpoolSender:
    senders: dict[Signal, Server] = {"traces": server, "logs": server, "metrics": server}
    spool = Spool(folder, max_bytes=max_bytes)
    return SpoolSender(spool, senders, clock=clock or Time(), is_paused=is_paused)


def keep(sender: SpoolSender, *bodies: bytes) -> None:
    sender.keep([("traces", body) for body in bodies], Encoding.PROTOBUF)


def test_an_hour_without_a_server_loses_nothing(tmp_path: Path) -> None:
    server, clock = Server(), Time()
    sender = sender_of(tmp_path, server, clock)
    kept = [b"%d" % number for number in range(120)]
    for body in kept:
        keep(sender, body)
        sender.send_due()
        clock.now_s += 30
    assert server.taken == []
    assert server.asked < 120, "a server that is down is not asked each time"
    server.answer = TAKEN
    clock.now_s += 1.25 * LONGEST_RETRY_S
    assert sender.send_due()
    assert server.taken == kept
    sender.shutdown()


def test_next_process_sends_what_the_last_one_left(tmp_path: Path) -> None:
    first = sender_of(tmp_path, Server())
    keep(first, b"a", b"b")
    first.send_due()
    first.shutdown()
    server = Server(answer=TAKEN)
    second = sender_of(tmp_path, server)
    keep(second, b"c")
    assert second.send_due()
    assert server.taken == [b"a", b"b", b"c"]
    second.shutdown()
    third = sender_of(tmp_path, server)
    assert third.send_due() and len(server.taken) == 3, "what was taken is not sent again"
    third.shutdown()


def test_processes_at_the_same_time_do_not_share_a_log(tmp_path: Path) -> None:
    first, second = Spool(tmp_path), Spool(tmp_path)
    assert slots(tmp_path) == [0, 1]
    second.append("logs", Encoding.PROTOBUF, b"orphan", 1)
    second.sync()
    first.close()
    second.close()
    later = Spool(tmp_path)
    found = later.oldest()
    assert found is not None and found.record.body == b"orphan"
    later.close()


def test_overflow_drops_the_oldest_and_counts(tmp_path: Path) -> None:
    server = Server()
    sender = sender_of(tmp_path, server)
    kept = [bytes([number]) * 50_000 for number in range(40)]
    for body in kept:
        keep(sender, body)
    assert sender.spool.size_bytes <= SMALLEST_SPOOL_BYTES
    server.answer = TAKEN
    sender.send_due()
    assert server.taken == kept[-len(server.taken) :]
    assert sender.spool.dropped_requests == 40 - len(server.taken) > 0
    sender.shutdown()


def test_request_larger_than_the_spool_is_counted_and_left_out(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=SMALLEST_SPOOL_BYTES)
    assert not spool.append("traces", Encoding.PROTOBUF, bytes(SMALLEST_SPOOL_BYTES), 0)
    assert spool.dropped_requests == 1
    spool.close()


def test_nothing_is_sent_while_paused(tmp_path: Path) -> None:
    server, metered = Server(answer=TAKEN), [True]
    sender = sender_of(tmp_path, server, is_paused=lambda: metered[0])
    keep(sender, b"a")
    assert not sender.send_due() and server.asked == 0
    metered[0] = False
    assert sender.send_due() and server.taken == [b"a"]
    sender.shutdown()


def test_request_refused_for_good_is_dropped_and_the_next_sent(tmp_path: Path) -> None:
    server = Server(answer=Answer(Outcome.REFUSED, "it answered 400"))
    sender = sender_of(tmp_path, server)
    keep(sender, b"bad")
    assert sender.send_due()
    server.answer = TAKEN
    keep(sender, b"good")
    assert sender.send_due() and server.taken == [b"good"]
    sender.shutdown()


def test_server_that_denies_the_sender_is_asked_again(tmp_path: Path) -> None:
    server, clock = Server(answer=Answer(Outcome.REFUSED, "401", is_denied=True)), Time()
    sender = sender_of(tmp_path, server, clock)
    keep(sender, b"a")
    assert not sender.send_due()
    server.answer = TAKEN
    clock.now_s += 1.25 * LONGEST_RETRY_S
    assert sender.send_due() and server.taken == [b"a"]
    sender.shutdown()


def test_server_is_left_alone_for_as_long_as_it_asks(tmp_path: Path) -> None:
    server, clock = Server(answer=Answer(Outcome.LATER, "503", retry_after_s=500.0)), Time()
    sender = sender_of(tmp_path, server, clock)
    keep(sender, b"a")
    sender.send_due()
    clock.now_s = 499.0
    sender.send_due()
    assert server.asked == 1
    sender.shutdown()


def test_damaged_request_is_passed_over(tmp_path: Path) -> None:
    sender = sender_of(tmp_path, Server())
    keep(sender, b"aaaa", b"bbbb", b"cccc")
    sender.shutdown()
    (segment,) = [path for path in (tmp_path / "0").glob("*.log") if path.stat().st_size]
    segment.write_bytes(segment.read_bytes().replace(b"bbbb", b"bxbb"))
    server = Server(answer=TAKEN)
    again = sender_of(tmp_path, server)
    assert again.send_due()
    assert (server.taken, again.spool.corrupt) == ([b"aaaa", b"cccc"], 1)
    again.shutdown()


def test_forked_child_keeps_its_own_and_leaves_its_parents(tmp_path: Path) -> None:
    server = Server(answer=TAKEN)
    sender = sender_of(tmp_path, server)
    keep(sender, b"parent")
    pid = os.fork()
    if pid == 0:
        try:
            keep(sender, b"child")
            os._exit(0 if sender.send_due() and server.taken == [b"child"] else 1)
        finally:
            os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0
    assert sender.send_due() and server.taken == [b"parent"]
    sender.shutdown()


def test_waiting_requests_are_counted_while_another_process_holds_them(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append("traces", Encoding.PROTOBUF, b"12345", 99)
    spool.append("traces", Encoding.PROTOBUF, b"12345", 100)
    spool.sync()
    waiting = waiting_requests(tmp_path / "0")
    assert (waiting.requests, waiting.oldest_ns) == (2, 99)
    spool.close()


def test_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LogError):
        Spool(tmp_path / "file" / "spool")
    with pytest.raises(UsageError, match="too small"):
        Spool(tmp_path, max_bytes=1)


def test_log_that_somebody_else_holds_is_left_alone(tmp_path: Path) -> None:
    held = LogWriter(tmp_path / "0")
    spool = Spool(tmp_path)
    assert slots(tmp_path) == [0, 1]
    spool.close()
    held.close()
