"""Who is who: keys of inputs, ids of runs and spans, hashes of tensors and files."""

import hashlib
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

FAMILIES = 16
"""Hash families of the sketch; a frame's input chooses one."""


def input_key(input_id: str) -> int:
    """Return the key that joins frames of one input across runs and devices.

    It is the first 8 bytes, little-endian and signed, of the SHA-256 of *input_id* in
    UTF-8. A file name that is not UTF-8 counts as the bytes it has on disk.

    Args:
        input_id: What the caller names the input.

    Returns:
        Signed 64-bit integer.

    >>> input_key("cat.png")
    197610182037753785
    """
    try:
        text = input_id.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate that stands for no byte
        text = input_id.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little", signed=True)


def sketch_family(key: int) -> int:
    """Return the sketch family, 0 to 15, of the input with this key.

    Bitwise, because SQL engines differ in the remainder of negative numbers.
    """
    return key & (FAMILIES - 1)


class _RunClock:
    """Time since 1970 in units of 2^-12 ms that never repeats within a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def tick(self) -> int:
        """Return the time, or one unit after the last answer if the clock stood or fell."""
        milliseconds, rest_ns = divmod(time.time_ns(), 1_000_000)
        now = max(milliseconds, 0) << 12 | (rest_ns << 12) // 1_000_000
        with self._lock:
            self._last = max(now, self._last + 1)
            return self._last

    def unlock(self) -> None:
        """Take a new lock: in a forked child the old one may be held for ever."""
        self._lock = threading.Lock()


_run_clock = _RunClock()
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_run_clock.unlock)


class _Entropy:
    """Random bytes of the operating system, drawn in large pieces: a call costs microseconds."""

    SIZE_BYTES = 4096

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start anew: a forked child must not give what its parent gives."""
        self._lock = threading.Lock()
        self._bytes, self._used = b"", 0

    def take(self, size: int) -> bytes:
        """Return *size* bytes that nobody else gets."""
        with self._lock:
            if self._used + size > len(self._bytes):
                self._bytes, self._used = os.urandom(max(self.SIZE_BYTES, size)), 0
            self._used += size
            return self._bytes[self._used - size : self._used]


_entropy = _Entropy()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_entropy.forget)


def new_run_id() -> bytes:
    """Return a new run's id: a UUIDv7, 16 bytes.

    Ids of one process ascend. 62 random bits from the operating system keep forks and
    machines apart that share the clock's reading.
    """
    ticks = _run_clock.tick()
    random = int.from_bytes(os.urandom(8), "big") >> 2
    high = (ticks >> 12 & (1 << 48) - 1) << 16 | 7 << 12 | ticks & 0xFFF
    return (high << 64 | 0b10 << 62 | random).to_bytes(16, "big")


def new_trace_id() -> bytes:
    """Return a new trace's id: 16 random bytes, not all zero."""
    return _random_bytes(16)


def new_span_id() -> bytes:
    """Return a new span's id: 8 random bytes, not all zero."""
    return _random_bytes(8)


def new_span_ids(count: int) -> NDArray[np.uint64]:
    """Return new spans' ids as native integers, shape (count,), none of them zero."""
    ids = np.frombuffer(_entropy.take(8 * count), np.uint64).copy()
    ids[ids == 0] = 1  # zero means "no span"; one in 2^64 may take its neighbour
    return ids


def _random_bytes(size: int) -> bytes:
    while not any(id_bytes := _entropy.take(size)):
        pass  # OpenTelemetry gives all zeros the meaning "none"
    return id_bytes


def tensor_hash(array: NDArray[Any]) -> int:
    """Return the XXH3-64 of a tensor's bytes in row-major order, as a signed integer.

    Objects, such as strings of any length, have no bytes of their own: their ``repr``
    counts.

    Args:
        array: Any shape and dtype.

    Returns:
        Signed 64-bit integer.
    """
    digest = xxhash.xxh3_64_intdigest(tensor_bytes(array))
    return digest - (digest >> 63 << 64)


def tensor_bytes(array: NDArray[Any]) -> Any:
    """Return what `tensor_hash` hashes: an object that exports a tensor's bytes, or bytes."""
    if array.dtype.kind in "biuf" and array.flags.c_contiguous:
        return array  # as nearly all are, without the detours below
    if array.dtype.hasobject or not array.dtype.itemsize:
        return repr(array.tolist()).encode("utf-8", "surrogatepass")
    # bfloat16 and datetime64 export no buffer, bytes always do
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's content, 64 hex digits.

    Raises:
        OSError: The file cannot be read.
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
