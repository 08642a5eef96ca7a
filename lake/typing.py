"""Types that the lake's modules share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file that stands on disk and waits to be named in a table's log.

    Args:
        name: Path relative to the table's folder, directories percent-encoded.
        size_bytes: Its length.
        rows: How many rows it holds.
        partition: Raw value of each partition column.
    """

    name: str
    size_bytes: int
    rows: int
    partition: Mapping[str, str]


class Storage(Protocol):
    """Where a lake's bytes are: whole files under names relative to its root, never overwritten."""

    @property
    def place(self) -> str:
        """The root, as messages name it."""
        ...

    def uri(self, name: str) -> str:
        """Return where *name* stands, in the form that engines read."""
        ...

    def read(self, name: str) -> bytes | None:
        """Return the content of *name*, or None where there is no such file."""
        ...

    def open(self, name: str) -> Any:
        """Return what Arrow reads *name* from, a part at a time."""
        ...

    def exists(self, name: str) -> bool:
        """Tell whether there is a file *name*."""
        ...

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in *folder*, none where it is missing."""
        ...

    def is_empty(self) -> bool:
        """Tell whether the root is missing or holds nothing but what is hidden."""
        ...

    def publish(self, name: str, content: memoryview) -> bool:
        """Make *content* visible under *name*, whole and durable; False if *name* existed."""
        ...

    def sweep(self) -> None:
        """Get the root ready for a writer, or raise a `LakeError` that says why it is none."""
        ...


class TableLog(Protocol):
    """The Delta log of one table: which files are in it, and who wrote what.

    `recorded_sequence` opens a fresh snapshot, and `append` commits against exactly
    that one, so that a commit in between by the same writer is refused.
    """

    def recorded_sequence(self, writer: str) -> int | None:
        """Open the newest snapshot, making the table if need be; return *writer*'s last sequence."""
        ...

    def append(self, files: Sequence[DataFile], writer: str, sequence: int) -> bool:
        """Add *files* to the snapshot opened last; False if another commit of *writer* was faster."""
        ...

    def active_files(self) -> list[str]:
        """Return the newest snapshot's files, relative to the table's folder; none if no table."""
        ...
