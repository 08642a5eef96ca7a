"""A collector as it is installed: a process on free ports, and the lake it fills."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from exray.lake import Lake

COLLECT = (sys.executable, "-c", "from exray.cli import main; main()", "collect")
TIMEOUT_S = 60.0


class Running:
    """``exray collect``, from its making to `stop`.

    Args:
        folder: Of its log, its lake and what it prints.
        grpc: Where gRPC is taken.
        http: Where HTTP is taken.
    """

    def __init__(self, folder: Path, *, grpc: str = "127.0.0.1:0", http: str = "127.0.0.1:0"):
        folder.mkdir(exist_ok=True)
        self.lake = folder / "lake"
        self._errors = folder / "stderr"
        self._where = ("--grpc", grpc, "--http", http, "--wal", str(folder / "wal"))
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        with self._errors.open("ab") as errors:
            begin = self._errors.stat().st_size
            self.process = subprocess.Popen(
                [*COLLECT, "--lake", str(self.lake), *self._where], stderr=errors
            )
        end_s = time.monotonic() + TIMEOUT_S
        while not (found := self._ports(begin)):
            assert self.process.poll() is None, self._errors.read_text()
            assert time.monotonic() < end_s, "it does not listen"
            time.sleep(0.05)
        self.grpc, self.http = found

    def kill(self) -> None:
        """Kill it, as a power switch does."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it as an administrator does: what it took is in the lake."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(TIMEOUT_S) == 0, self._errors.read_text()

    def spans(self, service: str, count: int) -> list[dict[str, Any]]:
        """Return the rows of a service, when there are *count*, or after a while."""
        end_s = time.monotonic() + TIMEOUT_S
        rows: list[dict[str, Any]] = []
        while time.monotonic() < end_s:
            rows = [row for row in rows_of(self.lake) if service_of(row) == service]
            if len(rows) >= count:
                break
            time.sleep(0.2)
        assert len(rows) == count, f"{len(rows)} spans of {service!r}, expected {count}"
        return rows

    def layers(self, trace_id: bytes, parent: bytes) -> list[str]:
        """Return the operators of the frame below a span, when it is in the lake."""
        frames: list[dict[str, Any]] = []
        end_s = time.monotonic() + TIMEOUT_S
        while not frames and time.monotonic() < end_s:
            frames = [
                row for row in rows_of(self.lake, table="frames") if row["trace_id"] == trace_id
            ]
            time.sleep(0.1)
        [frame] = frames
        assert frame["parent_span_id"] == parent
        rows = rows_of(self.lake, table="layer_spans")
        own = [row for row in rows if row["frame_span_id"] == frame["span_id"]]
        return [row["op"] for row in sorted(own, key=lambda row: row["layer_index"])]

    def _ports(self, begin: int) -> tuple[str, str] | None:
        said = self._errors.read_text()[begin:]
        found = re.search(r"gRPC (\S+:\d+), HTTP (\S+:\d+);", said)
        return (found[1], found[2]) if found else None


def rows_of(
    lake: Path, columns: list[str] | None = None, table: str = "spans"
) -> list[dict[str, Any]]:
    """Return all rows of a lake's table as they are on disk."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = Lake.open(lake).files(table)
    tables = [pq.ParquetFile(path).read(columns) for path in files]
    rows: list[dict[str, Any]] = pa.concat_tables(tables).to_pylist() if tables else []
    return rows


def service_of(row: dict[str, Any]) -> str:
    """Return the name of the service whose span a row is."""
    found = re.search(r'"service\.name":"([^"]*)"', row["resource_json"] or "")
    return found[1] if found else ""


def repeated(lake: Path) -> int:
    """Return how many rows of a lake's spans stand there more than once."""
    ids = Counter(
        (row["trace_id"], row["span_id"]) for row in rows_of(lake, ["trace_id", "span_id"])
    )
    return sum(count - 1 for count in ids.values())


def client_environment(**said: str) -> dict[str, str]:
    """Return an environment without settings of OpenTelemetry but those that are said."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return own | said
