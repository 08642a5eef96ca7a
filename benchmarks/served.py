"""A lake served over the PostgreSQL wire by a process of its own, for the benchmarks."""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from exray.lake import Lake

COMMAND = (sys.executable, "-c", "from exray.cli import main; main()", "grafana", "serve")


@contextmanager
def serving(lake: Lake, state: Path) -> Generator[tuple[str, int]]:
    """Run ``exray grafana serve``; how to reach it, and its process id.

    Args:
        lake: What to serve.
        state: Folder for the server's password.
    """
    process = subprocess.Popen(
        [*COMMAND, "--lake", lake.path, "--listen", "127.0.0.1:0"],
        env=os.environ | {"XDG_STATE_HOME": str(state)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        port = line.split(" on 127.0.0.1:")[1].split(",")[0]
        password = (state / "exray" / "grafana_password").read_text().strip()
        yield f"host=127.0.0.1 port={port} user=bench password={password}", process.pid
    finally:
        process.terminate()
        process.wait()
