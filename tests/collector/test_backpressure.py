"""More than fits: refused so that it comes again, in bounded memory, and taken once it fits."""

import http.client
import random
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exray.collector.service import Collector
from exray.exporters.log_reader import LogReader, write_cursor

from . import disks
from .bad_requests import Tally, watched
from .crash import Victim
from .service import PROTOBUF, Answered, collector, http_call, request_bytes, span, stored


def large(number: int, size_bytes: int = 100_000) -> bytes:
    """Return a request that the log cannot pack smaller."""
    name = random.Random(number).randbytes(size_bytes // 2).hex()
    return request_bytes(span(number, name=name))


def read_all(folder: Path) -> None:
    """Do what a drain does: read to the end, and say so."""
    reader = LogReader(folder)
    for _ in reader:
        pass
    write_cursor(folder, reader.cursor)


def test_log_that_is_read_again_takes_what_was_refused(tmp_path: Path) -> None:
    with collector(tmp_path, max_log_bytes=1 << 20) as one:
        codes = [http_call(one, large(number)).code for number in range(1, 21)]
        assert codes == [200] * 10 + [503] * 10
        assert one.committer.size_bytes <= 1 << 20
        assert http_call(one, b"", {}, "/healthz", "GET").code == 200
        read_all(tmp_path)
        assert http_call(one, large(21)).code == 200


@contextmanager
def small_disk(folder: Path, size: str) -> Generator[None]:
    """Mount a small disk; skips where this user may not."""
    try:
        with disks.small_disk(folder, size):
            yield
    except disks.NoDiskError as error:
        pytest.skip(str(error))


def test_full_disk_refuses_and_recovers_by_itself(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, "2m"), collector(disk / "log") as one:
        filler = disk / "filler"
        filler.write_bytes(bytes(1 << 20))
        answers = [http_call(one, large(number)) for number in range(1, 21)]
        taken = [number for number, answer in enumerate(answers, 1) if answer.code == 200]
        assert 5 <= len(taken) < 15
        assert {answer.code for answer in answers} == {200, 503}
        assert answers[-1].headers["retry-after"] == "1"
        assert b"full" in answers[-1].body
        assert probe(one, "/readyz").code == 503 and probe(one, "/healthz").code == 200
        filler.unlink()
        assert http_call(one, large(21)).code == 200
        assert probe(one, "/readyz").code == 200
        bodies = [record.body for record in stored(disk / "log")]
        assert bodies == [large(number) for number in [*taken, 21]]


def probe(one: Collector, path: str) -> Answered:
    return http_call(one, b"", {}, path, "GET")


@pytest.mark.parametrize("allowed_bytes", [16 << 20, 512 << 20])
def test_flood_takes_the_memory_that_it_may_and_no_more(tmp_path: Path, allowed_bytes: int) -> None:
    """Forty clients at once with 6 MiB each: 240 MiB, were there no bound."""
    victim, tally = (
        Victim(tmp_path / "a", tmp_path / "lake", max_inflight_bytes=allowed_bytes),
        Tally(),
    )
    body = large(1, 6 << 20)
    codes: list[int] = []
    try:
        flood(victim, body)  # what parsing once has allocated stays
        before = sum(each.memory_info().rss for each in victim.receivers())
        with watched(victim, tally):
            threads = [
                threading.Thread(target=lambda: codes.extend(flood(victim, body)))
                for _ in range(40)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert victim.process.poll() is None
    finally:
        victim.kill()
        victim.close()
    assert set(codes) <= {200, 503} and 200 in codes
    grown = tally.peak_bytes - before
    if allowed_bytes < 512 << 20:
        # One is unpacked and parsed besides: copies of it, and of its longest text.
        assert grown < allowed_bytes + (64 << 20)
        assert 503 in codes
    else:
        assert grown > 128 << 20, "the flood is none"


def flood(victim: Victim, body: bytes) -> list[int]:
    codes: list[int] = []
    for _ in range(1):
        connection = http.client.HTTPConnection("127.0.0.1", victim.port, timeout=60)
        try:
            connection.request("POST", "/v1/traces", body, PROTOBUF)
            codes.append(connection.getresponse().status)
        except OSError:
            codes.append(503)  # refused while the body was on its way
        finally:
            connection.close()
    return codes
