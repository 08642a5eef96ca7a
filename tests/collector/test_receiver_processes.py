"""Several processes that take requests at one address: one collector to whoever asks."""

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from exray.collector import child
from exray.collector import settings as settings_module
from exray.collector.address import may_share
from exray.collector.logs import log_folder, logs_of
from exray.collector.receivers import Receivers
from exray.collector.settings import Settings
from exray.exporters.log import LogRecord
from exray.exporters.log_reader import LogReader
from exray.schema.errors import LogError, UsageError

from .service import ANYWHERE, PROTOBUF, grpc_call, http_call, request_bytes, span
from .test_backpressure import large
from .test_run import COLLECT

pytestmark = pytest.mark.skipif(not may_share(), reason="only Linux shares an address")

REQUESTS = 40
"""So many connections reach both receivers, but for one time in a million million."""


@contextmanager
def receivers(wal: Path, **settings: object) -> Generator[Receivers]:
    """Run two receivers inside the block."""
    given = {"wal": wal, "grpc": ANYWHERE, "http": ANYWHERE, "receivers": 2, **settings}
    running = Receivers(Settings.model_validate(given), lambda step: None)
    running.start()
    try:
        yield running
    finally:
        running.stop()


def stored(wal: Path) -> list[list[bytes]]:
    """Return the requests in each log."""
    found = [LogReader(log.folder) for log in logs_of(wal)]
    return [[item.body for item in log if isinstance(item, LogRecord)] for log in found]


def metric(running: Receivers, name: str) -> float:
    text = http_call(running.first, b"", {}, "/metrics", "GET").body.decode()
    (value,) = re.findall(rf"^exray_collector_{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(value)


def wait_for(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.05)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_requests_are_taken_by_all_receivers_each_once(tmp_path: Path, protocol: str) -> None:
    bodies = [request_bytes(span(number)) for number in range(1, REQUESTS + 1)]
    with receivers(tmp_path) as running:
        for body in bodies:
            if protocol == "http":
                assert http_call(running.first, body).code == 200
            else:
                assert grpc_call(running.first, body).code == ""
    first, second = stored(tmp_path)
    assert first and second
    assert sorted(first + second) == sorted(bodies)


def test_numbers_are_sums_whichever_receiver_is_asked(tmp_path: Path) -> None:
    with receivers(tmp_path) as running:
        for number in range(1, REQUESTS + 1):
            http_call(running.first, request_bytes(span(number)))
        name = 'requests_total{signal="traces"}'
        # One has heard of the other's latest requests some time after the other.
        wait_for(lambda: {metric(running, name) for _ in range(20)} == {REQUESTS})
        assert metric(running, "acknowledge_seconds_count") == REQUESTS
        sizes = sum(path.stat().st_size for path in tmp_path.rglob("*.log"))
        assert metric(running, "log_bytes") == sizes


def test_receiver_that_was_killed_is_started_again_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "RESTART_S", (0.05,))
    with receivers(tmp_path) as running:
        taken = send_all(running, range(1, REQUESTS + 1))
        [killed] = running.pids
        time.sleep(0.5)  # so that it has told its numbers
        os.kill(killed, signal.SIGKILL)
        wait_for(lambda: running.pids != [killed])
        taken += send_all(running, range(REQUESTS + 1, 3 * REQUESTS))
        wait_for(lambda: len(stored(tmp_path)[1]) > 0 and running.deaths == 1)
        wait_for(lambda: metric(running, 'requests_total{signal="traces"}') >= len(taken))
        assert http_call(running.first, b"", {}, "/readyz", "GET").code == 200
    first, second = stored(tmp_path)
    assert set(taken) <= {*first, *second}
    assert len(taken) > 2 * REQUESTS


def send_all(running: Receivers, numbers: range) -> list[bytes]:
    """Send requests; return those that were acknowledged."""
    taken: list[bytes] = []
    for number in numbers:
        body = request_bytes(span(number))
        try:
            if http_call(running.first, body).code == 200:
                taken.append(body)
        except (OSError, http.client.HTTPException):  # it reached the one that was killed
            continue
    return taken


def test_receivers_die_with_their_collector(tmp_path: Path) -> None:
    options = ["--lake", str(tmp_path / "lake"), "--wal", str(tmp_path / "wal")]
    options += ["--grpc", ANYWHERE, "--http", ANYWHERE, "--receivers", "2"]
    running = subprocess.Popen([*COLLECT, *options], stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    ready = running.stderr.readline()
    assert "receivers 2" in ready, ready
    others = [
        process
        for process in psutil.Process(running.pid).children()
        if "exray.collector.receiver_process" in process.cmdline()
    ]
    running.kill()
    running.wait()
    running.stderr.close()
    assert len(others) == 1
    _, alive = psutil.wait_procs(others, timeout=20)
    assert not alive


def test_a_second_collector_does_not_get_the_address(tmp_path: Path) -> None:
    with receivers(tmp_path / "a") as running:
        for name, address in (
            ("grpc", running.first.grpc_address),
            ("http", running.first.http_address),
        ):
            for count in (1, 2):
                given = {"grpc": "none", "http": "none", name: str(address), "receivers": count}
                settings = Settings.model_validate({"wal": tmp_path / "b", **given})
                with pytest.raises(UsageError, match=f"--{name}"):
                    Receivers(settings, lambda step: None)


def test_what_receivers_share_is_never_more_than_was_said(tmp_path: Path) -> None:
    whole = Settings()
    part = whole.share_of(3)
    assert part.max_inflight_bytes * 3 <= whole.max_inflight_bytes
    assert part.max_log_bytes * 3 <= whole.max_log_bytes
    with receivers(tmp_path, max_log_bytes=2 << 20) as running:
        codes = [http_call(running.first, large(number)).code for number in range(1, 61)]
        assert {*codes} == {200, 503}
        assert sum(path.stat().st_size for path in tmp_path.rglob("*.log")) <= 2 << 20


def test_tokens_that_change_count_in_every_receiver(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("camera first-token-of-16-bytes\n")
    with receivers(tmp_path / "wal", token_file=tokens) as running:
        assert codes_with(running, "first-token-of-16-bytes") == {200}
        tokens.write_text("camera second-token-of-16-bytes\n")
        time.sleep(1.2)
        assert codes_with(running, "second-token-of-16-bytes") == {200}
        assert codes_with(running, "first-token-of-16-bytes") == {401}
    assert all(stored(tmp_path / "wal"))


def codes_with(running: Receivers, token: str) -> set[int]:
    headers = PROTOBUF | {"Authorization": f"Bearer {token}"}
    return {http_call(running.first, request_bytes(), headers).code for _ in range(REQUESTS)}


def test_requests_under_way_are_finished_at_the_end(tmp_path: Path) -> None:
    taken: list[bytes] = []
    with receivers(tmp_path) as running:
        senders = [
            threading.Thread(target=lambda n=n: taken.extend(send_all(running, range(n, n + 200))))
            for n in range(1, 1001, 250)
        ]
        for sender in senders:
            sender.start()
        wait_for(lambda: all(stored(tmp_path)))
    for sender in senders:
        sender.join()
    assert 0 < len(taken) < 800
    assert set(taken) <= {body for log in stored(tmp_path) for body in log}


def test_receiver_that_does_not_start_is_named(tmp_path: Path) -> None:
    log_folder(tmp_path, 1).parent.mkdir()
    log_folder(tmp_path, 1).write_text("no folder")
    given = {"wal": tmp_path, "grpc": ANYWHERE, "http": ANYWHERE, "receivers": 2}
    running = Receivers(Settings.model_validate(given), lambda step: None)
    try:
        with pytest.raises(LogError, match="receiver 1 does not start"):
            running.start()
    finally:
        running.stop()


# --- how many -------------------------------------------------------------------------------


def test_there_is_a_receiver_for_each_core_up_to_four(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, expected in ((1, 1), (3, 3), (64, 4)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=cores: set(range(n)))
        assert Settings(max_inflight_bytes=1 << 30).receiver_count() == expected


def test_no_more_receivers_than_have_room_for_a_largest_request() -> None:
    assert Settings(max_inflight_bytes=1 << 20).receiver_count() == 1
    with pytest.raises(UsageError, match="--receivers 2 is too many"):
        Settings(max_inflight_bytes=1 << 20, receivers=2).receiver_count()


def test_where_an_address_cannot_be_shared_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_module, "may_share", lambda: False)
    assert Settings(receivers=2).receiver_count() == 1


def test_one_receiver_is_one_process(tmp_path: Path) -> None:
    with receivers(tmp_path, receivers=1) as running:
        assert running.pids == []
        assert http_call(running.first, request_bytes()).code == 200
    assert len(stored(tmp_path)) == 1


def test_module_ends_where_its_parent_has_gone() -> None:
    command = [sys.executable, "-P", "-m", "exray.collector.receiver_process"]
    done = subprocess.run(
        command, check=False, input="", capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (1, "")
