"""What it costs to take OTLP durably and to make Parquet of it, against Rotel in the same run.

Frames of 66 layers, as exray's exporter sends them, in requests of one frame and of fifteen:

1. receive: h2load (Debian: nghttp2-client) sends a request over and over again by gRPC, on
   four connections, four requests at once on each, to the collector, which answers when a
   request is on disk, and to Rotel (pip install rotel), which throws it away. Spans a second
   as the client has them answered, and CPU time of the server alone. h2load takes little of
   the machine and does not look at gRPC's status, so what was answered is counted in the log.
2. wait: how long an answer takes at half of the collector's highest rate.
3. decode: requests into typed columns, against protobuf's parser and a loop in Python.
4. drain: from the log to sorted, committed Parquet, decoding in it; CPU time of the whole
   process, threads included.

Client and server share the machine's cores. Look at the ratios.
"""

import argparse
import importlib.util
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from emit import make_frame, make_run, make_sites
from rich.console import Console
from rich.table import Table

from exray.collector.decode import Body, TraceDecoder
from exray.collector.drain.drain import Drain
from exray.exporters.log import Encoding, count_records, segment_path, segments
from exray.exporters.log_writer import LogWriter
from exray.exporters.otlp_requests import RequestEncoder
from exray.lake import Lake

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
CONNECTIONS, AT_ONCE = 4, 4
QUEUED = 64
"""Most requests at once on a connection where they are sent at a steady rate."""
SPANS_OF_FRAME = 69
LIMITS = {"receive": 3.0, "decode": 4.0, "drain": 1.0}
"""Least ratio to the other one: spans a second, spans a CPU second."""
LIMIT_P99_MS = 50.0
DRAINED_FRAMES = 1200
"""A tenth is drained before the clock starts: the first set makes the lake's tables."""

SERVE = """
import sys, time
from pathlib import Path
from exray.collector.service import Collector
from exray.collector.settings import Settings
collector = Collector(Settings(wal=Path(sys.argv[1]), grpc=sys.argv[2], http="none"))
collector.start()
print("ready", flush=True)
sys.stdin.read()
collector.stop()
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """What a client saw.

    Args:
        spans_per_s: Spans acknowledged a second.
        cpu_us: CPU time of the server for each, in microseconds.
    """

    spans_per_s: float
    cpu_us: float


def main() -> None:
    """Run everything and print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=5.0, help="of each load")
    options.add_argument("--rounds", type=int, default=3)
    arguments = options.parse_args()
    table = Table(title="OTLP to Parquet", title_justify="left")
    for name in ("frames a request", "what", "exray", "other", "ratio", "wanted"):
        table.add_column(name, justify="left" if name == "what" else "right")
    for frames in (1, 15):
        measure(
            table, make_bodies(frames, 240 // frames), frames, arguments.seconds, arguments.rounds
        )
    Console(width=110).print(table)


def measure(
    table: Table, bodies: Sequence[bytes], frames: int, seconds: float, rounds: int
) -> None:
    """Add the figures for requests of a size; both sides take their turns in each round."""
    spans = frames * SPANS_OF_FRAME
    ours, theirs = list[Sent](), list[Sent]()
    waits_ms: list[float] = []
    for _ in range(rounds):
        with serve_rotel() as (address, pid):
            theirs.append(send(address, pid, bodies[0], spans, seconds))
        with serve_exray() as (address, pid):
            ours.append(send(address, pid, bodies[0], spans, seconds))
            waits_ms += wait_at(address, bodies[0], ours[-1].spans_per_s / spans / 2, seconds)
    mine = statistics.median(sent.spans_per_s for sent in ours)
    other = statistics.median(sent.spans_per_s for sent in theirs)
    rotel_us = statistics.median(sent.cpu_us for sent in theirs)
    server_us = statistics.median(sent.cpu_us for sent in ours)
    name = str(frames)
    row(table, name, "acknowledged spans/s, Rotel", mine, other, LIMITS["receive"])
    row(table, name, "received spans/CPU s, Rotel", 1e6 / server_us, 1e6 / rotel_us, None)
    p99 = statistics.quantiles(waits_ms, n=100)[98]
    table.add_row(
        name, "p99 of an answer at half rate, ms", f"{p99:.1f}", "", "", f"< {LIMIT_P99_MS:g}"
    )
    fast, slow = decode_rates(bodies, spans, rounds)
    row(table, name, "decoded spans/CPU s, protobuf and a loop", fast, slow, LIMITS["decode"])
    log = make_bodies(frames, DRAINED_FRAMES // frames)
    drained = statistics.median(drain_rate(log, spans) for _ in range(rounds))
    row(table, name, "log to Parquet spans/CPU s, Rotel receiving", drained, 1e6 / rotel_us,
        LIMITS["drain"])  # fmt: skip


def row(
    table: Table, frames: str, what: str, ours: float, other: float, limit: float | None
) -> None:
    """Add a line."""
    wanted = "" if limit is None else f">= {limit:g}"
    table.add_row(frames, what, f"{ours:,.0f}", f"{other:,.0f}", f"{ours / other:.2f}", wanted)


def make_bodies(frames: int, count: int) -> list[bytes]:
    """Return so many requests, each of so many frames."""
    run, (layers, tensors) = make_run(), make_sites()
    encoder = RequestEncoder({"service.name": "bench"})
    bodies: list[bytes] = []
    for number in range(count):
        made = [make_frame(run, layers, tensors, number * frames + i) for i in range(frames)]
        bodies.append(b"".join(b"".join(part) for part in encoder.traces(made)))
    return bodies


# --- servers ------------------------------------------------------------------------------


@contextmanager
def serve_exray() -> Generator[tuple[str, int]]:
    """Run the receivers and their log in a process of their own."""
    address = f"127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(log), address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None and process.stdin is not None
        process.stdout.readline()
        try:
            yield address, process.pid
        finally:
            process.stdin.close()
            process.wait(30)
        stored = sum(count_records(segment_path(log, segment)) for segment in segments(log))
        if stored < answered[address]:
            raise SystemExit(f"{answered[address]} requests were answered, {stored} are on disk")


answered: Counter[str] = Counter()
"""Requests by the address that answered them."""


@contextmanager
def serve_rotel() -> Generator[tuple[str, int]]:
    """Run Rotel, which receives and forgets."""
    found = importlib.util.find_spec("rotel")
    if found is None or found.origin is None:
        raise SystemExit("Rotel is not installed: pip install rotel")
    agent = Path(found.origin).with_name("rotel-agent")
    address = f"127.0.0.1:{free_port()}"
    command = [agent, "start", "--exporter", "blackhole", "--otlp-grpc-endpoint", address]
    command += ["--otlp-http-endpoint", f"127.0.0.1:{free_port()}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(address)
        yield address, process.pid
    finally:
        process.terminate()
        process.wait(30)


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(address: str) -> None:
    """Wait until a server listens."""
    host, port = address.split(":")
    deadline_s = time.monotonic() + 20
    while time.monotonic() < deadline_s:
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens at {address} after 20 s")


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process, threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- clients ------------------------------------------------------------------------------


def send(address: str, pid: int, body: bytes, spans: int, seconds: float) -> Sent:
    """Send as fast as answers come."""
    check_answer(address, body)
    load(address, body, 0.5)
    before_s = cpu_s(pid)
    done, took_s, _ = load(address, body, seconds)
    cpu_us = (cpu_s(pid) - before_s) / max(done * spans, 1) * 1e6
    check_answer(address, body)
    return Sent(done * spans / took_s, cpu_us)


def wait_at(address: str, body: bytes, requests_per_s: float, seconds: float) -> list[float]:
    """Send at a steady rate; return how long each answer took, in ms."""
    _, _, waits_ms = load(address, body, seconds, requests_per_s)
    return waits_ms


def check_answer(address: str, body: bytes) -> None:
    """Send one request by gRPC's own client, which must be told that it is taken."""
    with grpc.insecure_channel(address) as channel:
        channel.unary_unary(METHOD)(body, timeout=30)
    answered[address] += 1


def load(
    address: str, body: bytes, seconds: float, requests_per_s: float | None = None
) -> tuple[int, float, list[float]]:
    """Let h2load send over all connections for a while.

    Returns:
        Requests answered, the seconds that it took, and how long each took, in ms.
    """
    tool = shutil.which("h2load")
    if tool is None:
        raise SystemExit("h2load is not installed; Debian has it in nghttp2-client")
    with tempfile.TemporaryDirectory() as folder:
        message, log = Path(folder, "message"), Path(folder, "log")
        message.write_bytes(b"\0" + len(body).to_bytes(4, "big") + body)
        command = [tool, "-D", f"{seconds * 1e3:.0f}ms", "-c", str(CONNECTIONS), "-t", "1"]
        command += ["-m", str(AT_ONCE if requests_per_s is None else QUEUED)]
        if requests_per_s is not None:
            command += ["--rps", f"{requests_per_s / CONNECTIONS:.3f}"]
        command += ["-H", "content-type: application/grpc", "-H", "te: trailers"]
        command += ["-d", str(message), "--log-file", str(log), f"http://{address}{METHOD}"]
        began_s = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        took_s = time.monotonic() - began_s
        waits_ms = [int(line.split("\t")[2]) / 1e3 for line in log.read_text().splitlines()]
    counts = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", done.stdout)
    if counts is None or int(counts[3]) or int(counts[4]):
        raise SystemExit(f"requests failed:\n{done.stdout}")
    answered[address] += int(counts[2])
    return int(counts[2]), took_s, waits_ms


# --- from the log onward ------------------------------------------------------------------


def decode_rates(bodies: Sequence[bytes], spans: int, rounds: int) -> tuple[float, float]:
    """Return spans decoded in a CPU second, by both parsers."""
    decoder = TraceDecoder()
    requests = [Body(body, 1) for body in bodies[: max(4000 // spans, 1)]]
    fast, slow = list[float](), list[float]()
    decoder.decode(requests)
    for _ in range(3 * rounds):
        for decode, costs in ((decoder.decode, fast), (decoder.decode_plainly, slow)):
            before_s = time.process_time()
            found = decode(requests).table.num_rows
            costs.append(found / (time.process_time() - before_s))
    return statistics.median(fast), statistics.median(slow)


def drain_rate(bodies: Sequence[bytes], spans: int) -> float:
    """Return spans moved from a log into a lake in a CPU second, each once."""
    with tempfile.TemporaryDirectory() as folder:
        writer = LogWriter(Path(folder, "log"))
        loop = Drain(Path(folder, "log"), Lake.open_or_create(Path(folder, "lake")))
        first = len(bodies) // 10
        for some in (bodies[:first], bodies[first:]):
            for body in some:
                writer.append("traces", Encoding.PROTOBUF, body, time.time_ns())
            writer.sync()
            before_s = time.process_time()
            while loop.move_one():
                pass
            took_s = time.process_time() - before_s
        writer.close()
        if loop.status.spans != spans * len(bodies):
            raise SystemExit(f"{loop.status.spans} spans of {spans * len(bodies)} arrived")
        return spans * (len(bodies) - first) / took_s


if __name__ == "__main__":
    main()
