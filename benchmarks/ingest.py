"""What it costs to take OTLP durably and to make Parquet of it, against Rotel in the same run.

Frames of 66 layers, as exray's exporter sends them, in requests of one frame and of fifteen:

1. receive: h2load (Debian: nghttp2-client) sends a request over and over again, several at
   once, to the collector with all its receivers, which answers when a request is on disk, and
   to Rotel (pip install rotel), which throws it away. To Rotel by gRPC, to the collector by
   gRPC and by HTTP, each on few and on many connections, of which the better counts. Spans a
   second as the client has them answered, and CPU time of the server alone. h2load takes
   little of the machine and does not look at gRPC's status, so what the collector counts as
   refused is taken out, and the rest must be in the logs. The better way to the collector is
   what is wanted to be thrice Rotel.
2. wait: how long an answer takes at half of the collector's highest rate.
3. decode: requests into typed columns, against protobuf's parser and a loop in Python.
4. drain: from the log to sorted, committed Parquet, decoding in it, by the collector's own
   drain; CPU time of its process, threads included, behind its first set. Its sets are full:
   at the rate at which Rotel receives that takes a fraction of a second.

Client and server share the machine's cores. Look at the ratios.
"""

import argparse
import importlib.util
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import grpc
import psutil
from emit import make_frame, make_run, make_sites
from rich.console import Console
from rich.table import Table

from exray.collector import drain_process
from exray.collector.decode import Body, TraceDecoder
from exray.collector.logs import logs_of
from exray.exporters.log import Encoding, count_records, segment_path, segments
from exray.exporters.log_packing import pack
from exray.exporters.log_writer import LogWriter
from exray.exporters.otlp_requests import RequestEncoder

PATH, PROTOBUF = "/v1/traces", "application/x-protobuf"
METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
SHAPES: dict[str, tuple[tuple[int, int], ...]] = {
    "gRPC": ((4, 4), (16, 1), (16, 4)),
    "HTTP": ((16, 1), (64, 1)),
}
"""Connections, and requests at once on each."""
STEADY_SHAPE = (4, 64)
"""Where requests are sent at a steady rate: h2load sends on all connections at the same moment,
so that many of them are no steady rate. By HTTP they wait in a connection for one another."""
SPANS_OF_FRAME = 69
LIMITS = {"receive": 3.0, "decode": 4.0, "drain": 1.0}
"""Least ratio to the other one: spans a second, spans a CPU second."""
LIMIT_P99_MS = 50.0
DRAINED_FRAMES = 3900
"""Four full sets. The clock starts behind the first, which makes the lake's tables and takes
memory for all, as it does for Rotel behind half a second of load."""

LOG_BYTES = 32 << 30
"""Of the logs: nothing drains them, and one that is full refuses requests."""

TOLD_S = 1.0
"""The receivers tell each other their numbers several times in it."""

SERVE = """
import sys
from pathlib import Path
from exray.collector.receivers import Receivers
from exray.collector.settings import Settings
wal, grpc, http, bound = sys.argv[1:]
settings = Settings(wal=Path(wal), grpc=grpc, http=http, max_log_bytes=int(bound))
receivers = Receivers(settings, lambda step: None)
receivers.start()
print(receivers.count, flush=True)
sys.stdin.read()
receivers.stop()
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that listens.

    Args:
        pid: Its process; the others are its children.
        grpc: Its address for gRPC.
        http: That for HTTP.
    """

    pid: int
    grpc: str
    http: str


Transport = Literal["gRPC", "HTTP"]


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
    theirs = list[Sent]()
    ours: dict[Transport, list[Sent]] = {"gRPC": [], "HTTP": []}
    waits_ms: dict[Transport, list[float]] = {"gRPC": [], "HTTP": []}
    before = sum(refused.values())
    for _ in range(rounds):
        with serve_rotel() as server:
            theirs.append(send(server, "gRPC", bodies[0], spans, seconds))
        for transport, sent in ours.items():
            with serve_exray() as server:
                sent.append(send(server, transport, bodies[0], spans, seconds))
                half = sent[-1].spans_per_s / spans / 2
                waits_ms[transport] += load(
                    server, transport, bodies[0], seconds, STEADY_SHAPE, half
                )[2]
    other = statistics.median(sent.spans_per_s for sent in theirs)
    rotel_us = statistics.median(sent.cpu_us for sent in theirs)
    name = str(frames)
    rates = {t: statistics.median(one.spans_per_s for one in sent) for t, sent in ours.items()}
    best = max(rates.values())
    for transport, mine in rates.items():
        limit = LIMITS["receive"] if mine == best else None
        row(table, name, f"acknowledged spans/s by {transport}, Rotel by gRPC", mine, other, limit)
        server_us = statistics.median(one.cpu_us for one in ours[transport])
        what = f"received spans/CPU s by {transport}, Rotel by gRPC"
        row(table, name, what, 1e6 / server_us, 1e6 / rotel_us, None)
        p99 = f"{statistics.quantiles(waits_ms[transport], n=100)[98]:.1f}"
        what = f"p99 of an answer by {transport} at half rate, ms"
        table.add_row(name, what, p99, "", "", f"< {LIMIT_P99_MS:g}")
    table.add_row(name, "requests refused", f"{sum(refused.values()) - before:,}", "", "", "")
    fast, slow = decode_rates(bodies, spans, rounds)
    row(table, name, "decoded spans/CPU s, protobuf and a loop", fast, slow, LIMITS["decode"])
    with log_of(frames) as log:
        drained = statistics.median(
            drain_rate(log, DRAINED_FRAMES * SPANS_OF_FRAME) for _ in range(rounds)
        )
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
def serve_exray() -> Generator[Server]:
    """Run the receivers and their logs in processes of their own."""
    grpc_address, http_address = (f"127.0.0.1:{free_port()}" for _ in range(2))
    with tempfile.TemporaryDirectory() as folder:
        wal = Path(folder, "wal")
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(wal), grpc_address, http_address, str(LOG_BYTES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None and process.stdin is not None
        process.stdout.readline()
        server = Server(process.pid, grpc_address, http_address)
        try:
            yield server
        finally:
            process.stdin.close()
            process.wait(30)
        logs = [log.folder for log in logs_of(wal)]
        stored = sum(count_records(segment_path(at, one)) for at in logs for one in segments(at))
        if stored < acknowledged[server]:
            raise SystemExit(f"{acknowledged[server]} were acknowledged, {stored} are on disk")


acknowledged: Counter[Server] = Counter()
"""Requests by the server that took them."""

refused: Counter[Server] = Counter()
"""Those that it was sent and did not take."""


@contextmanager
def serve_rotel() -> Generator[Server]:
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
        yield Server(process.pid, address, "")
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
    """Return the CPU time of a process and its children, all threads of each."""
    first = psutil.Process(pid)
    times = [process.cpu_times() for process in (first, *first.children())]
    return sum(each.user + each.system for each in times)


# --- clients ------------------------------------------------------------------------------


def send(server: Server, transport: Transport, body: bytes, spans: int, seconds: float) -> Sent:
    """Send as fast as answers come, over few connections and many; return the better."""
    check_answer(server, transport, body)
    found: list[Sent] = []
    for shape in SHAPES[transport]:
        load(server, transport, body, 0.5, shape)
        before_s = cpu_s(server.pid)
        done, took_s, _ = load(server, transport, body, seconds, shape)
        cpu_us = (cpu_s(server.pid) - before_s) / max(done * spans, 1) * 1e6
        found.append(Sent(done * spans / took_s, cpu_us))
    check_answer(server, transport, body)
    return max(found, key=lambda sent: sent.spans_per_s)


def check_answer(server: Server, transport: Transport, body: bytes) -> None:
    """Send one request by another client, which must be told that it is taken."""
    if transport == "gRPC":
        with grpc.insecure_channel(server.grpc) as channel:
            channel.unary_unary(METHOD)(body, timeout=30)
    else:
        headers = {"content-type": PROTOBUF}
        request = urllib.request.Request(f"http://{server.http}{PATH}", body, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200
    acknowledged[server] += 1


def refusals(server: Server) -> int:
    """Return how many requests a collector has refused by its own count, 0 of another server.

    One that was broken off was not answered at all.
    """
    if not server.http:
        return 0
    time.sleep(TOLD_S)
    with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    counts = [line for line in lines if line.startswith("exray_collector_refused_total{")]
    found = [line for line in counts if 'reason="disconnected"' not in line]
    return sum(int(float(line.rpartition(" ")[2])) for line in found)


def load(
    server: Server,
    transport: Transport,
    body: bytes,
    seconds: float,
    shape: tuple[int, int],
    requests_per_s: float | None = None,
) -> tuple[int, float, list[float]]:
    """Let h2load send over all connections for a while, as *shape* says how many.

    Returns:
        Requests taken, the seconds that it took, and how long each answer took, in ms.
    """
    tool = shutil.which("h2load")
    if tool is None:
        raise SystemExit("h2load is not installed; Debian has it in nghttp2-client")
    with tempfile.TemporaryDirectory() as folder:
        message, log = Path(folder, "message"), Path(folder, "log")
        command = [tool, "-D", f"{seconds * 1e3:.0f}ms", "-t", "1", "-d", str(message)]
        command += ["--log-file", str(log)]
        connections, at_once = shape
        if transport == "gRPC":
            message.write_bytes(b"\0" + len(body).to_bytes(4, "big") + body)
            command += ["-H", "content-type: application/grpc", "-H", "te: trailers"]
            command.append(f"http://{server.grpc}{METHOD}")
        else:
            message.write_bytes(body)
            command += ["--h1", "-H", f"content-type: {PROTOBUF}", f"http://{server.http}{PATH}"]
        command[1:1] = ["-c", str(connections), "-m", str(at_once)]
        if requests_per_s is not None:
            command[1:1] = ["--rps", f"{requests_per_s / connections:.3f}"]
        began_s = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        took_s = time.monotonic() - began_s
        waits_ms = [int(line.split("\t")[2]) / 1e3 for line in log.read_text().splitlines()]
    counts = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", done.stdout)
    late = refusals(server) - refused[server]
    if counts is None or int(counts[3]) > late or int(counts[4]):
        raise SystemExit(f"requests failed:\n{done.stdout}")
    refused[server] += late
    taken = int(counts[1]) - late
    acknowledged[server] += taken
    return taken, took_s, waits_ms


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


@contextmanager
def log_of(frames: int) -> Generator[Path]:
    """Write a log of requests of so many frames, as the collector does."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        writer = LogWriter(log)
        for body in make_bodies(frames, DRAINED_FRAMES // frames):
            packing, stored = pack(body)
            writer.append("traces", Encoding.PROTOBUF, stored, time.time_ns(), packing)
        writer.sync()
        writer.close()
        yield log


def drain_rate(log: Path, spans: int) -> float:
    """Return spans moved from a log into a new lake in a CPU second, behind the first set."""
    with tempfile.TemporaryDirectory(dir=log.parent) as folder:
        own = shutil.copytree(log, Path(folder, "log"), copy_function=os.link)
        command = [sys.executable, "-P", "-m", drain_process.__name__, str(own), f"{folder}/lake"]
        process = subprocess.Popen(
            [*command, "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None and process.stdin is not None
        told: list[tuple[int, float]] = []
        for line in process.stdout:  # one behind each set
            told.append((json.loads(line)["spans"], cpu_s(process.pid)))
            if told[-1][0] == spans:
                break
        process.stdin.close()
        process.wait(30)
        if not told or told[-1][0] != spans:
            raise SystemExit(f"of {spans} spans arrived: {told}")
        (first, before_s), (_, after_s) = told[0], told[-1]
        return (spans - first) / (after_s - before_s)


if __name__ == "__main__":
    main()
