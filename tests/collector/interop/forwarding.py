"""The OpenTelemetry Collector and Java's SDK against exray's collector: ``make interop``.

The OpenTelemetry Collector, with its queue on disk, forwards what `telemetrygen` sends, over
gRPC and over HTTP; meanwhile exray's is killed and started again, and at the end the other one
too, with its queue full. Every span must be in the lake, once, with its attributes. Then the
exporters of Java's SDK send one span of every kind of value.

    python -m tests.collector.interop.forwarding TOOLS

TOOLS is the folder into which ``make interop`` builds the programs.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from ...lake.ports import free_ports
from .rotel_agent import wait_for_port
from .running import Running, client_environment, repeated, rows_of, service_of
from .whole import Whole, check_pair

CONFIG = Path(__file__).parent / "otelcol/config.yaml"

TRACES = 3000
KILLS = 8
SETTLE_S = 180.0


class Forwarder:
    """The OpenTelemetry Collector, from its making to `stop`."""

    def __init__(self, tools: Path, folder: Path, collector: Running, exporter: str) -> None:
        self._command = [str(tools / "otelcol/otelcol"), "--config", str(CONFIG)]
        self.takes = f"127.0.0.1:{free_ports(1)[0]}"
        self._environment = os.environ | {
            "TAKES": self.takes,
            "GRPC": collector.grpc,
            "HTTP": collector.http,
            "EXPORTER": exporter,
            "QUEUE": str(folder / "queue"),
        }
        self._errors = folder / "otelcol"
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        with self._errors.open("ab") as errors:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=errors, stderr=errors
            )
        wait_for_port(self.takes)

    def kill(self) -> None:
        """Kill it, as a power switch does."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(60)


def load(tools: Path, target: str, service: str, traces: int) -> "subprocess.Popen[bytes]":
    """Start `telemetrygen`; each of its traces has two spans."""
    return subprocess.Popen(
        [
            str(tools / "bin/telemetrygen"),
            *("traces", "--otlp-insecure", "--otlp-endpoint", target, "--service", service),
            *("--traces", str(traces), "--rate", "300", "--span-links", "1"),
            *("--telemetry-attributes", 'shelf="top"', "--telemetry-attributes", "size=7"),
            *("--otlp-attributes", 'service.version="1.4.2"'),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def forwarded(tools: Path, folder: Path, exporter: str, seed: int) -> bool:
    """Forward by one exporter, with kills; print and tell whether all arrived, once."""
    folder.mkdir()
    chance = random.Random(seed)
    grpc, http = (f"127.0.0.1:{port}" for port in free_ports(2))
    running = Running(folder / "exray", grpc=grpc, http=http)
    forwarder = Forwarder(tools, folder, running, exporter)
    sending = load(tools, forwarder.takes, "killed", TRACES)
    kills = 0
    while sending.poll() is None or kills < KILLS:
        time.sleep(chance.uniform(0.3, 1.5))
        running.kill()
        time.sleep(chance.uniform(0.0, 1.0))
        running.start()
        kills += 1
    assert sending.returncode == 0, "telemetrygen failed"
    running.kill()  # and now the queue fills, and its owner is killed too
    queued = load(tools, forwarder.takes, "queued", TRACES // 4)
    assert queued.wait(120) == 0, "telemetrygen failed"
    forwarder.kill()
    forwarder.start()
    running.start()
    wanted = {"killed": 2 * TRACES, "queued": 2 * (TRACES // 4)}
    found = settled(running.lake, wanted)
    forwarder.stop()
    running.stop()
    found = count(running.lake)
    twice = repeated(running.lake)
    print(
        f"{exporter}: {kills + 1} kills of exray, 1 of the forwarder; spans sent {wanted}, "
        f"found {dict(found)}, twice {twice}",
        flush=True,
    )
    check_attributes(running.lake)
    return dict(found) == wanted and not twice


def settled(lake: Path, wanted: dict[str, int]) -> Counter[str]:
    """Return how many spans of each service there are, when all are there or it takes too long."""
    end_s = time.monotonic() + SETTLE_S
    while True:
        found = count(lake)
        if dict(found) == wanted or time.monotonic() > end_s:
            return found
        time.sleep(1.0)


def count(lake: Path) -> Counter[str]:
    """Return how many rows each service has in a lake."""
    return Counter(map(service_of, rows_of(lake, ["resource_json"])))


def check_attributes(lake: Path) -> None:
    """Check that every span says what `telemetrygen` was told."""
    linked = 0
    for row in rows_of(lake):
        said = json.loads(row["attributes_json"])
        assert (said["shelf"], said["size"]) == ("top", 7), said
        assert "network.peer.address" in said or "net.sock.peer.addr" in said, said
        assert row["build"] == "1.4.2"
        assert row["scope"] == "telemetrygen"
        linked += row["events_json"] is not None and '"link"' in row["events_json"]
    assert linked, "no span has a link"


def java(tools: Path, folder: Path) -> bool:
    """Send by the exporters of Java's SDK; print what arrived."""
    running = Running(folder)
    path = f"{tools / 'java/classes'}:{(tools / 'java/classpath').read_text().strip()}"
    for protocol in ("grpc", "http"):
        for packing in ("none", "gzip"):
            service = f"java-{protocol}-{packing}"
            endpoint = running.grpc if protocol == "grpc" else f"{running.http}/v1/traces"
            subprocess.run(
                ["java", "-cp", path, "Send", protocol, f"http://{endpoint}", service, packing],
                env=client_environment(),
                check=True,
                timeout=120,
            )
            wanted = Whole()
            if wanted.events:
                wanted.events[1]["w3c.tracestate"] = "vendor=1"
            check_pair(running.spans(service, 2), wanted)
            print(f"{service}: 2 spans of 2, every attribute", flush=True)
    running.stop()
    return True


def main() -> int:
    tools = Path(sys.argv[1]).absolute()
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sound = [
            forwarded(tools, folder / "grpc", "otlp/grpc", seed),
            forwarded(tools, folder / "http", "otlphttp/http", seed + 1),
            java(tools, folder / "java"),
        ]
    return 0 if all(sound) else 1


if __name__ == "__main__":
    sys.exit(main())
