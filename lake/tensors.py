"""Whole tensors beside a lake's tables: each once, by its hash, in a bounded ring of frames.

::

    lake/_tensors/3f/3f9a0c....zst            content of one tensor, a zstd frame
    lake/_tensors/frames/<start>-<span>.txt   hash and size of each tensor of one frame
    lake/_tensors/lock                        held by whoever writes or removes

A frame's contents are written before its list, so a list never names what is not there.
When the ring is full the oldest frame's list goes, and with it every content that no list
names any more. Type and shape of a tensor stand in its row of the table ``tensors``.
"""

import fcntl
import os
import uuid
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from exray.schema.errors import DataError, MissingExtraError

from .storage import explain_os_errors, make_folder, sync_folder, write_synced

FOLDER = "_tensors"
"""Below the lake's root; the underscore keeps readers of tables out."""

FULL_RING_BYTES = 1 << 30
"""Default limit of what contents take on disk."""

ZSTD_LEVEL = 1
"""Higher ones cost the application's time for a few per cent."""


@dataclass(frozen=True, slots=True)
class KeptFrame:
    """The whole tensors of one frame.

    Args:
        start_ns: Its start, by which the oldest is known.
        span_id: Its span.
        contents: Compressed content by the tensor's hash, as its row has it.
    """

    start_ns: int
    span_id: bytes
    contents: Mapping[int, bytes]

    @property
    def name(self) -> str:
        """Name of its list; names sort by time."""
        return f"{self.start_ns:020d}-{self.span_id.hex()}.txt"


def compress(array: NDArray[Any]) -> bytes | None:
    """Return a tensor's bytes in row-major order as a zstd frame; None where it has none.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    if array.dtype.hasobject or not array.dtype.itemsize:
        return None
    content = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    compressed: bytes = _codec().compress(content.data, asbytes=True)
    return compressed


def decompress(content: bytes, size_bytes: int) -> bytes:
    """Return what `compress` was given.

    Raises:
        DataError: It is not a zstd frame of *size_bytes*.
        MissingExtraError: pyarrow is not installed.
    """
    try:
        plain: bytes = _codec().decompress(content, size_bytes, asbytes=True)
    except OSError as error:
        msg = f"a tensor's content is damaged: {error}; expected zstd of {size_bytes} bytes"
        raise DataError(msg) from error
    if len(plain) != size_bytes:
        msg = f"a tensor's content has {len(plain)} bytes; its row says {size_bytes}"
        raise DataError(msg)
    return plain


def _codec() -> Any:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingExtraError("lake", "level 'full'") from error
    return cast("Any", pa).Codec("zstd", compression_level=ZSTD_LEVEL)


class TensorRing:
    """The whole tensors of a lake's latest frames; many processes may write at once.

    Args:
        root: The lake's folder.
        limit_bytes: Most that contents take on disk.
    """

    def __init__(self, root: Path, limit_bytes: int = FULL_RING_BYTES) -> None:
        self._folder = root / FOLDER
        self._lists = self._folder / "frames"
        self._limit_bytes = limit_bytes
        self._known: dict[str, dict[str, int]] = {}
        self._is_swept = False

    def read(self, tensor_hash: int, size_bytes: int) -> bytes | None:
        """Return a tensor's bytes, None where it was never kept or is gone.

        Raises:
            DataError: Its content is damaged.
            LakeError: It cannot be read.
        """
        path = self._path(_hex(tensor_hash))
        with explain_os_errors(path):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                return None
        return decompress(content, size_bytes)

    def add(self, frames: Sequence[KeptFrame]) -> list[KeptFrame]:
        """Keep frames, the oldest ones making way; one that is kept already stays.

        Returns:
            Those that are larger than the whole ring, which are not kept.

        Raises:
            LakeFullError: The disk is full.
            LakeError: The folder cannot be written.
        """
        frames = [frame for frame in frames if frame.contents]
        if not frames:
            return []
        too_large: list[KeptFrame] = []
        with explain_os_errors(self._folder), self._locked():
            self._load()
            self._sweep()
            for frame in sorted(frames, key=lambda frame: frame.name):
                if frame.name in self._known:
                    continue
                if sum(map(len, frame.contents.values())) > self._limit_bytes:
                    too_large.append(frame)
                    continue
                self._add(frame)
        return too_large

    def _add(self, frame: KeptFrame) -> None:
        contents = {_hex(key): content for key, content in frame.contents.items()}
        self._make_room(contents)
        written: list[Path] = []
        try:
            for name, content in contents.items():
                path = self._path(name)
                if not path.exists():
                    written.append(path)
                    self._write(path, memoryview(content))
            sizes = {name: len(content) for name, content in contents.items()}
            listed = "".join(f"{name} {size}\n" for name, size in sizes.items())
            self._write(self._lists / frame.name, memoryview(listed.encode()))
        except BaseException:
            for path in written:  # a full disk: leave no content that nothing names
                path.unlink(missing_ok=True)
            raise
        self._known[frame.name] = sizes

    def _make_room(self, contents: Mapping[str, bytes]) -> None:
        """Remove the oldest frames until *contents* fit."""
        uses = Counter(name for sizes in self._known.values() for name in sizes)
        sizes = {name: size for sizes in self._known.values() for name, size in sizes.items()}
        total = sum(sizes.values())
        new = sum(len(content) for name, content in contents.items() if name not in sizes)
        for oldest in sorted(self._known):
            if total + new <= self._limit_bytes:
                return
            (self._lists / oldest).unlink(missing_ok=True)
            for name, size in self._known.pop(oldest).items():
                uses[name] -= 1
                if not uses[name]:
                    self._path(name).unlink(missing_ok=True)
                    total -= size
                    if name in contents:  # it is written again in a moment
                        new += len(contents[name])

    def _load(self) -> None:
        """Take up what other processes have added or removed."""
        make_folder(self._lists)
        present = {path.name: path for path in self._lists.glob("*.txt")}
        for name in self._known.keys() - present.keys():
            del self._known[name]
        for name in present.keys() - self._known.keys():
            lines = present[name].read_text("ascii", errors="replace").splitlines()
            pairs = [line.split() for line in lines]
            self._known[name] = {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}

    def _sweep(self) -> None:
        """Remove, once, what writers left that were killed: nobody else holds the lock now."""
        if self._is_swept:
            return
        named = {name for sizes in self._known.values() for name in sizes}
        for path in self._folder.glob("[0-9a-f][0-9a-f]/*"):
            if path.suffix != ".zst" or path.stem not in named:
                path.unlink(missing_ok=True)
        for path in self._lists.glob("*.new"):
            path.unlink(missing_ok=True)
        self._is_swept = True

    def _write(self, path: Path, content: memoryview) -> None:
        """Make *content* visible under *path*, whole and on disk."""
        make_folder(path.parent)
        scratch = path.with_name(f"{uuid.uuid4().hex}.new")
        try:
            write_synced(scratch, content)
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
        sync_folder(path.parent)

    @contextmanager
    def _locked(self) -> Generator[None]:
        make_folder(self._folder)
        descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)  # which gives the lock back

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / f"{name}.zst"


def _hex(tensor_hash: int) -> str:
    """Return a signed 64-bit hash as 16 hex digits."""
    return f"{tensor_hash & (1 << 64) - 1:016x}"
