"""The logs of one collector: each of its receivers writes one.

::

    wal/               of the first receiver, and what a single one has
    wal/receivers/1/   of the second, and so on
    wal/drain/         how far the one drain of all of them is
"""

from dataclasses import dataclass
from pathlib import Path

from exray.exporters.log_writer import ID_FILE
from exray.schema.errors import LogError

RECEIVERS = "receivers"
"""Folder of the logs of all receivers but the first."""


@dataclass(frozen=True, slots=True)
class ReceiverLog:
    """One of the logs.

    Args:
        folder: Where it is.
        log_id: What no other log is called.
        label: Says in names of files whose it is, empty for the first.
    """

    folder: Path
    log_id: str
    label: str


def log_folder(wal: Path, receiver: int) -> Path:
    """Return where a receiver, counted from 0, has its log."""
    return wal / RECEIVERS / str(receiver) if receiver else wal


def logs_of(wal: Path) -> list[ReceiverLog]:
    """Return the logs that there are, also of receivers that there no longer are.

    Raises:
        LogError: There is none.
    """
    others = [path for path in (wal / RECEIVERS).glob("*") if (path / ID_FILE).exists()]
    return [
        ReceiverLog(wal, id_of(wal), ""),
        *(ReceiverLog(path, id_of(path), f"{path.name}.") for path in sorted(others)),
    ]


def id_of(folder: Path) -> str:
    """Return what no other log is called.

    Raises:
        LogError: There is no log.
    """
    try:
        return (folder / ID_FILE).read_text("ascii").strip()
    except OSError as error:
        msg = f"{str(folder)!r} is no log: it has no {ID_FILE!r}. Name the folder of one."
        raise LogError(msg) from error
