"""Work that takes much memory, done by one at a time of all threads and processes."""

import fcntl
import threading
from typing import Self


class Turn:
    """Whose turn it is, for the time of a block.

    Args:
        descriptor: A file that the processes share, None where there is but one. A process
            that dies loses its turn.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self._lock = threading.Lock()
        self._descriptor = descriptor

    def __enter__(self) -> Self:
        self._lock.acquire()
        if self._descriptor is not None:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX)  # of the process, not of the file's opener
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)
        self._lock.release()
