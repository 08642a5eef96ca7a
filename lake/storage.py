"""Bytes of a lake on a local file system: whole files, durable, never overwritten.

Everything that the lake writes itself goes through `LocalStorage`, or through the class of
the same methods for buckets (``object_storage.py``). Only the Delta log is written elsewhere,
by `deltalake` (see ``delta.py``).
"""

import errno
import os
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from exray.schema.errors import LakeError, LakeFullError

SCRATCH = ".scratch"
"""Folder of files being written; hidden, so that no reader takes them for data."""

LEFTOVER_AGE_S = 86_400
"""A scratch file older than a day belongs to a writer that was killed."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


class LocalStorage:
    """Files under one local folder, named by paths relative to it.

    Args:
        root: The lake's folder; need not exist yet.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._folder = str(self.root)

    @property
    def place(self) -> str:
        """The root, as messages name it."""
        return str(self.root)

    def uri(self, name: str) -> str:
        """Return where *name* stands, in the form that engines read."""
        return str(self.root / name)

    def open(self, name: str) -> Any:
        """Return what Arrow reads *name* from, a part at a time."""
        return self.uri(name)

    def exists(self, name: str) -> bool:
        """Tell whether there is a file *name*."""
        # Asked for every table before each statement that is served: half the time of a stat.
        return os.access(f"{self._folder}/{name}", os.F_OK)

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in *folder*, none where it is missing."""
        try:
            return os.listdir(f"{self._folder}/{folder}")  # noqa: PTH208 - names, and soon
        except FileNotFoundError:
            return []
        except OSError as error:
            raise lake_error(error, self.root / folder) from error

    def read(self, name: str) -> bytes | None:
        """Return the content of *name*, or None where there is no such file."""
        with explain_os_errors(self.root / name):
            try:
                return (self.root / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def is_empty(self) -> bool:
        """Tell whether the root is missing or holds nothing but hidden files."""
        with explain_os_errors(self.root):
            if not self.root.exists():
                return True
            return all(entry.name.startswith(".") for entry in self.root.iterdir())

    def publish(self, name: str, content: memoryview) -> bool:
        """Make *content* visible under *name*, whole and on disk, or leave what stands there.

        The bytes are written and synced under a scratch name, then linked: a link, unlike
        a rename, never replaces a file that a table's log may name already.

        Returns:
            False if *name* existed.

        Raises:
            LakeFullError: The disk is full.
            LakeError: The folder cannot be written.
        """
        target = self.root / name
        scratch = self.root / SCRATCH / uuid.uuid4().hex
        with explain_os_errors(target, content.nbytes):
            make_folder(scratch.parent)
            make_folder(target.parent)
            try:
                write_synced(scratch, content)
                os.link(scratch, target)
            except FileExistsError:
                os.utime(target)  # it is about to be named: no clean-up may take it for old
                return False
            finally:
                scratch.unlink(missing_ok=True)
            sync_folder(target.parent)
        return True

    def sweep(self) -> None:
        """Remove the scratch files of writers killed more than a day ago."""
        oldest_s = time.time() - LEFTOVER_AGE_S
        with explain_os_errors(self.root / SCRATCH):
            for path in (self.root / SCRATCH).glob("*"):
                with suppress(FileNotFoundError):  # its writer was quicker
                    if path.stat().st_mtime < oldest_s:
                        path.unlink()


def make_folder(folder: Path) -> None:
    """Create *folder* and its parents, each one's name synced in its parent."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def write_synced(path: Path, content: memoryview) -> None:
    """Write *content* to the new file *path* and wait until it is on disk."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names in *folder* are on disk."""
    sync_file(folder)


def sync_file(path: Path) -> None:
    """Wait until what *path* holds is on disk, whoever wrote it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def explain_os_errors(path: Path, size_bytes: int | None = None) -> Generator[None]:
    """Turn an `OSError` into a `LakeError` that names *path* and the fix."""
    try:
        yield
    except OSError as error:
        raise lake_error(error, path, size_bytes) from error


def lake_error(error: OSError, path: Path, size_bytes: int | None = None) -> LakeError:
    """Say what *error* means for the lake at *path*; *size_bytes* is what was to be written."""
    if error.errno in _FULL:
        return full_error(path, size_bytes)
    reason = error.strerror or str(error)
    if error.errno in _READ_ONLY:
        msg = (
            f"cannot write {str(path)!r}: {reason}. A lake needs a folder that this user may "
            "write, on a file system with hard links; choose another path or change its rights."
        )
    else:
        msg = f"cannot use {str(path)!r}: {reason}. Check the path and its file system."
    return LakeError(msg)


def full_error(path: Path, size_bytes: int | None = None) -> LakeFullError:
    """Say that there is no space left for *path*."""
    wanted = "" if size_bytes is None else f", {size_bytes} bytes wanted"
    msg = (
        f"no space left for {str(path)!r}{wanted}. What is in the lake stays whole, this set of "
        "rows is not in it: free some space and commit the same set again."
    )
    return LakeFullError(msg)
