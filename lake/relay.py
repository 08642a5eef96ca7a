"""Delta logs for forked processes, which delta-rs refuses to serve.

delta-rs runs on threads that do not survive a fork: in a child whose parent has used it,
every call panics (https://github.com/tokio-rs/tokio/issues/4301). Pre-forking servers and
``multiprocessing`` do just that, so such a child starts a fresh Python of its own and has
its commits made there. Only names and sizes of files cross the pipe: the child writes its
Parquet itself.

Run as a module, this is the other end: one JSON object a line in, one a line out.
"""

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import IO, Any

from exray.schema import errors

from .delta import DeltaLog
from .typing import DataFile, TableLog

STOP_TIMEOUT_S = 5.0
"""How long an exiting child waits for its relay to end."""


def open_log(folder: str, table_name: str) -> TableLog:
    """Return the log of the table in *folder*, by whatever works in this process.

    Raises:
        MissingExtraError: `deltalake` is not installed.
    """
    if _here.delta_lost:
        return RelayedLog(folder, table_name)
    return DeltaLog(folder, table_name)


class RelayedLog:
    """The log of the Delta table in *folder*, reached through the relay's process."""

    def __init__(self, folder: str, table_name: str) -> None:
        self._table = {"folder": folder, "table": table_name}

    def recorded_sequence(self, writer: str) -> int | None:
        """Open the newest snapshot in the relay; return *writer*'s last sequence."""
        answer = self._ask("recorded_sequence", writer=writer)
        return None if answer is None else int(answer)

    def append(self, files: Sequence[DataFile], writer: str, sequence: int) -> bool:
        """Add *files* to that snapshot; False if another commit of *writer* was faster."""
        entries = [asdict(file) for file in files]
        return bool(self._ask("append", files=entries, writer=writer, sequence=sequence))

    def active_files(self) -> list[str]:
        """Return the newest snapshot's files, relative to the table's folder."""
        return [str(name) for name in self._ask("active_files")]

    def _ask(self, method: str, **arguments: object) -> Any:
        return _here.relay().ask({**self._table, "method": method, "arguments": arguments})


class Relay:
    """A fresh Python process that serves this one's Delta logs until its input ends."""

    def __init__(self) -> None:
        if not sys.executable:
            msg = (
                "this forked process cannot write the lake: delta-rs does not survive a fork, and "
                "without sys.executable no fresh Python can be started. Use the start method "
                "'spawn' or 'forkserver'."
            )
            raise errors.LakeError(msg)
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,  # Ctrl-C is for the application; the relay ends with its input
            text=True,
        )

    def ask(self, request: Mapping[str, object]) -> object:
        """Send *request*, wait for its answer.

        Raises:
            LakeError: As the call itself raises, or the relay has died.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._lock:
            try:
                self._process.stdin.write(f"{json.dumps(request)}\n")
                self._process.stdin.flush()
                line = self._process.stdout.readline()
            except OSError:
                line = ""
        if not line:
            msg = (
                "the process that commits for this forked one has ended, with code "
                f"{self._process.poll()}; commit the same set again, which starts another."
            )
            raise errors.LakeError(msg)
        answer = json.loads(line)
        if "error" in answer:
            raise getattr(errors, answer["error"])(answer["message"])
        return answer["result"]

    def is_alive(self) -> bool:
        """Tell whether the process still runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the process."""
        try:
            self._process.communicate(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


class _Here:
    """What this process knows about delta-rs, renewed in each forked child."""

    def __init__(self) -> None:
        self.delta_lost = False
        self._lock = threading.Lock()
        self._relay: Relay | None = None
        self._inherited: list[Relay | None] = []

    def relay(self) -> Relay:
        """Return this process's relay, started when first needed or when it has died."""
        with self._lock:
            if self._relay is None:
                atexit.register(self.stop)
            elif self._relay.is_alive():
                return self._relay
            self._relay = Relay()
            return self._relay

    def stop(self) -> None:
        """End the relay, if there is one."""
        relay, self._relay = self._relay, None
        if relay is not None:
            relay.stop()

    def after_fork(self) -> None:
        """Note in a child whether its parent can have started delta-rs's threads."""
        self.delta_lost = self.delta_lost or "deltalake" in sys.modules
        self._lock = threading.Lock()
        # The parent's relay is kept unused: its destructor would wait for another's child.
        self._inherited.append(self._relay)
        self._relay = None


_here = _Here()
os.register_at_fork(after_in_child=_here.after_fork)


def serve(requests: IO[str], answers: IO[str]) -> None:
    """Answer *requests* until they end."""
    logs: dict[str, DeltaLog] = {}
    for line in requests:
        answers.write(f"{json.dumps(_answer(json.loads(line), logs))}\n")
        answers.flush()


def _answer(request: dict[str, Any], logs: dict[str, DeltaLog]) -> dict[str, object]:
    arguments = request["arguments"]
    if "files" in arguments:
        arguments["files"] = [DataFile(**entry) for entry in arguments["files"]]
    try:
        log = logs.setdefault(request["folder"], DeltaLog(request["folder"], request["table"]))
        return {"result": getattr(log, request["method"])(**arguments)}
    except errors.LakeError as error:
        return {"error": type(error).__name__, "message": str(error)}


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
