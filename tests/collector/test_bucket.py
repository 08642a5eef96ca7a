"""A collector whose lake is in a bucket: requests are taken whether or not it answers."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from exray.exporters.log_reader import read_cursor
from exray.lake import Lake

from ..lake.buckets import BUCKET, SECRET, environment, store
from ..lake.ports import free_port
from .crash import Client, Victim
from .test_run import COLLECT

URL = f"s3://{BUCKET}/fleet"


def keys(lake: Lake) -> list[bytes]:
    """Return the ids of a lake's spans."""
    import pyarrow.parquet as pq

    found: list[bytes] = []
    for path in lake.files("spans"):
        columns = pq.ParquetFile(lake.source(path)).read(["trace_id", "span_id"]).to_pydict()
        found += [trace + span for trace, span in zip(*columns.values(), strict=True)]
    return found


def test_what_was_taken_while_the_bucket_was_away_is_there_once_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    for name, value in environment(f"127.0.0.1:{port}").items():
        monkeypatch.setenv(name, value)
    victim = Victim(tmp_path / "a", Path(URL))
    client = Client(victim, 20, 1)
    client.start()
    while len(client.acknowledged) < 100:
        time.sleep(0.05)
    with store(port):
        wait_for_drain(tmp_path / "a" / "wal")
        client.stop()
        assert victim.finish() == 0
        found = keys(Lake.open(URL))
    assert sorted(found) == sorted(client.acknowledged)
    said = (tmp_path / "a" / "stderr").read_text()
    assert f"'{URL}" in said and "cannot be reached" in said
    assert SECRET not in said


def wait_for_drain(log: Path, timeout_s: float = 90.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not read_cursor(log).sequence:
        assert time.monotonic() < end_s, "nothing reaches the bucket"
        time.sleep(0.1)


def test_a_bucket_that_does_not_exist_is_a_mistake(tmp_path: Path) -> None:
    with store() as endpoint:
        running = subprocess.run(
            [*COLLECT, "--lake", "s3://nowhere/lake", "--wal", tmp_path, "--grpc", "none"],
            env=os.environ | environment(endpoint),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert running.returncode == 1
    assert re.fullmatch(r"error: there is no bucket 'nowhere'; .*\n", running.stderr)
