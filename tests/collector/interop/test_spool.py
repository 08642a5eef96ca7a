"""A device's spool and a collector, both killed: every frame that was flushed arrives, once."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from ...instrumentation.builders import FLOAT
from ...lake.ports import free_ports
from .running import Running, client_environment, rows_of

DEVICE = f"""
import sys
import numpy as np
import exray

endpoint, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
exray.configure(endpoint=endpoint, build="1.4.2", role="edge", privacy="open", sampling="all")
from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter({str(FLOAT)!r})
interpreter.allocate_tensors()
for number in range(first, last):
    with exray.frame(input_id="input-%d" % number):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.full((1, 8, 8, 3), number, "f4"))
        interpreter.invoke()
    assert exray.flush()
    print(number, flush=True)
print("done", flush=True)
sys.stdin.read()
"""


def device(folder: Path, endpoint: str, first: int, last: int) -> "subprocess.Popen[str]":
    """Start a device that records frames, each flushed before it is printed."""
    return subprocess.Popen(
        [sys.executable, "-c", DEVICE, endpoint, str(first), str(last)],
        env=client_environment(EXRAY_SPOOL=str(folder / "spool")),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def said_until(process: "subprocess.Popen[str]", word: str) -> list[str]:
    """Return the inputs that a device has flushed until it says *word*."""
    assert process.stdout is not None
    numbers: list[str] = []
    for line in process.stdout:
        if line.strip() == word:
            return numbers + ([] if word == "done" else [f"input-{word}"])
        numbers.append(f"input-{line.strip()}")
    raise AssertionError(f"it ended before it said {word!r}")


def test_flushed_frames_survive_the_death_of_device_and_collector(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    grpc, http = (f"127.0.0.1:{port}" for port in free_ports(2))
    running = Running(tmp_path / "collector", grpc=grpc, http=http)
    endpoint = f"http://{http}"
    with device(tmp_path, endpoint, 0, 1000) as first:
        flushed = said_until(first, "3")
        running.kill()
        flushed += said_until(first, "10")
        running.start()
        flushed += said_until(first, "20")
        running.kill()
        flushed += said_until(first, "30")
        first.kill()  # what it has flushed beyond that is there too
        assert first.stdout is not None
        flushed += [f"input-{line.strip()}" for line in first.stdout if line.endswith("\n")]
    running.start()
    with device(tmp_path, endpoint, 2000, 2010) as second:
        flushed += said_until(second, "done")
        second.communicate("")
    subprocess.run(
        [
            sys.executable,
            "-c",
            "from exray.cli import main; main()",
            "spool",
            "flush",
            "--endpoint",
            endpoint,
            "--spool",
            str(tmp_path / "spool"),
        ],
        check=True,
        timeout=100,
    )
    running.stop()
    found = Counter(row["input_id"] for row in rows_of(running.lake, ["input_id"], "frames"))
    assert len(flushed) > 40
    assert set(flushed) <= set(found)
    assert [name for name, count in found.items() if count > 1] == []
    assert len(found) - len(flushed) <= 1, "one frame may have been flushed and not told"
