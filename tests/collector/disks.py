"""Small disks, which fill."""

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


class NoDiskError(Exception):
    """This user may not mount any."""


@contextmanager
def small_disk(folder: Path, size: str) -> Generator[None]:
    """Mount a disk of *size* at *folder*.

    Raises:
        NoDiskError: This user may not.
    """
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        msg = "no right to mount a small disk"
        raise NoDiskError(msg) from error
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
