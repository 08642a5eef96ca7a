"""What the processes of one collector tell each other, in memory that they share.

Each writes a place of its own and reads all. What a place holds stays when its process dies.
"""

import json
import mmap
import os
import threading
import zlib
from typing import Any

PLACE_BYTES = 128 << 10
"""Some four times what a receiver's numbers take."""

_HEAD_BYTES = 8
"""Length and checksum."""

TRIES = 20
"""A place that is being written is read again."""


class Board:
    """Places in a file without a name.

    Args:
        descriptor: The file's, inherited or new.
        places: How many there are.
    """

    def __init__(self, descriptor: int, places: int) -> None:
        self.descriptor = descriptor
        self.places = places
        self._lock = threading.Lock()
        self._memory = mmap.mmap(descriptor, places * PLACE_BYTES)

    @classmethod
    def new(cls, places: int) -> "Board":
        """Return one of empty places, for Linux alone."""
        descriptor = os.memfd_create("exray-board")
        os.ftruncate(descriptor, places * PLACE_BYTES)
        return cls(descriptor, places)

    def write(self, place: int, content: dict[str, Any]) -> None:
        """Put *content* into a place; what is too large for it leaves it as it is."""
        data = json.dumps(content).encode()
        if len(data) > PLACE_BYTES - _HEAD_BYTES:
            return
        head = len(data).to_bytes(4, "little") + zlib.crc32(data).to_bytes(4, "little")
        start = place * PLACE_BYTES
        with self._lock:
            self._memory[start : start + _HEAD_BYTES + len(data)] = head + data

    def read(self, place: int) -> dict[str, Any] | None:
        """Return what a place holds, None where nothing is."""
        start = place * PLACE_BYTES
        for _ in range(TRIES):
            head = self._memory[start : start + _HEAD_BYTES]
            size = int.from_bytes(head[:4], "little")
            if not size:
                return None
            data = self._memory[start + _HEAD_BYTES : start + _HEAD_BYTES + size]
            if zlib.crc32(data) == int.from_bytes(head[4:], "little"):
                found: dict[str, Any] = json.loads(data)
                return found
        return None  # its process died while it wrote

    def close(self) -> None:
        """Let go of it."""
        self._memory.close()
        os.close(self.descriptor)
