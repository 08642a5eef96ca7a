"""``exray collect`` as a process: from its first line to the last request in the lake."""

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from deltalake import DeltaTable

from exray.collector.drain_process import DrainProcess
from exray.collector.own_metrics import metrics_request
from exray.exporters.log import Encoding
from exray.exporters.log_writer import LogWriter
from exray.lake import Lake

from .service import request_bytes, span, span_ids

COLLECT = (sys.executable, "-c", "from exray.cli import main; main()", "collect")


def collect(folder: Path, *options: str) -> "subprocess.Popen[str]":
    """Start a collector whose stderr can be read."""
    where = ("--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--wal", str(folder / "wal"))
    return subprocess.Popen(
        [*COLLECT, "--lake", str(folder / "lake"), *where, *options],
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )


def test_terminated_collector_brings_its_log_into_the_lake(tmp_path: Path) -> None:
    running = collect(tmp_path, "--log-format", "json")
    assert running.stderr is not None
    ready = running.stderr.readline()
    found = re.search(r"HTTP 127\.0\.0\.1:(\d+); log '.*wal', lake '.*lake'", ready)
    assert found, ready
    connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=20)
    headers = {"Content-Type": "application/x-protobuf"}
    for number in range(1, 4):
        connection.request("POST", "/v1/traces", request_bytes(span(number)), headers)
        assert connection.getresponse().read() == b""
    connection.close()
    running.send_signal(signal.SIGTERM)
    rest = running.communicate(timeout=60)[1]
    assert running.returncode == 0
    assert '"level": "info"' in rest and "Traceback" not in rest
    assert len(span_ids(tmp_path / "lake")) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--grpc", "nonsense"), "--grpc 'nonsense' is no address"),
        (("--grpc", "none", "--http", "none"), "nothing to listen at"),
        (("--http", "0.0.0.0:0"), "--insecure"),
        (("--config", "missing.yaml"), "missing.yaml"),
        (("--when-full", "panic"), "--when-full"),
    ],
)
def test_mistake_is_one_line_and_code_2(
    tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    running = collect(tmp_path, *options)
    text = running.communicate(timeout=60)[1]
    assert running.returncode == 2
    assert text.startswith("error: ") and message in text and text.count("\n") == 1


def test_drain_that_died_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exray.collector.child.RESTART_S", (0.05,))
    writer = LogWriter(tmp_path / "wal")
    writer.append("traces", Encoding.PROTOBUF, request_bytes(span(1)), 1)
    writer.sync()
    lake = tmp_path / "lake"
    Lake.open_or_create(lake)
    drain = DrainProcess(tmp_path / "wal", str(lake))
    drain.start()
    wait_for(lambda: drain.figure("spans") == 1)
    os.kill(drain.child_pid, signal.SIGKILL)
    writer.append("traces", Encoding.PROTOBUF, request_bytes(span(2)), 1)
    writer.sync()
    wait_for(lambda: drain.figure("spans") == 2)
    assert drain.deaths == 1
    drain.stop()
    writer.close()
    assert len(span_ids(lake)) == 2


def wait_for(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.05)


def test_own_numbers_become_rows_of_the_lake(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "wal")
    samples = [("exray_collector_requests_total", {"signal": "traces"}, 3.0)]
    body = metrics_request(samples, "i", 1_700_000_000 * 10**9)
    writer.append("metrics", Encoding.PROTOBUF, body, 1_700_000_000 * 10**9)
    writer.close()
    lake = tmp_path / "lake"
    Lake.open_or_create(lake)
    drain = DrainProcess(tmp_path / "wal", str(lake))
    drain.start()
    wait_for(lambda: drain.figure("requests") == 1)
    drain.stop()
    (row,) = DeltaTable(lake / "metrics").to_pyarrow_table().to_pylist()
    assert (row["name"], row["value"]) == ("exray_collector_requests_total", 3.0)
