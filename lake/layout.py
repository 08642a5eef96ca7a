"""Where things stand in a lake.

::

    lake/exray-lake.json                        marker: this is a lake, of this version
    lake/runs/_delta_log/...                    one Delta table per table of the schema
    lake/runs/<writer>-<sequence>.parquet
    lake/frames/role=edge/dt=2026-01-31/<writer>-<sequence>.parquet
    lake/_tensors/...                           whole tensors, see tensors.py

A lake in a bucket has the same, but for the tensors.
"""

import contextlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import cast
from urllib.parse import quote, unquote

from exray.schema.errors import LakeError

from .object_storage import SCHEME, ObjectStorage
from .storage import SCRATCH, LocalStorage
from .typing import Storage

MARKER = "exray-lake.json"
"""File at a lake's root that says it is one."""

LAYOUT_VERSION = 2
"""Version of tables and files. A lake keeps the one it was made with.

1: before ``received_ns``: files may lack columns that came later, which read as NULL.
"""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""Beginning of a URL, also of one that went through `pathlib.Path`, which joins slashes."""


def storage_at(path: str | Path) -> Storage:
    """Return the storage that *path* names.

    Raises:
        LakeError: *path* is a URL of another scheme than s3, or a folder that delta-rs would
            mistake for another.
        MissingExtraError: It is in a bucket, and the libraries for that are not installed.
    """
    if _URL.match(str(path)):
        if str(path).startswith(SCHEME.rstrip("/")):
            return ObjectStorage(str(path))
        msg = (
            f"{str(path)!r} is a URL of a kind that is not supported; a lake is a local folder, such as "
            "'./lake', or s3://BUCKET/PREFIX."
        )
        raise LakeError(msg)
    storage = LocalStorage(Path(path))
    if unquote(str(storage.root)) != str(storage.root):
        msg = (
            f"{str(storage.root)!r} cannot be a lake: delta-rs would read the '%' in it as an "
            "escape and write elsewhere. Choose a path without '%'."
        )
        raise LakeError(msg)
    return storage


def check_marker(storage: Storage) -> int:
    """Check that *storage* holds a lake that this version of exray can use.

    Returns:
        The lake's own version.

    Raises:
        LakeError: There is none, its marker is damaged, or a newer exray made it.
    """
    root = storage.place
    if isinstance(storage, LocalStorage) and not storage.root.is_dir():
        found = "a file" if storage.root.exists() else "nothing there"
        msg = (
            f"{root!r} is not a lake: expected a folder with {MARKER!r}, found {found}. Name an "
            "existing lake, or record into this path first, which creates it."
        )
        raise LakeError(msg)
    content = storage.read(MARKER)
    if content is None:
        msg = (
            f"{root!r} is not a lake: it has no {MARKER!r}. Name the folder that an exray run "
            "wrote, or a new or empty folder to start one."
        )
        raise LakeError(msg)
    version = _version(content, root)
    if version > LAYOUT_VERSION:
        msg = (
            f"the lake {root!r} has version {version}, newer than {LAYOUT_VERSION}, the last that "
            "this exray knows. pip install --upgrade exray"
        )
        raise LakeError(msg)
    return version


def create_marker(storage: Storage) -> None:
    """Make *storage* a lake; several processes may do so at once.

    Raises:
        LakeError: A file stands there, or a folder that holds something else.
    """
    is_file = isinstance(storage, LocalStorage) and storage.root.is_file()
    if is_file or not storage.is_empty():
        check_marker(storage)
        return
    marker = {"format": "exray-lake", "version": LAYOUT_VERSION}
    storage.publish(MARKER, memoryview(f"{json.dumps(marker)}\n".encode()))


def remove_unused(path: Path) -> None:
    """Remove a lake in which nothing was ever written; any other stays, and so does no lake.

    Whoever begins to write there meanwhile makes it a lake again with the first commit.
    """
    with contextlib.suppress(OSError):  # missing, or not ours to remove
        if {entry.name for entry in path.iterdir()} <= {MARKER, SCRATCH}:
            (path / MARKER).unlink()
            (path / SCRATCH).rmdir()
            path.rmdir()


def file_name(writer: str, sequence: int, partition: Mapping[str, str]) -> str:
    """Return the one name that this set's rows of *partition* ever have, relative to the table.

    >>> file_name("a1", 7, {"role": "edge", "dt": "2026-01-31"})
    'role=edge/dt=2026-01-31/a1-0000000007.parquet'
    """
    folders = [f"{key}={quote(value, safe='')}" for key, value in partition.items()]
    return "/".join([*folders, f"{writer}-{sequence:010d}.parquet"])


def _version(content: bytes, root: str) -> int:
    try:
        marker = json.loads(content)
    except ValueError:
        marker = None
    if isinstance(marker, dict):
        version = cast("dict[str, object]", marker).get("version")
        if isinstance(version, int) and version > 0:
            return version
    msg = (
        f"the lake {root!r} has a damaged {MARKER!r}: expected JSON with a positive integer "
        f"'version', found {content[:60]!r}. If the tables beside it are whole, write "
        f'{{"format": "exray-lake", "version": {LAYOUT_VERSION}}} into it.'
    )
    raise LakeError(msg)
