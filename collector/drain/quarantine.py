"""What cannot be read is kept beside the log, with the reason, for whoever wants to look."""

import os
from pathlib import Path

from exray.collector.decode import Received
from exray.collector.logs import ReceiverLog
from exray.exporters.log import CorruptRecord
from exray.lake.storage import make_folder, sync_folder, write_synced

MAX_BYTES = 1 << 30
"""Most that is kept; beyond it only reasons are. A sender must not fill the disk with these."""


class Quarantine:
    """Files of requests that were acknowledged and cannot become rows.

    Args:
        folder: Where; made with the first file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep_request(self, log: ReceiverLog, sequence: int, request: Received, why: str) -> None:
        """Keep a request that cannot be read."""
        name = f"{log.label}{sequence}.{request.signal}.{request.encoding.name.lower()}"
        self._keep(name, request.body, f"request {sequence} ({request.signal}): {why}")

    def keep_damage(self, log: ReceiverLog, damage: CorruptRecord) -> None:
        """Keep bytes of a log that are no record any more."""
        name = f"{log.label}{damage.end.segment}-{damage.end.offset}.damaged"
        self._keep(name, damage.content, damage.problem)

    def _keep(self, name: str, content: bytes, reason: str) -> None:
        make_folder(self._folder)
        used = sum(path.stat().st_size for path in self._folder.iterdir())
        if used + len(content) <= MAX_BYTES:
            self._write(name, content)
        self._write(f"{name}.txt", f"{reason}\n".encode())

    def _write(self, name: str, content: bytes) -> None:
        scratch = self._folder / f".{name}.{os.getpid()}"
        scratch.unlink(missing_ok=True)
        write_synced(scratch, memoryview(content))
        scratch.replace(self._folder / name)
        sync_folder(self._folder)
