"""Kill collectors under load and count what is in the lake: ``make crash``.

Two collectors write one lake. Again and again one is killed, at random or at a named step,
and started again; clients send to both all the time, over HTTP and gRPC, and send again what
was not acknowledged. In the end every span that was acknowledged must be in the lake, once.

Then another one, whose log and lake share a small disk, is sent more than fits, until some
room is made. The same must hold there.
"""

import contextlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import psutil
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from .disks import small_disk
from .service import PROTOBUF, TRACE_METHOD, exporting, request_bytes, span, span_ids

RECEIVE_STEPS = ("before_append", "after_append", "before_sync", "after_sync")
DRAIN_STEPS = ("planned", "decoded", "written", "committed", "remembered", "moved", "released")
BESIDE = ("receiver", "decoder")
STEPS = (*RECEIVE_STEPS, *DRAIN_STEPS, *BESIDE)
"""Named by the code, but for the last: processes beside the first of their kind, at random."""

PROTOCOLS = ("http", "grpc")

CHILD = Path(__file__).with_name("crash_child.py")
START_TIMEOUT_S = 300.0

PAUSE_S = 0.01
"""Of a client between two requests: it leaves the machine time to start what was killed."""


@dataclass
class Figures:
    """What a trial found."""

    kills: int = 0
    by_step: Counter[str] = field(default_factory=Counter[str])
    acknowledged: int = 0
    found: int = 0
    """Of the acknowledged."""
    unacknowledged: int = 0
    """In the lake without an acknowledgement: it was lost on its way, or the kill came first."""
    duplicates: int = 0
    resent: int = 0
    """Requests sent again because their connection broke."""

    def __str__(self) -> str:
        steps = ", ".join(f"{name} {count}" for name, count in sorted(self.by_step.items()))
        return (
            f"kills {self.kills} ({steps})\n"
            f"acknowledged {self.acknowledged}\nfound {self.found}\n"
            f"duplicates {self.duplicates}\nresent requests {self.resent}\n"
            f"found beyond the acknowledged {self.unacknowledged}"
        )


class Victim:
    """A collector with a log of its own."""

    def __init__(self, folder: Path, lake: Path, **settings: object) -> None:
        folder.mkdir()
        self._settings = json.dumps(settings)
        self._wal, self._lake = folder / "wal", lake
        self._ready, self.die_file = folder / "ready", folder / "die"
        self._errors = (folder / "stderr").open("ab")
        self.port = self.grpc_port = 0
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._ready.unlink(missing_ok=True)
        paths = map(str, (self._wal, self._lake, self._ready))
        self.process = subprocess.Popen(
            [sys.executable, str(CHILD), "collect", *paths],
            stderr=self._errors,
            env=os.environ
            | {"EXRAY_DIE_FILE": str(self.die_file), "EXRAY_TRIAL_SETTINGS": self._settings},
        )
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._port_known():
            assert self.process.poll() is None, f"it ended with {self.process.returncode}"
            assert time.monotonic() < deadline_s, "it does not listen"
            time.sleep(0.02)

    def _port_known(self) -> bool:
        try:
            text = self._ready.read_text().strip()
        except FileNotFoundError:
            return False
        if text:
            self.grpc_port, self.port = (int(at.rpartition(":")[2]) for at in text.split())
        return bool(text)

    def children(self, kind: str) -> list[psutil.Process]:
        """Return its ``receiver`` or ``decoder`` processes beside the first, or its ``drain``."""
        found: list[psutil.Process] = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                words = child.cmdline()
                if kind in words or any(word.endswith(f".{kind}_child") for word in words):
                    found.append(child)
        return found

    def receivers(self) -> list[psutil.Process]:
        """Return all processes that take requests."""
        return [psutil.Process(self.process.pid), *self.children("receiver")]

    def kill(self) -> None:
        """Kill it, as a power switch does."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """Let go of it, ended or killed."""
        self._errors.close()

    def finish(self) -> int:
        """End it as an administrator does; return its code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(120)
        self._errors.close()
        return code


class Client(threading.Thread):
    """Sends all the time, and again what was not acknowledged.

    Args:
        victim: Where to.
        spans: How many at once.
        seed: Of their ids.
        protocol: Over which.
        padding: Bytes of each span's name.
    """

    def __init__(
        self, victim: Victim, spans: int, seed: int, protocol: str = "http", padding: int = 1
    ) -> None:
        super().__init__(daemon=True)
        self._victim, self._spans = victim, spans
        self._send = self._send_http if protocol == "http" else self._send_grpc
        self._random = random.Random(seed)
        self._padding = padding
        self._stopping = threading.Event()
        self.acknowledged: list[bytes] = []
        self.resent = 0

    def stop(self) -> None:
        """Stop after the request under way."""
        self._stopping.set()
        self.join()

    def run(self) -> None:
        while not self._stopping.is_set():
            ids = [self._random.randbytes(24) for _ in range(self._spans)]
            body = request_bytes(*(self._span(one) for one in ids))
            while not self._send(body):
                if self._stopping.wait(0.05):
                    return
                self.resent += 1
            self.acknowledged += ids
            self._stopping.wait(PAUSE_S)

    def _span(self, one: bytes) -> Span:
        name = self._random.randbytes(self._padding // 2 + 1).hex()  # a log cannot pack it
        return span(1, trace_id=one[:16], span_id=one[16:], name=name)

    def _send_http(self, body: bytes) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._victim.port, timeout=10)
        try:
            connection.request("POST", "/v1/traces", body, PROTOBUF)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _send_grpc(self, body: bytes) -> bool:
        with grpc.insecure_channel(f"127.0.0.1:{self._victim.grpc_port}") as channel:
            try:
                exporting(channel, TRACE_METHOD)(body, timeout=10)
            except grpc.RpcError:
                return False
        return True


def trial(folder: Path, kills: int, seed: int = 0, *, deadline_s: float = 3600.0) -> Figures:
    """Kill *kills* times, or until *deadline_s* has passed, and count."""
    chance, figures = random.Random(seed), Figures()
    lake = folder / "lake"
    victims = [Victim(folder / name, lake, decoders=n) for n, name in enumerate(("a", "b"), 1)]
    clients = [
        Client(victim, 20, seed * 10 + 2 * n + m, protocol)
        for n, victim in enumerate(victims)
        for m, protocol in enumerate(PROTOCOLS)
    ]
    for client in clients:
        client.start()
    end_s = time.monotonic() + deadline_s
    number = 0
    try:
        while figures.kills < kills and time.monotonic() < end_s:
            victim = victims[number % 2]
            step = "random" if number % 3 == 0 else STEPS[number % len(STEPS)]
            if _kill_at(victim, step, chance):
                figures.kills += 1
                figures.by_step[step] += 1
            number += 1
        for client in clients:
            client.stop()
        codes = [victim.finish() for victim in victims]
    except BaseException:
        print(f"until then: {figures}", file=sys.stderr)
        for victim in victims:
            victim.kill()
        raise
    assert codes == [0, 0], codes
    _count(figures, lake, clients)
    return figures


def _kill_at(victim: Victim, step: str, chance: random.Random) -> bool:
    """Kill at a step, or after a while; start again. Tell whether the step came."""
    if step == "random":
        time.sleep(chance.uniform(0.0, 1.5))
        victim.kill()
        victim.start()
        return True
    if step in BESIDE:
        time.sleep(chance.uniform(0.0, 1.0))
        others = victim.children(step)
        for other in others:
            other.kill()
        return bool(others)
    victim.die_file.write_text(f"{step} {chance.randint(1, 5 if step in RECEIVE_STEPS else 2)}")
    deadline_s = time.monotonic() + 20
    while victim.die_file.exists() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    came = not victim.die_file.exists()
    victim.die_file.unlink(missing_ok=True)
    if step in RECEIVE_STEPS and came and _has_ended(victim):
        victim.start()
    return came


def _has_ended(victim: Victim) -> bool:
    """Tell whether it was the collector that died, not a receiver that it starts again."""
    try:
        victim.process.wait(2)
    except subprocess.TimeoutExpired:
        return False
    return True


def _count(figures: Figures, lake: Path, clients: list[Client]) -> None:
    found = Counter(span_ids(lake))
    acknowledged = {one for client in clients for one in client.acknowledged}
    figures.acknowledged = len(acknowledged)
    figures.found = len(acknowledged & found.keys())
    figures.unacknowledged = len(found.keys() - acknowledged)
    figures.duplicates = sum(count - 1 for count in found.values())
    figures.resent = sum(client.resent for client in clients)


def full_disk_trial(folder: Path, *, seed: int = 0) -> Figures:
    """Send more than the disk of a collector's log and lake takes, then make room, and count."""
    figures = Figures()
    disk = folder / "disk"
    with small_disk(disk, "24m"):
        filler = disk / "filler"
        victim = Victim(disk / "a", disk / "lake")
        clients = [Client(victim, 20, seed * 10 + m, p, 200) for m, p in enumerate(PROTOCOLS)]
        filler.write_bytes(bytes(20 << 20))
        for client in clients:
            client.start()
        end_s = time.monotonic() + 120
        while sum(client.resent for client in clients) < 40:
            assert time.monotonic() < end_s, "the disk does not fill"
            time.sleep(0.1)
        filler.unlink()
        before = sum(len(client.acknowledged) for client in clients)
        while sum(len(client.acknowledged) for client in clients) < before + 400:
            assert time.monotonic() < end_s, "it does not recover"
            time.sleep(0.1)
        for client in clients:
            client.stop()
        assert victim.finish() == 0
        _count(figures, disk / "lake", clients)
    return figures


def main() -> int:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 240
    deadline_s = float(sys.argv[3]) if len(sys.argv) > 3 else 3600.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())
    print(f"seed {seed}", flush=True)
    sound = True
    with tempfile.TemporaryDirectory() as folder:
        for name, figures in (
            ("killed", trial(Path(folder), kills, seed, deadline_s=deadline_s)),
            ("full disk", full_disk_trial(Path(folder), seed=seed)),
        ):
            print(f"{name}\n{figures}", flush=True)
            sound = sound and figures.found == figures.acknowledged and not figures.duplicates
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
